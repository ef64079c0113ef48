"""Bytes of a page to text: which charset, what was repaired, and how much of it did not decode."""

from __future__ import annotations

import codecs
import itertools
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*+=\s*+[\"']?+\s*+([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*+=\s*+[\"']([A-Za-z0-9_:.-]{2,40})")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_RUN = re.compile(rb"[\x80-\xff]+")
_CONTINUATION = {
    character: byte
    for byte in range(0x80, 0xC0)
    for character in {chr(byte), bytes([byte]).decode("cp1252", errors="ignore") or chr(byte)}
}
_DOUBLED = re.compile(
    f"[\u00c2-\u00c5][{re.escape(''.join(_CONTINUATION))}]|\u00e2[\u20ac\u0080][{re.escape(''.join(_CONTINUATION))}]|\u00e2[\u201a\u0082]\u00ac"
)
_LATIN_CHARSETS = ("cp1252", "mac-roman", "cp850")
"""What pages in Latin letters are written in, besides what the detector knows: Windows, the old Mac, DOS."""
MIN_DOUBLED = 3
"""Sequences that must look encoded twice before any is taken for it: one or two may stand in a text about encodings."""
MAX_STRAY_NULS = 0.01
"""Share of NUL bytes up to which they are dropped as a slip; binary files have more of them."""
MIN_VALID = 2
"""Valid UTF-8 sequences for each invalid one, above which a page is UTF-8 with slips."""
MAX_REPLACED = 0.005
"""Share of characters that a declared charset may leave undecoded; above, it is taken for wrong."""
MIN_ADVANTAGE = 0.5
"""How much greater a share of letters another charset has to give than the declared or detected one."""
_SAMPLED_RUNS = 300


class Decoded(NamedTuple):
    """Text, the charset that gave it, the share of characters that no charset gave, and characters that were repaired."""

    text: str
    charset: str
    undecodable_share: float
    repaired: int = 0


def decode(payload: bytes, declared: str | None) -> Decoded:
    """Decode a page.

    In this order: a byte order mark; UTF-16 by its zeros; UTF-8 if the bytes are valid UTF-8, or nearly so; what the
    HTTP header, the page or its XML declaration says; what the detector says. UTF-8 goes before the declaration because
    other charsets almost never form it by chance, while pages often declare the wrong one. A declaration or guess gives
    way where another Latin charset makes far more sense.

    Args:
        payload: the page.
        declared: the charset of the HTTP header.
    """
    for mark, charset in _MARKS:
        if payload.startswith(mark):
            return _replaced(payload[len(mark) :], charset)
    payload = payload.removeprefix(codecs.BOM_UTF8)  # may stand before anything that a script put together
    if b"\x00" in payload:
        wide = _wide_charset(payload)
        if wide is not None:
            return _replaced(payload, wide)
        if payload.count(b"\x00") <= len(payload) * MAX_STRAY_NULS:
            payload = payload.replace(b"\x00", b"")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return _nearly_utf8(payload) or _by_name(payload, declared)
    text, repaired = undoubled(text)
    return Decoded(text, "utf-8", 0.0, repaired)


def tidy(text: str) -> str:
    """Text in NFC with line feeds alone, without control characters or spaces at line ends."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " "))
    return "\n".join(line.rstrip() for line in _CONTROL.sub("", text).split("\n")).strip()


def undoubled(text: str) -> tuple[str, int]:
    """Text without characters that were encoded as UTF-8 twice, and how many there were.

    They are repaired only where it is certain: at least ``MIN_DOUBLED`` sequences, and more of them than of other
    non-ASCII letters, so that a page that shows such sequences among right ones stays as it is.
    """
    if not ("\u00c3" in text or "\u00c2" in text or ("\u00e2" in text and ("\u00e2\u20ac" in text or "\u00e2\u0080" in text))):
        return text, 0
    found = _DOUBLED.findall(text)
    if len(found) < MIN_DOUBLED:
        return text, 0
    others = sum(character.isalpha() for character in _DOUBLED.sub("", text) if character > "\x7f")
    if others >= len(found):
        return text, 0
    return _DOUBLED.sub(_encoded_once, text), len(found)


def _encoded_once(match: re.Match[str]) -> str:
    doubled = match[0]
    return bytes((ord(doubled[0]), *(_CONTINUATION[character] for character in doubled[1:]))).decode("utf-8", errors="replace")


def _wide_charset(payload: bytes) -> str | None:
    """UTF-16 without a mark: of markup and Latin text every second byte is zero."""
    sample = payload[:2048]
    pairs, even, odd = len(sample) // 2, sample[::2].count(0), sample[1::2].count(0)
    if pairs and odd > pairs * 0.3 and even <= pairs * 0.02:
        return "utf-16-le"
    return "utf-16-be" if pairs and even > pairs * 0.3 and odd <= pairs * 0.02 else None


def _nearly_utf8(payload: bytes) -> Decoded | None:
    """UTF-8 with some bytes of another charset or with cut sequences, as pages put together from several sources are.

    Of a page in another charset nearly all non-ASCII bytes are invalid UTF-8; here most sequences have to be valid. A
    stray byte is read as windows-1252, unless it looks like the first one of a sequence that was cut.
    """
    text = payload.decode("utf-8", errors="replace")
    written = payload.count("\ufffd".encode())
    invalid = text.count("\ufffd") - written
    valid = len(text) - len(text.encode("ascii", errors="ignore")) - invalid - written
    if valid <= MIN_VALID * invalid:
        return None
    text, repaired = undoubled(payload.decode("utf-8", errors=_STRAY))
    lost = text.count("\ufffd")
    return Decoded(text, "utf-8", lost / len(text), repaired + invalid - (lost - written))


def _read_stray(error: UnicodeError) -> tuple[str, int]:
    """The handler of bytes that are no UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start]
    if error.end - error.start > 1 or byte in (0xC2, 0xC3):
        return "\ufffd", error.end
    return bytes([byte]).decode("cp1252", errors="replace"), error.end


_STRAY = "stray_windows_1252"
codecs.register_error(_STRAY, _read_stray)


def _by_name(payload: bytes, declared: str | None) -> Decoded:
    """Text of bytes that are not UTF-8, in the first declared charset that fits, or else in the one detected."""
    from resiliparse.parse.encoding import detect_encoding

    for charset in _named(payload, declared):
        decoded = _replaced(payload, charset)
        if decoded.undecodable_share <= MAX_REPLACED:
            break
    else:
        decoded = _replaced(payload, _known(detect_encoding(payload)) or "utf-8")
    better = _more_plausible(payload, decoded.charset)
    return decoded if better is None else _replaced(payload, better)


def _more_plausible(payload: bytes, charset: str) -> str | None:
    """Another Latin charset, where it turns far more of the bytes into what they are in Latin script: lower-case letters
    that stand alone after a letter.

    Pages in Latin letters alone are judged: elsewhere non-ASCII bytes come in long runs.
    """
    runs = list(itertools.islice(_RUN.finditer(payload), _SAMPLED_RUNS))
    bytes_after_letters = Counter(
        payload[run.start()] for run in runs if run.end() - run.start() <= 2 and payload[max(0, run.start() - 1) : run.start()].isalpha()
    )
    attached = bytes_after_letters.total()
    if attached < 3 or attached * 2 < len(runs):
        return None
    scores = {
        name: sum(count for byte, count in bytes_after_letters.items() if byte in _small_letters(name)) / attached
        for name in (charset, *_LATIN_CHARSETS)
    }
    best = max(scores, key=scores.__getitem__)  # of equals the first
    return best if scores[best] >= scores[charset] + MIN_ADVANTAGE else None


@lru_cache(maxsize=32)
def _small_letters(charset: str) -> frozenset[int]:
    """Bytes that alone are lower-case letters of Latin script in a charset."""
    characters = {byte: bytes([byte]).decode(charset, errors="replace") for byte in range(0x80, 0x100)}
    return frozenset(
        byte for byte, character in characters.items() if len(character) == 1 and unicodedata.name(character, "").startswith("LATIN SMALL LETTER")
    )


def _named(payload: bytes, declared: str | None) -> list[str]:
    """Charsets that are declared: by the HTTP header, the page, its XML declaration.

    Not UTF-8 and UTF-16, which would have been seen in the bytes.
    """
    begin = payload[:4096]
    inside = (match[1].decode("ascii") if match else None for match in (_META_CHARSET.search(begin), _XML_CHARSET.search(begin)))
    found = dict.fromkeys(charset for charset in map(_known, (declared, *inside)) if charset)
    return [charset for charset in found if not charset.startswith(("utf-8", "utf-16"))]


def _known(name: str | None) -> str | None:
    """A charset under Python's name, by the names that browsers use; latin-1 is read as windows-1252, as HTML wants."""
    if not name:
        return None
    from resiliparse.parse.encoding import map_encoding_to_html5

    try:
        return codecs.lookup(map_encoding_to_html5(name, fallback_utf8=False) or "").name
    except LookupError:
        return None


def _replaced(payload: bytes, charset: str) -> Decoded:
    text = payload.decode(charset, errors="replace")
    return Decoded(text, charset, text.count("\ufffd") / len(text) if text else 0.0)
