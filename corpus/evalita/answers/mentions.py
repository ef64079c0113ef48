"""Words of a text as mentions: which of several equal places is meant, and how that is written and read.

A mention is written as it stands, or in JSON's quotes where it could be misread; its number follows in brackets where an
earlier place of the text holds the same words.
"""

from __future__ import annotations

import json
import re

NONE = "nessuna"
_NUMBERED = re.compile(r"(.+?)(?: \[(\d+)\])?", re.DOTALL)
_NUMBER = re.compile(r"(?: \[(\d+)\])?")
_UNSAFE = re.compile(r'\n|\r|^\s|\s$|^"|: | \[\d+\]$', re.DOTALL)


def places(text: str, mention: str) -> list[int]:
    """Starts of all occurrences of some words, overlapping ones too: those that are whole words first, both in text order.

    «2» in «12, 2» is the second figure to any reader; inside words a mention is found only where it is meant there.
    """
    found: list[int] = []
    start = text.find(mention)
    while start >= 0:
        found.append(start)
        start = text.find(mention, start + 1)
    return sorted(found, key=lambda start: (not _is_whole(text, start, start + len(mention)), start))


def likely_places(text: str, mention: str) -> list[int]:
    """Starts of the occurrences that are whole words, in text order; of all of them where none is."""
    found = places(text, mention)
    return [start for start in found if _is_whole(text, start, start + len(mention))] or found


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether no word goes on across an end of a span."""
    return not any(0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum() for place in (start, end))


def write_mention(text: str, start: int, end: int) -> str:
    """The words of a span, and their number where they are not the first of their kind."""
    mention = text[start:end]
    number = places(text, mention).index(start) + 1
    unsafe = _UNSAFE.search(mention) is not None or mention.strip().casefold() == NONE
    written = json.dumps(mention, ensure_ascii=False) if unsafe else mention
    return f"{written} [{number}]" if number > 1 else written


def read_mention(written: str) -> tuple[str, int] | None:
    """The words of a mention and their number; ``None`` where it is malformed."""
    if not written.startswith('"'):
        match = _NUMBERED.fullmatch(written)
        return None if match is None else (match[1], int(match[2] or 1))
    try:
        mention, length = json.JSONDecoder().raw_decode(written)
    except ValueError:
        return None
    match = _NUMBER.fullmatch(written, length)
    return None if match is None or not mention else (mention, int(match[1] or 1))


def place_of(text: str, mention: str, number: int) -> int | None:
    """Start of a mention of that number; ``None`` where the text has no such place."""
    found = places(text, mention)
    return found[number - 1] if 1 <= number <= len(found) else None
