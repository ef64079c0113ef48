"""Truecasing: capitals at the start of sentences and in words that always have one, such as the English pronoun 'I'.

Written for UltraChat, whose generated questions come as "Hello. how are you?" (some 5 % of its chats, by ultrachat_200k's card). Only
what is surely a sentence of prose is touched: engines translate a lower-case start a little worse, and a wrong capital in a command, a
name or an address for good. Nothing but the case of single letters changes, and properly cased text stays as it is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from foundation.language.sentences import SentenceSettings
from foundation.language.source_language import SourceCleaning

_STARTS = re.compile(
    r"""
      \A (?P<text>[^\W\d_])                                # the text
    | (?P<mark>[.!?]) (?P<gap>[ \t]+) (?P<sentence>[^\W\d_])   # a sentence behind another one; a quotation goes on behind its mark
    | (?P<ended>[.!?]) [ \t]* (?:\n[ \t]*)+ (?P<line>[^\W\d_])  # a line behind one that ends a sentence
    """,
    re.VERBOSE,
)
_CODE = re.compile(
    r"""
      ^[ ]{0,3}(?P<fence>`{3,}|~{3,})[^\n]*(?:\n.*?)?(?:^[ ]{0,3}(?P=fence)[`~]*[ \t]*$|\Z)   # fenced, up to the end where it is not closed
    | ^(?:[ ]{4}|\t)[^\n]*$                                # indented
    | (?P<ticks>`+)(?!`)(?:(?!(?P=ticks))[^\n])+(?P=ticks)
    | \$\$.*?\$\$ | \$[^\s$][^$\n]*\$ | \\\(.*?\\\) | \\\[.*?\\\]
    | (?:https?|ftp)://\S+ | www\.\S+ | (?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+
    | <[^<>\n]*> | \{[^{}\n]*\} | \[[^\[\]\n]*\]
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
"""What is no prose."""
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*(?=[,;:.!?…\"”]*(?:\s|\Z))")
"""A word that white space or punctuation ends: no part of an address, a path, a call, a number."""
_REGION = re.compile(r"(?:[^.!?\n]|[.!?](?=\S)){1,400}[.!?]?")
"""The sentence from its first letter on."""
_TECHNICAL = re.compile(r"[{}<>=|\\`~^@#]|\w\(|(?:^|\s)--?\w|(?:^|\s)[~.]{0,2}/\w|\w_\w|\w::\w|;\s*\Z")
"""Signs of commands and code."""
_TOKEN = re.compile(r"\S{1,64}\Z")
_OPENING = "\"'“‘«([{*_"
_PLAIN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_LIST_NUMBER = re.compile(r"\(?\d{1,3}(?:\.\d{1,3})*\)?|[ivx]+\)")
"""Numbers before the items of a list, with a full stop or without: '1. flour 2. water'."""
ENUMERATED = 0.4
"""Share of words with a comma behind them from which a sentence is a list of things; this project's choice, on Dolly's rows."""
LABEL_WORDS = 3
"""Texts of so many words without a full stop are taken for labels and names; this project's choice, on Dolly's rows."""


class Truecaser:
    """Capitals where a language has them; a function of the text alone.

    Args:
        sentences: abbreviations, whose full stop ends no sentence.
        cleaning: the language's words that begin sentences or never do.
    """

    def __init__(self, sentences: SentenceSettings, cleaning: SourceCleaning) -> None:
        self._abbreviations = frozenset((*sentences.abbreviations, *sentences.numeric_abbreviations, *cleaning.abbreviations))
        self._greetings = frozenset(cleaning.greetings)
        self._one_letter = frozenset(cleaning.one_letter_words)
        self._lower = frozenset(cleaning.always_lower)
        self._pronouns = re.compile("|".join(f"(?:{pattern})" for pattern in cleaning.pronouns)) if cleaning.pronouns else None

    def __call__(self, text: str) -> str:
        """The text, in which single lower-case letters may have become capitals."""
        places = [*self._starts(text), *self._always(text)]
        if not places:
            return text
        code = [match.span() for match in _CODE.finditer(text)]
        starts = [start for start, _ in code]
        letters = list(text)
        for place in places:
            span = bisect_right(starts, place) - 1
            if span < 0 or place >= code[span][1]:
                letters[place] = letters[place].upper()
        return "".join(letters)

    def _always(self, text: str) -> Iterator[int]:
        """Words that have a capital wherever they stand, in prose."""
        for match in self._pronouns.finditer(text) if self._pronouns else ():
            before, after = text[max(0, match.start() - 80) : match.start()], text[match.start() : match.end() + 80]
            around = before.rpartition("\n")[2] + after.partition("\n")[0]
            if _raised(text[match.start()]) and not _TECHNICAL.search(around):
                yield match.start()

    def _starts(self, text: str) -> Iterator[int]:
        for match in _STARTS.finditer(text):
            kind = match.lastgroup or ""
            place = match.start(kind)
            if not _raised(text[place]) or not self._may_begin(text, place):
                continue
            if kind == "text":
                if _is_sentence(text):
                    yield place
            elif self._ends_sentence(text, match.start("mark" if kind == "sentence" else "ended")):
                yield place

    def _may_begin(self, text: str, place: int) -> bool:
        """Whether the word at a place is one of prose, in a sentence of prose."""
        word = _WORD.match(text, place)
        if word is None or not word[0].islower() or word[0] in self._lower or (len(word[0]) == 1 and word[0] not in self._one_letter):
            return False
        region = _REGION.match(text, place)
        return region is not None and not _TECHNICAL.search(region[0]) and not _enumerates(region[0])

    def _ends_sentence(self, text: str, mark: int) -> bool:
        """Whether the mark at a place ends a sentence: no abbreviation, number of a list, dots of a pause, name with a mark."""
        before = _TOKEN.search(text, max(0, mark - 64), mark)
        if before is None:
            return False
        token = before[0].lstrip(_OPENING)
        if token[-1:].isdigit() or token.endswith((")", "%")):
            return not _LIST_NUMBER.fullmatch(token)
        if _PLAIN.fullmatch(token) is None or len(token) < 2 or not _has_vowel(token):
            return False
        if token.lower() in self._greetings:
            return True
        if text[mark] == ".":
            return token.lower() not in self._abbreviations
        return token.islower()


def _raised(letter: str) -> bool:
    """Whether a letter is a small one with one capital that goes back to it."""
    capital = letter.upper()
    return capital != letter and len(capital) == 1 and capital.lower() == letter


def _has_vowel(token: str) -> bool:
    """Whether a word can be spoken: abbreviations such as 'Rd.' and 'Blvd.' cannot. Of letters beyond ASCII nothing is known."""
    return not token.isascii() or any(letter in "aeiouy" for letter in token.lower())


def _is_sentence(text: str) -> bool:
    """Whether a text begins as prose does, and not as a label or a name does."""
    first = text.split("\n", 1)[0]
    words = len(first.split(None, LABEL_WORDS + 1))
    return words > LABEL_WORDS or (words > 1 and first.rstrip().endswith((".", "!", "?")))


def _enumerates(sentence: str) -> bool:
    """Whether a sentence is a list of things rather than a statement."""
    words = sentence.split()
    return sum(word.endswith(",") for word in words) >= ENUMERATED * len(words)
