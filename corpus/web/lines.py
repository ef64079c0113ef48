"""Lines of a text: lengths, words, sentences and marks, all that line rules read. A line is what stands between line feeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus.web.punctuation import TERMINAL
from foundation.language.sentences import CLOSING_MARKS, END_MARKS, FULL_STOPS, sentence_count
from foundation.language.settings import PhraseSettings

LINE_FLAGS = ("ended", "terminal", "c4_ended", "policy", "javascript", "script", "placeholder", "brace", "bullet", "blank")
"""Marks of a line; the first is the lowest bit.

ended: ends with a mark of the language file. terminal: ends with punctuation that closes a sentence in any script (FineWeb).
c4_ended: ends as C4 asks for, with one of ``. ? ! "`` and not with ``...``, once citation marks are gone. policy, placeholder: holds
such a phrase of the language file. javascript: names it (C4). script: names it or looks like code of it. brace: holds ``{``.
"""
LINE_COUNTS = ("characters", "plain_characters", "words", "sentences", "longest_word")
"""Measures of a line. characters: of the line as it stands. plain_characters: without citation marks and white space at its
ends. words: between white space, citation marks left out (C4). longest_word: characters of the longest word, citation marks
included (C4 looks at it first)."""
LINE_FIELDS = (*LINE_COUNTS, "flags")
FLAG_BITS = {name: 1 << index for index, name in enumerate(LINE_FLAGS)}

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
"""C4 (c4_utils of tensorflow/datasets); the fork of c4nlpreproc has the same."""
_C4_ENDS = (".", "?", "!", '"')
_JAVASCRIPT = "javascript"
_SCRIPTS = {
    _JAVASCRIPT: re.compile(_JAVASCRIPT),
    "document.write": re.compile(r"document\.write"),
    "function": re.compile(r"function\s*\("),
    "window.": re.compile(r"window\.\w+\s*="),
}
"""Patterns by what each begins with, which is looked for first: it is found much faster."""
_OTHER_LINE_ENDS = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_LAST_SPACE = 0x3000


@dataclass(frozen=True, slots=True)
class TextLines:
    """The lines of a text: a row each with ``LINE_FIELDS``; and of what reads as a line with any kind of line end, empty ones too,
    how many there are, how many begin with ``•`` or ``-``, and how many end with an ellipsis (Gopher)."""

    rows: np.ndarray
    visual: int
    bullets: int
    ellipses: int

    def column(self, name: str) -> np.ndarray:
        """One field of all lines."""
        return self.rows[:, LINE_FIELDS.index(name)]

    def marked(self, flag: str) -> int:
        """How many lines carry a mark."""
        return int(np.count_nonzero(self.column("flags") & FLAG_BITS[flag]))


class LineMarks:
    """Measures and marks lines of one language."""

    def __init__(self, phrases: PhraseSettings) -> None:
        self._phrases = phrases
        self._kinds: np.ndarray | None = None

    def lines(self, text: str, texts: Sequence[str], lowered: str, policy: Sequence[str]) -> TextLines:
        """Lines of one text.

        Args:
            text: the whole text.
            texts: its lines.
            lowered: the whole text in lower case.
            policy: policy phrases that are in it; most texts hold none, so that their lines need not be searched.
        """
        from corpus.web import line_kernels as kernel

        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        found, bullets, ellipses = kernel.measure_lines(codes, self._table())
        plain = found[:, kernel.LAST] - found[:, kernel.FIRST]
        sentences = (plain > 0).astype(np.int32)
        rows = np.stack(
            [found[:, kernel.END] - found[:, kernel.START], plain, found[:, kernel.WORDS], sentences, found[:, kernel.LONGEST], found[:, kernel.FLAGS]], axis=1
        )
        for place in np.flatnonzero(found[:, kernel.SENTENCES]).tolist():
            rows[place, LINE_FIELDS.index("sentences")] = sentence_count(texts[place].strip(), self._phrases.sentences)
        for place in np.flatnonzero(found[:, kernel.CITATION]).tolist():
            self._without_citations(texts[place].strip(), rows[place])
        self._mark_phrases(texts, lowered, policy, rows[:, LINE_FIELDS.index("flags")])
        if _OTHER_LINE_ENDS.search(text):
            return TextLines(rows, *_visual(text.splitlines()))
        return TextLines(rows, len(texts) - (not texts[-1]), bullets, ellipses)

    def _without_citations(self, stripped: str, row: np.ndarray) -> None:
        plain = _CITATION.sub("", stripped)
        if len(plain) < len(stripped):
            row[1:4] = len(plain.strip()), len(plain.split()), sentence_count(plain, self._phrases.sentences)
            ended = plain.endswith(_C4_ENDS) and not plain.endswith("...")
            row[5] = (row[5] & ~FLAG_BITS["c4_ended"]) | (FLAG_BITS["c4_ended"] if ended else 0)

    def _mark_phrases(self, texts: Sequence[str], lowered: str, policy: Sequence[str], flags: np.ndarray) -> None:
        placeholder = [phrase for phrase in self._phrases.placeholder if phrase in lowered]
        script = [pattern for hint, pattern in _SCRIPTS.items() if hint in lowered and pattern.search(lowered)]
        if not (policy or placeholder or script):
            return
        for place, text in enumerate(texts):
            line = text.lower()
            if any(phrase in line for phrase in policy):
                flags[place] |= FLAG_BITS["policy"]
            if any(phrase in line for phrase in placeholder):
                flags[place] |= FLAG_BITS["placeholder"]
            if script and _JAVASCRIPT in line:
                flags[place] |= FLAG_BITS["javascript"]
            if any(pattern.search(line) for pattern in script):
                flags[place] |= FLAG_BITS["script"]

    def _table(self) -> np.ndarray:
        """What each code point is; see ``line_kernels``."""
        from corpus.web import line_kernels as kernel

        if self._kinds is None:
            kinds = np.zeros(0x110000, np.uint8)
            groups = (
                (kernel.SPACE, [chr(code) for code in range(_LAST_SPACE + 1) if chr(code).isspace()]),
                (kernel.ENDED, self._phrases.end_marks),
                (kernel.TERMINAL, TERMINAL),
                (kernel.CLOSER, CLOSING_MARKS),
                (kernel.MARK, END_MARKS),
                (kernel.STOP, FULL_STOPS),
            )
            for kind, characters in groups:
                kinds[[ord(char) for char in characters]] |= kind
            self._kinds = kinds
        return self._kinds


def _visual(lines: Sequence[str]) -> tuple[int, int, int]:
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
    return len(lines), bullets, sum(line.rstrip().endswith(("...", "…")) for line in lines)
