"""Inline spans: what inside a line of prose is code, address, formula, markup or placeholder, and must come out as it went in.

markdown-it gives inline tokens no positions, so spans are found here, by CommonMark's rules where it has them. Every pattern is bounded or
looked for once, so that a text of a megabyte without an end to anything takes time in proportion to its length.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

SpanKind = Literal["code", "math", "url", "email", "html", "link", "placeholder", "quantity", "name", "emphasis", "escape", "mark", "noise"]

MAX_FORMULA = 2_000
"""Characters of an inline formula or comment; beyond it, two marks far apart are no pair."""
MAX_CODE_LINES = 3
"""Line ends within inline code: two back-ticks with more between them are quotation marks."""
MAX_WORD = 120
"""Characters of a word; longer ones are data (keys, base64) that no engine should see."""

_UNITS = (
    "km/h|m/s|mph|[kcmnµμ]m[²³]?|m[²³]|[mkµμ]?g/[mkd]?[lL]|[kmµμ]g|[mcd]l|mL|kWh?|[MGT]Wh?|m?Ah|mA|kV|[kMG]?Hz|[kKMGTP]i?B|[kMG]bps|[kMG]bit/s|dpi|fps|px|rpm|psi|dB|kcal|k?Pa|hPa|k[JN]"
)
"""Units of measure by their international signs; those of one letter read as words."""

_FIGURES = r"\d++(?:[.,]\d++|['’\u00a0\u202f]\d{3}(?!\d))*+"
_NUMBER = rf"[-+−]?{_FIGURES}"
_QUANTITY = rf"(?:[-+−]?(?:US|A|C)?[$€£¥₹][ ]?{_FIGURES}(?:[kKMB]\b)?|{_NUMBER}[ \u00a0\u202f]?(?:[%‰€£¥]|°[ ]?[CF]?(?!\w)|(?:{_UNITS})(?![\w/²³])))"

_SPANS = re.compile(
    rf"""
      (?P<ticks>`+)                                                        # inline code, where it is closed
    | (?P<pair>\$\$|\\\(|\\\[|<!--)                                        # formulas and comments, likewise
    | (?P<variable>\$\{{\w{{1,60}}\}})
    | (?P<dollar>\$(?=[^\s$]))
    | (?P<url>(?:https?|ftp)://[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}}*_] | (?<![\w.])www\.[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}}*_])
    | (?P<email>(?<![\w.+-])[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,8}})
    | (?P<link>!?\[(?=[^\[\]\n]{{0,300}}\]\() | \]\((?:[^()\n]|\([^()\n]{{0,200}}\)){{0,500}}\))   # the frame of a link; its text is translated
    | (?P<html></?[A-Za-z][^<>]{{0,500}}> | &(?:\#\d{{1,7}}|\#[xX][\dA-Fa-f]{{1,6}}|[A-Za-z]\w{{1,30}});)
    | (?P<placeholder>
        \{{\{{[^{{}}\n]{{0,120}}\}}\}} | \{{[^{{}}\n]{{0,120}}\}} | \[[^\[\]\n]{{1,60}}\]
      | (?<![\w%])%(?:\(\w{{1,40}}\))?(?:\.\d)?[sdifr]\b | (?<![\w%])%\d\$[sd]\b)
    | (?P<quantity>(?<![\w.,]){_QUANTITY})
    | (?P<name>
        (?<![\w.])\w{{1,60}}(?:\.\w{{1,60}}){{0,6}}\(\)                        # calls
      | (?<!\w)_*+[^\W_]++(?:_++[^\W_]++)++_*+                             # snake_case
      | (?<![\w/.])(?:~|\.{{1,2}})?/(?:[\w.-]+/)+(?:[\w.-]*\w)?)             # paths
    | (?P<mark>XQ\d+Z)                                                     # our own mark, should a text hold it
    | (?P<emphasis>\*+|_+|~~)
    | (?P<escape>\\[A-Za-z]+(?:\{{[^{{}}\n]{{0,80}}\}})? | \\[^\w\s])
    | (?P<noise>[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff\ufffd]+ | (?<!\S)\S{{{MAX_WORD + 1},}})
    """,
    re.VERBOSE,
)
_SIGNS = re.compile(r"[`$\\<@\[{%€£¥₹°*_~&/\x00-\x08\x0e-\x1b\x7f\ud800-\udfff\ufffd]|\](?=\()|\d[ \u00a0\u202f]?[A-Za-zµμ‰]|www\.|\(\)|XQ\d")
"""What every span holds, but for long words: most lines of prose hold none of it, and are done."""
_PRICE = re.compile(_QUANTITY, re.VERBOSE)
_CLOSINGS = {"$$": "$$", "\\(": "\\)", "\\[": "\\]", "<!--": "-->"}
_CLOSED: dict[str, SpanKind] = {"`": "code", "$": "math", "\\": "math", "<": "html"}
"""What a closed pair is, by its first character."""
_FORMULA = re.compile(r"[A-Za-z]'?|[A-Za-z]\([A-Za-z]\)|[^\n]*[\\^_{}=<>+][^\n]*")
"""What between two dollar signs is a formula and not a sum of money."""
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True, slots=True)
class InlineSpan:
    """Characters ``start`` to ``end`` of a text, and what they are.

    ``name``: calls, snake_case, paths; ``quantity``: a number with its unit or currency; ``mark``: text that looks like our own marks;
    ``noise``: control characters, lone surrogates, words of more than ``MAX_WORD`` characters.
    """

    start: int
    end: int
    kind: SpanKind


def inline_spans(text: str) -> list[InlineSpan]:
    """The spans of a text, ascending and apart from one another."""
    return list(_found(text))


def _found(text: str) -> Iterator[InlineSpan]:
    if _SIGNS.search(text) is None and (len(text) <= MAX_WORD or max(map(len, text.split()), default=0) <= MAX_WORD):
        return
    closings = _Closings(text)
    position = 0
    while (match := _SPANS.search(text, position)) is not None:
        start, end = match.span()
        kind = match.lastgroup
        if kind in ("ticks", "pair", "dollar"):
            closed = closings.of(kind, match[0], end)
            price = _PRICE.match(text, start) if closed is None and kind == "dollar" else None
            if closed is not None:
                end, kind = closed, _CLOSED[match[0][0]]
            elif price is not None:
                end, kind = price.end(), "quantity"
            elif match[0].startswith("\\"):
                kind = "escape"
            else:
                position = end
                continue
        elif kind == "variable":
            kind = "placeholder"
        yield InlineSpan(start, end, kind)  # type: ignore[arg-type]
        position = end


@dataclass
class _Closings:
    """Finds the ends of code and formulas; remembers where each closing mark comes next, so that none is searched for twice."""

    text: str
    _next: dict[str, int] = field(default_factory=dict)
    _ticks: dict[int, list[int]] | None = None

    def of(self, kind: str, opening: str, inside: int) -> int | None:
        """The end of a span whose inside begins here; None where it has none."""
        if kind == "ticks":
            return self._code(len(opening), inside)
        closing = "$" if kind == "dollar" else _CLOSINGS[opening]
        found = self._find(closing, inside)
        if found < 0 or found - inside > MAX_FORMULA or found == inside:
            return None
        content = self.text[inside:found]
        if kind == "dollar":
            after = self.text[found + 1 : found + 2]
            if content[-1].isspace() or after.isalnum() or not _FORMULA.fullmatch(content):
                return None
        return None if "\n" in content and _BLANK_LINE.search(content) else found + len(closing)

    def _find(self, closing: str, inside: int) -> int:
        known = self._next.get(closing)
        if known is None or 0 <= known < inside:
            known = self._next[closing] = self.text.find(closing, inside)
        return known

    def _code(self, length: int, inside: int) -> int | None:
        if self._ticks is None:
            self._ticks = {}
            for run in re.finditer("`+", self.text):
                self._ticks.setdefault(run.end() - run.start(), []).append(run.start())
        places = self._ticks.get(length, [])
        index = bisect_left(places, inside)
        if index == len(places) or self.text.count("\n", inside, places[index]) > MAX_CODE_LINES:
            return None
        return places[index] + length
