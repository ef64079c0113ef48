"""Numbers of a text and of its translation: which were lost and which were gained.

Languages swap the marks of decimals and thousands (``1,234.5`` and ``1.234,5``), so that a number is compared by every value that it can
have: ``1.234`` is 1234 or 1.234. A number in words is no number here: see ``GateSettings.small_numbers``.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

_NUMBER = re.compile(r"\d++(?:[.,'’\u00a0\u202f]\d++)*+")
_GROUPED = {mark: re.compile(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{3}})+") for mark in ".,'’\u00a0\u202f"}


def numbers_changed(source: str, translation: str, small: int = -1) -> int:
    """Numbers lost or numbers gained, whichever are more.

    Args:
        source: a text.
        translation: its translation.
        small: whole numbers from 0 to here may come and go, as languages write them out ('5', 'cinque'); -1: none may.
    """
    before, after = _numbers(source, small), _numbers(translation, small)
    same = before & after
    before, after = before - same, after - same
    by_value: dict[str, list[str]] = {}
    for other in sorted(after):
        for value in values(other):
            by_value.setdefault(value, []).append(other)
    for number in sorted(before):
        for other in sorted({other for value in values(number) for other in by_value.get(value, ())}):
            paired = min(before[number], after[other])
            before[number] -= paired
            after[other] -= paired
    return max(before.total(), after.total())


@lru_cache(maxsize=4096)
def values(number: str) -> frozenset[str]:
    """Every value that a written number can have, in figures with a decimal point; what is none (1.2.3) stands for itself.

    ``1,234`` gives 1234 and 1.234; ``1.234,50`` gives 1234.50 alone.
    """
    found = set()
    for thousands, decimals in ((",", "."), (".", ","), ("'", "."), ("’", "."), ("\u00a0", ","), ("\u202f", ","), ("\u00a0", "."), ("\u202f", ".")):
        whole, mark, fraction = number.partition(decimals)
        if (not mark or fraction.isdecimal()) and (whole.isdecimal() or _GROUPED[thousands].fullmatch(whole)):
            figures = "".join(str(int(figure)) for figure in whole if figure.isdecimal())
            found.add(figures + ("." + "".join(str(int(figure)) for figure in fraction) if mark else ""))
    return frozenset(found or {number})


def _numbers(text: str, small: int) -> Counter[str]:
    return Counter(number for number in _NUMBER.findall(text) if not (number.isdecimal() and len(number) < 10 and int(number) <= small))
