"""Files that signals are measured with: word lists and classifiers that the profile names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from corpus.web.bad_words import read_word_list
from corpus.web.classifiers import Classifier, named_file, resolve_classifiers
from corpus.web.reporting import section
from corpus.web.settings import PinnedWordList, SignalSettings
from foundation.stages import StageSetup


def word_lists(setup: StageSetup) -> Mapping[str, tuple[str, ...]] | None:
    """The words of each list by its name, fetched where a URL is named; None where the profile names no list.

    Raises:
        WebCorpusError: a file is missing, or is no word list.
        DownloadError: a URL cannot be read, or has another sha256.
    """
    settings = section(setup, "corpus.web.signals", SignalSettings)
    lists = {name: read_word_list(_word_file(name, place, setup)) for name, place in sorted(settings.word_lists.items())}
    return lists or None


def _word_file(name: str, place: PinnedWordList | PurePosixPath, setup: StageSetup) -> Path:
    if isinstance(place, PinnedWordList):
        return setup.downloads.url(place.url, place.sha256)
    return named_file(place, setup.data, f"word_lists: {name}")


def classifiers(setup: StageSetup) -> tuple[Classifier, ...]:
    """The classifiers with their files, fetched where a URL is named.

    Raises:
        WebCorpusError: a file is missing or has another sha256.
        DownloadError: as of ``word_lists``.
    """
    settings = section(setup, "corpus.web.signals", SignalSettings)
    return resolve_classifiers(settings.classifiers, setup.data, setup.downloads)


def fetched(setup: StageSetup) -> None:
    """Bring all that is named by a URL into the cache, and see that all of it can be used."""
    word_lists(setup)
    classifiers(setup)


def files(setup: StageSetup) -> Sequence[Path]:
    """Files of the user that are read; what is fetched counts by the sha256 in its settings."""
    settings = section(setup, "corpus.web.signals", SignalSettings)
    places = {f"word_lists: {name}": place for name, place in sorted(settings.word_lists.items()) if not isinstance(place, PinnedWordList)}
    models = {f"classifiers: {entry.name}": entry.path for entry in settings.classifiers if entry.path is not None}
    return [named_file(place, setup.data, key) for key, place in {**places, **models}.items()]
