"""MinHash signatures of texts and their bands; by rensa, over shingles of normalised words."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import xxhash

from corpus.web.settings import SignalSettings

_DIGITS = re.compile(r"\d+")
_MARKS = re.compile(r"[\u0300-\u036f]+")
_OTHER_SCRIPTS = re.compile(r"[\u0483-\u1fff\u20d0-\u20ff\u2c00-\U0010ffff]")
"""Where nonspacing marks (Mn) stand besides U+0300 to U+036F; texts without these are spared a look at each character."""
_SEPARATORS = re.compile(r"[\W_]+")


def normalised_words(text: str) -> list[str]:
    """Words as near-duplicate detection compares them: lower case, no accents, numbers as 0, punctuation as space.

    datatrove's TextNormConfig, which FineWeb-2 uses.
    """
    plain = text.lower()
    if not plain.isascii():
        plain = _MARKS.sub("", unicodedata.normalize("NFD", plain))
        if _OTHER_SCRIPTS.search(plain):
            plain = "".join(char for char in plain if unicodedata.category(char) != "Mn")
    return _SEPARATORS.sub(" ", _DIGITS.sub("0", plain)).split()


def signature(text: str, settings: SignalSettings) -> list[int] | None:
    """The signature, ``permutations`` 32-bit values; None for a text shorter than one shingle."""
    from rensa import RMinHash

    words = normalised_words(text)
    size = settings.shingle_words
    if len(words) < size:
        return None
    shingles = {" ".join(words[start : start + size]) for start in range(len(words) - size + 1)}
    minhash = RMinHash(num_perm=settings.permutations, seed=settings.minhash_seed)
    minhash.update(list(shingles))  # minima: their order does not matter
    return minhash.digest()


def bands(values: list[int] | None, rows: int) -> list[int]:
    """One 64-bit hash for each band of ``rows`` signature values; documents that share one are compared."""
    if values is None:
        return []
    array = np.asarray(values, dtype="<u4").reshape(-1, rows)
    return [xxhash.xxh3_64_intdigest(band.tobytes(), seed=index) for index, band in enumerate(array)]
