"""Words of a text: spaCy's blank tokenizer, memoised by whitespace chunk.

The tokens are those of the plain tokenizer, so that published thresholds on words stay valid; a chunk between
whitespace always gives the same tokens, so that most chunks are looked up.

spaCy takes a chunk's signs off one by one, and looks through all of it each time: 8,000 ``=`` in a row take it 19 s, 100,000 an hour.
Here it looks at the ends alone, which changes no token; and it gets what is longer than ``PIECE`` characters in pieces.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokenizer import Tokenizer

CACHE_CHUNKS = 1_000_000
"""Chunks remembered by one tokenizer; beyond it the memory starts anew."""
MAX_REMEMBERED = 200
"""Longer chunks are encoded data or addresses, which hardly come again: they are split each time."""

PIECE = 10_000
"""Of a chunk longer than this (encoded data, signs in a row), so many characters are split into words at a time."""
_SUFFIX_CHARACTERS = 32
"""No sign or unit that ends a word is longer, with what must stand before it; only dots in a row are one whatever their number."""
_TROUBLE = "IS_ALPHA"  # spaCy raises on the name of one of its own attributes


class WordTokenizer:
    """Words of one language; holds a memo that never changes a result."""

    def __init__(self, language: str, cache_chunks: int = CACHE_CHUNKS) -> None:
        import spacy

        pipeline = spacy.blank(language)
        pipeline.vocab.lex_attr_getters = {}  # type: ignore[attr-defined]  # attributes of words that nobody asks for; they cost more than the splitting
        self._tokenizer = pipeline.tokenizer
        _look_at_ends(self._tokenizer)
        self._known: dict[str, tuple[str, ...]] = {}
        self._cache_chunks = cache_chunks

    def __call__(self, text: str) -> list[str]:
        """The words and punctuation marks of a text, in order; whitespace separates and is no token."""
        words: list[str] = []
        known = self._known
        for chunk in text.split():
            tokens = known.get(chunk)
            if tokens is None:
                tokens = self.of_chunk(chunk)
                if len(known) >= self._cache_chunks:
                    known.clear()
                if len(chunk) <= MAX_REMEMBERED:
                    known[chunk] = tokens
            words.extend(tokens)
        return words

    def of_chunk(self, chunk: str) -> tuple[str, ...]:
        """The words of a text without white space; nothing is remembered."""
        if _TROUBLE in chunk:
            return (chunk,)
        if len(chunk) > PIECE:
            return tuple(word for start in range(0, len(chunk), PIECE) for word in self.of_chunk(chunk[start : start + PIECE]))
        return tuple(token.text for token in self._tokenizer(chunk))


def _look_at_ends(tokenizer: Tokenizer) -> None:
    """Let spaCy's rule-based tokenizer look for signs only where they can be: at the first character, and at the last ones."""
    prefix, suffix = (getattr(getattr(tokenizer, name, None), "__self__", None) for name in ("prefix_search", "suffix_search"))
    if not (isinstance(prefix, re.Pattern) and isinstance(suffix, re.Pattern)):
        return  # a language with a tokenizer of its own

    def at_the_end(text: str) -> re.Match[str] | None:
        if len(text) > _SUFFIX_CHARACTERS:
            dots = len(text) - len(text.rstrip("."))
            text = text[-_SUFFIX_CHARACTERS - dots :]
        return suffix.search(text)

    # spaCy asks how long the match is, and nothing else. All alternatives of the first pattern begin with ^.
    tokenizer.prefix_search = prefix.match  # type: ignore[assignment]
    tokenizer.suffix_search = at_the_end  # type: ignore[assignment]


@lru_cache(maxsize=4)
def load_tokenizer(language: str) -> WordTokenizer:
    """The tokenizer of a language, once per process."""
    return WordTokenizer(language)
