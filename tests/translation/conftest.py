"""Fixtures of the translation tests: the toy package, a tiny language identifier, Apertium where its packages are cached."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foundation.language.identification import LanguageIdentifier, load_identifier
from tests.conftest import CACHE
from translation.engines.engine import EngineChoice

PAIRS = ("eng-cat", "cat-ita")

TRAIN_IDENTIFIER = """
import sys, fasttext
model = fasttext.train_supervised(sys.argv[1], epoch=100, lr=0.05, dim=16, minn=2, maxn=3, bucket=2000, thread=1, verbose=0)
model.save_model(sys.argv[2])
"""


@pytest.fixture(scope="session")
def toy_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real .argosmodel, trained here."""
    from tests.translation.toy_argos import build

    return build(tmp_path_factory.mktemp("toy_argos"))


@pytest.fixture(scope="session")
def tiny_identifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fastText model that tells English from Italian by a few words, trained in a moment."""
    folder = tmp_path_factory.mktemp("identifier")
    english = "the of and to in is that for it with as was on you can a this not are how what your water every"
    italian = "il di e la che per un una con come in è sono non della del le i gli nel questo gatto cane qui ogni"
    lines = []
    for shift in range(40):
        for label, words in (("en", english.split()), ("it", italian.split())):
            turned = words[shift % len(words) :] + words[: shift % len(words)]
            lines.append(f"__label__{label} {' '.join(turned[:10])}")
    (folder / "train.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    # In a process of its own: in one that has loaded torch, fastText's training was seen to fail with "Encountered NaN".
    subprocess.run([sys.executable, "-c", TRAIN_IDENTIFIER, str(folder / "train.txt"), str(folder / "tiny.bin")], check=True, timeout=60)
    return folder / "tiny.bin"


@pytest.fixture(scope="session")
def identifier(tiny_identifier: Path) -> LanguageIdentifier:
    """The tiny identifier, loaded."""
    return load_identifier(tiny_identifier)


@pytest.fixture(scope="session")
def apertium() -> EngineChoice:
    """The demo's Apertium chain; fetched once and kept in the tests' cache."""
    from foundation.sources.debian import DebianPackages
    from foundation.sources.downloads import DownloadError
    from translation.engines import apertium as engine

    try:
        return engine.stage(DebianPackages(CACHE), CACHE, PAIRS)
    except DownloadError as error:
        pytest.skip(f"needs the Apertium packages of Debian: {error}")
