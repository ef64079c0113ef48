"""What training took: hours, tokens and machine of every run behind a model, as its build records measured them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from foundation.release.ancestry import Ancestor


def compute_table(ancestors: Sequence[Ancestor], power_watts: float | None) -> str:
    """A Markdown table of the training runs behind a model, the latest first, and their sum.

    Hours are those of fitting, not of merging and measuring; of a run that was killed, steps that had to be taken again count once.
    Energy is hours times the mean power that the profile declares; without it nothing is estimated.
    """
    runs = [ancestor for ancestor in ancestors if ancestor.record is not None and "fitting_seconds" in ancestor.record.observations]
    if not runs:
        return "No training run is recorded behind this model; hours and energy are not known."
    lines = ["| model | hours | tokens | machine |", "|---|---:|---:|---|"]
    total, partial = 0.0, False
    for run in runs:
        assert run.record is not None
        seen = run.record.observations
        hours = float(seen["fitting_seconds"]) / 3600
        total += hours
        partial = partial or bool(seen.get("resumed_at_step"))
        mark = f" (resumed at step {seen['resumed_at_step']})" if seen.get("resumed_at_step") else ""
        tokens = run.record.statistics.get("tokens")
        machine = machine_of(seen.get("hardware") or run.record.environment)
        lines.append(f"| {run.name} | {hours:.3g}{mark} | {'' if tokens is None else f'{tokens:,}'} | {machine} |")
    hours_text = f"{total:.3g} hours of training{' at least, since a run was resumed' if partial else ''}"
    energy = (
        f"{total * power_watts / 1000:.3g} kWh at the declared mean power of {power_watts:g} W"
        if power_watts is not None
        else "energy was not measured (no power is declared in release.models.power_watts)"
    )
    return "\n".join([*lines, "", f"{hours_text}; {energy}."])


def machine_of(hardware: Mapping[str, Any]) -> str:
    """A machine on one line: its GPUs, or its processor."""
    gpus = list(hardware.get("gpus") or ())
    if gpus:
        return " and ".join(f"{gpus.count(name)} × {name}" for name in sorted(set(gpus)))
    return f"{hardware.get('cpus')} cores, {hardware.get('cpu') or hardware.get('machine', 'unknown')}"
