"""Evaluation text: native text of the target language and text of the source language, of sources never trained on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from corpus.web.decoding import decode
from corpus.web.errors import WebCorpusError
from corpus.web.extraction import main_text
from corpus.web.made.bundled import BundledPage, html_of
from corpus.web.plain_text import cut_at_line, row
from corpus.web.settings import EvaluationPackage, EvaluationTextSettings
from foundation.language.identification import LanguageIdentifier

WIKINEWS_LICENCE = "CC-BY-NC-4.0"
"""Licence of the NERMuD files (dhfbk/KIND, README)."""
_PARAGRAPH_CHARACTERS = 80
"""Shorter paragraphs are titles and list items."""
_BEFORE = re.compile(r"\s+([,.;:!?)»”])")
_AFTER = re.compile(r"([(«“'’])\s+")


def package_rows(
    packages: Sequence[EvaluationPackage],
    folders: Sequence[Path],
    settings: EvaluationTextSettings,
    identifier: LanguageIdentifier,
    label: str,
) -> list[dict[str, object]]:
    """Documents of packages: prose paragraphs identified as the wanted language, one document a page, drawn by hash."""
    pages = [
        (package, path, path.relative_to(folder).as_posix())
        for package, folder in zip(packages, folders, strict=True)
        for path in sorted(folder.rglob("*.html"))
        if path.is_file() and not path.is_symlink()
    ]
    pages.sort(key=lambda page: hashlib.sha256(f"{page[0].name}/{page[2]}".encode()).hexdigest())
    rows: list[dict[str, object]] = []
    for package, path, place in pages:
        text = prose(main_text(decode(path.read_bytes(), None).text, favour_precision=True), identifier, label)
        text = cut_at_line(text, settings.document_characters)
        if len(text) >= settings.document_characters // 3:
            rows.append(row(package.name, f"https://{package.name}.example/{place}", package.licence, text))
        if len(rows) == settings.documents:
            break
    return _in_order(rows)


def bundled_rows(
    pages: Sequence[BundledPage], identifier: LanguageIdentifier, label: str, licence: str, settings: EvaluationTextSettings
) -> list[dict[str, object]]:
    """Documents of the pages written for this project that are identified as the wanted language."""
    rows: list[dict[str, object]] = []
    for page in pages:
        text = cut_at_line(main_text(html_of(page).decode(), favour_precision=True), settings.document_characters)
        scores = identifier.scores(text)
        if scores and scores[0].label == label and len(rows) < settings.documents:
            rows.append(row("bundled", page.url, licence, text))
    return _in_order(rows)


def wikinews_rows(path: Path, settings: EvaluationTextSettings) -> list[dict[str, object]]:
    """Documents of a token file (token<TAB>label, a blank line after each sentence): whole sentences in a row.

    Raises:
        WebCorpusError: the file is no UTF-8, or a line is neither blank nor two fields.
    """
    rows: list[dict[str, object]] = []
    sentences: list[str] = []
    for sentence in _sentences(path):
        sentences.append(sentence)
        if sum(map(len, sentences)) >= settings.document_characters:
            text = cut_at_line("\n".join(sentences), settings.document_characters)
            rows.append(row("wikinews", f"urn:nermud:{path.stem}:{len(rows)}", WIKINEWS_LICENCE, text))
            sentences = []
        if len(rows) == settings.documents:
            break
    return _in_order(rows)


def prose(text: str, identifier: LanguageIdentifier, label: str) -> str:
    """The paragraphs that are long enough to be prose and identified as the wanted language."""
    kept = []
    for line in text.split("\n"):
        scores = identifier.scores(line) if len(line) >= _PARAGRAPH_CHARACTERS else []
        if scores and scores[0].label == label:
            kept.append(line)
    return "\n".join(kept)


def _sentences(path: Path) -> Iterator[str]:
    tokens: list[str] = []
    try:
        content = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise WebCorpusError(f"{path}: the byte at offset {error.start} is no UTF-8; save the file as UTF-8") from error
    for number, row_text in enumerate(content.split("\n"), start=1):
        line = row_text.removesuffix("\r")
        if line.strip():
            fields = line.split("\t")
            if len(fields) < 2:
                raise WebCorpusError(f"{path}: line {number} is {line!r}; expected token<TAB>label or a blank line")
            tokens.append(fields[0])
        elif tokens:
            yield _joined(tokens)
            tokens = []
    if tokens:
        yield _joined(tokens)


def _joined(tokens: Sequence[str]) -> str:
    """Tokens as running text: no space before closing marks or after opening ones."""
    return _AFTER.sub(r"\1", _BEFORE.sub(r"\1", " ".join(tokens)))


def _in_order(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    unique = {str(entry["document_id"]): entry for entry in rows}
    return [unique[key] for key in sorted(unique)]
