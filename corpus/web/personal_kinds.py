"""Where personal data stands in a text: e-mail and IP addresses, IBANs, Italian tax codes, phone numbers.

Numbers count only where their check digits do (python-stdnum) or where a numbering plan knows them (libphonenumber), so that
part numbers and versions stay. Nothing is replaced here.
"""

from __future__ import annotations

import bisect
import ipaddress
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from corpus.web.settings import PersonalDataSettings

KINDS = ("email", "ipv4", "ipv6", "iban", "codice_fiscale", "partita_iva", "phone")
"""All kinds, in the order of the published counts."""

Spans = list[tuple[int, int]]

_LETTER = "A-Za-z0-9"
_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9_](?:[\w.+'-]{0,62}[\w+-])?@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![\w@])")
_SPELT_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9_][\w.+-]{0,63} ?(?:\( ?at ?\)|\[ ?at ?\]) ?"
    r"(?:[A-Za-z0-9-]{1,63} ?(?:\.|\( ?dot ?\)|\[ ?dot ?\]) ?)+[A-Za-z]{2,24}(?![\w@])",
    re.IGNORECASE,
)
"""Addresses hidden from robots, as the English words in brackets that sites of all languages use."""
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)")
_SMALL_NUMBER = 32
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}(?![\w:])")
"""Addresses of 2000::/3, the only part of IPv6 that is given to anyone (RFC 4291, IANA registry)."""
_IBAN = re.compile(rf"(?<![{_LETTER}])[A-Za-z]{{2}}\d{{2}}(?:[ \u00a0.-]?[{_LETTER}]){{11,30}}(?![{_LETTER}])")
_DIGIT = "[0-9LMNPQRSTUVlmnpqrstuv]"
_GAP = "[ \u00a0-]?"
_TAX_CODE = re.compile(
    rf"(?<![{_LETTER}])[A-Za-z]{{3}}{_GAP}[A-Za-z]{{3}}{_GAP}{_DIGIT}{{2}}[A-EHLMPR-Ta-ehlmpr-t]{_DIGIT}{{2}}{_GAP}"
    rf"[A-Za-z]{_DIGIT}{{3}}{_GAP}[A-Za-z](?![{_LETTER}])"
)
"""Sixteen characters, whole or in the groups that cards print: surname, name, birth, place, check letter."""
_VAT = re.compile(rf"(?<![{_LETTER}])(?<!\d[.,])(IT[ -]?)?\d{{11}}(?![{_LETTER}])")
_CONTEXT_CHARACTERS = 25
"""How far before a number its context word may stand."""
_PHONE_LIKE = re.compile(r"(?:\+|\(\+|00)?\d(?:[\d\s./()-]*\d){5}")
_LIST_CHARACTERS = 5
"""A number this close behind a phone number is one of a list, and needs no context word of its own."""
_LIST_MARK = re.compile(r"(?<=\d)\s[-–/|]\s(?=[\d+(])")
_MARK_CHARACTERS = 3
"""Characters of a ``_LIST_MARK``. It may stand inside a number too, so that whole lines are read first."""


def find_kind(kind: str, text: str, settings: PersonalDataSettings) -> Spans:
    """Places of one kind, ascending and apart."""
    return _FINDERS[kind](text, settings)


def compact(text: str) -> str:
    """A number without the spaces and marks it is grouped with, in upper case."""
    return re.sub(r"[ \u00a0.-]", "", text).upper()


def _emails(text: str, settings: PersonalDataSettings) -> Spans:
    found = [match.span() for match in _EMAIL.finditer(text)] if "@" in text else []
    lowered = text.lower()
    if "at)" in lowered or "at]" in lowered or "at )" in lowered or "at ]" in lowered:
        found = sorted([*found, *(match.span() for match in _SPELT_EMAIL.finditer(text))])
    return found


def _ipv4_addresses(text: str, settings: PersonalDataSettings) -> Spans:
    """Public addresses, but not the number of a version or chapter: one that follows a word for these, or four numbers below
    ``_SMALL_NUMBER`` where a line begins (of 83 public addresses in 7,666 texts of manuals and parliament 71 were of these two;
    of all addresses one in 4,096 has four such numbers)."""
    return [
        match.span()
        for match in _IPV4.finditer(text)
        if _is_public(match[0])
        and not (max(map(int, match[0].split("."))) < _SMALL_NUMBER and _begins_line(text, match.start()))
        and not _follows(text, match.start(), settings.version_words)
    ]


def _begins_line(text: str, place: int) -> bool:
    before = text[max(0, place - _CONTEXT_CHARACTERS) : place]
    return not before.rpartition("\n")[2].strip()


def _ipv6_addresses(text: str, settings: PersonalDataSettings) -> Spans:
    return [match.span() for match in _IPV6.finditer(text) if _is_public(match[0])]


def _is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return found.is_global and not found.is_multicast


def _ibans(text: str, settings: PersonalDataSettings) -> Spans:
    """IBANs by country length and mod 97; what follows one after a space is not part of it."""
    from stdnum import iban

    spans: Spans = []
    match = _IBAN.search(text)
    while match:
        place, end = match.start(), _iban_end(match)
        if end is not None and not text[end : end + 1].isalnum() and iban.is_valid(compact(text[place:end])):
            spans.append((place, end))
            place = end - 1
        match = _IBAN.search(text, place + 1)
    return spans


def _iban_end(match: re.Match[str]) -> int | None:
    """Where an IBAN that begins with a match ends by its country's length; None where the match is shorter, or of no country."""
    left = _iban_length(match[0][:2].upper())
    if not left:
        return None
    for place in range(match.start(), match.end()):
        left -= match.string[place].isalnum()
        if not left:
            return place + 1
    return None


@lru_cache(maxsize=1_024)
def _iban_length(country: str) -> int:
    """Letters and digits of a country's IBANs, by the registry's structures (``1!a5!n5!n12!c``); 0 for none."""
    from stdnum import numdb

    ((_, properties), *_) = numdb.get("iban").info(country)
    lengths = re.findall(r"(\d+)!", properties.get("bban", ""))
    return 4 + sum(map(int, lengths)) if lengths else 0


def _tax_codes(text: str, settings: PersonalDataSettings) -> Spans:
    from stdnum.it import codicefiscale

    return [match.span() for match in _TAX_CODE.finditer(text) if codicefiscale.is_valid(compact(match[0]))]


def _vat_numbers(text: str, settings: PersonalDataSettings) -> Spans:
    """Partite IVA with a valid check digit that carry ``IT`` or follow one of the context words."""
    from stdnum.it import iva

    return [
        match.span()
        for match in _VAT.finditer(text)
        if iva.is_valid(compact(match[0])) and (match[1] or _follows(text, match.start(), settings.vat_words))
    ]


def _phones(text: str, settings: PersonalDataSettings) -> Spans:
    """Valid phone numbers, written internationally, after a context word, or next to such a one; free numbers (800) and others
    of companies alone are nobody's. Only lines that may hold one are read: libphonenumber is slow."""
    spans: Spans = []
    start = 0
    for line in text.split("\n"):
        if any(
            match[0].startswith(("+", "(+", "00")) or _follows(line, match.start(), settings.phone_words)
            for match in _PHONE_LIKE.finditer(line)
        ):
            spans += [(start + first, start + last) for first, last in _phones_of_line(line, settings)]
        start += len(line) + 1
    return spans


def _phones_of_line(line: str, settings: PersonalDataSettings) -> Spans:
    import phonenumbers
    from phonenumbers import PhoneNumberType

    nobodys = {PhoneNumberType.TOLL_FREE, PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.UAN, PhoneNumberType.VOICEMAIL}

    def read(part: str, place: int) -> None:
        for match in phonenumbers.PhoneNumberMatcher(part, settings.phone_region):
            start = place + match.end - len(part[match.start : match.end].lstrip())  # a match may begin with a space
            end = place + match.end
            where = free_place(found, start, end)
            if where is not None:
                found.insert(where, (start, end, match.number))

    found: list[tuple[int, int, phonenumbers.PhoneNumber]] = []
    read(line, 0)
    if _LIST_MARK.search(line):  # several numbers read as one that is none
        place = 0
        for part in _LIST_MARK.split(line):
            read(part, place)
            place += len(part) + _MARK_CHARACTERS
    spans: Spans = []
    for start, end, number in found:
        international = line[start:end].startswith(("+", "00", "(+"))
        listed = bool(spans) and start - spans[-1][1] <= _LIST_CHARACTERS
        if not international and not listed and not _follows(line, start, settings.phone_words):
            continue
        if phonenumbers.number_type(number) not in nobodys:
            spans.append((start, end))
    return spans


def free_place(taken: Sequence[tuple[Any, ...]], start: int, end: int) -> int | None:
    """The index at which a span is to be inserted among others (start, end, …) that ascend and are apart; None where it meets one."""
    after = bisect.bisect_left(taken, (start,))
    free = (after == 0 or taken[after - 1][1] <= start) and (after == len(taken) or end <= taken[after][0])
    return after if free else None


def _follows(text: str, place: int, words: tuple[str, ...]) -> bool:
    return bool(words) and _any_of(words).search(text[max(0, place - _CONTEXT_CHARACTERS) : place]) is not None


@lru_cache(maxsize=32)
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(word) for word in words)})(?!\w)", re.IGNORECASE)


_FINDERS: dict[str, Callable[[str, PersonalDataSettings], Spans]] = {
    "email": _emails,
    "ipv4": _ipv4_addresses,
    "ipv6": _ipv6_addresses,
    "iban": _ibans,
    "codice_fiscale": _tax_codes,
    "partita_iva": _vat_numbers,
    "phone": _phones,
}
