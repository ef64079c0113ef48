"""What is known of the language that translations start from: its fixed phrases and its own tasks, data of the language file.

Belongs here: which settings there are and that they can be used. What is done with them is the translation workshop's affair.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, RootModel, StringConstraints

from foundation.settings import Settings

_CLASSES = re.compile(r"\\.|\(\?P[<=]")
"""``\\S``, ``(?P<…>``: capitals that are no letters of a text."""


def _usable(pattern: str) -> str:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression ({error})") from error
    if compiled.search("") is not None:
        raise ValueError(f"{pattern!r} matches an empty text, and so every text; leave out what may be absent")
    if (bare := _CLASSES.sub("", pattern)) != bare.lower():
        raise ValueError(f"{pattern!r} holds a capital, and texts are put in lower case before patterns are tried; write it in lower case")
    return pattern


LowerCasePattern = Annotated[str, AfterValidator(_usable)]
"""A regular expression (Python's ``re``) that is tried on a text in lower case, its apostrophes written ``'``."""
_LowerCase = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^A-Z\s]+$")]
_TaskName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class SourceTasks(RootModel[dict[_TaskName, tuple[LowerCasePattern, ...]]]):
    """Tasks that only have an answer in the source language, by kind: rhymes, spelling, word counts, puns, …

    A request that one of a kind's patterns matches is such a task; kinds are tried in the file's order, and the first one names it.
    """

    model_config = ConfigDict(frozen=True)


class SourceCleaning(Settings):
    """Words and phrases of the source language by which texts are cleaned before they are translated."""

    refusals: tuple[LowerCasePattern, ...] = Field((), description="Answers in which a model refuses, or speaks of itself instead of the matter.")
    pronouns: tuple[LowerCasePattern, ...] = Field(
        (), description="Where the first letter is a capital wherever it stands, as in the English 'I'; tried on the text as it is, so that capitals never match."
    )
    greetings: tuple[_LowerCase, ...] = Field((), description="Words that make a sentence of their own: 'Hello! how are you?'.")
    abbreviations: tuple[_LowerCase, ...] = Field(
        (), description="Beside those of source_sentences, without the last full stop: abbreviations that may end a sentence, so that a small letter behind says nothing."
    )
    one_letter_words: tuple[_LowerCase, ...] = Field((), description="Words of one letter that may begin a sentence; other letters are names of things.")
    always_lower: tuple[_LowerCase, ...] = Field((), description="Names and commands that stay as they are at the start of a sentence.")
