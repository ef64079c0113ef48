"""Fixtures of the translation tests: the toy package, a tiny language identifier, Apertium where its packages are cached."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from translation.engines.engine import EngineChoice

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def toy_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real .argosmodel, trained here."""
    from tests.translation.toy_argos import build

    return build(tmp_path_factory.mktemp("toy_argos"))


@pytest.fixture(scope="session")
def tiny_identifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fastText model that tells English from Italian by a few words, trained in a moment."""
    import fasttext

    folder = tmp_path_factory.mktemp("identifier")
    english = "the of and to in is that for it with as was on you can a this not are how what your water every"
    italian = "il di e la che per un una con come in è sono non della del le i gli nel questo gatto cane qui ogni"
    lines = []
    for shift in range(40):
        for label, words in (("en", english.split()), ("it", italian.split())):
            turned = words[shift % len(words) :] + words[: shift % len(words)]
            lines.append(f"__label__{label} {' '.join(turned[:10])}")
    (folder / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    model = fasttext.train_supervised(str(folder / "train.txt"), epoch=20, lr=0.1, dim=8, minn=2, maxn=3, bucket=2000, thread=1, verbose=0)
    model.save_model(str(folder / "tiny.bin"))
    return folder / "tiny.bin"


@pytest.fixture(scope="session")
def apertium() -> EngineChoice:
    """The demo's Apertium chain, from a cache that a run or `transumanza fetch` has filled; the network is not used."""
    from foundation.sources.debian import DebianPackages
    from foundation.sources.downloads import DownloadError
    from translation.engines import apertium as engine
    from translation.settings import ApertiumSettings

    cache = Path(os.environ.get("TRANSUMANZA_HOME", REPOSITORY / ".transumanza")) / "cache"
    try:
        return engine.stage(DebianPackages(cache, offline=True), cache, ApertiumSettings().pairs)
    except DownloadError as error:
        pytest.skip(f"needs the Apertium packages in the cache: {error}")
