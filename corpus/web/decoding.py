"""Bytes of a page to text: which charset, and how much of it did not decode."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import NamedTuple

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")


class Decoded(NamedTuple):
    """Text, the charset that gave it, and the share of characters that no charset gave."""

    text: str
    charset: str
    undecodable_share: float


def decode(payload: bytes, declared: str | None) -> Decoded:
    """Decode a page: a byte order mark, then UTF-8 if the bytes are valid UTF-8, then the declared charset, then a guess.

    Valid UTF-8 goes before the declaration because other charsets almost never form it by chance, while pages often
    declare the wrong one.
    """
    for mark, charset in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if payload.startswith(mark):
            return _replaced(payload[len(mark) :], charset)
    for charset in ("utf-8", *_named(payload, declared)):
        try:
            return Decoded(payload.decode(charset), charset, 0.0)
        except UnicodeDecodeError:
            continue
    from resiliparse.parse.encoding import detect_encoding

    return _replaced(payload, _known(detect_encoding(payload)) or "utf-8")


def tidy(text: str) -> str:
    """Text in NFC with line feeds alone, without control characters or spaces at line ends."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " "))
    return "\n".join(line.rstrip() for line in _CONTROL.sub("", text).split("\n")).strip()


def _named(payload: bytes, declared: str | None) -> list[str]:
    match = _META_CHARSET.search(payload[:4096])
    names = (declared, match[1].decode("ascii") if match else None)
    found = dict.fromkeys(charset for charset in map(_known, names) if charset)
    return [charset for charset in found if charset != "utf-8"]


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
