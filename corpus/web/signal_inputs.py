"""Files that signals are measured with: word lists and classifiers that the profile names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from corpus.web.bad_words import read_word_list
from corpus.web.classifiers import Classifier, named_file, resolve_classifiers
from corpus.web.reporting import section
from corpus.web.settings import SignalSettings
from foundation.stages import StageSetup


def word_lists(setup: StageSetup) -> Mapping[str, tuple[str, ...]] | None:
    """The words of each list by its name; None where the profile names no list.

    Raises:
        WebCorpusError: a file is missing, or is no word list.
    """
    settings = section(setup, "corpus.web.signals", SignalSettings)
    lists = {name: read_word_list(named_file(path, setup.data, f"word_lists: {name}")) for name, path in sorted(settings.word_lists.items())}
    return lists or None


def classifiers(setup: StageSetup) -> tuple[Classifier, ...]:
    """The classifiers with their files, fetched where a URL is named.

    Raises:
        WebCorpusError: a file is missing or has another sha256.
    """
    settings = section(setup, "corpus.web.signals", SignalSettings)
    return resolve_classifiers(settings.classifiers, setup.data, setup.downloads)


def files(setup: StageSetup) -> Sequence[Path]:
    """Files of the user that are read; models by URL count by the sha256 in their settings."""
    settings = section(setup, "corpus.web.signals", SignalSettings)
    lists = [named_file(path, setup.data, f"word_lists: {name}") for name, path in sorted(settings.word_lists.items())]
    models = [named_file(entry.path, setup.data, f"classifiers: {entry.name}") for entry in settings.classifiers if entry.path is not None]
    return [*lists, *models]
