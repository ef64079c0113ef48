"""The compiled loop over the characters of a text's lines; imported by functions only, since numba takes half a second to load."""

from __future__ import annotations

import numpy as np

from foundation.execution.compiled import compiled

SPACE, ENDED, TERMINAL, CLOSER, MARK, STOP = 1, 2, 4, 8, 16, 32
"""What a code point is, as bits: white space; an end mark of the language; punctuation that closes a sentence in any script;
a closing quote or bracket; ``.``, ``!``, ``?`` or ``…``; a full stop of East Asian scripts."""
START, END, FIRST, LAST, WORDS, LONGEST, FLAGS, CITATION, SENTENCES = range(9)
"""Columns of what the loop finds: bounds of the line as it stands and without white space at its ends; words; characters of the
longest; marks; whether it holds ``[``; whether it may hold more than one sentence."""
_LINE_FEED, _DOT, _ELLIPSIS, _BRACE, _BRACKET = 0x0A, 0x2E, 0x2026, 0x7B, 0x5B
_C4_ENDS = (0x2E, 0x3F, 0x21, 0x22)
_BULLET, _HYPHEN, _ASTERISK = 0x2022, 0x2D, 0x2A
ENDED_BIT, TERMINAL_BIT, C4_BIT, BRACE_BIT, BULLET_BIT, BLANK_BIT = 1, 2, 4, 128, 256, 512
"""Bits of ``lines.LINE_FLAGS`` that characters alone decide; a test holds them equal."""


@compiled
def measure_lines(codes: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Measures of every line, and how many begin with ``•`` or ``-`` and end with an ellipsis."""
    count = 1
    for code in codes:
        count += code == _LINE_FEED
    rows = np.zeros((count, 9), np.int32)
    start = line = bullets = ellipses = 0
    for place in range(len(codes) + 1):
        if place < len(codes) and codes[place] != _LINE_FEED:
            continue
        row = rows[line]
        row[START], row[END] = start, place
        _measure(codes, kinds, row)
        if row[LAST] > row[FIRST]:
            first = codes[row[FIRST]]
            bullets += first in (_BULLET, _HYPHEN)
            ellipses += codes[row[LAST] - 1] == _ELLIPSIS or _dots(codes, row)
        start = place + 1
        line += 1
    return rows, bullets, ellipses


@compiled
def _measure(codes: np.ndarray, kinds: np.ndarray, row: np.ndarray) -> None:
    first = last = -1
    length = words = longest = 0
    armed = False
    for place in range(row[START], row[END]):
        kind = kinds[codes[place]]
        if kind & SPACE:
            if armed:
                row[SENTENCES] = 1
            length, armed = 0, False
            continue
        if first < 0:
            first = place
        last = place
        if length == 0:
            words += 1
        length += 1
        longest = max(longest, length)
        armed = kind & MARK != 0 or (armed and kind & CLOSER != 0)
        if kind & STOP:
            row[SENTENCES] = 1
        if codes[place] == _BRACE:
            row[FLAGS] |= BRACE_BIT
        if codes[place] == _BRACKET:
            row[CITATION] = 1
    row[WORDS], row[LONGEST] = words, longest
    if first < 0:
        row[FLAGS] = BLANK_BIT
        return
    row[FIRST], row[LAST] = first, last + 1
    _mark(codes, kinds, row)


@compiled
def _mark(codes: np.ndarray, kinds: np.ndarray, row: np.ndarray) -> None:
    """Marks of the first and last characters."""
    first, last = codes[row[FIRST]], codes[row[LAST] - 1]
    if kinds[last] & ENDED:
        row[FLAGS] |= ENDED_BIT
    if kinds[codes[row[END] - 1]] & TERMINAL:
        row[FLAGS] |= TERMINAL_BIT
    if last in _C4_ENDS and not _dots(codes, row):
        row[FLAGS] |= C4_BIT
    if first in (_BULLET, _HYPHEN, _ASTERISK):
        row[FLAGS] |= BULLET_BIT


@compiled
def _dots(codes: np.ndarray, row: np.ndarray) -> bool:
    """Whether a line ends with three dots."""
    last = row[LAST]
    return last - row[FIRST] >= 3 and codes[last - 1] == _DOT and codes[last - 2] == _DOT and codes[last - 3] == _DOT
