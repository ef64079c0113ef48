"""Batches: different sentences through an engine, batch by batch, and through the cache of what it has translated before."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from translation.cache import TranslationCache
from translation.engines.engine import Engine, EngineChoice, Translation
from translation.errors import EngineError
from translation.segmentation import LINE_ENDS

_LINE_END = re.compile(f"[{LINE_ENDS}]")


@dataclass
class Effort:
    """What translating took: unique sentences, those that the cache knew, and seconds in the engine; differs from run to run."""

    sentences: int = 0
    cached: int = 0
    engine_seconds: float = 0.0


@dataclass
class SentenceTranslator:
    """An opened engine with its cache (None: none)."""

    engine: Engine
    choice: EngineChoice
    cache: TranslationCache | None
    effort: Effort = field(default_factory=Effort)

    def translated(self, sentences: Sequence[str]) -> dict[str, Translation]:
        """Translations by sentence; none holds a line end or white space at its ends.

        Raises:
            EngineError: the engine failed, or broke its contract.
        """
        found: dict[str, Translation] = {}
        for batch in self.engine.batches(sentences):
            known = self.cache.find(batch) if self.cache is not None else {}
            waiting = [sentence for sentence in batch if sentence not in known]
            found.update(known)
            self.effort.sentences += len(batch)
            self.effort.cached += len(known)
            if waiting:
                found.update(self._asked(waiting))
                if self.cache is not None:
                    self.cache.keep(batch, {sentence: found[sentence] for sentence in waiting})
        return found

    def lengths(self, sentences: Sequence[str]) -> list[int]:
        """Tokens of each sentence, as the engine counts them; 0 where it has no limit that is known."""
        return self.engine.lengths(sentences)

    def _asked(self, batch: Sequence[str]) -> dict[str, Translation]:
        clock = time.monotonic()
        translations = self.engine.translate(batch)
        self.effort.engine_seconds += time.monotonic() - clock
        if len(translations) != len(batch):
            raise EngineError(f"{self.choice.package} gave {len(translations)} translations for {len(batch)} sentences")
        return {
            sentence: Translation(_LINE_END.sub(" ", entry.text).strip(), entry.score, entry.truncated, entry.unknown_words)
            for sentence, entry in zip(batch, translations, strict=True)
        }
