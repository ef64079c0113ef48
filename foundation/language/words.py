"""Words of a text: spaCy's blank tokenizer, memoised by whitespace chunk.

The tokens are those of the plain tokenizer, so that published thresholds on words stay valid; a chunk between
whitespace always gives the same tokens, so that most chunks are looked up.
"""

from __future__ import annotations

from functools import lru_cache

CACHE_CHUNKS = 1_000_000
"""Chunks remembered by one tokenizer; beyond it the memory starts anew."""
MAX_REMEMBERED = 200
"""Longer chunks are encoded data or addresses, which hardly come again: they are split each time."""

_TROUBLE = "IS_ALPHA"  # spaCy raises on the name of one of its own attributes


class WordTokenizer:
    """Words of one language; holds a memo that never changes a result."""

    def __init__(self, language: str, cache_chunks: int = CACHE_CHUNKS) -> None:
        import spacy

        pipeline = spacy.blank(language)
        pipeline.vocab.lex_attr_getters = {}  # type: ignore[attr-defined]  # attributes of words that nobody asks for; they cost more than the splitting
        self._tokenizer = pipeline.tokenizer
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
        return tuple(token.text for token in self._tokenizer(chunk))


@lru_cache(maxsize=4)
def load_tokenizer(language: str) -> WordTokenizer:
    """The tokenizer of a language, once per process."""
    return WordTokenizer(language)
