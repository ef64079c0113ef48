"""The release of the models: merged weights, tokenizer and adapter as local Hub repositories, with their record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl
import yaml

from foundation.language.settings import LanguageSettings
from foundation.release import ReleaseError, ReleaseSettings, RepositorySettings, finish_repository
from foundation.release.ancestry import Ancestor, ancestry
from foundation.release.cards import licence_front_matter, provenance_table, rendered
from foundation.release.settings import ModelReleases
from foundation.sources.licences import Terms, combine
from foundation.stages import Stage, StageContext, StageReport
from foundation.store import PublishedVersion
from training.base import BASE_ASSETS
from training.builds.merges import merged_weights
from training.compute import compute_table
from training.linking import link_tree
from training.notices import write_notices

MODELS = {"adapted": "adapted_model", "instruction": "instruction_model", "chat": "chat_model", "evalita": "evalita_model"}
DATA_ASSETS = ("clean_corpus", "replay_text", "translated_chats", "translated_instructions", "evalita_instructions")
CARD = "README.md"


def licences_behind(ancestors: Sequence[Ancestor]) -> tuple[Terms, Terms]:
    """Terms of the base models and of the training rows behind a model."""
    base = [ancestor.licence or None for ancestor in ancestors if ancestor.version.asset in BASE_ASSETS]
    data: set[str | None] = set()
    for ancestor in ancestors:
        if ancestor.version.asset in DATA_ASSETS:
            table, document = next(iter(ancestor.version.manifest["tables"].items()))
            split = "train" if "train" in document["splits"] else None
            rows = ancestor.version.scan(table, split)
            if "licence" in rows.collect_schema().names():
                data |= set(rows.select(pl.col("licence").unique()).collect()["licence"].to_list())
    return combine(base), combine(data)


def reasons_to_keep_back(settings: RepositorySettings, base: Terms, data: Terms) -> list[str]:
    """Why a model's weights must not be given on; empty when they may."""
    reasons = []
    if not base.licences:
        reasons.append("No base model was found behind this one, so its licence is not known.")
    for licence in base.licences:
        reason = settings.reason_to_keep_back(licence.name)
        if reason is not None:
            reasons.append(f"Base model, {licence.name}: {reason}.")
        if not named_as_asked(settings, licence.prefix):
            reasons.append(f"{licence.name} asks for a name that begins with «{licence.prefix}», and this one is {settings.folder}; change its name in release.models.")
    if settings.licence != "other" and data.non_commercial and combine([settings.licence]).non_commercial is False:
        reasons.append(f"It was trained on non-commercial rows, and {settings.licence} allows commercial use.")
    return reasons


def named_as_asked(settings: RepositorySettings, prefix: str) -> bool:
    """Whether repository and title begin with what a licence wants, blanks and hyphens alike."""
    names = (settings.folder, settings.pretty_name or settings.folder)
    return all(name.replace("-", " ").replace("_", " ").lower().startswith(prefix.lower()) for name in names)


def _scores(title: str, version: PublishedVersion, table: str, asset: str) -> str:
    frame = version.read(table).filter(pl.col("model") == asset)
    if "present" in frame.columns:  # earlier versions are beside the present one in the comparison, and none of this card's
        frame = frame.filter("present").drop("present")
    if frame.is_empty():
        return f"### {title}\n\nNo rows for this model."
    columns = [name for name in frame.columns if name != "model"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in frame.select(columns).iter_rows()]
    return f"### {title}\n\n" + "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")


def _terms_text(base: Terms, data: Terms) -> str:
    lines = [f"- base model: {', '.join(licence.name for licence in base.licences) or 'not found'}"]
    lines.append(f"- training rows: {', '.join(licence.name for licence in data.licences) or 'none named'}")
    if data.non_commercial or base.non_commercial:
        lines.append("- **some of it is for non-commercial use only**")
    if data.not_stated:
        lines.append(f"- rows without a known licence were trained on and are not given on: {', '.join(data.not_stated)}")
    lines += [f"- {notice}" for notice in (*base.notices, *data.notices)]
    return "\n".join(lines)


def model_card(
    asset: str,
    settings: RepositorySettings,
    language: LanguageSettings,
    ancestors: Sequence[Ancestor],
    terms: tuple[Terms, Terms],
    scores: Sequence[str],
    blocked: Sequence[str],
    power_watts: float | None = None,
) -> str:
    """The card of a model repository: recipe, data versions, hours and energy, scores, licences."""
    base, data = terms
    model = ancestors[0]
    front = {
        **licence_front_matter(settings, [licence.name for licence in base.licences]),
        "language": [language.short_code, "en"],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["transumanza", language.name.lower(), asset.replace("_", "-"), *(["not-for-release"] if blocked else [])],
    }
    recipe = yaml.safe_dump(dict(model.config), sort_keys=True, allow_unicode=True, width=110)
    statistics = yaml.safe_dump(dict(model.version.statistics), sort_keys=True, allow_unicode=True, width=110)
    sections = [
        f"# {settings.pretty_name or settings.folder}",
        "> **Not for release.** " + " ".join(blocked) if blocked else "",
        f"`{asset}` of Transumanza, version `{model.version.version}`: merged weights and tokenizer here; the adapter, where there is one, in `adapter/`.",
        f"## Recipe\n\nCode version {model.code_version}, seed {model.record.inputs['seed'] if model.record else 'not recorded'}.\n\n```yaml\n{recipe}```",
        f"## Training\n\n```yaml\n{statistics}```",
        f"## Hours and energy\n\n{compute_table(ancestors, power_watts)}",
        "## Scores\n\n" + "\n\n".join(scores),
        f"## Licences\n\n{_terms_text(base, data)}",
        f"## Provenance\n\n{provenance_table(ancestors)}",
        "`SHA256SUMS` lists every file.",
    ]
    return rendered(front, "\n\n".join(section for section in sections if section))


def write_model_repository(
    folder: Path, model: PublishedVersion, settings: RepositorySettings, language: LanguageSettings, reports: Mapping[str, tuple[PublishedVersion, str]],
    power_watts: float | None = None,
) -> dict[str, Any]:
    """Write one model's repository; returns its numbers.

    Args:
        folder: where; must not exist.
        model: a version with ``files/merged`` and perhaps ``files/adapter``.
        settings: name, licence asked for, permissions.
        language: of the card.
        reports: score tables by title, with a column ``model``.
        power_watts: mean power of the training machine, where it was measured.

    Raises:
        ReleaseError: the folder exists.
        TrainingError: the model holds no files.
        MergeError: the model has no merged weights.
    """
    if folder.exists():
        raise ReleaseError(f"{folder} exists already; give every model its own name in release.models")
    size = link_tree(merged_weights(model), folder, without=(CARD,))  # the repository has a card of its own
    has_adapter = (model.files / "adapter").is_dir()
    if has_adapter:
        size += link_tree(model.files / "adapter", folder / "adapter", without=(CARD,))
    ancestors = ancestry([model])
    terms = licences_behind(ancestors)
    for ancestor in ancestors:
        if ancestor.version.asset in BASE_ASSETS:
            write_notices(ancestor.version.files, ancestor.licence, folder)
    blocked = reasons_to_keep_back(settings, *terms)
    scores = [_scores(title, version, table, model.asset) for title, (version, table) in reports.items()]
    finish_repository(folder, model_card(model.asset, settings, language, ancestors, terms, scores, blocked, power_watts), blocked)
    base, data = terms
    return {
        "asset": model.asset,
        "version": model.version,
        "bytes": size,
        "adapter": has_adapter,
        "base_licences": [licence.name for licence in base.licences],
        "data_licences": [licence.name for licence in data.licences],
        "not_for_release": blocked,
    }


def build_model_release(context: StageContext) -> StageReport:
    """Write the repositories of all models."""
    settings = cast(ModelReleases, context.settings["release.models"])
    language = cast(LanguageSettings, context.settings["language"])
    reports = {
        "Compared with the base model": (context.input("model_comparison"), "comparison"),
        "Bits per byte": (context.input("language_report"), "bits_per_byte"),
    }
    statistics: dict[str, Any] = {}
    previews: dict[str, str] = {}
    for kind, asset in MODELS.items():
        repository: RepositorySettings = getattr(settings, kind)
        folder = context.staging.files / repository.folder
        statistics[repository.folder] = write_model_repository(folder, context.input(asset), repository, language, reports, settings.power_watts)
        previews[repository.folder] = (folder / CARD).read_text(encoding="utf-8").split("\n---\n", 1)[1]
    names = "\n".join(f"- `files/{name}`" for name in statistics)
    context.staging.card(f"# Model release\n\nHub repositories as they stand:\n\n{names}")
    return StageReport(statistics=statistics, previews=previews)


def stages(settings: ReleaseSettings) -> tuple[Stage, ...]:
    """The release stage of the models."""
    return (
        Stage(
            asset="model_release",
            version="3",
            group="release",
            build=build_model_release,
            sections=("release.models", "language"),
            upstream=(*MODELS.values(), "language_report", "model_comparison"),
            kinds=("safetensors", "huggingface"),
            description="Local Hub repositories of the adapted, instruction, chat and EVALITA models: merged weights, tokenizer and adapter, with a card that "
            "holds the recipe, the versions of all data, the scores and the licences. Never automatic, never uploaded by a stage.",
        ),
    )
