"""The cascade: limits on pages, the gate, and what is taken where the precise extractor finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.extraction import Extracted, PageExtractor, Skip
from corpus.web.nesting import _most_open, too_deep, too_many_tags
from corpus.web.settings import DocumentSettings
from foundation.language.identification import load_identifier

PROSE = (
    "La biblioteca della valle nacque in una stanza della scuola, con i volumi donati da un maestro in pensione. "
    "Per dieci anni fu aperta solo il sabato, e il registro dei prestiti era un quaderno a righe che si conserva ancora."
)
TAGS = ["<div>", "</div>", "<b>", "</b>", "<ul>", "</ul>", "<li>", "</li>", "<br>", "<BR/>", "<p>", "</p>", "<p class=x>", "<menu>", "</menu>",
        "<meta a=b>", "<img src=x>", "testo", "a < b", "<!-- no -->", "<td>", "</td>", "<Div>"]  # fmt: skip


@pytest.fixture(scope="module")
def extractor(model: Path) -> PageExtractor:
    return PageExtractor(DocumentSettings(), load_identifier(model), "it")


def _depth(html: str) -> int:
    return next(depth for depth in range(len(html) + 1) if not _exactly_deeper(html, depth))


def _exactly_deeper(html: str, depth: int) -> bool:
    from corpus.web.nesting import _NEVER_NEST, _TAG

    now = most = 0
    for match in _TAG.finditer(html):
        if match[2].lower() not in _NEVER_NEST:
            now = max(now - 1, 0) if match[1] else now + 1
            most = max(most, now)
    return most > depth


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.sampled_from(TAGS), max_size=60), limit=st.integers(0, 12))
def test_depth_is_that_of_open_tags(parts: list[str], limit: int) -> None:
    html = "".join(parts)
    assert too_deep(html, limit) == (_depth(html) > limit)
    assert _most_open(html) >= _depth(html)  # never a bound that lets a deep page through


@pytest.mark.parametrize("tag", ["div", "b", "table", "DIV"])
def test_a_hundred_thousand_nested_tags_are_refused_at_once(tag: str, extractor: PageExtractor) -> None:
    html = f"<html><body>{f'<{tag}>' * 100_000}{PROSE}</body></html>"
    assert extractor.extract_html(html) in (Skip("too_deep"), Skip("too_many_tags"))
    closed = f"<html><body>{f'<{tag}>' * 40_000}{PROSE}{f'</{tag}>' * 40_000}</body></html>"
    assert extractor.extract_html(closed) == Skip("too_deep")


def test_many_tags_that_do_not_nest_are_read(extractor: PageExtractor) -> None:
    html = f"<html><body><p>{PROSE}</p>{'<p>Un paragrafo breve, in italiano.<br>' * 3_000}</body></html>"
    assert not too_deep(html, 10) and not too_many_tags(html, 10_000)
    assert isinstance(extractor.extract_html(html), Extracted)


def test_what_trafilatura_leaves_empty_is_taken_from_resiliparse(extractor: PageExtractor) -> None:
    page = extractor.extract_html(f"<html><body><p>{PROSE}</p><p>{PROSE[::-1]}</p></body></html>")
    assert isinstance(page, Extracted) and page.extractor == "trafilatura"
    short = extractor.extract_html("<html><body><div class='comments'><p>Stampare in ordine inverso le pagine del documento.</p></div></body></html>")
    assert isinstance(short, Extracted) and short.extractor == "resiliparse" and "Stampare" in short.text


def test_the_fast_extractor_is_named_with_its_version(model: Path) -> None:
    fast = PageExtractor(DocumentSettings(extractor="resiliparse"), load_identifier(model), "it")
    page = fast.extract_html(f"<html><body><p>{PROSE}</p></body></html>")
    assert isinstance(page, Extracted) and page.extractor == "resiliparse" and page.extractor_version
    assert len(page.languages) == 3 and page.languages[0].label == "it"


def test_other_languages_are_shut_out_with_their_name(extractor: PageExtractor) -> None:
    english = "<html><body><p>The library of the valley was born in a room of the school, with books that a teacher gave.</p></body></html>"
    assert extractor.extract_html(english) == Skip("other_language", "en")
    assert extractor.extract_text("Die Bibliothek des Tales wurde in einem Zimmer der Schule gegründet, und viele Leute kamen.") == Skip("other_language", "de")
