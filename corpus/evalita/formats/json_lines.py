"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.text import numbered_lines


def json_lines(path: Path, columns: Mapping[str, type]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line number and object of each line; blank lines are skipped.

    ``float`` takes whole numbers too, as JSON writes 4.0 and 4 for the same value.

    Raises:
        EvalitaError: a line is no JSON object, or a column is missing or of another type.
    """
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise EvalitaError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise EvalitaError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}")
        for name, kind in columns.items():
            if name not in row:
                raise EvalitaError(f"{path}, line {number}: no column {name!r}; expected {list(columns)}, found {list(row)}")
            accepted = (int, float) if kind is float else kind
            if not isinstance(row[name], accepted) or (kind is not bool and isinstance(row[name], bool)):
                raise EvalitaError(f"{path}, line {number}: column {name!r} is {row[name]!r}, expected {kind.__name__}")
        yield number, row
