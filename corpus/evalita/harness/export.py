"""Published instructions as tasks that lm-eval runs offline: one YAML file and one file of rows each, and a module for the scores.

The prompt of a row is whole: lm-eval adds nothing to it, but the chat template where it is told to.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from corpus.evalita.answer_scores import Questions
from corpus.evalita.errors import EvalitaError
from corpus.evalita.harness.lm_eval_scores import DATA, FAILURES, PER_CHARACTER
from corpus.evalita.metrics.metric import Metric
from corpus.evalita.scoring import metric_name, parts_of
from corpus.evalita.task import Task
from corpus.evalita.tasks import TASKS, named
from foundation.language.prompts import PromptForm, render_instruction, user_message
from foundation.language.settings import TemplateSettings
from foundation.sources.licences import reason_to_keep_back

TAG = "transumanza"
MODULE = "official"
VERSION = 1
"""Of the exported form; lm-eval prints it beside scores."""


@dataclass(frozen=True)
class HarnessOptions:
    """What is exported, and how it is asked.

    Attributes:
        tasks, wordings: names; none are all that the instructions hold.
        held_out: only wordings that no training row has.
        form: whole prompts in the language file's template, or messages for the model's chat template.
        labels: rows with a few fixed answers as a multiple choice, or generated as all others.
        answer_tokens: longest generated answer.
        stop: texts that end a generated answer.
        private: rows that may not be given on are exported too; the folder then stays where it is.
    """

    tasks: tuple[str, ...] = ()
    wordings: tuple[str, ...] = ()
    held_out: bool = False
    form: PromptForm = "instruction"
    labels: Literal["choice", "generation"] = "choice"
    answer_tokens: int = 32
    stop: tuple[str, ...] = ()
    private: bool = False


@dataclass
class HarnessExport:
    """What was written: rows by lm-eval's name of the task; and how many rows were left out, by task and reason."""

    rows: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)


def export_lm_eval(folder: Path, questions: Questions, templates: TemplateSettings, options: HarnessOptions, source: str) -> HarnessExport:
    """Write the folder; it is whole or not there at all.

    Args:
        folder: a new one, or an empty one.
        questions: the rows.
        templates: of the language file.
        options: what of them, and how.
        source: which version they are of, for the folder's README.

    Raises:
        EvalitaError: the folder holds something; a task or a wording has no row; or none of a task's rows may be given on.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EvalitaError(f"{folder} is not empty; name a new folder, so that nothing of an older export is left in it")
    chosen, export = _chosen(questions, options)
    half = folder.with_name(f".{folder.name}.{os.getpid()}")
    half.mkdir(parents=True)
    try:
        (half / DATA).mkdir()
        for (task, wording), rows in chosen.items():
            name = f"{TAG}_{task}_{wording.replace('-', '_')}"
            _write_task(half, name, TASKS[task], rows, questions, templates, options, source)
            export.rows[name] = len(rows)
        (half / f"{MODULE}.py").write_text(_module({TASKS[task].name: TASKS[task] for task, _ in chosen}), encoding="utf-8")
        (half / "README.md").write_text(_readme(export, options, source, chosen), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        half.rename(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return export


_Chosen = dict[tuple[str, str], list[Mapping[str, Any]]]


def _chosen(questions: Questions, options: HarnessOptions) -> tuple[_Chosen, HarnessExport]:
    """Rows by task and wording, in order, and the counts of those left out."""
    wanted = {task.name for task in named(options.tasks)}
    export, chosen = HarnessExport(), _Chosen()
    found: set[str] = set()
    for row in sorted(questions.rows.values(), key=lambda row: row["id"]):
        if wanted and row["task"] not in wanted:
            continue
        if options.wordings and row["wording"] not in options.wordings and row["template_id"] not in options.wordings:
            continue
        if options.held_out and row["template_id"] in questions.trained:
            continue
        found |= {row["task"], row["wording"], row["template_id"]}
        reason = None if options.private else reason_to_keep_back(row["licence"])
        if reason:
            counts = export.left_out.setdefault(row["task"], {})
            counts[f"{row['licence']}: {reason}"] = counts.get(f"{row['licence']}: {reason}", 0) + 1
        else:
            chosen.setdefault((row["task"], row["wording"]), []).append(row)
    lost = next((name for name in (*sorted(wanted), *options.wordings) if name not in found), None)
    if lost is not None or not found:
        held = " that no training row has" if options.held_out else ""
        raise EvalitaError(
            f"evalita_instructions has no {questions.split} row of {lost or 'any task'}{held}; it has {', '.join(sorted({row['template_id'] for row in questions.rows.values()}))}"
        )
    exported = {task for task, _ in chosen}
    for task in sorted(wanted or export.left_out):
        if task not in exported and (wanted or not exported):
            raise EvalitaError(f"no row of {task} may be given on ({'; '.join(export.left_out[task])}); for use on this machine alone, export with --private")
    return dict(sorted(chosen.items())), export


def _write_task(
    folder: Path,
    name: str,
    task: Task,
    rows: Sequence[Mapping[str, Any]],
    questions: Questions,
    templates: TemplateSettings,
    options: HarnessOptions,
    source: str,
) -> None:
    items = {item.item_id: item for item in questions.items[task.name]}
    choice = options.labels == "choice" and all(row["choices"] for row in rows)
    with (folder / DATA / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            asked = row["instruction"], row["input"]
            item = items[row["item_id"]]
            document = {
                **{column: row[column] for column in ("id", "task", "wording", "item_id", "group_id", "licence")},
                "prompt": render_instruction(templates, *asked) if options.form == "instruction" else user_message(*asked),
                "target": row["output"],
                **({"choices": list(row["choices"]), "gold": list(row["choices"]).index(row["output"])} if choice else {}),
                "fields": json.dumps(item.fields, ensure_ascii=False),
                "label": json.dumps(item.label, ensure_ascii=False),
            }
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
    parts = [part for part, _ in parts_of(task, [items[row["item_id"]] for row in rows])]
    generation = {"until": list(options.stop), "max_gen_toks": options.answer_tokens, "do_sample": False, "temperature": 0.0}
    asking: dict[str, Any] = (
        {"output_type": "multiple_choice", "doc_to_choice": "choices", "doc_to_target": "gold", "process_results": _Function("scored_choice")}
        if choice
        else {"output_type": "generate_until", "doc_to_target": "target", "generation_kwargs": generation, "process_results": _Function("scored_text")}
    )
    document = {
        "task": name,
        "tag": TAG,
        "custom_dataset": _Function("rows"),
        "dataset_kwargs": {"rows": name},
        "test_split": "test",
        "num_fewshot": 0,
        "doc_to_text": "prompt",
        "target_delimiter": "",  # the prompt ends where the answer begins
        **asking,
        "metric_list": _metrics(task, parts, ("", PER_CHARACTER) if choice else ("",)) + ([] if choice else [_FAILURE_RATE]),
        "metadata": {"version": VERSION, "source": source, "prompts": options.form},
    }
    (folder / f"{name}.yaml").write_text(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000), encoding="utf-8")


_FAILURE_RATE = {"metric": FAILURES, "aggregation": "mean", "higher_is_better": False}


def _metrics(task: Task, parts: Sequence[str], endings: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "metric": f"{metric_name(metric, part)}{ending}",
            "aggregation": _Function(_aggregation(task, metric)),
            "higher_is_better": metric.higher_is_better,
        }
        for ending in endings
        for metric in task.metrics
        for part in parts
    ]


def _aggregation(task: Task, metric: Metric) -> str:
    return f"{task.name}__{metric.name}"


class _Function(str):
    """The name of a function of the folder's module, which YAML marks as such."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Function, lambda dumper, name: dumper.represent_scalar("!function", f"{MODULE}.{name}"))


def _module(tasks: Mapping[str, Task]) -> str:
    lines = [f"{_aggregation(task, metric)} = official({task.name!r}, {metric.name!r})" for task in tasks.values() for metric in task.metrics]
    return "\n".join(
        [
            '"""Scores of the tasks in this folder. Needs the package `transumanza` beside lm-eval, which decodes and scores the answers."""',
            "",
            "from corpus.evalita.harness.lm_eval_scores import official, rows_beside, scored_choice, scored_text",
            "",
            f"__all__ = {['rows', 'scored_choice', 'scored_text']!r}",
            "",
            "rows = rows_beside(__file__)",
            *lines,
            "",
        ]
    )


def _readme(export: HarnessExport, options: HarnessOptions, source: str, chosen: _Chosen) -> str:
    licences = sorted({row["licence"] for rows in chosen.values() for row in rows})
    chat = " --apply_chat_template" if options.form == "chat" else ""
    lines = [
        "# EVALITA tasks for lm-eval",
        "",
        f"Rows of {source}. Every row keeps its own licence: {', '.join(licences)}.",
        *(["", "**Holds rows that may not be given on: for this machine alone.**"] if options.private else []),
        "",
        "```sh",
        f"HF_HUB_OFFLINE=1 lm_eval --model hf --model_args pretrained=FOLDER,dtype=float32 --include_path . --tasks {TAG}{chat}",
        "```",
        "",
        f"Metrics are the organisers' own; `{PER_CHARACTER}` after one: the answer was chosen by likelihood per character.",
        "",
        "| task | rows |",
        "|---|---:|",
        *(f"| {name} | {count} |" for name, count in export.rows.items()),
    ]
    if export.left_out:
        lines += ["", "Left out:", "", "| task | licence | rows |", "|---|---|---:|"]
        lines += [f"| {task} | {reason} | {count} |" for task, counts in export.left_out.items() for reason, count in counts.items()]
    return "\n".join(lines) + "\n"
