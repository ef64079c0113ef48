"""Signatures: the compiled normalisation equals its plain definition, and values never change by accident."""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.web import minhash
from corpus.web.errors import WebCorpusError
from corpus.web.minhash import bands, hashes, normalised, normalised_words
from corpus.web.settings import SignalSettings

PLAIN = SignalSettings()
TEXT = "La biblioteca della valle, aperta nel 1987: perché no? «Più di 20.000 volumi» — e una stufa."
ODD = "".join(chr(code) for code in (0x130, 0x3A3, 0x3C3, 0xDF, 0xB2, 0x663, 0x302E, 0xAC00, 0x1D7D8, 0x1F600, 0x5D0, 0x5BC, 0x301, 0x5F))
"""Letters that grow, digits of other scripts, marks that move, signs beyond 16 bits."""


def words_of(text: str) -> list[str]:
    return normalised(text).tobytes().decode("utf-32-le").split(" ") if len(normalised(text)) else []


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(max_size=80), st.text(alphabet=ODD + "aÀ è'1,\n", max_size=40)))
@example(TEXT)
@example("ΟΔΟΣ ΣΑΣ. İstanbul 3²x_y")
@example("")
def test_compiled_words_are_those_of_the_definition(text: str) -> None:
    assert words_of(text) == normalised_words(text)


def test_every_code_point_has_its_form() -> None:
    for code in [*range(0x3000), *range(0xA000, 0xD000, 7), *range(0xF900, 0x10000), *range(0x1D400, 0x1F700, 3)]:
        char = chr(code)
        assert words_of(f"a{char}1{char}B") == normalised_words(f"a{char}1{char}B"), f"U+{code:04X} {unicodedata.name(char, '')}"


def test_equal_texts_are_equal_words() -> None:
    found = hashes(TEXT, PLAIN).normalized_sha256
    assert found == hashlib.sha256(b"la biblioteca della valle aperta nel 0 perche no piu di 0 0 volumi e una stufa").hexdigest()
    assert found == hashes(TEXT.upper().replace("1987", "2001").replace("—", "-"), PLAIN).normalized_sha256
    assert hashes("***", PLAIN).normalized_sha256 == hashlib.sha256(b"***").hexdigest() != hashes("---", PLAIN).normalized_sha256


def test_a_signature_is_of_the_set_of_shingles() -> None:
    one, repeated = "uno due tre quattro cinque sei sette", "uno due tre quattro cinque sei sette uno due tre quattro cinque sei sette"
    inside = np.array(hashes(repeated, PLAIN).signature) <= np.array(hashes(one, PLAIN).signature)
    assert inside.all() and hashes(one, PLAIN).signature != hashes(repeated, PLAIN).signature
    assert hashes("uno due tre quattro cinque", PLAIN).signature != hashes("due uno tre quattro cinque", PLAIN).signature
    assert hashes("unodue tre quattro cinque sei", PLAIN).signature != hashes("uno duetre quattro cinque sei", PLAIN).signature
    assert hashes("uno due tre quattro", PLAIN).signature is None


def plain_signature(text: str, count: int, seed: int) -> list[int]:
    """The same in plain integers."""
    mask = (1 << 64) - 1

    def mixed(value: int) -> int:
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            value = ((value ^ (value >> 33)) * factor) & mask
        return value ^ (value >> 33)

    words = []
    for word in normalised_words(text):
        value = 0xCBF29CE484222325
        for char in word:
            value = ((value ^ ord(char)) * 0x100000001B3) & mask
        words.append(mixed(value))
    found = []
    for start in range(len(words) - 4):
        value = 5
        for word in words[start : start + 5]:
            value = ((value ^ word) * 0xFF51AFD7ED558CCD) & mask
            value ^= value >> 32
        found.append(mixed(value) >> 32)
    factors, terms = minhash._functions(count, 8, seed)
    return [min(((int(a) * x + int(b)) & mask) >> 32 for x in found) for a, b in zip(factors, terms, strict=True)]


def test_signatures_equal_plain_integers_and_stay_what_they_are() -> None:
    found = hashes(TEXT, PLAIN)
    assert found.signature == plain_signature(TEXT, 112, 1)
    assert len(found.signature or []) == 112 and len(found.bands) == 14
    digest = hashlib.sha256(np.array(found.signature, "<u4").tobytes() + np.array(found.bands, "<u8").tobytes()).hexdigest()
    assert digest == "127c82a9e3fcbcdfc85cc38912bcb8d8ec685a645b3a11d6a47b1dfff6e945af", "stored signatures could not be compared with new ones: a new version of the stage `signals` is needed"
    assert hashes(TEXT, SignalSettings(minhash_seed=2)).signature != found.signature


def test_bands_are_of_their_place() -> None:
    values = list(range(8)) * 2
    assert len(set(bands(values, 8))) == 2 and bands(values, 8) == bands(values, 8) and bands(None, 8) == []


def test_settings_must_fit_together() -> None:
    with pytest.raises(WebCorpusError, match="make `permutations` a multiple of `band_rows`"):
        hashes(TEXT, SignalSettings(permutations=100))
