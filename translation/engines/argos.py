"""Argos Translate packages, run on CTranslate2 and SentencePiece directly.

The decoding parameters are those of argostranslate 1.11 (``translate.py``, ``apply_packaged_translation``), and in float32 the
tokens are the same.
"""

from __future__ import annotations

from pathlib import Path

from translation.engines.argos_package import ArgosPackage
from translation.engines.engine import EngineChoice
from translation.engines.transformer import Decoding, TransformerModel
from translation.settings import ArgosSettings


def choice_of(package: ArgosPackage, settings: ArgosSettings, note: str = "") -> EngineChoice:
    """The choice of an unpacked package with its decoding parameters."""
    return EngineChoice(
        kind="argos",
        package=f"{package.name} sha256:{package.sha256}",
        parameters=(*settings.decoding(), ("target_prefix", package.target_prefix)),
        deterministic=settings.exact,
        independent=settings.exact,
        location=str(package.folder),
        run_parameters=settings.running(),
        note=note,
    )


def open_package(choice: EngineChoice) -> TransformerModel:
    """The engine of a chosen package.

    Raises:
        EngineError: its files cannot be used.
    """
    folder = Path(choice.location)
    tokenizer = folder / "sentencepiece.model"
    return TransformerModel(choice.package, folder / "model", tokenizer, tokenizer, Decoding.of({**dict(choice.parameters), **dict(choice.run_parameters)}))
