"""What is built, what is stale and why, and what would follow: from the store alone, without Dagster.

A build is current when its fingerprint is the one that the present profile, files and upstream versions give. Staleness
moves one hop at a time: what reads a stale asset is listed as what would follow *if* its rows change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dagster_project.factory import Factory, downstream_of
from foundation.errors import TransumanzaError
from foundation.sources.downloads import NotStaged
from foundation.stages import Inputs, Stage, fingerprint_of, resolve_inputs
from foundation.store import BuildRecord, Fingerprint, GateFailed, NotPublished, PublishedVersion

State = Literal["current", "stale", "missing", "waiting", "failed"]


@dataclass(frozen=True)
class AssetState:
    """The state of one asset or one partition of it.

    ``stale``: built from something else than what is there now. ``missing``: never built under this profile.
    ``waiting``: cannot be judged, since something it reads is not there. ``failed``: current, and a gate failed.
    """

    asset: str
    partition: str | None
    state: State
    reasons: tuple[str, ...] = ()
    record: BuildRecord | None = None


def states(factory: Factory) -> list[AssetState]:
    """The state of every asset and partition of the profile, in working order."""
    return [_state(stage, partition, factory) for stage, partition in factory.builds()]


def would_follow(factory: Factory, found: list[AssetState]) -> list[str]:
    """Assets that are not stale themselves and read something stale or missing, directly or through others."""
    causes = {state.asset for state in found if state.state in ("stale", "missing")}
    return downstream_of(factory.stages, causes)


def _state(stage: Stage, partition: str | None, factory: Factory) -> AssetState:
    workplace = factory.workplace
    try:
        record = workplace.store.record(stage.asset, partition, ref=workplace.profile)
    except NotPublished:
        return AssetState(stage.asset, partition, "missing", ("never built under this profile",))
    try:
        inputs = resolve_inputs(stage, factory.stages, workplace, partition)
        fingerprint = fingerprint_of(stage, workplace, partition, inputs)
    except (NotPublished, GateFailed, NotStaged) as error:
        return AssetState(stage.asset, partition, "waiting", (str(error),), record)
    except TransumanzaError as error:
        return AssetState(stage.asset, partition, "waiting", (f"an input cannot be read: {error}",), record)
    if fingerprint.hexdigest() != record.fingerprint:
        return AssetState(stage.asset, partition, "stale", tuple(_differences(record, fingerprint, inputs)), record)
    failed = tuple(f"gate {gate.verdict}" for gate in record.gates if not gate.passed)
    return AssetState(stage.asset, partition, "failed" if failed else "current", failed, record)


def _differences(record: BuildRecord, now: Fingerprint, inputs: Inputs) -> Iterator[str]:
    then = record.inputs
    if then["code_version"] != now.code_version:
        yield f"code: version {then['code_version']} then, {now.code_version} now"
    yield from _changed_values("setting", then["config"], dict(now.config))
    yield from _changed_inputs(then["upstream"], inputs)
    yield from _changed_values("file", then["user_files"], dict(now.user_files))
    yield from _changed_values("fact", then["facts"], dict(now.facts))
    yield from _changed_values("secret (its keyed hash)", then.get("secrets", {}), dict(now.secrets))
    if then["seed"] != now.seed:
        yield f"seed: {then['seed']} then, {now.seed} now"


def _changed_inputs(then: Mapping[str, Any], inputs: Inputs) -> Iterator[str]:
    flat_then = dict(_flat_inputs(then))
    flat_now = {
        name: part.data_version
        for asset, value in inputs.items()
        for name, part in (
            [(asset, value)] if isinstance(value, PublishedVersion) else [(f"{asset}[{key}]", part) for key, part in value.items()]
        )
    }
    for name in sorted(flat_then.keys() | flat_now.keys()):
        before, after = flat_then.get(name), flat_now.get(name)
        if before != after:
            yield f"data: {name} was {before or 'not read'}, is {after or 'not read'}"


def _flat_inputs(upstream: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for asset, value in upstream.items():
        if "data_version" in value:
            yield asset, value["data_version"]
        else:
            for partition, version in value.items():
                yield f"{asset}[{partition}]", version["data_version"]


def _changed_values(kind: str, then: Any, now: Any, path: str = "") -> Iterator[str]:
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in sorted(then.keys() | now.keys(), key=str):
            yield from _changed_values(kind, then.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    elif then is None or now is None:
        if then != now:
            yield f"{kind}: {path} is {'new' if then is None else 'gone'}"
    elif _plain(then) != _plain(now):
        yield f"{kind}: {path} was {_short(then)}, is {_short(now)}"


def _short(value: Any) -> str:
    text = repr(value)
    return f"{text[:13]}…{text[-1]}" if isinstance(value, str) and len(value) >= 64 else text


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
