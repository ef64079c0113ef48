"""Tasks that only have an answer in their own language: rhymes, spelling, word counts, puns. Found in requests, by the language's patterns.

The patterns are data of the language file (``language.source_tasks``). Only the request is looked at: an answer that speaks of rhymes is
no such task. Of a long request, what is in the middle is material.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from foundation.language.source_language import SourceTasks
from translation.errors import SourceError

MATCH_CHARACTERS = 160
"""What is kept of the words that matched."""


@dataclass(frozen=True, slots=True)
class FoundTask:
    """The kind of a task and the words, in lower case, by which it was told."""

    kind: str
    matched: str


class TaskFinder:
    """Finds the first kind of task whose pattern matches a request.

    Args:
        tasks: patterns by kind.
        kept: kinds that are not looked for.
        request_characters: of a longer request, its first and last so many characters are looked at.

    Raises:
        SourceError: a kept kind is none of the language file.
    """

    def __init__(self, tasks: SourceTasks, kept: Collection[str], request_characters: int) -> None:
        if unknown := sorted(set(kept) - set(tasks.root)):
            raise SourceError(f"translation.sources.cleaning.kept_tasks: {unknown} are no kinds of language.source_tasks; it has {sorted(tasks.root)}")
        self._patterns = [(kind, re.compile(pattern)) for kind, patterns in tasks.root.items() if kind not in kept for pattern in patterns]
        self._request_characters = request_characters

    def find(self, request: str) -> FoundTask | None:
        """The task that a request is; None where it is none of them."""
        limit = self._request_characters
        text = plain(request if len(request) <= 2 * limit else f"{request[:limit]}\n{request[-limit:]}")
        for kind, pattern in self._patterns:
            if (match := pattern.search(text)) is not None:
                return FoundTask(kind, match[0][:MATCH_CHARACTERS])
        return None


def plain(text: str) -> str:
    """A text as patterns see it: in lower case, with straight apostrophes."""
    return text.lower().replace("’", "'")
