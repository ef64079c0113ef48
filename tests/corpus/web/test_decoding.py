"""Charsets, rights, domains: what a page says of itself, and what is believed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.web.decoding import decode, tidy, undoubled
from corpus.web.domains import registered_domain, splits_of
from corpus.web.rights.page import html_language, rights_of

TEXT = "Perché così? È già più di là, «città» e l’università."
PAGE = f"<html><head><title>Città</title></head><body><p>{TEXT} Il mugnaio era sospetto, perché tratteneva per sé una parte; però la libertà.</p></body></html>"


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


@pytest.mark.parametrize("begin", [b"<meta " * 30 + b"charset=", b"<meta charset=", b"<?xml " * 30 + b"encoding=", b"<html " * 1000 + b" lang="])
def test_declarations_without_end_take_no_long(begin: bytes) -> None:
    page = begin + b" " * 10_000 + TEXT.encode("cp1252")
    begun = time.perf_counter()
    for _ in range(20):
        assert decode(page, None).text.endswith(TEXT)
        html_language(page.decode("cp1252"))
    assert time.perf_counter() - begun < 5  # looking back: seconds for each


@pytest.mark.parametrize("declared", [None, "utf-8", "iso-8859-1", "windows-1251", "utf-16", "gb2312"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "mac_roman", "cp850", "utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_text_in_latin_letters_is_read_whatever_is_declared(encoding: str, declared: str | None) -> None:
    text = PAGE.encode(encoding, errors="ignore").decode(encoding)  # DOS knows no typographic quotes
    decoded = decode(text.encode(encoding), declared)
    assert decoded.text == text and decoded.undecodable_share == 0


@pytest.mark.parametrize("size", [40, 200, 2000])
@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman", "utf-16-le"])
def test_short_pages_are_read_too(encoding: str, size: int) -> None:
    text = (TEXT * 40)[:size].replace("’", "'")
    assert decode(text.encode(encoding), None).text == text


@pytest.mark.parametrize(
    ("text", "encoding", "declared"),
    [
        ("Привет, мир! Это HTMLтекст, CSSстиль и JSкод для пробы.", "cp1251", "windows-1251"),
        ("Привет, мир! Это HTMLтекст, CSSстиль и JSкод для пробы.", "koi8-r", "koi8-r"),
        ("Zażółć gęślą jaźń: święto będzie się działo około północy.", "iso-8859-2", "iso-8859-2"),
        ("Καλημέρα κόσμε, αυτό είναι ένα κείμενο.", "iso-8859-7", "iso-8859-7"),
        ("这是一个测试页面，用于检测编码。", "gbk", "gb2312"),
        ("日本語のテキストです。文字コードの判定を試します。", "shift_jis", "x-sjis"),
    ],
)
def test_right_declarations_of_other_scripts_are_believed(text: str, encoding: str, declared: str) -> None:
    assert decode(text.encode(encoding), declared).text == text
    assert decode(f'<meta charset="{declared}">{text}'.encode(encoding), None).text.endswith(text)
    assert decode(f'<?xml version="1.0" encoding="{declared}"?>{text}'.encode(encoding), None).text.endswith(text)


def test_strays_in_utf8_are_read_and_cut_sequences_counted() -> None:
    page = PAGE.encode() + "un’altra città, però".encode("cp1252") + b" perch\xc3 ... e \xe2\x80 fine"
    decoded = decode(page, "iso-8859-1")
    assert decoded.charset == "utf-8" and decoded.repaired == 3
    assert decoded.text == PAGE + "un’altra città, però perch\ufffd ... e \ufffd fine"
    assert decoded.undecodable_share == pytest.approx(2 / len(decoded.text))


def test_pages_in_another_charset_are_not_taken_for_utf8_with_strays() -> None:
    page = "È più là: perché è così. «É»".encode("cp1252")  # the last three bytes of it are valid UTF-8 by chance
    assert decode(page, None).charset == "cp1252"


@pytest.mark.parametrize("middle", ["latin-1", "cp1252"])
def test_text_that_was_encoded_twice_is_repaired(middle: str) -> None:
    text = TEXT.replace("’", "'") if middle == "cp1252" else TEXT
    doubled = text.encode().decode(middle, errors="strict" if middle == "latin-1" else "ignore")
    decoded = decode(doubled.encode(), "utf-8")
    assert decoded.text == text and decoded.charset == "utf-8"
    assert decoded.repaired == sum(character > "\x7f" for character in text)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "Chi legge Ã¨ al posto di è ha davanti un testo codificato due volte: così succede con à, ò, ù. Ã¨, Ã², Ã¹.",  # shows it
        "Una sola Ã¨.",
        "NÃO, SÃO, MÃE, «CORAÇÃO», ÂNGULO, câmara",
        "â l’époque, forêt, «Âge»",
        "Übergrößenträger: »Ä«, »Ö«, »Ü«",
    ],
)
def test_text_that_only_looks_doubled_stays(text: str) -> None:
    assert undoubled(text) == (text, 0) and decode(text.encode(), None).text == text


def test_nuls() -> None:
    assert decode(b"<p>ciao\x00 a tutti</p>" + b"x" * 100, None).text == "<p>ciao a tutti</p>" + "x" * 100
    assert "\x00" in decode(b"\x89PNG\x00\x00\x01\x00" * 9, None).text  # binary stays recognizable


def test_a_mark_before_other_bytes_is_no_charset() -> None:
    assert decode(b"\xef\xbb\xbf" + TEXT.encode("cp1252"), "utf-8").text == TEXT


@given(st.text(max_size=300))
def test_valid_utf8_comes_back(text: str) -> None:
    decoded = decode(text.encode(errors="surrogatepass"), "iso-8859-1") if text.isprintable() else None
    if decoded is not None and not decoded.repaired and not text.startswith("\ufeff"):
        assert decoded.text == text


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
