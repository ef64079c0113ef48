"""Argos Translate packages, run on CTranslate2 and SentencePiece directly.

argostranslate calls the engine once for each line, in batches of 32 tokens; here one call takes a whole shard, sorted
by length. The decoding parameters are those of argostranslate 1.11 (``translate.py``, ``apply_packaged_translation``),
and in float32 the tokens are the same. Unlike it, underscores of the output are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from translation.engines.argos_package import ArgosPackage
from translation.engines.engine import EngineChoice, Translation
from translation.errors import EngineError
from translation.settings import ArgosSettings


def choice_of(package: ArgosPackage, settings: ArgosSettings, note: str = "") -> EngineChoice:
    """The choice of an unpacked package with its decoding parameters."""
    return EngineChoice(
        kind="argos",
        package=f"{package.name} sha256:{package.sha256}",
        parameters=(
            ("beam_size", settings.beam_size),
            ("compute_type", settings.compute_type),
            ("length_penalty", settings.length_penalty),
            ("max_output_tokens", settings.max_output_tokens),
            ("target_prefix", package.target_prefix),
        ),
        deterministic=settings.compute_type == "float32" and settings.device == "cpu",
        location=str(package.folder),
        run_parameters=(("batch_tokens", settings.batch_tokens), ("device", settings.device), ("threads", settings.threads)),
        note=note,
    )


class ArgosEngine:
    """An opened package."""

    def __init__(self, choice: EngineChoice) -> None:
        import ctranslate2
        import sentencepiece

        self._parameters: dict[str, Any] = {**dict(choice.parameters), **dict(choice.run_parameters)}
        folder = Path(choice.location)
        try:
            self._tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))
            self._translator = ctranslate2.Translator(
                str(folder / "model"),
                device=self._parameters["device"],
                compute_type=self._parameters["compute_type"],
                inter_threads=1,
                intra_threads=self._parameters["threads"],
            )
        except (RuntimeError, OSError, ValueError) as error:
            raise EngineError(f"{choice.package} cannot be opened ({error}); get the package again, or another compute_type") from error

    def tokens(self, sentences: Sequence[str]) -> list[tuple[list[str], float]]:
        """Output tokens and score of each sentence: what argostranslate's engine call gives."""
        tokenized = [self._tokenizer.encode(sentence, out_type=str) for sentence in sentences]
        prefix = self._parameters["target_prefix"]
        results = self._translator.translate_batch(
            tokenized,
            target_prefix=[[prefix]] * len(tokenized) if prefix else None,
            replace_unknowns=True,
            max_batch_size=self._parameters["batch_tokens"],
            batch_type="tokens",
            beam_size=self._parameters["beam_size"],
            num_hypotheses=1,
            length_penalty=self._parameters["length_penalty"],
            max_decoding_length=self._parameters["max_output_tokens"],
            return_scores=True,
        )
        return [(result.hypotheses[0], float(result.scores[0])) for result in results]

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        prefix = self._parameters["target_prefix"]
        translations = []
        for tokens, score in self.tokens(sentences):
            text = self._tokenizer.decode_pieces(tokens).replace("▁", " ").strip()
            text = text.removeprefix(prefix).strip() if prefix else text
            translations.append(Translation(text, score, truncated=len(tokens) >= self._parameters["max_output_tokens"]))
        return translations
