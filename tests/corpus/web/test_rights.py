"""Rights: what a page states is found in any spelling, what it does not state is not; and who is dropped for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.errors import WebCorpusError
from corpus.web.judging import RIGHTS_COLUMNS, judge
from corpus.web.rights.page import WINDOW_CHARACTERS, html_language, rights_of
from corpus.web.rules import RIGHTS_RULES, DocumentRule, RuleSet, load_rules
from corpus.web.signals import COUNTS, FLAGS, LINE_TYPE, SHARES

BY = "https://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize(
    ("html", "licence"),
    [
        (f'<A CLASS=x REL="License nofollow" HREF="{BY}">', "CC-BY-4.0"),
        (f'<A REL="LICENSE" HREF="{BY.upper()}">', "CC-BY-4.0"),
        (f"<a href={BY} rel=license>", "CC-BY-4.0"),
        (f"<a title='a > b' href='{BY}deed.it' rel='license'>", "CC-BY-4.0"),
        ('<a rel="license" href="https:&#x2F;&#47;creativecommons.org/licenses/by&#45;sa/3.0/it/">', "CC-BY-SA-3.0-IT"),
        ('<link rel="license" href="//creativecommons.org/licenses/by-nd-nc/1.0/">', "CC-BY-NC-ND-1.0"),
        ('<a rel="license" href="https://creativecommons.org/licenses/by/3.0/igo/">', "CC-BY-3.0-IGO"),
        ('<a rel="license" href="https://creativecommons.org/publicdomain/mark/1.0/">', "CC-PDM-1.0"),
        ('<a rel="license" href="http://creativecommons.org/licenses/publicdomain/">', "CC-PDDC"),
        ('<a rel="license" href="https://spdx.org/licenses/GFDL-1.3-or-later.html">', "GFDL-1.3-or-later"),
        ('<a rel="license" href="/licenza.html">', "https://www.a.example/licenza.html"),
        ('<a rel="license" href="//altrove.example/l">', "https://altrove.example/l"),
        ('<a rel="license" href="https://[x">', "https://[x"), ('<a rel="license" href="//[x">', None), ('<a rel="license" href="mailto:a@b">', None),
        (f'<meta name="DC.rights" content="{BY}">', "CC-BY-4.0"),
        (f'<script type="application/ld+json">{{"@type": "Article", "license": "{BY}"}}</script>', "CC-BY-4.0"),
        (f'<script type=application/ld+json>{{"@graph": [{{"@type": ["WebPage"], "license": {{"@id": "{BY}"}}}}]}}</script>', "CC-BY-4.0"),
        (f'<footer class="x">\n<a href="{BY}">Testi: <b>CC BY 4.0</b></a >\n</footer>', "CC-BY-4.0"),
        (f'<footer><p><a href="{BY}"><img src="https://i.creativecommons.org/l/by/4.0/88x31.png"></a><br>Questo sito…', "CC-BY-4.0"),
        (f'<td\nrole="contentinfo">testo<ul><li class="x"><a href="{BY}">a</a></ul>foto <a href="{BY}">b</a>', "CC-BY-4.0"),
        (f'<div id=page-footer><p><a href="{BY}">CC BY 4.0</a></div>', "CC-BY-4.0"),
        (f'<a rel=license href="{BY}"><a rel="license" href="{BY}deed.it">', "CC-BY-4.0"),
        # What is no statement about this page
        (f'<!-- <a rel="license" href="{BY}"> -->', None),
        (f'<!-- never closed <a rel="license" href="{BY}">', None),
        (f"<script>var x = '<a rel=\"license\" href=\"{BY}\">';</script>", None),
        (f'<textarea><a rel="license" href="{BY}"></textarea>', None),
        (f'<a data-rel="license" href="{BY}">', None),
        (f'<footer>Foto di <a href="/x">X</a>, <a href="{BY}">CC BY</a></footer>', None),
        (f'<footer><p>Foto: <a href="/x">X</a> <a href="{BY}"><img src="//licensebuttons.net/l/by/4.0/88x31.png"></a></p>', None),
        (f'<footer>Foto: <span><a href="{BY}">CC BY</a></span></footer>', None),
        (f'<footer><p><a href="{BY}">CC BY</a></p>foto <a href="{BY.replace("/by/", "/by-nc/")}">b</a></footer>', None),
        (f'<footer><p><a href="{BY}">CC BY</a>, tranne le foto</p></footer>', None),
        (f'<div data-x="footer"><p><a href="{BY}">CC BY</a></p></div>', None),
        (f'<a rel=license href="/l"><a rel=license href="{BY}">', None),
        (f'<p>testo <a href="{BY}">foto</a></p><footer>nulla</footer>', None),
        (f'<footer><a href="{BY}">a</a></footer><p><a href="{BY}">dopo</a>'.replace(f'<a href="{BY}">a</a>', ""), None),
        (f'<footer><a href="{BY}">testi</a> <a href="{BY.replace("/by/", "/by-nd/")}">foto</a></footer>', None),
        (f'<a rel=license href="{BY}"><a rel=license href="{BY.replace("/by/", "/by-nc/")}">', None),
        (f'<script type="application/ld+json">{{"@type": "ImageObject", "license": "{BY}"}}</script>', None),
        (f'<script type="application/ld+json">{{"@type": "Article", "image": {{"license": "{BY}"}}}}</script>', None),
        ('<script type="application/ld+json">{"@type": "Article", "license": "All rights reserved"</script>', None),
        ('<a rel="license" href="#">', None),
        ('<a rel="license" href="https://altrove.example/?u=https://creativecommons.org/licenses/by/4.0/">', "https://altrove.example/?u=https://creativecommons.org/licenses/by/4.0/"),
    ],
)  # fmt: skip
def test_licences(html: str, licence: str | None) -> None:
    assert rights_of(f"<html><body>{html}", {}, "https://www.a.example/b/c.html").licence == licence


def test_a_relative_address_says_nothing_where_its_base_is_not_known() -> None:
    assert rights_of('<a rel="license" href="/licenza.html">', {}).licence is None
    assert rights_of("", {"link": "<../l>; rel=license"}, "https://www.a.example/b/c/").licence == "https://www.a.example/b/l"


def test_a_header_states_the_licence_before_the_page() -> None:
    header = {"link": f'<https://x.example/next>; rel="next", <{BY}>; title="a, b"; rel=license'}
    assert rights_of('<a rel=license href="/altro">', header).licence == "CC-BY-4.0"


@pytest.mark.parametrize(
    ("html", "headers", "stated", "policy"),
    [
        ("<META NAME='TDM-Reservation' CONTENT='1'><meta name=tdm-policy content=https://x.example/p>", {}, True, "https://x.example/p"),
        ('<meta name="tdm-reservation" content="0">', {"tdm-reservation": "1"}, False, None),  # the page supersedes the header
        ('<meta name="tdm-reservation" content="1">', {"tdm-reservation": "0"}, True, None),
        ('<meta name="tdm-reservation" content="yes">', {"tdm-reservation": "1"}, True, None),  # an error resets nothing
        ('<meta name="tdm-reservation" content="yes">', {}, None, None),
        ("", {"tdm-reservation": " 1 ", "tdm-policy": "https://x.example/p"}, True, "https://x.example/p"),
        ("", {"tdm-reservation": "1, 1"}, True, None),  # sent twice
        ("", {"tdm-reservation": "0", "tdm-policy": "https://x.example/p"}, False, None),
        ('<!-- <meta name="tdm-reservation" content="1"> -->', {}, None, None),
        ('<meta property="tdm:reservation" content="1">', {}, True, None),
        ("<p>tdm-reservation: 1</p>", {}, None, None),
    ],
)
def test_reservations(html: str, headers: dict[str, str], stated: bool | None, policy: str | None) -> None:
    rights = rights_of(html, headers)
    assert (rights.tdm_stated, rights.tdm_reservation, rights.tdm_policy) == (stated, stated is True, policy)


@pytest.mark.parametrize(
    ("html", "headers", "noai", "noimageai", "directives"),
    [
        ('<meta name="robots" content="index, noimageai">', {}, False, True, ("noimageai",)),
        ('<meta name=ROBOTS content="NOAI,NOIMAGEAI">', {}, True, True, ("noai", "noimageai")),
        ('<meta name="robots" content="noml">', {}, True, False, ("noml",)),
        ('<meta name="robots" content="noarchive, nosnippet">', {}, False, False, ("noarchive", "nosnippet")),
        ('<meta name="GPTBot" content="noindex">', {}, True, False, ("gptbot:noindex",)),
        ('<meta name="googlebot" content="noindex">', {}, False, False, ("googlebot:noindex",)),
        ('<meta name="googlebot-news" content="noai">', {}, True, False, ("googlebot-news:noai",)),  # for any robot, as in the header
        ('<meta name="keywords" content="noai, robot">', {}, False, False, ()),
        ("", {"x-robots-tag": "noai; noimageai"}, True, True, ("noai", "noimageai")),
        ("", {"x-robots-tag": "noai noimageai"}, True, True, ("noai", "noimageai")),
        ("", {"x-robots-tag": "ccbot: nofollow\nnoindex"}, False, False, ("noindex",)),
        ("", {"x-robots-tag": "googlebot: noai"}, True, False, ("googlebot:noai",)),
        ("", {"x-robots-tag": "*: noai"}, True, False, ("noai",)),
        ("", {"x-robots-tag": "Kangaroo Bot: nofollow, noindex"}, True, False, ("kangaroo bot:noindex",)),
        ("", {"x-robots-tag": "unavailable_after: Friday, 25 Jun 2030 15:00:00 PST, noindex"}, False, False, ("noindex",)),
        ("", {"x-robots-tag": "GPTBot: noindex, nofollow"}, True, False, ("gptbot:noindex",)),
        ("", {"x-robots-tag": "googlebot: noindex, nofollow"}, False, False, ("googlebot:noindex",)),
        ("", {"x-robots-tag": "unavailable_after: 25 Jun 2030 15:00:00 PST, noai"}, True, False, ("noai",)),
        ("", {"x-robots-tag": "max-snippet:20, otherbot: noai\nnoarchive"}, True, False, ("noarchive", "otherbot:noai")),
        ("", {"content-usage": "train-ai=n"}, True, False, ("train-ai=n",)),
        ("", {"content-signal": "search=yes, ai-train=no"}, True, False, ("ai-train=no",)),
        ("", {"content-signal": "search=no, ai-train=yes"}, False, False, ()),
        ('<meta name="description" content="noai">', {}, False, False, ()),
    ],
)
def test_directives(html: str, headers: dict[str, str], noai: bool, noimageai: bool, directives: tuple[str, ...]) -> None:
    rights = rights_of(html, headers)
    assert (rights.noai, rights.noimageai, rights.directives) == (noai, noimageai, directives)


def test_both_ends_of_a_huge_page_are_read_and_the_middle_is_not() -> None:
    filler = "<p>testo della pagina</p>" * (WINDOW_CHARACTERS // 10)
    foot = f'<a rel="license" href="{BY}">'
    middle = '<meta name="tdm-reservation" content="1">'
    rights = rights_of(f'<meta name="robots" content="noai">{filler}{middle}{filler}{foot}', {})
    assert rights.noai and rights.licence == "CC-BY-4.0" and rights.tdm_stated is None
    hidden = rights_of(f"{filler}<!-- {filler}{foot} --><p>fine</p>", {})
    assert hidden.licence is None


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["<a ", "<meta ", "<!--", "-->", "<script ", "</script>", '"', "'", "=", ">", "rel=license", "href=", BY, "<footer>", "x"]), max_size=60).map("".join)
)
def test_any_soup_is_read_the_same_inside_a_closed_comment_as_nothing(soup: str) -> None:
    rights_of(soup, {"link": soup, "x-robots-tag": soup, "content-usage": soup})
    inert = soup.replace("--", "")
    assert rights_of(f"<p>a</p><!-- {inert} --><p>b</p>", {}) == rights_of("", {})


@pytest.mark.parametrize("unit", ['<a href="', "<!--", "<a ", "<script ", "<meta a=", "<meta name=robots content='", "<a rel=license href=//x/>", "<div class=footer ", "<div class=footer x>", f"<footer><a href={BY}>", "<p class=" + " " * 5000, "<html lang=" + " " * 999])
def test_no_page_takes_long(unit: str) -> None:
    """Repeated openings make scanners that look back take minutes; these take some hundredths of a second."""
    begun = time.perf_counter()
    rights_of(unit * (1_000_000 // len(unit)), {"link": "<" * 100_000, "x-robots-tag": "a:" * 50_000})
    rights_of(unit * (100_000 // len(unit)) + f"<a href={BY}>", {"link": "<a>" + "; rel" * 100_000})  # the foot is looked for
    html_language(unit * 10_000)
    assert time.perf_counter() - begun < 5


def _row(**rights: Any) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys([*COUNTS, *SHARES, *FLAGS], 0)
    return {**values, "document_id": "d", "text": "Una riga.", "language_score": 0.9, "line_signals": [{field.name: 0 for field in LINE_TYPE.value_type}], **rights}


RULES = RuleSet(name="one", documents=(DocumentRule(id="short", signal="words", comparison="at_least", threshold=1, source="x", why="x"),))
NOTHING = {"tdm_reservation": False, "noai": False, "robots_disallowed": []}


def _failed(row: dict[str, Any], mode: Literal["general", "research"]) -> list[str]:
    schema = {"tdm_reservation": pl.Boolean, "noai": pl.Boolean, "robots_disallowed": pl.List(pl.String)}
    frame = pl.DataFrame([row], schema_overrides={name: kind for name, kind in schema.items() if name in row})
    decided = judge(frame, RULES, mode).rows.row(0, named=True)
    assert decided["first_failed"] == decided["failed_rules"][0]
    return decided["failed_rules"]


def test_reservations_come_first_and_only_for_general_use() -> None:
    reserved = _row(tdm_reservation=True, noai=True, robots_disallowed=["ChatGPT-User", "GPTBot"])
    assert _failed(reserved, "general") == ["rights_tdm_reservation", "rights_noai", "rights_robots", "short"]
    assert _failed(reserved, "research") == ["short"]
    assert _failed(_row(**NOTHING), "general") == ["short"]


def test_who_refuses_quotation_alone_is_kept_and_so_is_what_says_nothing() -> None:
    assert _failed(_row(**{**NOTHING, "robots_disallowed": ["ChatGPT-User", "PerplexityBot"]}), "general") == ["short"]
    assert _failed(_row(**dict.fromkeys(RIGHTS_COLUMNS)), "general") == ["short"]


def test_a_missing_column_is_no_permission() -> None:
    with pytest.raises(WebCorpusError, match=r"\['robots_disallowed'\].*materialize documents"):
        _failed(_row(tdm_reservation=False, noai=False), "general")
    assert _failed(_row(), "research") == ["short"]


@pytest.mark.parametrize("rule", RIGHTS_RULES, ids=lambda rule: rule.id)
def test_no_file_may_take_the_name_of_a_rights_rule(rule: Any, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"name: x\ndocuments:\n  - {{id: {rule.id}, signal: words, comparison: at_least, threshold: 1, source: x, why: x}}\n")
    with pytest.raises(WebCorpusError, match=rule.id):
        load_rules(path)
