"""Held-out text of a user's own: plain text files as text sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from training.bits_per_byte import TextSet
from training.conversations import seeded_order
from training.errors import TrainingError

_BLANK_LINES = re.compile(r"\n\s*\n")


def text_file(path: Path, language: str, count: int, characters: int, seed: int) -> TextSet:
    """The documents of a UTF-8 file, set apart by blank lines, as a text set by the file's name: the beginnings of so many, in seeded order.

    Raises:
        TrainingError: it cannot be read, or holds no document.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"--text {path} cannot be read ({error}); give a plain text file in UTF-8, documents set apart by blank lines") from error
    beginnings: Sequence[str] = list(dict.fromkeys(part.strip()[:characters] for part in _BLANK_LINES.split(text) if part.strip()))
    if not beginnings:
        raise TrainingError(f"--text {path} holds no document; give a plain text file in UTF-8, documents set apart by blank lines")
    return TextSet(path.stem, language, seeded_order(beginnings, seed)[:count])
