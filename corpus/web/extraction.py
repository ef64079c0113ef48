"""Pages to text: the cascade that keeps expensive work for pages that may be in the wanted language.

resiliparse gives a page's visible text in a millisecond or two; its language decides whether the page is read further. Then
trafilatura, some ten times slower and more precise, extracts the main text, or resiliparse's text is taken.
Limits are on bytes, tags and depth of a page, never on seconds: the corpus must not depend on the machine.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Literal

from corpus.web.decoding import decode, tidy
from corpus.web.nesting import too_deep, too_many_attributes, too_many_tags
from corpus.web.rights.page import Rights, html_language, rights_of
from corpus.web.settings import DocumentSettings
from corpus.web.warc.reading import PlainText, Response
from foundation.language.identification import LanguageIdentifier, LanguageScore

SkipReason = Literal[
    "no_url",
    "http_status",
    "not_html",
    "empty_body",
    "too_large",
    "undecodable",
    "too_many_tags",
    "too_many_attributes",
    "too_deep",
    "no_visible_text",
    "other_language",
    "no_main_text",
]
"""Why a page never became a document, in the order in which the cascade asks."""

WET_EXTRACTOR = "commoncrawl-wet"
"""Extractor of the records of WET files; its version is the crawl's, so that none is recorded."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A page that is no candidate; ``language`` is what it was taken for, where the language decided."""

    reason: SkipReason
    language: str = ""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A page's main text with what was learnt about it; what the source does not tell is None (a text without its HTML has no rights)."""

    text: str
    languages: tuple[LanguageScore, ...]
    extractor: str | None
    extractor_version: str | None
    rights: Rights | None = None
    charset: str | None = None
    html_language: str | None = None
    http_language: str | None = None

    def score(self, label: str) -> float:
        """The identification score of a language; 0 where it is not among the labels kept."""
        return next((score for name, score in self.languages if name == label), 0.0)


@dataclass(frozen=True)
class PageExtractor:
    """Pages to text, for one wanted language."""

    settings: DocumentSettings
    identifier: LanguageIdentifier
    label: str

    def extract(self, response: Response) -> Extracted | Skip:
        """A captured page's text, or why it is no candidate."""
        early = self._unfit(response)
        if early is not None:
            return Skip(early)
        decoded = decode(response.payload, response.http_charset)
        if decoded.undecodable_share > self.settings.max_undecodable_share or looks_binary(decoded.text):
            return Skip("undecodable")
        return self.extract_html(decoded.text, decoded.charset, response.headers, response.url)

    def extract_html(self, html: str, charset: str = "utf-8", headers: dict[str, str] | None = None, url: str = "") -> Extracted | Skip:
        """The same for a page that is already text."""
        if too_many_tags(html, self.settings.max_tags):
            return Skip("too_many_tags")
        if too_many_attributes(html, self.settings.max_attributes):
            return Skip("too_many_attributes")
        if too_deep(html, self.settings.max_depth):
            return Skip("too_deep")
        visible = visible_text(html)
        other = self._other_language(visible)
        if other is not None:
            return other
        extractor, text = self._main_text(html, visible)
        if not text:
            return Skip("no_main_text")
        fields = headers or {}
        return Extracted(
            text=text,
            languages=self._languages(text),
            extractor=extractor,
            extractor_version=_version(extractor),
            rights=rights_of(html, fields, url),
            charset=charset,
            html_language=html_language(html),
            http_language=(fields.get("content-language") or "").lower()[:20] or None,
        )

    def _main_text(self, html: str, visible: str) -> tuple[str, str]:
        """The extractor that gave the text, and the text.

        Where trafilatura finds no main text in a page that reads as the wanted language, what resiliparse found is taken:
        short pages are judged by rules, with a reason, and not lost to an extractor.
        """
        if self.settings.extractor == "trafilatura":
            text = main_text(html, favour_precision=self.settings.favour_precision)
            if text:
                return "trafilatura", text
        return "resiliparse", tidy(visible)

    def extract_record(self, record: PlainText) -> Extracted | Skip:
        """The text of a WET record: Common Crawl's own extraction, without HTML and so without rights."""
        if not record.url.startswith(("http://", "https://")):
            return Skip("no_url")
        return self.extract_text(record.text, WET_EXTRACTOR)

    def extract_text(self, text: str, extractor: str | None = None) -> Extracted | Skip:
        """A text that somebody else extracted (``extractor``, or unknown), by the same gate."""
        if len(text.encode()) > self.settings.max_html_bytes:
            return Skip("too_large")
        clean = tidy(text)
        other = self._other_language(clean)
        return other or Extracted(clean, self._languages(clean), extractor, None)

    def _languages(self, text: str) -> tuple[LanguageScore, ...]:
        return tuple(self.identifier.scores(text, k=self.settings.scores_kept))

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

    def _other_language(self, text: str) -> Skip | None:
        """Why the beginning of a text shuts its page out; None for a candidate."""
        if len(text) < self.settings.min_gate_characters:
            return Skip("no_visible_text")
        scores = self.identifier.scores(text[: self.settings.gate_characters], k=3)
        if any(label == self.label and score >= self.settings.gate_score for label, score in scores):
            return None
        return Skip("other_language", scores[0].label if scores else "")


def visible_text(html: str) -> str:
    """The visible text of a page's main part, by resiliparse: fast, and with more of what surrounds the main text."""
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(html, main_content=True, alt_texts=False, links=False)


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


@lru_cache(maxsize=4)
def _version(extractor: str) -> str:
    return version(extractor)


def looks_binary(text: str) -> bool:
    """Whether a payload is no text at all: NUL or replacement characters among its first thousand."""
    head = text[:1000]
    return "\x00" in head or head.count("\ufffd") > len(head) * 0.1
