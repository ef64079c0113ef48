"""Scores of fastText classifiers (quality, topic, register): any model, named in the profile by file and sha256."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from corpus.web.errors import WebCorpusError
from corpus.web.settings import ClassifierSettings
from foundation.language.identification import load_identifier
from foundation.settings import file_sha256
from foundation.sources.data import DataFolder
from foundation.sources.downloads import Downloads

DECIMALS = 6
"""Scores are rounded so: fastText computes in single precision."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model's file and the label whose probability is the score; picklable."""

    name: str
    path: Path
    label: str

    def row(self, text: str) -> Mapping[str, Any]:
        """The score of a text, as the column has it; 0 for a text without letters.

        Raises:
            WebCorpusError: the model has no such label.
        """
        scores = {found.label: found.score for found in load_identifier(self.path).scores(text, k=-1)}
        if scores and self.label not in scores:
            raise WebCorpusError(f"corpus.web.signals.classifiers: model {self.name} has no label {self.label!r}; it has {sorted(scores)[:20]}")
        return {"name": self.name, "label": self.label, "score": round(scores.get(self.label, 0.0), DECIMALS)}


def resolve_classifiers(settings: Sequence[ClassifierSettings], data: DataFolder, downloads: Downloads) -> tuple[Classifier, ...]:
    """The models' files, fetched where a URL is named.

    Raises:
        WebCorpusError: a file is missing or has another sha256.
        DownloadError: a URL cannot be read, or has another sha256.
    """
    return tuple(Classifier(entry.name, _file_of(entry, data, downloads), entry.label) for entry in settings)


def _file_of(entry: ClassifierSettings, data: DataFolder, downloads: Downloads) -> Path:
    if entry.url is not None:
        return downloads.url(entry.url, entry.sha256)
    path = named_file(entry.path or PurePath(), data, f"classifiers: {entry.name}")
    found = file_sha256(path)
    if found != entry.sha256:
        raise WebCorpusError(f"corpus.web.signals.classifiers: {entry.name}: {path} has sha256 {found}, and {entry.sha256} is named; correct either")
    return path


def named_file(path: PurePath, data: DataFolder, key: str) -> Path:
    """A file that a key of ``corpus.web.signals`` names: absolute, or below TRANSUMANZA_DATA.

    Raises:
        WebCorpusError: there is none.
    """
    for place in ([Path(path)] if path.is_absolute() else [data.root / path] if data.root else []):
        if place.is_file():
            return place
    where = "an absolute path" if data.root is None else f"a path below {data.root} (TRANSUMANZA_DATA) or an absolute one"
    raise WebCorpusError(f"corpus.web.signals.{key}: there is no file {path}; name {where}" + ("" if data.root else ", or set TRANSUMANZA_DATA"))
