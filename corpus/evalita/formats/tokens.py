"""Token columns: a token and its label a line, a blank line between sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.text import numbered_lines


def token_sentences(path: Path) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """First line number, and tokens with labels, of each sentence; the last one needs no blank line after it.

    Raises:
        EvalitaError: a line has another number of columns, or a column is empty.
    """
    sentence: list[tuple[str, str]] = []
    first = 1
    for number, line in numbered_lines(path):
        if not line:
            if sentence:
                yield first, sentence
            sentence, first = [], number + 1
            continue
        values = line.split("\t")
        if len(values) != 2 or not all(values):
            raise EvalitaError(f"{path}, line {number}: expected token and label with a tab between them, found {line!r}")
        sentence.append((values[0], values[1]))
    if sentence:
        yield first, sentence
