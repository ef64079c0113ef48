"""Personal data: what carries a valid check digit or form is replaced, what only looks alike stays."""

from __future__ import annotations

import gzip
import ipaddress
import itertools
import re
import string
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.errors import WebCorpusError
from corpus.web.personal_data import KINDS, SECRET, masked, replace_personal_data, secret_hashes, surrogates_of
from corpus.web.personal_kinds import find_kind
from corpus.web.settings import PersonalDataSettings, WebSettings

ONLY_VAT = PersonalDataSettings(kinds=("partita_iva",), vat_words=("p.iva",))
ALL = PersonalDataSettings(
    kinds=KINDS,
    phone_region="IT",
    phone_words=("tel", "telefono", "cell", "fax"),
    vat_words=("p. iva", "p.iva", "partita iva", "codice fiscale"),
    version_words=("versione", "capitolo"),
)
SECRET_TEXT = "una frase abbastanza lunga per i test"


@pytest.mark.parametrize(
    ("text", "expected", "kind"),
    [
        ("Scrivere a mario.rossi+x@posta.example.it.", "Scrivere a <EMAIL>.", "email"),
        ("Il server 93.184.216.34 risponde", "Il server <IPV4> risponde", "ipv4"),
        ("Il server 8.8.4.4 risponde", "Il server <IPV4> risponde", "ipv4"),
        ("IBAN IT60 X054 2811 1010 0000 0123 456 intestato", "IBAN <IBAN> intestato", "iban"),
        ("conto IT60X0542811101000000123456, grazie", "conto <IBAN>, grazie", "iban"),
        ("conto IT60X0542811101000000123456 ABC", "conto <IBAN> ABC", "iban"),
        ("conto it60x0542811101000000123456, grazie", "conto <IBAN>, grazie", "iban"),
        ("codice RSSMRA85T10A562S.", "codice <CODICE_FISCALE>.", "codice_fiscale"),
        ("codice rssmra85t10a562s.", "codice <CODICE_FISCALE>.", "codice_fiscale"),
        ("Partita IVA 98765430107", "Partita IVA <PARTITA_IVA>", "partita_iva"),
        ("P.IVA.98765430107", "P.IVA.<PARTITA_IVA>", "partita_iva"),
        ("fattura IT98765430107 emessa", "fattura <PARTITA_IVA> emessa", "partita_iva"),
        ("codice RSS MRA 85T10 A562 S.", "codice <CODICE_FISCALE>.", "codice_fiscale"),
        ("codice RSSMRA85T10A56NH.", "codice <CODICE_FISCALE>.", "codice_fiscale"),
        ("Codice fiscale: 98765430107", "Codice fiscale: <PARTITA_IVA>", "partita_iva"),
        ("Scrivere a mario.rossi [at] posta.example [dot] it subito", "Scrivere a <EMAIL> subito", "email"),
        ("da 2a00:1450:4002:402::200e in poi", "da <IPV6> in poi", "ipv6"),
        ("IBAN: IT60-X054-2811-1010-0000-0123-456.", "IBAN: <IBAN>.", "iban"),
        ("IBAN\u00a0IT60\u00a0X054\u00a02811\u00a01010\u00a00000\u00a00123\u00a0456", "IBAN\u00a0<IBAN>", "iban"),
        ("cell. (+39) 347-1234567", "cell. <PHONE>", "phone"),
        ("tel. 06/69821234, anche la sera", "tel. <PHONE>, anche la sera", "phone"),
        ("chiamare +39 347 123 4567 la sera", "chiamare <PHONE> la sera", "phone"),
        ("tel. 06 6982 1234", "tel. <PHONE>", "phone"),
    ],
)
def test_replaced(text: str, expected: str, kind: str) -> None:
    cleaned = replace_personal_data(text, ALL)
    assert cleaned.text == expected
    assert cleaned.counts == {**dict.fromkeys(KINDS, 0), kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "la rete 192.168.1.1 e 127.0.0.1 e la versione 1.2.3.400 o 10.4.7.1.2",
        "versione 12.10.45.2 del firmware, e il capitolo 12.4.2.13\n  11.8.4.1. Installare",
        "rete 2001:db8::1, ora 12:30:45:11, std::vector e fe80::1",
        "(at) the end [at] last, guardato at home",
        "conto IT61X0542811101000000123456 con cifra di controllo sbagliata",
        "codice RSSMRA85T10A562T con lettera sbagliata",
        "il numero 98765430107 senza parola accanto",
        "partita iva di 1.98765430107 o 1,98765430107",
        "Partita IVA 98765430108 con cifra di controllo sbagliata",
        "il numero verde tel. 800 123 456",
        "il pezzo 06 6982 1234 del catalogo",
        "in data 12/03/2024 alle 10:30, pagina 1234567",
        "prezzo @ 3 euro, variabile a@b",
    ],
)
def test_left_alone(text: str) -> None:
    cleaned = replace_personal_data(text, ALL)
    assert cleaned.text == text and sum(cleaned.counts.values()) == 0


@pytest.mark.parametrize("number", ["IT60 X054 2811 1010 0000 0123 456", "IT60X0542811101000000123456"])
def test_ibans_in_a_row(number: str) -> None:
    cleaned = replace_personal_data(f"conti {number} {number} e {number}", ALL)
    assert cleaned.text == "conti <IBAN> <IBAN> e <IBAN>" and cleaned.counts["iban"] == 3


def test_kinds_of_one_country_come_from_the_language_file(web: WebSettings) -> None:
    assert PersonalDataSettings().kinds == ("email", "ipv4", "ipv6", "iban", "phone")
    assert web.clean.personal_data.kinds == KINDS and web.clean.personal_data.phone_region == "IT"


def test_only_the_kinds_of_the_settings() -> None:
    text = "a@b.example.it e 93.184.216.34"
    assert replace_personal_data(text, PersonalDataSettings(kinds=("ipv4",))).text == "a@b.example.it e <IPV4>"


@given(st.text(max_size=200))
def test_replacing_twice_changes_nothing_more(text: str) -> None:
    once = replace_personal_data(text, ALL)
    assert replace_personal_data(once.text, ALL).text == once.text


@given(st.integers(0, 10**9 - 1), st.sampled_from(["001", "015", "058", "100", "120"]))
def test_vat_numbers_by_their_check_digit(number: int, office: str) -> None:
    """Luhn, computed here independently: exactly one last digit is replaced."""
    stem = f"{number % 10**7:07d}{office}"
    if stem.startswith("0000000"):
        return
    replaced = [d for d in range(10) if "<PARTITA_IVA>" in replace_personal_data(f"p.iva {stem}{d}", ONLY_VAT).text]
    total = sum(int(c) if i % 2 == 0 else sum(divmod(int(c) * 2, 10)) for i, c in enumerate(stem))
    assert replaced == [-total % 10]


def luhn_digit(stem: str) -> str:
    """The check digit of ten digits, computed independently of python-stdnum."""
    return str(-sum(int(c) if i % 2 == 0 else sum(divmod(int(c) * 2, 10)) for i, c in enumerate(stem)) % 10)


def tax_code_letter(stem: str) -> str:
    """The check letter of fifteen characters, from the published table."""
    odd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]
    values = [int(char) if char.isdigit() else ord(char) - ord("A") for char in stem]
    return string.ascii_uppercase[sum(odd[value] if place % 2 == 0 else value for place, value in enumerate(values)) % 26]


def iban_of(country: str, account: str) -> str:
    number = "".join(str(int(char, 36)) for char in f"{account}{country}00")
    return f"{country}{98 - int(number) % 97:02d}{account}"


def made(kind: str, random: Random) -> str:
    """A value of a kind, written in one of the ways that pages have, with the words before it that it needs."""
    digits = lambda n: "".join(random.choice(string.digits) for _ in range(n))  # noqa: E731
    letters = lambda n: "".join(random.choice(string.ascii_uppercase) for _ in range(n))  # noqa: E731
    if kind == "email":
        name = random.choice(["mario.rossi", "m_rossi", "info", "anna-maria.verdi", "segreteria+web", "x"]) + random.choice(["", digits(2)])
        return f"{random.choice(['', 'mailto:', 'e-mail: '])}{name}@{random.choice(['posta', 'mail.comune', 'pec'])}.{random.choice(['it', 'com', 'roma.it'])}"
    if kind == "ipv4":
        return str(ipaddress.IPv4Address(random.choice([0x05, 0x4F, 0x97, 0xD4]) << 24 | random.randrange(1 << 14, 1 << 24)))
    if kind == "ipv6":
        address = ipaddress.IPv6Address(0x2A00 << 112 | random.randrange(1 << 80))
        return random.choice([address.compressed, address.exploded, address.exploded.upper()])
    if kind == "iban":
        iban = iban_of("IT", letters(1) + digits(10) + "0" * 4 + digits(8))
        groups = [iban[start : start + 4] for start in range(0, 27, 4)]
        return random.choice([iban, iban.lower(), " ".join(groups), "-".join(groups), f"IBAN:{iban}"])
    if kind == "codice_fiscale":
        day = random.randrange(1, 29) + random.choice([0, 40])
        stem = f"{letters(6)}{digits(2)}{random.choice('ABCDEHLMPRST')}{day:02d}{random.choice('ABCDEFGHILM')}{digits(3)}"
        code = stem + tax_code_letter(stem)
        return random.choice([code, code.lower(), f"{code[:3]} {code[3:6]} {code[6:11]} {code[11:15]} {code[15:]}"])
    if kind == "partita_iva":
        stem = f"{random.randrange(1, 10**7):07d}{random.randrange(1, 100):03d}"
        return random.choice(["P.IVA ", "p. iva: ", "Partita IVA n. ", "IT", "codice fiscale e partita iva "]) + stem + luhn_digit(stem)
    number = random.choice([f"06{random.choice('56')}{digits(7)}", f"3{random.choice(['47', '38', '28', '33'])}{digits(7)}", f"02{random.choice('48')}{digits(6)}"])
    cut = 2 if number.startswith("0") else 3
    written = random.choice([number, f"{number[:cut]} {number[cut:]}", f"{number[:cut]}/{number[cut:]}", f"{number[:cut]}-{number[cut:]}", f"{number[:cut]}.{number[cut:]}"])
    return random.choice(["tel. ", "Tel: ", "telefono ", "fax ", "cell. ", "+39 ", "0039 "]) + written


@pytest.mark.parametrize("kind", KINDS)
def test_planted_values_are_found(kind: str, shared_data: Path) -> None:
    """Between real sentences, in the ways that pages write them: at least 99 %, and nothing of them is left."""
    random = Random(kind)
    with gzip.open(shared_data / "parallel" / "train.tsv.gz", "rt", encoding="utf-8") as lines:
        sentences = [line.rstrip("\n").split("\t")[2] for line in itertools.islice(lines, 0, 60_000, 30)]
    sentences = [text for text in sentences if not sum(replace_personal_data(text, ALL).counts.values())]
    found = 0
    for _ in range(300):
        value = made(kind, random)
        after = random.choice(["", ".", ",", " e", "\n", ")"])
        text = f"{random.choice(sentences)} {value}{after} {random.choice(sentences)}"
        cleaned = replace_personal_data(text, ALL)
        found += cleaned.counts[kind] == 1 and value[-8:] not in cleaned.text
    assert found >= 297, f"{found} of 300"


@settings(max_examples=300, deadline=None)
@given(st.text(string.digits, min_size=11, max_size=11), st.sampled_from(["P.IVA ", "partita iva: ", "IT", "codice fiscale "]))
def test_no_vat_number_among_strings_that_fail_the_check(number: str, before: str) -> None:
    if number[10] != luhn_digit(number[:10]):
        assert find_kind("partita_iva", f"{before}{number} e basta", ALL) == []


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_a_wrong_check_character_is_no_tax_code_and_no_iban(seed: int) -> None:
    random = Random(seed)
    code = re.sub(" ", "", made("codice_fiscale", random)).upper()
    wrong = random.choice([letter for letter in string.ascii_uppercase if letter != code[15]])
    assert find_kind("codice_fiscale", code, ALL) and not find_kind("codice_fiscale", code[:15] + wrong, ALL)
    iban = iban_of("IT", "X" + "".join(random.choice(string.digits) for _ in range(22)))
    assert find_kind("iban", iban, ALL) and not find_kind("iban", f"{iban[:2]}{(int(iban[2:4]) + 1) % 97 + 2:02d}{iban[4:]}", ALL)


def test_numbers_in_a_list_need_one_word() -> None:
    assert replace_personal_data("tel. 06 6982 1234 - 06 6982 1235 / 347 1234567", ALL).text == "tel. <PHONE> - <PHONE> / <PHONE>"


def test_surrogates_are_the_same_for_the_same_value_and_secret() -> None:
    options = ALL.model_copy(update={"mode": "surrogates"})
    one, other = surrogates_of(options, {SECRET: SECRET_TEXT}), surrogates_of(options, {SECRET: SECRET_TEXT[::-1]})
    assert one is not None and other is not None
    text = "IBAN IT60 X054 2811 1010 0000 0123 456, poi IT60X0542811101000000123456; Mario.Rossi@posta.example.it"
    first, again = replace_personal_data(text, options, one), replace_personal_data(text, options, one)
    assert first == again and first.counts == replace_personal_data(text, ALL).counts
    assert replace_personal_data(text, options, other).text != first.text
    spaced, plain = re.findall(r"IT00 ?[A-Z0-9 ]+", first.text)
    assert spaced.replace(" ", "").strip() == plain.strip() and SECRET_TEXT not in first.text
    assert re.search(r"[A-Z][a-z]{4}\.[A-Z][a-z]{4}@example\.(com|net|org)$", first.text)


@pytest.mark.parametrize("kind", KINDS)
def test_surrogates_keep_the_form_and_belong_to_nobody(kind: str) -> None:
    options = ALL.model_copy(update={"mode": "surrogates"})
    surrogates = surrogates_of(options, {SECRET: SECRET_TEXT})
    assert surrogates is not None
    random = Random(kind)
    for _ in range(100):
        text = f"ecco {made(kind, random)} e altro"
        ((start, end),) = find_kind(kind, text, ALL)
        new = surrogates.of(kind, text[start:end])
        assert new != text[start:end]
        if kind == "email":
            assert new.split("@")[1] in ("example.com", "example.net", "example.org")
        elif kind in ("ipv4", "ipv6"):
            assert not ipaddress.ip_address(new).is_global
        else:
            assert re.sub(r"\d", "0", re.sub("[A-Z]", "A", new.upper())).count("0") >= 7 and len(new) == len(text[start:end])
            assert [char for char in new if not char.isalnum()] == [char for char in text[start:end] if not char.isalnum()]
            assert find_kind(kind, f"{text[:start]}{new}{text[end:]}", ALL) == []


def test_a_surrogate_needs_a_secret_of_some_length(monkeypatch: pytest.MonkeyPatch) -> None:
    options = PersonalDataSettings(mode="surrogates")
    for environment in ({}, {SECRET: "corta"}):
        with pytest.raises(WebCorpusError, match=f"{SECRET} (is not set|has 5 characters); set it to at least 16"):
            surrogates_of(options, environment)
    assert surrogates_of(PersonalDataSettings(), {}) is None and secret_hashes(PersonalDataSettings()) == {}
    monkeypatch.delenv(SECRET, raising=False)
    assert secret_hashes(options) == {SECRET: "unset"}
    monkeypatch.setenv(SECRET, SECRET_TEXT)
    (digest,) = secret_hashes(options).values()
    assert re.fullmatch("[0-9a-f]{16}", digest) and digest not in SECRET_TEXT


def test_samples_in_reports_are_masked() -> None:
    assert masked("scrivi a mario@posta.example.it", ALL.model_copy(update={"mode": "surrogates"})) == "scrivi a <EMAIL>"
