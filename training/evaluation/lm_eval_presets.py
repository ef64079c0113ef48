"""Presets of lm-eval: which tasks, with how many examples in the prompt, as YAML below ``profiles/lm_eval``.

lm-eval is an extra and runs in a process of its own: it imports much, changes global settings, and is allowed to read the Hub.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from foundation.settings import PROFILES_ROOT, Settings, load_yaml
from training.errors import TrainingError

FOLDER = PROFILES_ROOT / "lm_eval"
INSTALL = "pip install 'transumanza[eval]'"
_LAST_LINES = 15


class PresetRun(Settings):
    """Tasks that are asked in the same way."""

    tasks: tuple[str, ...] = Field(min_length=1, description="Tasks, groups or tags, in lm-eval's names.")
    examples: int | None = Field(None, ge=0, description="Solved examples before each question; null: the task's own choice.")


class Preset(Settings):
    """A preset file."""

    description: str = ""
    runs: tuple[PresetRun, ...] = Field(min_length=1)
    include_path: Path | None = Field(None, description="A folder of more task files, relative to the preset's.")


def load_preset(named: str) -> Preset:
    """A preset by its name below ``profiles/lm_eval``, or by the path of a YAML file.

    Raises:
        TrainingError: there is none, or its content is wrong.
    """
    path = Path(named) if named.endswith((".yaml", ".yml")) else FOLDER / f"{named}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(entry.stem for entry in FOLDER.glob("*.yaml")))
        raise TrainingError(f"there is no lm-eval preset {named!r} (looked for {path}); name one of {known}, or a YAML file")
    try:
        preset = Preset.model_validate(load_yaml(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise TrainingError(f"{path} is no lm-eval preset: {faults}") from error
    if preset.include_path is None:
        return preset
    return preset.model_copy(update={"include_path": (path.parent / preset.include_path).resolve()})


def check_installed() -> None:
    """See that lm-eval is there.

    Raises:
        TrainingError: it is not, with the command that installs it.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise TrainingError(f"lm-eval is not installed; it is an extra of this project: {INSTALL}")


def run_preset(preset: Preset, model: Path, *, device: str, batch: int, limit: int | None = None, dtype: str = "float32") -> list[dict[str, Any]]:
    """Score a checkpoint on a preset's tasks; a row per task and metric: task, metric, filter, value, standard_error, examples.

    Args:
        preset: what is asked.
        model: a checkpoint folder.
        device: cpu or cuda.
        batch: requests at once.
        limit: only so many items of each task; scores are then no scores of the task.
        dtype: of the arithmetic.

    Raises:
        TrainingError: lm-eval is not installed, or ends with an error.
    """
    check_installed()
    rows = []
    for run in preset.runs:
        with tempfile.TemporaryDirectory() as folder:
            rows += _rows(_results(_command(run, preset, model, device, batch, limit, dtype, folder), Path(folder), run))
    return rows


def _command(
    run: PresetRun, preset: Preset, model: Path, device: str, batch: int, limit: int | None, dtype: str, output: str
) -> list[str]:
    more = [] if run.examples is None else ["--num_fewshot", str(run.examples)]
    more += [] if limit is None else ["--limit", str(limit)]
    more += [] if preset.include_path is None else ["--include_path", str(preset.include_path)]
    return [
        sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={model},dtype={dtype},trust_remote_code=False",
        "--tasks", ",".join(run.tasks), "--device", device, "--batch_size", str(batch), "--output_path", output, *more,
    ]  # fmt: skip


def _results(command: list[str], folder: Path, run: PresetRun) -> Mapping[str, Any]:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    found = sorted(folder.rglob("results_*.json"))
    if done.returncode or not found:
        last = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise TrainingError(
            f"lm-eval ended with {done.returncode} on {', '.join(run.tasks)}; their data come from the Hub, so look at the network and HF_HUB_OFFLINE too. "
            f"Its last lines:\n{last}"
        )
    return json.loads(found[-1].read_text(encoding="utf-8"))


def _rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """lm-eval's ``results``: by task, ``<metric>,<filter>`` and ``<metric>_stderr,<filter>``."""
    rows = []
    for task, values in sorted(results["results"].items()):
        for key, value in sorted(values.items()):
            metric, comma, chosen = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = values.get(f"{metric}_stderr,{chosen}")
            rows.append(
                {
                    "task": task, "metric": metric, "filter": chosen, "value": float(value),
                    "standard_error": float(error) if isinstance(error, int | float) else None, "examples": results.get("n-shot", {}).get(task),
                }
            )  # fmt: skip
    return rows
