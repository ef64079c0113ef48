"""The cascade: limits on pages, the gate, and what is taken where the precise extractor finds nothing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.extraction import Extracted, PageExtractor, Skip
from corpus.web.nesting import _NEVER_NEST, depth_of, too_deep, too_many_attributes, too_many_tags
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


def _plain_depth(html: str) -> int:
    """The same by a loop over tags."""
    opened: Counter[str] = Counter()
    most = 0
    for close, name in re.findall(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)", html):
        if name.lower() in _NEVER_NEST:
            continue
        opened[name.lower()] = max(opened[name.lower()] - 1, 0) if close else opened[name.lower()] + 1
        most = max(most, opened.total())
    return most


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.sampled_from(TAGS), max_size=60), limit=st.integers(0, 12))
def test_depth_is_that_of_open_tags(parts: list[str], limit: int) -> None:
    html = "".join(parts)
    assert depth_of(html) == _plain_depth(html)
    assert too_deep(html, limit) == (_plain_depth(html) > limit)


@pytest.mark.parametrize("pair", ["<div></x>", "<div></tbody>", "<div></dir>", "<aaaaaaaaa></aaaaaaaab>", "<DIV></p>"])
def test_depth_cannot_be_hidden_by_closing_tags_of_other_names(pair: str) -> None:
    assert too_deep(pair * 2_000, 1_000)


def test_a_tag_of_very_many_attributes_is_refused(extractor: PageExtractor) -> None:
    many = " ".join(f"a{number}=1" for number in range(5_000))
    assert extractor.extract_html(f"<html><body><p {many}>{PROSE}</p></body></html>") == Skip("too_many_attributes")
    bare = " ".join(f"a{number}" for number in range(50_000))
    assert too_many_attributes(f"<p {bare}>", 2_000)
    drawing = f"<svg><path d='{'M 10 20 ' * 3_000}'/></svg>"
    spread = "".join(f"<p id=a{number} class=b title=c>{number}</p>" for number in range(2_000))
    assert not too_many_attributes(drawing + spread, 2_000)


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
