"""Texts for comparison: what makes two items copies of one another."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

MIN_SHARED_WORDS = 5
"""One shared text of an item with several texts counts as leakage from this many words on; shorter ones are chance."""
_LINKS = re.compile(r"https?://\S+|www\.\S+|@\w+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufe0e\ufe0f\ufeff]")
_WORD = re.compile(r"\w+")


def normalised(text: str) -> str:
    """The words of a text in lower case, compatible characters united, without addresses, mentions and punctuation.

    A text without words stays as it is: two tweets of emojis alone are copies only if they are equal.
    """
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", _LINKS.sub(" ", text))).casefold()
    return " ".join(_WORD.findall(plain)) or " ".join(text.split())


def text_keys(texts: Sequence[str]) -> frozenset[str]:
    """The texts whose appearance elsewhere makes an item a copy: all of them together in any order, and each long one."""
    parts = sorted(normalised(text) for text in texts)
    return frozenset(("\n".join(parts), *(part for part in parts if len(part.split()) >= MIN_SHARED_WORDS)))


def text_group(prefix: str, text: str) -> str:
    """A group of all items that have one text, however it is spaced or cased."""
    return f"{prefix}/{hashlib.sha256(normalised(text).encode()).hexdigest()[:16]}"
