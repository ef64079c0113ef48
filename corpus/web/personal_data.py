"""Personal data to typed placeholders: e-mail and public IPv4 addresses, Italian tax codes, IBANs, phone numbers.

Numbers count only where their check digits do (python-stdnum), so that part numbers and versions stay. The placeholder
says the kind and never the value; counts are kept with the document.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple

from corpus.web.settings import PersonalDataSettings

KINDS = ("email", "ipv4", "iban", "codice_fiscale", "partita_iva", "phone")
"""All kinds, in the order of the published counts."""
PLACEHOLDERS = {kind: f"<{kind.upper()}>" for kind in KINDS}

_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![\w@])")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_TAX_CODE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{6}[0-9LMNPQRSTUVlmnpqrstuv]{2}[A-EHLMPR-Ta-ehlmpr-t][0-9LMNPQRSTUVlmnpqrstuv]{2}[A-Za-z][0-9LMNPQRSTUVlmnpqrstuv]{3}[A-Za-z](?![A-Za-z0-9])")  # fmt: skip
_VAT = re.compile(r"(?<![A-Za-z0-9])(?<!\d[.,])(IT ?)?\d{11}(?![A-Za-z0-9])")
_CONTEXT_CHARACTERS = 25
"""How far before a number its context word may stand."""
_PHONE_LIKE = re.compile(r"\d(?:[\d\s./()-]*\d){5}")


class Cleaned(NamedTuple):
    """A text with placeholders, and how many of each kind were put in."""

    text: str
    counts: dict[str, int]


def replace_personal_data(text: str, settings: PersonalDataSettings) -> Cleaned:
    """Replace the kinds of the settings, in their order; counts hold every kind."""
    finders: dict[str, Callable[[str, PersonalDataSettings], list[tuple[int, int]]]] = {
        "email": _emails,
        "ipv4": _addresses,
        "iban": _ibans,
        "codice_fiscale": _tax_codes,
        "partita_iva": _vat_numbers,
        "phone": _phones,
    }
    counts = dict.fromkeys(KINDS, 0)
    for kind in settings.kinds:
        spans = finders[kind](text, settings)
        counts[kind] = len(spans)
        for start, end in reversed(spans):
            text = f"{text[:start]}{PLACEHOLDERS[kind]}{text[end:]}"
    return Cleaned(text, counts)


def _emails(text: str, settings: PersonalDataSettings) -> list[tuple[int, int]]:
    return [match.span() for match in _EMAIL.finditer(text)] if "@" in text else []


def _addresses(text: str, settings: PersonalDataSettings) -> list[tuple[int, int]]:
    return [match.span() for match in _IPV4.finditer(text) if _is_public(match[0])]


def _is_public(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_global
    except ValueError:
        return False


def _ibans(text: str, settings: PersonalDataSettings) -> list[tuple[int, int]]:
    """IBANs by country length and mod 97; what follows one after a space is not part of it."""
    from stdnum import iban

    spans: list[tuple[int, int]] = []
    match = _IBAN.search(text)
    while match:
        place = match.start()
        ends = (end for end in range(match.end(), place + 14, -1) if text[end - 1] != " " and iban.is_valid(text[place:end]))
        end = next(ends, None)
        if end is not None:
            spans.append((place, end))
        match = _IBAN.search(text, place + 1 if end is None else end)
    return spans


def _tax_codes(text: str, settings: PersonalDataSettings) -> list[tuple[int, int]]:
    from stdnum.it import codicefiscale

    return [match.span() for match in _TAX_CODE.finditer(text) if codicefiscale.is_valid(match[0])]


def _vat_numbers(text: str, settings: PersonalDataSettings) -> list[tuple[int, int]]:
    """Partite IVA with a valid check digit that carry ``IT`` or follow one of the context words."""
    from stdnum.it import iva

    return [
        match.span()
        for match in _VAT.finditer(text)
        if iva.is_valid(match[0]) and (match[1] or _follows(text, match.start(), settings.vat_words))
    ]


def _phones(text: str, settings: PersonalDataSettings) -> list[tuple[int, int]]:
    """Valid phone numbers, written internationally or after a context word; free numbers (800) are nobody's."""
    if not _PHONE_LIKE.search(text):
        return []
    import phonenumbers

    spans = []
    for match in phonenumbers.PhoneNumberMatcher(text, settings.phone_region):
        international = match.raw_string.startswith(("+", "00"))
        if not international and not _follows(text, match.start, settings.phone_words):
            continue
        if phonenumbers.number_type(match.number) != phonenumbers.PhoneNumberType.TOLL_FREE:
            spans.append((match.start, match.end))
    return spans


def _follows(text: str, place: int, words: tuple[str, ...]) -> bool:
    before = text[max(0, place - _CONTEXT_CHARACTERS) : place].lower()
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", before) for word in words)
