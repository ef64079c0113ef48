"""What a profile will cost before it runs: rows, bytes, core-hours and GPU-hours per asset.

An asset that this store has built with the profile's own settings is planned with what that build measured; any other
with the rates in ``rates.yaml`` (each with the machine it was measured on) times the quantities that the profile asks for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from corpus.evalita.status import status
from corpus.web.crawl.costs import CrawlCosts, SelectedRecords, cheaper, crawl_costs, published_share, sites, sizes
from corpus.web.crawl.layout import is_crawl_name
from corpus.web.crawl_snapshot import check_source
from corpus.web.made.sample import SAMPLE_NAME
from dagster_project.factory import Factory
from dagster_project.profile import Profile
from foundation.stages import Stage, config_of, setup_of
from foundation.store import BuildRecord, NotPublished
from training.settings import FitSettings, HubBase
from training.speed import PEAK_TFLOPS, training_operations
from translation.cost import translated_set_cost
from translation.row_shards import Kind

RATES = Path(__file__).with_name("rates.yaml")
TRANSLATED: Mapping[str, Kind] = {"translated_chats": "chats", "translated_instructions": "instructions"}
TRAINED = {
    "adapted_model": ("adaptation", "adaptation_tokens"),
    "adapted_chat_model": ("chat_adaptation", "adaptation_tokens"),
    "instruction_model": ("instruction", "instruction_tokens"),
    "chat_model": ("chat", "chat_tokens"),
    "evalita_model": ("evalita", "evalita_tokens"),
}
"""Section of the profile and quantity of tokens behind each trained model."""
ASKED = ("language_report", "evalita_answers")
"""Assets that put a trained model to work."""
PLANNED_UTILIZATION = 0.35
"""What torchtune, litgpt and NeMo reach of the peak with packed rows and bf16 (their published tables): 0.3 to 0.6."""
SAMPLE_CHARACTERS: Mapping[Kind, int] = {"chats": 500, "instructions": 230}
"""Characters of a row of the samples of this project, which are shorter than published sets."""


@dataclass(frozen=True)
class Estimate:
    """What one asset (all its partitions) will take."""

    asset: str
    rows: float
    bytes: float
    core_hours: float
    gpu_hours: float
    basis: str

    def as_dict(self) -> dict[str, Any]:
        """The estimate as JSON values."""
        return asdict(self)


def estimates(factory: Factory) -> list[Estimate]:
    """One estimate per asset, in working order."""
    rates: Mapping[str, Any] = yaml.safe_load(RATES.read_text(encoding="utf-8"))
    quantities = quantities_of(factory, rates)
    found = []
    for stage in factory.stages.values():
        records = _measured(stage, factory)
        estimate = _from_records(stage, records, factory) if records else _from_rates(stage, rates, quantities, factory)
        found.append(estimate if records else _on_gpu(_translation(estimate, quantities, factory), quantities, factory))
    return found


def _on_gpu(estimate: Estimate, quantities: Mapping[str, float], factory: Factory) -> Estimate:
    """The estimate of a base of known size, and of a model trained from it by the operations that it takes; any other as it is."""
    training = factory.loaded.profile.training
    line = TRAINED.get(estimate.asset)
    parameters = training.base.parameters if isinstance(training.base, HubBase) else None
    if parameters is not None and estimate.asset in ("base_model", "chat_base_model"):
        return replace(estimate, bytes=2 * parameters)
    if parameters is not None and estimate.asset in ASKED and estimate.core_hours:
        return replace(estimate, basis=f"{estimate.basis}, as on a CPU (no GPU was measured)")
    if line is None or parameters is None or (estimate.asset == "adapted_chat_model" and training.one_line):
        return estimate
    section, unit = line
    fit: FitSettings = getattr(training, section) or training.adaptation
    tokens = quantities[unit]
    seconds = tokens * training_operations(parameters, fit.method) / (PEAK_TFLOPS["H100"] * 1e12 * PLANNED_UTILIZATION)
    row_tokens = getattr(fit, "max_tokens", training.tokens.row_tokens)
    steps = max(1, round(tokens / (fit.rows_per_step * row_tokens)))  # a row of the log for each
    basis = f"{tokens:,.0f} tokens on an H100 at {PLANNED_UTILIZATION:.0%} of its peak (arithmetic)"
    return replace(estimate, rows=steps, bytes=2 * parameters, core_hours=0.0, gpu_hours=seconds / 3600, basis=basis)


def _translation(estimate: Estimate, quantities: Mapping[str, float], factory: Factory) -> Estimate:
    """The estimate of a translated set by its engine, sentences and tokens; any other as it is."""
    kind = TRANSLATED.get(estimate.asset)
    if kind is None or not quantities[kind]:
        return estimate
    source = _measured(factory.stages[f"source_{kind}"], factory)
    rows, characters = quantities[kind], None
    if source:
        rows, characters = (float(source[0].statistics[name]) for name in ("rows", "characters"))
    elif factory.data.root is None:
        characters = rows * SAMPLE_CHARACTERS[kind]
    costs = translated_set_cost(kind, rows, factory.loaded.profile.translation, factory.data, characters)
    basis = f"{rows:,.0f} {kind}: {'; and back: '.join(cost.basis for cost in costs)}"
    return replace(estimate, core_hours=sum(cost.core_hours for cost in costs), gpu_hours=sum(cost.gpu_hours for cost in costs), basis=basis)


@dataclass(frozen=True)
class CrawlPlan:
    """What reading one crawl takes, in both ways and from both kinds of place; ``chosen`` is the profile's way."""

    snapshot: str
    chosen: str
    costs: tuple[CrawlCosts, ...]
    advice: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {"snapshot": self.snapshot, "chosen": self.chosen, "costs": [cost.as_dict() for cost in self.costs], "advice": list(self.advice)}


def not_counted(factory: Factory) -> list[str]:
    """Snapshots whose pages the estimates leave out: ready corpora and folders of the user's.

    Raises:
        TransumanzaError: a snapshot has no source, or its folder is not there.
    """
    web, found = factory.loaded.profile.corpus.web, []
    debian = setup_of(factory.stages["snapshot"], factory.workplace, None).debian
    for name in factory.loaded.profile.snapshots:
        check_source(web.snapshot, name, debian, factory.data, web.access)
        if name in web.snapshot.corpora or web.snapshot.source == "folder":
            found.append(name)
    return found


def crawl_plans(factory: Factory) -> list[CrawlPlan]:
    """Requests, bytes and days of each of the profile's crawls of Common Crawl, by index and by scan."""
    web = factory.loaded.profile.corpus.web
    selection, plans = web.snapshot.selection, []
    for snapshot in _crawls(factory.loaded.profile):
        selected = _selected(factory, snapshot)
        pairs = {site: crawl_costs(selection, site, selected=selected) for site in sites(web.access)}
        costs = tuple(cost for pair in pairs.values() for cost in pair)
        plans.append(CrawlPlan(snapshot, selection.way, costs, tuple(cheaper(pair, site) for site, pair in pairs.items())))
    return plans


def _crawls(profile: Profile) -> list[str]:
    settings = profile.corpus.web.snapshot
    return [name for name in profile.snapshots if is_crawl_name(name) and name not in settings.corpora and settings.source != "folder"]


def _selected(factory: Factory, snapshot: str) -> SelectedRecords | None:
    """What the published selection of a crawl holds, where it was made with the present settings."""
    record = next(iter(_measured(factory.stages["snapshot"], factory, snapshot)), None)
    if record is None or "selected" not in record.statistics:
        return None
    rows, sizes_of = record.statistics["selected"], record.statistics["selected_bytes"]
    return SelectedRecords(rows.get("warc", 0), sizes_of.get("warc", 0), rows.get("robotstxt", 0), sizes_of.get("robotstxt", 0))


def rates_machine() -> str:
    """Where the rates were measured."""
    return str(yaml.safe_load(RATES.read_text(encoding="utf-8"))["machine"])


def quantities_of(factory: Factory, rates: Mapping[str, Any]) -> dict[str, float]:
    """What the profile asks for, in the units of the rates: pages, chats, instructions, tokens, steps and so on."""
    profile: Profile = factory.loaded.profile
    pages, target_pages = _pages(profile, rates)
    read, wanted_of_crawls = _pages_of_crawls(profile)
    sources, training, selection = profile.translation.sources, profile.training, profile.corpus.web.snapshot.selection
    tasks = _tasks_at_hand(factory)
    wanted = {
        "chats": sources.max_chats,
        "instructions": sources.max_instructions,
        "evalita_rows": tasks * (profile.evalita.instructions.max_train_rows or 0) or None,
    }
    if factory.data.root is None:  # the samples are small: no more than they hold
        wanted = {name: min(count or most, most) for (name, count), most in zip(wanted.items(), rates["samples"].values(), strict=True)}
    rows = {name: float(count or 0) for name, count in wanted.items()}
    return {
        **rows,
        "build": 1,
        "made_pages": pages,
        "pages": pages + (read if selection.way == "scan" else 0),
        "selected_pages": read if selection.way == "index" else 0,
        "target_pages": target_pages + wanted_of_crawls,
        "replay_documents": profile.corpus.web.replay.documents,
        "evaluation_documents": 2 * profile.corpus.web.evaluation_text.documents,
        "tokens": training.tokens.token_budget or 0,
        "adaptation_tokens": _tokens_of(training.adaptation, training.tokens.row_tokens, training.tokens.token_budget or 0),
        "instruction_tokens": _tokens_of(training.instruction, training.instruction.max_tokens, rows["instructions"] * 200),
        "chat_tokens": _tokens_of(training.chat, training.chat.max_tokens, rows["chats"] * 400),
        "evalita_tokens": _tokens_of(training.evalita, training.evalita.max_tokens, rows["evalita_rows"] * 120),
        "answers": tasks * (training.evaluation.evalita_rows_per_task or 0),
        "passages": training.evaluation.passages,
    }


def _tasks_at_hand(factory: Factory) -> int:
    """EVALITA tasks of the profile whose files are there: the user's, or the samples of all."""
    raw = factory.loaded.profile.evalita.raw
    chosen = {name.partition("/")[0] for name in raw.tasks}
    return sum(entry.present for entry in status(factory.data, raw.origin) if entry.task in chosen)


def _pages(profile: Profile, rates: Mapping[str, Any]) -> tuple[float, float]:
    """Pages of the made snapshots and those of the target language. Files of others are not counted beforehand."""
    snapshot = profile.corpus.web.snapshot
    count = sum(SAMPLE_NAME.fullmatch(name) is not None for name in profile.snapshots)
    if snapshot.source == "folder":
        return 0.0, 0.0
    bundled = rates["bundled_pages"]
    total, target = bundled["all"], bundled["target"]
    for package in snapshot.sample.packages if snapshot.source != "bundled" else ():
        pages = min(package.pages, rates["package_pages"].get(package.name, rates["package_pages"]["default"]))
        total += pages
        target += pages if package.language == profile.language.code else 0
    return float(count * total), float(count * target)


def _pages_of_crawls(profile: Profile) -> tuple[float, float]:
    """Pages read of the profile's crawls of Common Crawl, and those of the target language among them."""
    selection, count = profile.corpus.web.snapshot.selection, len(_crawls(profile))
    if not count:
        return 0.0, 0.0
    drawn = float(sizes()["captures"]) * selection.share * count
    if selection.way == "scan" and selection.max_files is not None:
        drawn = min(drawn, selection.max_files * float(sizes()["captures"]) / float(sizes()["warc_files"]) * count)
    wanted = drawn * published_share(selection.languages)
    return (wanted if selection.way == "index" else drawn), wanted


def _tokens_of(fit: Any, row_tokens: int, available: float) -> float:
    if fit.steps is not None:
        return float(fit.steps * fit.rows_per_step * row_tokens)
    return float(fit.epochs * available)


def _measured(stage: Stage, factory: Factory, only: str | None = None) -> list[BuildRecord]:
    """The builds behind this profile's references (of one snapshot), where their settings are the present ones; empty if one is not."""
    store, config = factory.workplace.store, config_of(stage, factory.loaded.sections, factory.loaded.profile.snapshots)
    found = []
    for candidate, partition in factory.builds():
        if candidate.asset != stage.asset or only not in (None, partition):
            continue
        try:
            record = store.record(stage.asset, partition, ref=factory.loaded.profile.name)
        except NotPublished:
            return []
        setup = setup_of(stage, factory.workplace, partition)
        files = {factory.data.relative(path) for path in (stage.user_files(setup) if stage.user_files else ())}
        if record.inputs["config"] != json.loads(json.dumps({**config, "partition": partition})) or set(record.inputs["user_files"]) != files:
            return []
        found.append(record)
    return found


def _from_records(stage: Stage, records: list[BuildRecord], factory: Factory) -> Estimate:
    published = [factory.workplace.store.published(record) for record in records]
    hours = sum(record.seconds * min(factory.workplace.workers, record.environment["cpus"] or 1) for record in records) / 3600
    rows = sum(version.rows for version in published if version.tables)
    return Estimate(stage.asset, rows, sum(version.bytes for version in published), hours, 0.0, "measured in this store")


def _from_rates(stage: Stage, rates: Mapping[str, Any], quantities: Mapping[str, float], factory: Factory) -> Estimate:
    rate = rates["assets"][stage.asset]
    count, made = quantities[rate["per"]], quantities[rate.get("rows_per", rate["per"])]
    size = _model_scale(factory.loaded.profile, rates) if rate.get("scales_with_model") else 1.0
    more = rate.get("also", {"per": "build", "core_seconds": 0.0, "bytes": 0.0})
    others = quantities[more["per"]]
    return Estimate(
        asset=stage.asset,
        rows=made * rate["rows"],
        bytes=made * rate["bytes"] * (size if rate.get("bytes_scale") else 1.0) + others * more["bytes"],
        core_hours=(count * rate["core_seconds"] * size + others * more["core_seconds"]) / 3600,
        gpu_hours=count * rate.get("gpu_seconds", 0.0) / 3600,
        basis=f"{count:,.0f} {rate['per'].replace('_', ' ')}" if count else f"{others:,.0f} {more['per'].replace('_', ' ')}" if others and "also" in rate else "not known beforehand",
    )


def _model_scale(profile: Profile, rates: Mapping[str, Any]) -> float:
    """Size of the profile's base against the one that the rates were measured on; of a base of unknown size one."""
    base = profile.training.base
    if isinstance(base, HubBase) and base.parameters is not None:
        return base.parameters / float(rates["parameters"])
    return float(rates["model_scale"].get(base.kind, 1.0))


def uses_samples(factory: Factory) -> bool:
    """Whether chats, instructions and EVALITA rows of the plan are the samples of this project, since no folder of the user's is named."""
    return factory.data.root is None
