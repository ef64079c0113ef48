"""What a profile will cost before it runs: rows, bytes, core-hours and GPU-hours per asset.

An asset that this store has built with the profile's own settings is planned with what that build measured; any other
with the rates in ``rates.yaml`` (each with the machine it was measured on) times the quantities that the profile asks for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from dagster_project.factory import Factory
from dagster_project.profile import Profile
from foundation.stages import Stage, config_of, setup_of
from foundation.store import BuildRecord, NotPublished

RATES = Path(__file__).with_name("rates.yaml")


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
        found.append(_from_records(stage, records, factory) if records else _from_rates(stage, rates, quantities, factory))
    return found


def rates_machine() -> str:
    """Where the rates were measured."""
    return str(yaml.safe_load(RATES.read_text(encoding="utf-8"))["machine"])


def quantities_of(factory: Factory, rates: Mapping[str, Any]) -> dict[str, float]:
    """What the profile asks for, in the units of the rates: pages, chats, instructions, tokens, steps and so on."""
    profile: Profile = factory.loaded.profile
    pages, target_pages = _pages(profile, rates)
    sources, training = profile.translation.sources, profile.training
    tasks = len(profile.evalita.raw.tasks)
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
        "pages": pages,
        "target_pages": target_pages,
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


def _pages(profile: Profile, rates: Mapping[str, Any]) -> tuple[float, float]:
    """Pages of all snapshots, and those of the target language. A user's own WARC files are not counted beforehand."""
    snapshot, count = profile.corpus.web.snapshot, len(profile.snapshots)
    if snapshot.source == "folder":
        return 0.0, 0.0
    bundled = rates["bundled_pages"]
    total, target = bundled["all"], bundled["target"]
    for package in snapshot.sample.packages if snapshot.source != "bundled" else ():
        pages = min(package.pages, rates["package_pages"].get(package.name, rates["package_pages"]["default"]))
        total += pages
        target += pages if package.language == profile.language.code else 0
    return float(count * total), float(count * target)


def _tokens_of(fit: Any, row_tokens: int, available: float) -> float:
    if fit.steps is not None:
        return float(fit.steps * fit.rows_per_step * row_tokens)
    return float(fit.epochs * available)


def _measured(stage: Stage, factory: Factory) -> list[BuildRecord]:
    """The builds behind this profile's references, where their settings are the present ones; empty if one is not."""
    store, config = factory.workplace.store, config_of(stage, factory.loaded.sections)
    found = []
    for candidate, partition in factory.builds():
        if candidate.asset != stage.asset:
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
    return Estimate(
        asset=stage.asset,
        rows=made * rate["rows"],
        bytes=made * rate["bytes"] * (size if rate.get("bytes_scale") else 1.0),
        core_hours=count * rate["core_seconds"] * size / 3600,
        gpu_hours=count * rate.get("gpu_seconds", 0.0) / 3600,
        basis=f"{count:,.0f} {rate['per'].replace('_', ' ')}" if count else "not known beforehand",
    )


def _model_scale(profile: Profile, rates: Mapping[str, Any]) -> float:
    """Size of the profile's base against the one that the rates were measured on."""
    return float(rates["model_scale"].get(profile.training.base.kind, 1.0))
