"""Pages to text: the cascade that keeps the expensive extractor for pages that may be in the wanted language.

resiliparse gives a page's visible text in a millisecond; its language decides whether trafilatura, some ten times
slower and more precise, reads the page at all.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from corpus.web.decoding import decode, tidy
from corpus.web.rights import Rights, html_language, rights_of
from corpus.web.settings import DocumentSettings
from corpus.web.warc_reading import Response
from foundation.language.identification import LanguageIdentifier, LanguageScore

EXTRACTOR = "trafilatura"

SkipReason = Literal[
    "no_url", "http_status", "not_html", "empty_body", "too_large", "undecodable", "no_visible_text", "other_language", "no_main_text"
]
"""Why a response never became a document, in the order in which the cascade asks."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A page that is no candidate; ``language`` is what it was taken for, where the language decided."""

    reason: SkipReason
    language: str = ""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A page's main text with what was learnt about it."""

    text: str
    charset: str
    languages: tuple[LanguageScore, ...]
    html_language: str | None
    http_language: str | None
    rights: Rights

    def score(self, label: str) -> float:
        """The identification score of a language; 0 where it is not among the labels kept."""
        return next((score for name, score in self.languages if name == label), 0.0)


@dataclass(frozen=True)
class PageExtractor:
    """Responses to text, for one wanted language."""

    settings: DocumentSettings
    identifier: LanguageIdentifier
    label: str

    def extract(self, response: Response) -> Extracted | Skip:
        """The page's text, or why it is no candidate."""
        early = self._unfit(response)
        if early is not None:
            return Skip(early)
        decoded = decode(response.payload, response.http_charset)
        if decoded.undecodable_share > self.settings.max_undecodable_share or looks_binary(decoded.text):
            return Skip("undecodable")
        return self.extract_html(decoded.text, decoded.charset, response.headers)

    def extract_html(self, html: str, charset: str = "utf-8", headers: dict[str, str] | None = None) -> Extracted | Skip:
        """The same for a page that is already text."""
        gate = self._gate(html)
        if gate is not None:
            return gate
        text = main_text(html, favour_precision=self.settings.favour_precision)
        if not text:
            return Skip("no_main_text")
        fields = headers or {}
        return Extracted(
            text=text,
            charset=charset,
            languages=tuple(self.identifier.scores(text, k=self.settings.scores_kept)),
            html_language=html_language(html),
            http_language=(fields.get("content-language") or "").lower()[:20] or None,
            rights=rights_of(html, fields),
        )

    def _unfit(self, response: Response) -> SkipReason | None:
        if not response.url.startswith(("http://", "https://")):
            return "no_url"
        if response.status != 200:
            return "http_status"
        if not response.payload.strip():
            return "empty_body"
        mime = response.content_type.split(";")[0].strip()
        if mime and mime not in ("text/html", "application/xhtml+xml"):
            return "not_html"
        return "too_large" if len(response.payload) > self.settings.max_html_bytes else None

    def _gate(self, html: str) -> Skip | None:
        from resiliparse.extract.html2text import extract_plain_text

        visible = extract_plain_text(html, main_content=True, alt_texts=False, links=False)
        if len(visible) < self.settings.min_gate_characters:
            return Skip("no_visible_text")
        scores = self.identifier.scores(visible[: self.settings.gate_characters], k=3)
        if any(label == self.label and score >= self.settings.gate_score for label, score in scores):
            return None
        return Skip("other_language", scores[0].label if scores else "")


def main_text(html: str, *, favour_precision: bool) -> str:
    """The main text of a page by trafilatura; empty where it finds none.

    ``deduplicate`` stays off: its process-wide memory makes a page's text depend on the pages read before it.
    """
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # what it cannot read is counted by the caller
    text = trafilatura.extract(
        html,
        favor_precision=favour_precision,
        include_comments=False,
        include_tables=True,
        include_images=False,
        include_links=False,
        deduplicate=False,
    )
    return tidy(text or "")


def extractor_version() -> str:
    """The installed version of the extractor, recorded with each document."""
    return version(EXTRACTOR)


def looks_binary(text: str) -> bool:
    """Whether a payload is no text at all: NUL or replacement characters among its first thousand."""
    head = text[:1000]
    return "\x00" in head or head.count("\ufffd") > len(head) * 0.1
