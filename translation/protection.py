"""Protection of inline spans: what must come out of translation exactly as it went in.

Code, addresses, markup, formulas and placeholders are replaced by short marks before a sentence reaches an engine and
put back after it, only where every mark came back exactly once. A lost span is never appended: the caller keeps the
source sentence instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PROTECTOR_VERSION = "1"
"""Changes whenever the same sentence may be masked otherwise."""

_SPANS = re.compile(
    r"""
      (?P<ticks>`+)(?!`)(?:(?!(?P=ticks)).)+(?P=ticks)      # inline code
    | \\\(.+?\\\) | \$\$[^$]+\$\$                           # formulas
    | \$(?=\S)[^$\n]*[\\^_{}=][^$\n]*(?<=\S)\$
    | (?:https?|ftp)://[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}*_]    # addresses, without the sentence's own punctuation
    | www\.[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}*_]
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | !?\[(?=[^\[\]\n]*\]\()  | \]\([^()\n]*\)              # the frame of a Markdown link; its text is translated
    | </?[A-Za-z][^<>\n]*> | <!--.*?--> | &\#?\w+;          # HTML
    | \{\{[^{}\n]*\}\} | \{[^{}\n]*\}                       # placeholders
    | \[[^\[\]\n]{1,60}\]
    | %\(\w+\)[sdf] | %[sd]\b
    | \b\w+(?:\.\w+)*\(\)                                   # calls
    | \w*[^\W_]_+[^\W_]\w*                                  # snake_case
    | (?<![\w/.])(?:~|\.{1,2})?/(?:[\w.-]+/)+(?:[\w.-]*\w)?      # paths
    | \*+ | _{2,} | ~~ | \\[^\w\s]                          # emphasis, escapes
    | XQ\d+Z                                                # our own mark, should a text hold it
    """,
    re.VERBOSE,
)
_GLUE = re.compile(r"[^\w\n]{1,3}")
"""What may stand between two spans that share one mark."""


@dataclass(frozen=True)
class MarkForm:
    """How a mark is written, and how it is found again."""

    template: str
    pattern: re.Pattern[str]


MARK_FORMS = (MarkForm("XQ{}Z", re.compile(r"( ?)XQ(\d+)Z( ?)")), MarkForm("{{{}}}", re.compile(r"( ?)\{(\d+)\}( ?)")))
"""Tried in turn. The first reads as a name; the second is kept by engines that know markup. Neither holds ``_``, which
argostranslate turns into a space (its tokenizer.py)."""


@dataclass(frozen=True)
class Masked:
    """A sentence with marks in place of its protected spans, and what puts them back."""

    text: str
    spans: tuple[str, ...]
    padded: tuple[tuple[bool, bool], ...]
    form: MarkForm

    def restore(self, translation: str) -> str | None:
        """The translation with all spans back in place; None where a mark is missing, repeated or invented."""
        found = sorted(int(match.group(2)) for match in self.form.pattern.finditer(translation))
        if found != list(range(len(self.spans))):
            return None

        def put_back(match: re.Match[str]) -> str:
            number = int(match.group(2))
            left, right = self.padded[number]
            return ("" if left else match.group(1)) + self.spans[number] + ("" if right else match.group(3))

        return self.form.pattern.sub(put_back, translation)

    @property
    def speaks(self) -> bool:
        """Whether anything is left to translate: a letter outside the marks."""
        return any(character.isalpha() for character in self.form.pattern.sub(" ", self.text))


def protected_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each protected span, ascending and apart from one another."""
    return [match.span() for match in _SPANS.finditer(text)]


def mask(sentence: str, form: MarkForm = MARK_FORMS[0]) -> Masked:
    """Replace the protected spans of a sentence by marks, set off by spaces from neighbouring words."""
    parts: list[str] = []
    spans: list[str] = []
    padded: list[tuple[bool, bool]] = []
    position = 0
    for start, end in _joined(sentence, protected_spans(sentence)):
        left = start > 0 and not sentence[start - 1].isspace()
        right = end < len(sentence) and (sentence[end].isalnum() or sentence[end] in "_(\"'")
        mark = form.template.format(len(spans))
        parts += [sentence[position:start], " " if left else "", mark, " " if right else ""]
        spans.append(sentence[start:end])
        padded.append((left, right))
        position = end
    return Masked("".join([*parts, sentence[position:]]), tuple(spans), tuple(padded), form)


def _joined(sentence: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans with nothing to translate between them become one, so that the engine cannot shuffle them."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and (joined[-1][1] == start or _GLUE.fullmatch(sentence, joined[-1][1], start)):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
