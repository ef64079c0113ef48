"""MinHash signatures of texts, their bands, and the hash by which equal texts are found; over normalised words.

A signature holds, for each of ``permutations`` hash functions, the least value over all shingles (``shingle_words``
words in a row). Two texts agree in a value with the probability of the Jaccard similarity of their shingles (Broder 1997);
they share one of b bands of r values with probability 1 - (1 - s**r)**b.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from corpus.web.errors import WebCorpusError
from corpus.web.settings import SignalSettings

_DIGITS = re.compile(r"\d+")
_SEPARATORS = re.compile(r"[\W_]+")
_PAGE = 256
"""Code points whose normal forms are looked up at a time."""
_FINAL_SIGMA = 0x3A3
"""The one letter whose lower case depends on its neighbours."""


@dataclass(frozen=True, slots=True)
class TextHashes:
    """What finds copies of a text. ``signature`` is None, and ``bands`` empty, for a text shorter than one shingle."""

    normalized_sha256: str
    signature: list[int] | None
    bands: list[int]


def normalised_words(text: str) -> list[str]:
    """Words as near-duplicate detection compares them: lower case, no accents, numbers as 0, punctuation as space.

    datatrove's TextNormConfig, which FineWeb-2 uses. The plain definition; ``normalised`` is the same, compiled.
    """
    plain = unicodedata.normalize("NFD", text.lower())
    plain = "".join(char for char in plain if unicodedata.category(char) != "Mn")
    return _SEPARATORS.sub(" ", _DIGITS.sub("0", plain)).split()


def normalised(text: str) -> np.ndarray:
    """The normalised words as code points (uint32), one space between two."""
    from corpus.web.minhash_kernels import NO_ENTRY, NO_SIMPLE_FORM, normalise

    codes = _codes(text)
    table = _table()
    output = np.empty(len(codes), np.uint32)
    while True:
        written, place = normalise(codes, table, output)
        if written == NO_SIMPLE_FORM:
            return _codes(" ".join(normalised_words(text)))
        if written != NO_ENTRY:
            return output[:written]
        _fill(table, int(codes[place]))


def hashes(text: str, settings: SignalSettings) -> TextHashes:
    """Everything that finds copies of a text.

    ``normalized_sha256`` is that of the normalised words in UTF-8, one space between two; a text without a single
    word (only signs) is compared as it is.

    Raises:
        WebCorpusError: the settings do not fit together.
    """
    from corpus.web.minhash_kernels import band_hashes, minima, shingles

    factors, terms = _functions(settings.permutations, settings.band_rows, settings.minhash_seed)
    words = normalised(text)
    compared = words.tobytes().decode("utf-32-le", "surrogatepass") if len(words) else text
    digest = hashlib.sha256(compared.encode("utf-8", "surrogatepass")).hexdigest()
    found = shingles(words, settings.shingle_words)
    if not len(found):
        return TextHashes(digest, None, [])
    values = minima(found, factors, terms)
    return TextHashes(digest, values.tolist(), band_hashes(values, settings.band_rows).tolist())


def signature(text: str, settings: SignalSettings) -> list[int] | None:
    """The signature, ``permutations`` 32-bit values; None for a text shorter than one shingle."""
    return hashes(text, settings).signature


def bands(values: list[int] | None, rows: int) -> list[int]:
    """One 64-bit hash for each band of ``rows`` signature values; documents that share one are compared."""
    from corpus.web.minhash_kernels import band_hashes

    return [] if values is None else band_hashes(np.asarray(values, np.uint32), rows).tolist()


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    """The normal form of every code point, filled page by page as texts need them; see ``minhash_kernels.normalise``."""
    return np.zeros(0x110000, np.uint32)


def _fill(table: np.ndarray, code: int) -> None:
    first = code - code % _PAGE
    table[first : first + _PAGE] = [_normal_form(place) for place in range(first, first + _PAGE)]


def _normal_form(code: int) -> int:
    """The table's entry of one code point."""
    from corpus.web.minhash_kernels import COMPLEX, DIGIT, DROPPED, SEPARATOR

    parts = unicodedata.normalize("NFD", chr(code).lower())
    plain = "".join(char for char in parts if unicodedata.category(char) != "Mn")
    if code == _FINAL_SIGMA or len(plain) > 1 or any(map(unicodedata.combining, plain)):
        return COMPLEX  # the last: marks that are no Mn, which NFD may move
    if not plain:
        return DROPPED
    if _DIGITS.fullmatch(plain):
        return DIGIT
    return SEPARATOR if _SEPARATORS.fullmatch(plain) else ord(plain)


@lru_cache(maxsize=4)
def _functions(count: int, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Odd factors and terms of the hash functions: splitmix64 (Steele et al. 2014), which no library release changes."""
    if count % rows:
        raise WebCorpusError(
            f"corpus.web.signals: {count} permutations do not make whole bands of {rows} rows; make `permutations` a multiple of `band_rows`"
        )
    mask = (1 << 64) - 1
    drawn = []
    state = seed & mask
    for _ in range(2 * count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        value = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
        drawn.append(value ^ (value >> 31))
    return np.array(drawn[:count], np.uint64) | np.uint64(1), np.array(drawn[count:], np.uint64)
