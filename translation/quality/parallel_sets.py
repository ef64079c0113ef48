"""Parallel sets: sentences with a translation by people, to score an engine on; never to train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.sources.data import DataFolder
from translation.errors import SourceError
from translation.settings import ParallelSet

_FAULTS_NAMED = 3


@dataclass(frozen=True)
class Pairs:
    """The sentences of a set in both languages, in its order."""

    name: str
    licence: str
    sources: tuple[str, ...]
    references: tuple[str, ...]


def read_sets(sets: Sequence[ParallelSet], data: DataFolder, most: int | None = None) -> tuple[list[Pairs], list[str]]:
    """The sets whose files are there, and the names of the others.

    Args:
        sets: what the profile names.
        data: where files are looked for.
        most: only the first so many pairs of each; None: all.

    Raises:
        SourceError: a file cannot be used; names file and line.
    """
    found, missing = [], []
    for entry in sets:
        paths = [next(iter(data.find(name)), None) for name in (entry.source, *([entry.target] if entry.target else []))]
        if any(path is None for path in paths):
            missing.append(entry.name)
            continue
        files = [path for path in paths if path is not None]
        pairs = list(_of_two_files(*files) if entry.target else _of_table(files[0], entry.columns))[:most]
        if not pairs:
            raise SourceError(f"parallel set {entry.name}: {files[0]} holds no sentences")
        found.append(Pairs(entry.name, entry.licence, tuple(source for source, _ in pairs), tuple(target for _, target in pairs)))
    return found, missing


def _of_two_files(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    sides = [_lines(path) for path in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise SourceError(f"{source} has {len(sides[0])} lines and {target} {len(sides[1])}; a parallel set has one line for each sentence in both")
    return zip(*sides, strict=True)


def _of_table(path: Path, columns: tuple[int, int]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_lines(path), 1):
        cells = line.split("\t")
        if len(cells) <= max(columns):
            raise SourceError(f"{path}, line {number}: {len(cells)} columns, and columns {list(columns)} are asked for (counted from 0, tabs between)")
        yield cells[columns[0]], cells[columns[1]]


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 ({error.reason} at byte {error.start})") from error
    return text.removesuffix("\n").split("\n") if text else []
