"""The stages ``source_chats`` and ``source_instructions``: which files, read by any number of workers, merged, counted, shown."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.execution import Engine, run_shards
from foundation.language.sentences import SentenceSettings
from foundation.language.source_language import SourceCleaning, SourceTasks
from foundation.stages import Stage, StageContext, StageReport, StageSetup
from translation.errors import SourceError
from translation.sections import section
from translation.settings import SourcesSettings
from translation.sources.cleaning import Cleaner, SourceLanguage
from translation.sources.merging import Parts
from translation.sources.places import Kind, RowFile, fetch_sets, local_files, row_files, staged_sets
from translation.sources.reading import KEPT, SET_ASIDE, Reader, read_part
from translation.sources.report import Account, card_text

_SOURCES = "translation.sources"
_SENTENCES = "language.source_sentences"
_CLEANING = "language.source_cleaning"
_TASKS = "language.source_tasks"
FEW_BYTES = 64_000_000
"""Files that together hold no more are read at once by this process: other processes or machines would only be waited for."""


def source_stages() -> tuple[Stage, ...]:
    """The two stages; neither depends on the settings for its shape."""
    return (
        _stage(
            "chats",
            "English chats of several turns: UltraChat in the paper (arXiv 2312.09993, section 3), message lists and ShareGPT in general, or samples "
            "written for this project. Checked, cleaned, without repetitions, drawn by hash where a maximum is set; chats that begin with a task bound "
            "to English are set aside in a second table.",
        ),
        _stage(
            "instructions",
            "English instructions with answers: Dolly in the paper (arXiv 2312.09993, section 3), Alpaca's form in general, or samples written for this "
            "project. Checked, cleaned, without repetitions, drawn by hash where a maximum is set; tasks bound to English are set aside in a second table.",
        ),
    )


def _stage(kind: Kind, description: str) -> Stage:
    return Stage(
        asset=f"source_{kind}",
        version="3",
        group="sources",
        build=functools.partial(build_source, kind=kind),
        sections=(_SOURCES, _CLEANING, _TASKS, _SENTENCES),
        tables=(KEPT[kind], SET_ASIDE[kind]),
        kinds=("json", "parquet"),
        description=description,
        user_files=functools.partial(_user_files, kind=kind),
        facts=functools.partial(_facts, kind=kind),
        fetch=functools.partial(_fetch, kind=kind),
    )


def build_source(context: StageContext, *, kind: Kind) -> StageReport:
    """Read, clean and merge the files of a kind.

    Raises:
        SourceError: a file or a row cannot be used, or no row is left.
        NotStaged, LocationError: a set cannot be reached.
    """
    settings = section(context, _SOURCES, SourcesSettings)
    files = row_files(settings, context.data, context.downloads, kind)
    engine = Engine() if _are_few(files) else context.engine
    reader = Reader(kind, settings, _language(context), context.seed, min(engine.tasks_at_once, len(files)))
    Cleaner(settings.cleaning, reader.language)  # a wrong setting is told before anything is read
    clock = time.monotonic()
    folders = run_shards(
        functools.partial(read_part, reader=reader), [file.document() for file in files], context.work, "parts", suffix="", engine=engine, label=f"reading {kind}"
    )
    parts = Parts.of(folders, reader.maximum, context.seed)
    if not parts.rows("kept"):
        raise SourceError(
            f"no usable {kind} in {[file.name for file in files][:10]}; dropped: {dict(sorted(parts.dropped.items()))}, "
            f"bound to their language: {parts.rows('set_aside')}"
        )
    account = Account(chats=kind == "chats")
    with context.staging.table(KEPT[kind]) as writer:
        for table in parts.tables("kept", KEPT[kind], context.work):
            writer.write(table)
            account.add(table)
    with context.staging.table(SET_ASIDE[kind]) as writer:
        for table in parts.tables("set_aside", SET_ASIDE[kind], context.work):
            writer.write(table)
            account.add_aside(table)
    samples = {settings.sample_chats.name, settings.sample_instructions.name}
    statistics = account.statistics(parts, "samples" if {file.set_name for file in files} <= samples else "user")
    context.staging.card(card_text(context.asset, statistics, KEPT[kind].description), license=statistics["licence"])
    seconds = max(time.monotonic() - clock, 1e-6)
    observations = {"reading_seconds": round(seconds, 1), "rows_per_second": round(parts.read / seconds, 1)}
    return StageReport(statistics, (), observations, account.previews(parts), {"Lengths": account.plot()})


def _are_few(files: list[RowFile]) -> bool:
    """Whether all files are at hand and small."""
    return all(file.local is not None for file in files) and sum(Path(str(file.local)).stat().st_size for file in files) <= FEW_BYTES


def _language(setup: StageSetup) -> SourceLanguage:
    return SourceLanguage(section(setup, _SENTENCES, SentenceSettings), section(setup, _CLEANING, SourceCleaning), section(setup, _TASKS, SourceTasks))


def _user_files(setup: StageSetup, *, kind: Kind) -> list[Path]:
    return [path for _, path in local_files(section(setup, _SOURCES, SourcesSettings), setup.data, kind)]


def _facts(setup: StageSetup, *, kind: Kind) -> Mapping[str, Any]:
    """What only the files themselves say: sha256 of sets at addresses that may change; the Hub's are pinned in the settings."""
    staged = staged_sets(section(setup, _SOURCES, SourcesSettings), setup.downloads, kind)
    return {address: found.facts() for address, found in staged.items()}


def _fetch(setup: StageSetup, *, kind: Kind) -> None:
    fetch_sets(section(setup, _SOURCES, SourcesSettings), setup.downloads, kind)

