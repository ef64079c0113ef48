"""Cleaning: what is mended in a text, and what makes a text unfit for translation.

Belongs here: single texts. What becomes of the chat or the instruction that holds them belongs to ``outcomes``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from foundation.language.mojibake import mojibake
from foundation.language.sentences import SentenceSettings
from foundation.language.source_language import SourceCleaning, SourceTasks
from translation.settings import CleaningSettings
from translation.sources.casing import Truecaser
from translation.sources.tasks import FoundTask, TaskFinder, plain

_CITATION = re.compile(
    r"""
      (?P<code> ^[ ]{0,3}(?P<fence>`{3,}|~{3,}).*?(?:^[ ]{0,3}(?P=fence)|\Z) | (?P<ticks>`+)(?!`)(?:(?!(?P=ticks))[^\n])+(?P=ticks) )
    | \[\d{1,3}\] (?! \s*[=+*/<>] | \( | \.\w | :\s*https?: )   # no index of an array, no label of a link
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
"""Marks of notes as Wikipedia has them, and the code in which they are none."""

EXAMPLES = 6
"""Changes of each step that are remembered."""


@dataclass(frozen=True)
class SourceLanguage:
    """What the language file says of the source language."""

    sentences: SentenceSettings = field(default_factory=SentenceSettings)
    cleaning: SourceCleaning = field(default_factory=SourceCleaning)
    tasks: SourceTasks = field(default_factory=lambda: SourceTasks({}))


class Cleaner:
    """The steps that are switched on, ready to be used on many texts.

    ``examples`` gathers the first changes of each step, for people: ``step``, ``before`` and ``after``, cut to where they differ.

    Raises:
        SourceError: the settings name a kind of task that the language file does not have.
    """

    def __init__(self, settings: CleaningSettings, language: SourceLanguage) -> None:
        self.settings = settings
        self.examples: list[dict[str, str]] = []
        self._truecase = Truecaser(language.sentences, language.cleaning)
        self._refusals = re.compile("|".join(f"(?:{pattern})" for pattern in language.cleaning.refusals)) if language.cleaning.refusals else None
        self._tasks = TaskFinder(language.tasks, settings.kept_tasks, settings.request_characters)

    def truecased(self, text: str, changes: Counter[str]) -> str:
        """The text with the capitals it lacks; the change is counted."""
        if not self.settings.truecasing:
            return text
        return self._counted(text, self._truecase(text), "truecasing", changes)

    def without_citation_marks(self, text: str, changes: Counter[str]) -> str:
        """The text without Wikipedia's marks of notes; code keeps its indices."""
        if not self.settings.citation_marks or "[" not in text:
            return text
        cleaned = _CITATION.sub(lambda match: match["code"] or "", text).strip()
        return self._counted(text, cleaned, "citation_marks", changes)

    def fault(self, text: str) -> str | None:
        """Why a text, whosever it is, cannot be translated."""
        return "mojibake" if self.settings.mojibake and mojibake(text) else None

    def refuses(self, answer: str) -> bool:
        """Whether an answer is a refusal, or speaks of the model that gives it."""
        return self.settings.refusals and self._refusals is not None and self._refusals.search(plain(answer)) is not None

    def task(self, request: str) -> FoundTask | None:
        """The task bound to the source language that a request is."""
        return self._tasks.find(request) if self.settings.language_tasks else None

    def _counted(self, before: str, after: str, step: str, changes: Counter[str]) -> str:
        if after != before:
            changes[step] += 1
            if sum(example["step"] == step for example in self.examples) < EXAMPLES:
                place = next((index for index, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), 0)
                around = slice(max(0, place - 60), place + 60)
                self.examples.append({"step": step, "before": before[around], "after": after[around]})
        return after
