"""A translation model of CTranslate2 with its SentencePiece tokenizers: what Argos packages and converted models share.

argostranslate calls the engine once for each line, in batches of 32 tokens; here sentences of many texts are sorted by length and
decoded in batches of a thousand tokens and more. In float32 a sentence's tokens are the same in any batch; its score's last digits
are not, and in the other compute types near-ties may fall otherwise (CTranslate2 issues 693 and 1079).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translation.engines.engine import Translation
from translation.errors import EngineError

BATCHES_AT_ONCE = 16
"""Batches that CTranslate2 gets in one call, and that are kept together: a call costs little beside some 16,000 tokens."""

UNKNOWN = "<unk>"
"""The token of what a vocabulary lacks, in OpenNMT's, Marian's and NLLB's vocabularies."""


@dataclass(frozen=True)
class Decoding:
    """How a model decodes, and what it runs on; ``prefix`` is forced at the output's beginning, as one token."""

    beam_size: int
    length_penalty: float
    max_output_tokens: int
    compute_type: str
    prefix: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    batch_tokens: int
    device: str
    threads: int

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> Decoding:
        """From the parameters of a choice, run parameters among them."""
        names = ("beam_size", "length_penalty", "max_output_tokens", "compute_type", "batch_tokens", "device", "threads")
        before, after = (tuple(str(parameters.get(name, "")).split()) for name in ("before", "after"))
        return cls(**{name: parameters[name] for name in names}, prefix=str(parameters["target_prefix"]), before=before, after=after)


class TransformerModel:
    """An opened model: sentences to tokens, tokens to tokens, tokens to text."""

    def __init__(self, name: str, model: Path, source: Path, target: Path, decoding: Decoding) -> None:
        import ctranslate2
        import sentencepiece

        self._name = name
        self._decoding = decoding
        try:
            self._source = sentencepiece.SentencePieceProcessor(model_file=str(source))
            self._target = self._source if source == target else sentencepiece.SentencePieceProcessor(model_file=str(target))
            self._translator = ctranslate2.Translator(
                str(model), device=decoding.device, compute_type=decoding.compute_type, inter_threads=1, intra_threads=decoding.threads
            )
        except (RuntimeError, OSError, ValueError) as error:
            raise EngineError(f"{name} cannot be opened ({error}); get the files again, or set another compute_type or device") from error

    def batches(self, sentences: Sequence[str]) -> list[list[str]]:
        """Sentences of like length together, the longest first: memory is short at once or never."""
        lengths = self.lengths(sentences)
        order = sorted(range(len(sentences)), key=lambda index: (-lengths[index], sentences[index]))
        budget = self._decoding.batch_tokens * BATCHES_AT_ONCE
        batches: list[list[str]] = []
        left = 0
        for index in order:
            if left < lengths[index] or not batches:
                batches.append([])
                left = budget
            batches[-1].append(sentences[index])
            left -= max(lengths[index], 1)
        return batches

    def lengths(self, sentences: Sequence[str]) -> list[int]:
        """Pieces of each sentence, the model's own marks not counted."""
        return [len(pieces) for pieces in self._source.encode(list(sentences))]

    def tokens(self, sentences: Sequence[str]) -> list[tuple[list[str], float]]:
        """Output tokens, and the score as CTranslate2 gives it: the sum of log-probabilities over length to the power of the penalty.

        Unknown tokens are replaced by the source's, as argostranslate asks for. That needs the attention of every step, a tenth of all
        time, and changes nothing but unknown tokens: so only sentences with one are decoded again for it.

        Raises:
            EngineError: the engine fails.
        """
        pieces = self._source.encode(list(sentences), out_type=str)
        results = self._decoded(sentences, pieces, replace_unknowns=False)
        again = [index for index, (tokens, _) in enumerate(results) if UNKNOWN in tokens]
        if again:
            replaced = self._decoded([sentences[index] for index in again], [pieces[index] for index in again], replace_unknowns=True)
            for index, result in zip(again, replaced, strict=True):
                results[index] = result
        return results

    def _decoded(self, sentences: Sequence[str], pieces: Sequence[Sequence[str]], *, replace_unknowns: bool) -> list[tuple[list[str], float]]:
        decoding = self._decoding
        try:
            results = self._translator.translate_batch(
                [[*decoding.before, *line, *decoding.after] for line in pieces],
                target_prefix=[[decoding.prefix]] * len(pieces) if decoding.prefix else None,
                replace_unknowns=replace_unknowns,
                max_batch_size=decoding.batch_tokens,
                batch_type="tokens",
                beam_size=decoding.beam_size,
                num_hypotheses=1,
                length_penalty=decoding.length_penalty,
                max_input_length=0,  # nothing is cut: long sentences were split at clauses
                max_decoding_length=decoding.max_output_tokens,
                return_scores=True,
            )
        except (RuntimeError, ValueError) as error:
            hint = "; lower batch_tokens" if "memory" in str(error).lower() else ""
            raise EngineError(f"{self._name} failed on a batch of {len(sentences)} sentences, the first {sentences[0][:80]!r} ({error}){hint}") from error
        return [(result.hypotheses[0], float(result.scores[0])) for result in results]

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        """A batch of sentences; underscores of the output stay, unlike argostranslate's."""
        decoding = self._decoding
        translations = []
        for tokens, score in self.tokens(sentences):
            truncated = len(tokens) >= decoding.max_output_tokens
            count = len(tokens) + (not truncated)  # the end token is in the score
            kept = tokens[1:] if decoding.prefix and tokens[:1] == [decoding.prefix] else tokens
            text = " ".join(self._target.decode_pieces(kept).replace("▁", " ").split())
            translations.append(Translation(text, score * count**decoding.length_penalty / count if count else None, truncated))
        return translations
