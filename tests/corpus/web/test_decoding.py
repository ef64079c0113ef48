"""Charsets, rights, domains: what a page says of itself, and what is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.web.decoding import decode, tidy
from corpus.web.domains import registered_domain, splits_of
from corpus.web.rights import html_language, rights_of

TEXT = "Perché così? È già più di là, «città» e l’università."


@pytest.mark.parametrize(
    ("encoding", "declared", "charset"),
    [
        ("utf-8", "utf-8", "utf-8"),
        ("utf-8", "iso-8859-1", "utf-8"),  # the declaration is wrong, the bytes are valid UTF-8
        ("cp1252", "iso-8859-1", "cp1252"),
        ("cp1252", "utf-8", "cp1252"),  # declared UTF-8, and is not
        ("utf-8-sig", None, "utf-8"),
        ("utf-16", None, "utf-16-le"),
    ],
)
def test_charsets(encoding: str, declared: str | None, charset: str) -> None:
    decoded = decode(TEXT.encode(encoding), declared)
    assert decoded.text == TEXT and decoded.undecodable_share == 0
    assert decoded.charset == charset or encoding == "cp1252"


def test_charset_of_the_page_itself() -> None:
    page = f'<html><head><meta charset="iso-8859-15"></head><body>{"€ così "}</body></html>'
    assert "€ così" in decode(page.encode("iso-8859-15"), None).text


@given(st.binary(max_size=400), st.none() | st.sampled_from(["utf-8", "latin-1", "nonsense", "utf-16"]))
def test_any_bytes_decode_to_something(payload: bytes, declared: str | None) -> None:
    decoded = decode(payload, declared)
    assert 0 <= decoded.undecodable_share <= 1
    clean = tidy(decoded.text)
    assert "\x00" not in clean and tidy(clean) == clean


@pytest.mark.parametrize(
    ("html", "headers", "expected"),
    [
        ('<a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/deed.it">', {}, ("CC-BY-SA-4.0", False, False)),
        ("<link href='http://creativecommons.org/publicdomain/zero/1.0/' rel='license'>", {}, ("CC0-1.0", False, False)),
        ("", {"link": '<https://spdx.org/licenses/MPL-2.0>; rel="license"'}, ("MPL-2.0", False, False)),
        ('<meta name="robots" content="index, noai, noimageai">', {}, (None, False, True)),
        ("", {"x-robots-tag": "otherbot: noai"}, (None, False, True)),
        ('<meta content="1" name="tdm-reservation">', {}, (None, True, False)),
        ("", {"tdm-reservation": "1"}, (None, True, False)),
        ('<a href="https://creativecommons.org/licenses/by/4.0/">a link to a licence says nothing</a>', {}, (None, False, False)),
        ('<meta name="robots" content="index"><meta name="robots" content="noai">', {}, (None, False, True)),
        ('<a rel="license" href="http://creativecommons.org/licenses/by-nc-sa/3.0/it/">', {}, ("CC-BY-NC-SA-3.0-IT", False, False)),
        ('<a rel="license" href="http://creativecommons.org/licenses/by/3.0/legalcode">', {}, ("CC-BY-3.0", False, False)),
        ('<meta name="robots" content="noindex">', {}, (None, False, False)),
    ],
)
def test_rights(html: str, headers: dict[str, str], expected: tuple[str | None, bool, bool]) -> None:
    rights = rights_of(html, headers)
    assert (rights.licence, rights.tdm_reservation, rights.noai) == expected


def test_language_of_the_page() -> None:
    assert html_language('<!DOCTYPE html><html class="x" lang="it-IT">') == "it-it" and html_language("<html>") is None


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://www.malga-ita.example/x", "malga-ita.example"),
        ("http://a.b.co.uk/", "b.co.uk"),
        ("https://WWW.Comune.Roma.IT:8080/x", "comune.roma.it"),
        ("http://192.0.2.7/x", "192.0.2.7"),
        ("http://localhost/", "localhost"),
        ("nonsense", ""),
    ],
)
def test_registered_domains(url: str, domain: str) -> None:
    assert registered_domain(url) == domain


@given(st.sets(st.text("abcdef", min_size=1, max_size=6), min_size=2, max_size=40), st.floats(0.01, 0.99), st.integers(0, 9))
def test_both_splits_get_a_domain_and_others_do_not_move(domains: set[str], share: float, seed: int) -> None:
    splits = splits_of(domains, share, seed)
    assert set(splits.values()) == {"train", "validation"}
    large = splits_of({f"{n}.example" for n in range(200)} | domains, 0.5, seed)
    smaller = splits_of({f"{n}.example" for n in range(200)}, 0.5, seed)
    assert all(large[domain] == split for domain, split in smaller.items())
