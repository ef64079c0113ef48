"""The release of the corpus: a local Hub repository of the documents that may be given on."""

from __future__ import annotations

from typing import cast

from foundation.language.settings import LanguageSettings
from foundation.release import ReleasedTable, ReleaseSettings, RepositorySettings, write_dataset_repository
from foundation.stages import Stage, StageContext, StageReport

TEXT = (
    "Web documents, extracted, judged, deduplicated and cleared of benchmark text by Transumanza, after the recipe of LLaMAntino "
    "(arXiv 2312.09993). Documents are split by registered domain. Counts in `personal_data` say what was masked in a document; masking finds "
    "patterns, not everything that is personal. Pages without a stated licence are not in this repository."
)


def build_corpus_release(context: StageContext) -> StageReport:
    """Write the repository of the corpus."""
    settings = cast(RepositorySettings, context.settings["release.corpus"])
    language = cast(LanguageSettings, context.settings["language"])
    table = ReleasedTable("text", context.input("clean_corpus"), "text")
    folder = context.staging.files / settings.folder
    configs = write_dataset_repository(folder, [table], settings, text=TEXT, language=language.short_code, tags=["web", "pretraining"])
    context.staging.card(f"# Corpus release\n\n`files/{settings.folder}` is a Hub repository as it stands.")
    return StageReport(
        statistics={settings.folder: {config.source.config: config.document() for config in configs}},
        previews={"Card": (folder / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[1]},
    )


def stages(settings: ReleaseSettings) -> tuple[Stage, ...]:
    """The release stage of the corpus."""
    return (
        Stage(
            asset="corpus_release",
            version="1",
            group="release",
            build=build_corpus_release,
            sections=("release.corpus", "language"),
            upstream=("clean_corpus",),
            kinds=("parquet", "huggingface"),
            description="A local Hub repository of the clean corpus: documents whose licence allows it, with a card that counts what was left out and "
            "why. Never automatic, never uploaded by a stage.",
        ),
    )
