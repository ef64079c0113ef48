"""Compiled loops of MinHash: characters to normalised words, words to shingles, shingles to a signature, signature to bands.

All arithmetic is on unsigned integers modulo a power of two, so that every machine gets the same values. Imported
by functions only: numba takes half a second to load.
"""

from __future__ import annotations

import numpy as np

from foundation.execution.compiled import compiled

UNKNOWN, DROPPED, SEPARATOR, DIGIT, COMPLEX = range(5)
"""What a code point becomes; any other value is the code point of the letter that stands for it."""
NO_ENTRY = -1
NO_SIMPLE_FORM = -2
_SPACE = 0x20
_ZERO = 0x30
_WORD_START = np.uint64(0xCBF29CE484222325)
_WORD_STEP = np.uint64(0x100000001B3)
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_ODD = np.uint64(33)


@compiled
def normalise(codes: np.ndarray, table: np.ndarray, output: np.ndarray) -> tuple[int, int]:
    """Write the normalised words of a text, one space between two, to ``output``.

    Returns:
        Characters written and 0; or NO_ENTRY and the place of a character that ``table`` does not know yet; or
        NO_SIMPLE_FORM and the place of one whose form depends on more than itself.
    """
    written = 0
    gap = digits = False
    for place in range(len(codes)):
        entry = table[codes[place]]
        if entry > COMPLEX:
            if gap and written:
                output[written] = _SPACE
                written += 1
            output[written] = entry
            written += 1
            gap = digits = False
        elif entry == SEPARATOR:
            gap = True
            digits = False
        elif entry == DIGIT:
            if not digits:
                if gap and written:
                    output[written] = _SPACE
                    written += 1
                output[written] = _ZERO
                written += 1
            gap = False
            digits = True
        elif entry == UNKNOWN:
            return NO_ENTRY, place
        elif entry == COMPLEX:
            return NO_SIMPLE_FORM, place
    return written, 0


@compiled
def _mixed(value: np.uint64) -> np.uint64:
    """The finalizer of MurmurHash3: every bit of the input changes half of the output's."""
    value ^= value >> _ODD
    value *= _MIX_1
    value ^= value >> _ODD
    value *= _MIX_2
    value ^= value >> _ODD
    return value


@compiled
def shingles(text: np.ndarray, size: int) -> np.ndarray:
    """A 32-bit hash for every ``size`` words in a row of a normalised text, repeated ones included: minima do not mind."""
    words = np.empty(len(text) // 2 + 1, np.uint64)
    count = 0
    running = _WORD_START
    for place in range(len(text)):
        if text[place] == _SPACE:
            words[count] = _mixed(running)
            count += 1
            running = _WORD_START
        else:
            running = (running ^ np.uint64(text[place])) * _WORD_STEP
    if len(text):
        words[count] = _mixed(running)
        count += 1
    found = np.empty(max(count - size + 1, 0), np.uint32)
    for start in range(len(found)):
        value = np.uint64(size)
        for offset in range(size):
            value = (value ^ words[start + offset]) * _MIX_1
            value ^= value >> _HALF
        found[start] = np.uint32(_mixed(value) >> _HALF)
    return found


@compiled
def minima(found: np.ndarray, factors: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """For each pair of a factor and a term, the least of ``(factor * x + term) mod 2**64 >> 32`` over all shingles x.

    Multiply-shift on 64 bits is strongly universal for 32-bit x (Dietzfelbinger 1996).
    """
    result = np.empty(len(factors), np.uint32)
    for row in range(len(factors)):
        # The same in halves, for processors multiply 32 bits faster than 64: three times the speed.
        factor, term = factors[row] & _LOW, terms[row] & _LOW
        high_factor, high_term = np.uint32(factors[row] >> _HALF), np.uint32(terms[row] >> _HALF)
        least = np.uint32(0xFFFFFFFF)
        for place in range(len(found)):
            value = found[place]
            carried = np.uint32((factor * np.uint64(value) + term) >> _HALF)
            least = min(least, np.uint32(np.uint32(high_factor * value) + high_term + carried))
        result[row] = least
    return result


@compiled
def band_hashes(signature: np.ndarray, rows: int) -> np.ndarray:
    """One 64-bit hash for every ``rows`` values of a signature; the place of the band counts."""
    result = np.empty(len(signature) // rows, np.uint64)
    for band in range(len(result)):
        value = np.uint64(band + 1)
        for row in range(band * rows, (band + 1) * rows):
            value = (value ^ np.uint64(signature[row])) * _MIX_1
            value ^= value >> _HALF
        result[band] = _mixed(value)
    return result
