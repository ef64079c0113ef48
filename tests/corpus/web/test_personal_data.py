"""Personal data: what carries a valid check digit or form is replaced, what only looks alike stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.web.personal_data import KINDS, replace_personal_data
from corpus.web.settings import PersonalDataSettings, WebSettings

ONLY_VAT = PersonalDataSettings(kinds=("partita_iva",), vat_words=("p.iva",))
ALL = PersonalDataSettings(kinds=KINDS, phone_region="IT", phone_words=("tel", "telefono", "cell", "fax"), vat_words=("p. iva", "p.iva", "partita iva"))


@pytest.mark.parametrize(
    ("text", "expected", "kind"),
    [
        ("Scrivere a mario.rossi+x@posta.example.it.", "Scrivere a <EMAIL>.", "email"),
        ("Il server 93.184.216.34 risponde", "Il server <IPV4> risponde", "ipv4"),
        ("IBAN IT60 X054 2811 1010 0000 0123 456 intestato", "IBAN <IBAN> intestato", "iban"),
        ("conto IT60X0542811101000000123456, grazie", "conto <IBAN>, grazie", "iban"),
        ("conto IT60X0542811101000000123456 ABC", "conto <IBAN> ABC", "iban"),
        ("conto it60x0542811101000000123456, grazie", "conto <IBAN>, grazie", "iban"),
        ("codice RSSMRA85T10A562S.", "codice <CODICE_FISCALE>.", "codice_fiscale"),
        ("codice rssmra85t10a562s.", "codice <CODICE_FISCALE>.", "codice_fiscale"),
        ("Partita IVA 98765430107", "Partita IVA <PARTITA_IVA>", "partita_iva"),
        ("P.IVA.98765430107", "P.IVA.<PARTITA_IVA>", "partita_iva"),
        ("fattura IT98765430107 emessa", "fattura <PARTITA_IVA> emessa", "partita_iva"),
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
    assert PersonalDataSettings().kinds == ("email", "ipv4", "iban", "phone")
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
