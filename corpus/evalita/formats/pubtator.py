"""PubTator: ``id|t|text``, then tab-separated relations of the text with character offsets, end exclusive; a blank line between documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.text import numbered_lines

Span = tuple[int, int]
_TITLE = re.compile(r"([^|\t]+)\|t\|(.*)")
_SPAN = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class Document:
    """A text and its relations: source and target span each, in file order."""

    id: str
    text: str
    line: int
    relations: list[tuple[Span, Span]] = field(default_factory=list)


def documents(path: Path) -> Iterator[Document]:
    """All documents, those without relations too. A text may hold ``|``.

    Raises:
        EvalitaError: a line is neither a text nor a relation of the text above it, an id comes twice, or a span lies
            outside the text or does not hold the words that stand beside it.
    """
    current: Document | None = None
    seen: set[str] = set()
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        title = _TITLE.fullmatch(line)
        if title is None:
            if current is None:
                raise EvalitaError(f"{path}, line {number}: expected <id>|t|<text>, found {line[:80]!r}")
            current.relations.append(_relation(path, number, line, current))
            continue
        if current is not None:
            yield current
        if title[1] in seen:
            raise EvalitaError(f"{path}, line {number}: document {title[1]} comes a second time")
        seen.add(title[1])
        current = Document(title[1], title[2], number)
    if current is None:
        raise EvalitaError(f"{path} holds no document; expected lines of the form <id>|t|<text>")
    yield current


def _relation(path: Path, number: int, line: str, document: Document) -> tuple[Span, Span]:
    values = line.split("\t")
    if len(values) not in (4, 6) or values[1] != "REL":  # the two texts are optional (CLinkaRT's README)
        raise EvalitaError(f"{path}, line {number}: expected id, REL, two spans and their texts with tabs between them, found {line[:80]!r}")
    if values[0] != document.id:
        raise EvalitaError(f"{path}, line {number}: relation of document {values[0]}, below the text of document {document.id}")
    spans: list[Span] = []
    for place, text in zip(values[2:4], values[4:] or (None, None), strict=True):
        match = _SPAN.fullmatch(place)
        if match is None:
            raise EvalitaError(f"{path}, line {number}: span {place!r}, expected start-end")
        start, end = int(match[1]), int(match[2])
        if not 0 <= start < end <= len(document.text):
            raise EvalitaError(f"{path}, line {number}: span {place} lies outside the text of document {document.id} ({len(document.text)} characters)")
        if text is not None and document.text[start:end] != text:
            raise EvalitaError(f"{path}, line {number}: span {place} holds {document.text[start:end]!r}, the file says {text!r}")
        spans.append((start, end))
    return spans[0], spans[1]
