"""Folders with a model that CTranslate2's converters made: OPUS-MT (Marian) and NLLB, with their SentencePiece tokenizers.

The tokens around a sentence are those of the models' own tokenizers in transformers (``MarianTokenizer``, ``NllbTokenizer``), as
CTranslate2's documentation has them for converted models.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from foundation.settings import file_sha256
from translation.engines.engine import EngineChoice
from translation.engines.transformer import Decoding, TransformerModel
from translation.errors import EngineError
from translation.settings import ConvertedModelSettings

END = "</s>"


@dataclass(frozen=True)
class _Layout:
    """Where a family keeps its tokenizers."""

    source: str
    target: str


_LAYOUTS = {
    "opus-mt": _Layout("source.spm", "target.spm"),
    "nllb": _Layout("sentencepiece.bpe.model", "sentencepiece.bpe.model"),
}


def choice_of(settings: ConvertedModelSettings) -> EngineChoice:
    """The choice of a folder, which is named by the sha256 of its files.

    Raises:
        EngineError: a file is missing, the folder is of no known family, or it is not the pinned one.
    """
    folder = settings.path
    if folder is None or not folder.is_dir():
        raise EngineError(f"translation.engine.ctranslate2.path: no such folder {folder}; name the output folder of a ct2-*-converter")
    family = settings.family or _family(folder)
    layout = _LAYOUTS[family]
    missing = [name for name in ("model.bin", "config.json", layout.source, layout.target) if not (folder / name).is_file()]
    if missing:
        raise EngineError(f"{folder} lacks {missing}, which a converted {family} model has; convert it with --copy_files {layout.source} {layout.target}")
    digest = _folder_sha256(folder)
    if settings.sha256 is not None and settings.sha256 != digest:
        raise EngineError(f"{folder} has sha256 {digest}, and {settings.sha256} is pinned")
    if family == "nllb" and not (settings.source_language and settings.target_language):
        raise EngineError(
            f"{folder} is an NLLB model, which needs translation.engine.ctranslate2.source_language and target_language, such as eng_Latn and ita_Latn"
        )
    before, after, prefix = _affixes(folder, family, settings)
    for token, side in ((before, "source"), (after, "source"), (prefix, "target")):
        if token and token not in _vocabulary(folder, side):
            raise EngineError(f"{folder} has no token {token!r} in its {side} vocabulary; look at translation.engine.ctranslate2.{side}_language")
    return EngineChoice(
        kind="ctranslate2",
        package=f"{settings.name or folder.name} ({family}) sha256:{digest}",
        parameters=(*settings.decoding(), ("after", after), ("before", before), ("target_prefix", prefix)),
        deterministic=settings.exact,
        independent=settings.exact,
        location=str(folder),
        run_parameters=(*settings.running(), ("family", family)),
    )


def open_model(choice: EngineChoice) -> TransformerModel:
    """The engine of a chosen folder.

    Raises:
        EngineError: its files cannot be used.
    """
    folder = Path(choice.location)
    parameters = {**dict(choice.parameters), **dict(choice.run_parameters)}
    layout = _LAYOUTS[str(parameters["family"])]
    decoding = Decoding.of(parameters)
    return TransformerModel(choice.package, folder, folder / layout.source, folder / layout.target, decoding)


def _family(folder: Path) -> str:
    for family, layout in _LAYOUTS.items():
        if (folder / layout.source).is_file():
            return family
    raise EngineError(
        f"{folder} holds none of {[layout.source for layout in _LAYOUTS.values()]}: it is neither a converted OPUS-MT model nor an NLLB one; "
        "convert it with --copy_files and the names of its tokenizers"
    )


def _affixes(folder: Path, family: str, settings: ConvertedModelSettings) -> tuple[str, str, str]:
    """Tokens before and after each sentence, and the one forced at the beginning of the output."""
    try:
        adds_end = bool(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("add_source_eos"))
    except (ValueError, AttributeError) as error:
        raise EngineError(f"{folder / 'config.json'} is not what a converter writes ({error}); convert the model again") from error
    if family == "nllb":
        return settings.source_language, "" if adds_end else END, settings.target_language
    return settings.source_language, "" if adds_end else END, ""


def _vocabulary(folder: Path, side: str) -> frozenset[str]:
    """The tokens of one side, from the file that is there: of both or of one, JSON or (before CTranslate2 3) a token a line."""
    for name in (f"{side}_vocabulary", "shared_vocabulary"):
        for path in (folder / f"{name}.json", folder / f"{name}.txt"):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                return frozenset(json.loads(text) if path.suffix == ".json" else text.split("\n"))
    raise EngineError(f"{folder} holds no {side}_vocabulary.json nor shared_vocabulary.json; convert the model again")


def _folder_sha256(folder: Path) -> str:
    """Of the names and contents of all files, in order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()
