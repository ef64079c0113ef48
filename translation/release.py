"""The release of the instruction sets: one local Hub repository each, of the rows that may be given on."""

from __future__ import annotations

from typing import Any, cast

from foundation.language.settings import LanguageSettings
from foundation.release import ReleasedTable, ReleaseSettings, RepositorySettings, write_dataset_repository
from foundation.release.settings import DatasetReleases
from foundation.stages import Stage, StageContext, StageReport

TEXTS = {
    "chats": "Chats translated by machine, message by message, with the original beside each translation, the engine, a quality score and flags.",
    "instructions": "Instructions translated by machine, with the original beside each translation, the engine, a quality score and flags.",
    "evalita": "EVALITA tasks as instructions. Groups (a tweet, a text, a talk) never lie on two sides of a split; `template_id` and `template_sha256` name the wording.",
}
SOURCES = {
    "chats": ("translated_chats", "chats"),
    "instructions": ("translated_instructions", "instructions"),
    "evalita": ("evalita_instructions", "instructions"),
}


def build_dataset_release(context: StageContext) -> StageReport:
    """Write the three repositories."""
    settings = cast(DatasetReleases, context.settings["release.datasets"])
    language = cast(LanguageSettings, context.settings["language"]).short_code
    statistics: dict[str, Any] = {}
    previews: dict[str, str] = {}
    for kind, (asset, table) in SOURCES.items():
        repository: RepositorySettings = getattr(settings, kind)
        folder = context.staging.files / repository.folder
        released = ReleasedTable(table, context.input(asset), table)
        configs = write_dataset_repository(folder, [released], repository, text=TEXTS[kind], language=language, tags=["instruction-tuning"])
        statistics[repository.folder] = {config.source.config: config.document() for config in configs}
        previews[repository.folder] = (folder / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[1]
    names = "\n".join(f"- `files/{name}`" for name in statistics)
    context.staging.card(f"# Dataset release\n\nHub repositories as they stand:\n\n{names}")
    return StageReport(statistics=statistics, previews=previews)


def stages(settings: ReleaseSettings) -> tuple[Stage, ...]:
    """The release stage of the instruction sets."""
    return (
        Stage(
            asset="dataset_release",
            version="1",
            group="release",
            build=build_dataset_release,
            sections=("release.datasets", "language"),
            upstream=tuple(asset for asset, _ in SOURCES.values()),
            kinds=("parquet", "huggingface"),
            description="Local Hub repositories of the translated chats, the translated instructions and the EVALITA instructions: rows whose licence "
            "allows it, with cards that count what was left out and why. Never automatic, never uploaded by a stage.",
        ),
    )
