"""The stages of the EVALITA workshop: raw items, benchmark texts, instruction rows, and the report on answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from corpus.evalita import benchmarks, instructions, scoring
from corpus.evalita.items import SAMPLE_LICENCE, SAMPLE_SOURCE, Located, counts, locate_all, read_items, used_files
from corpus.evalita.settings import (
    BenchmarkSettings,
    EvalitaSettings,
    InstructionSettings,
    RawSettings,
    ReportSettings,
)
from corpus.evalita.task import EvalitaError, Item, Task
from corpus.evalita.tasks import TASKS
from foundation.sources.licences import combine, licence_of
from foundation.stages import Stage, StageContext, StageReport, StageSetup
from foundation.store import GateResult, PublishedVersion, TableSpec

_TEXT = pa.string()


def _required(*names: str) -> list[pa.Field]:
    return [pa.field(name, _TEXT, nullable=False) for name in names]


ITEMS = TableSpec(
    "items",
    pa.schema(
        [*_required("item_id", "task", "split", "group_id", "fields", "label", "source", "revision", "licence"), pa.field("redistributable", pa.bool_(), nullable=False)]
    ),
    key=("item_id",),
    description="Items of all tasks read, with their official split; fields and label are JSON.",
)
BENCHMARK_ITEMS = TableSpec(
    "items",
    pa.schema(_required("benchmark", "item_id", "text")),
    key=("benchmark", "item_id"),
    description="Texts of test items, to be looked for in training text.",
)
INSTRUCTIONS = TableSpec(
    "instructions",
    pa.schema(
        [
            *_required("id", "task", "item_id", "group_id", "instruction", "input", "output", "template_id", "template_sha256", "source", "licence"),
            pa.field("redistributable", pa.bool_(), nullable=False),
            *_required("wording"),
        ]
    ),
    key=("id",),
    splits=instructions.SPLITS,
    description="Task items in words; the prompt template of a model is laid around them by training.",
)
SCORES = TableSpec(
    "scores",
    pa.schema(
        [
            *_required("model", "task", "metric"),
            *(pa.field(name, pa.float64()) for name in ("score", "low", "high", "baseline")),
            *_required("baseline_name"),
            *(pa.field(name, pa.float64()) for name in ("parse_failure_rate", "coverage")),
            pa.field("items", pa.int64()),
        ]
    ),
    key=("model", "task", "metric"),
    decimals=dict.fromkeys(("score", "low", "high", "baseline", "parse_failure_rate", "coverage"), 4),
    description="Official scores with bootstrap intervals; failed answers count as wrong.",
)


def build_raw(context: StageContext) -> StageReport:
    """Read every task whose files are there."""
    settings = cast(RawSettings, context.settings["evalita.raw"])
    present, missing = locate_all(context.data, settings)
    statistics: dict[str, Any] = {"items": {}, "missing": [entry.task.name for entry in missing]}
    rows: list[dict[str, Any]] = []
    licences: set[str] = set()
    for located in present:
        items = read_items(located)
        statistics["items"][located.task.name] = counts(items)
        rows += [_raw_row(located, item) for item in items]
    licences.update(row["licence"] for row in rows)
    rows.sort(key=lambda row: row["item_id"])
    with context.staging.table(ITEMS) as table:
        table.write(rows)
    context.staging.card(_raw_card(present, missing), license=combine(sorted(licences)).card_name)
    return StageReport(statistics=statistics, previews={"Tasks": _status_table(present, missing)})


def _raw_row(located: Located, item: Item) -> dict[str, Any]:
    sample = located.origin == "samples"
    licence = SAMPLE_LICENCE if sample else item.licence
    return {
        "item_id": item.item_id,
        "task": located.task.name,
        "split": item.split,
        "group_id": item.group_id,
        "fields": json.dumps(item.fields, ensure_ascii=False),
        "label": json.dumps(item.label, ensure_ascii=False),
        "source": SAMPLE_SOURCE if sample else located.task.source,
        "revision": located.revision,
        "licence": licence,
        "redistributable": licence_of(licence).redistributable,
    }


def _raw_card(present: Sequence[Located], missing: Sequence[Located]) -> str:
    return f"# EVALITA items\n\nOfficial splits and labels, read from the files as distributed.\n\n{_status_table(present, missing)}\n"


def _status_table(present: Sequence[Located], missing: Sequence[Located]) -> str:
    lines = ["| task | state | licence | where |", "|---|---|---|---|"]
    for entry in present:
        licence = SAMPLE_LICENCE if entry.origin == "samples" else ", ".join(entry.task.licences)
        lines.append(f"| {entry.task.title} | {entry.origin} | {licence} | {entry.task.access.where} |")
    lines += [f"| {entry.task.title} | missing | {', '.join(entry.task.licences)} | {entry.task.access.where} |" for entry in missing]
    return "\n".join(lines)


def _raw_files(setup: StageSetup) -> Sequence[Path]:
    return used_files(setup.data, cast(RawSettings, setup.settings["evalita.raw"]))


def items_of(raw: PublishedVersion) -> tuple[dict[str, list[Item]], dict[str, Mapping[str, Any]]]:
    """Items by task, in the registry's order, and the provenance of each item by id."""
    found: dict[str, list[Item]] = {name: [] for name in TASKS}
    provenance: dict[str, Mapping[str, Any]] = {}
    for row in raw.read("items").iter_rows(named=True):
        item = Item(row["item_id"], row["split"], row["group_id"], json.loads(row["fields"]), json.loads(row["label"]), row["licence"])
        found[row["task"]].append(item)
        provenance[item.item_id] = {name: row[name] for name in ("source", "licence", "redistributable")}
    return {name: rows for name, rows in found.items() if rows}, provenance


def build_benchmarks(context: StageContext) -> StageReport:
    """Test items of the tasks read, and of the files that the settings name."""
    settings = cast(BenchmarkSettings, context.settings["evalita.benchmarks"])
    items, _ = items_of(context.input("evalita_raw"))
    rows = [row for name, found in items.items() for row in benchmarks.task_rows(TASKS[name], found)]
    for entry in settings.files:
        if entry.name in TASKS:
            raise EvalitaError(f"evalita.benchmarks.files: {entry.name!r} is the name of a task; choose another")
        rows += benchmarks.file_rows(entry, benchmarks.benchmark_path(entry, context.data))
    rows.sort(key=lambda row: (row["benchmark"], row["item_id"]))
    with context.staging.table(BENCHMARK_ITEMS) as table:
        table.write(rows)
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["benchmark"]] = sizes.get(row["benchmark"], 0) + 1
    context.staging.card("# Benchmark test items\n\nFor decontamination alone; never training data.", license="other")
    return StageReport(statistics={"items": sizes})


def _benchmark_files(setup: StageSetup) -> Sequence[Path]:
    settings = cast(BenchmarkSettings, setup.settings["evalita.benchmarks"])
    return [benchmarks.benchmark_path(entry, setup.data) for entry in settings.files]


def build_instructions(context: StageContext) -> StageReport:
    """Put items into words, whole groups on one side of every split."""
    settings = cast(InstructionSettings, context.settings["evalita.instructions"])
    items, provenance = items_of(context.input("evalita_raw"))
    assignment = instructions.assign(items, TASKS, settings, context.seed)
    statistics: dict[str, Any] = {"rows": {}, "wordings": {}, "left_out": {}}
    licences: set[str] = set()
    previews: list[dict[str, Any]] = []
    with context.staging.table(INSTRUCTIONS) as table:
        for split in instructions.SPLITS:
            rows = []
            for candidate in assignment.splits[split]:
                wording = instructions.wording_for(candidate, split, settings, context.seed)
                rows.append({**instructions.instruction_row(candidate, wording), **provenance[candidate.item.item_id]})
            rows.sort(key=lambda row: row["id"])
            table.write(rows, split)
            licences.update(row["licence"] for row in rows)
            previews += rows[:3]
            for row in rows:
                _add(statistics["rows"], row["task"], split)
                _add(statistics["wordings"], row["template_id"], split)
    statistics["left_out"] = {name: dict(sorted(reasons.items())) for name, reasons in sorted(assignment.left_out.items())}
    both = instructions.groups_on_two_sides(assignment)
    gate = GateResult("groups_apart", both == 0, both, 0, "Groups with rows on more than one side of a split.")
    context.staging.card(_instruction_card(statistics), license=combine(sorted(licences)).card_name, language=["it"])
    return StageReport(statistics=statistics, gates=[gate], previews={"Rows": _preview(previews)})


def _add(counter: dict[str, dict[str, int]], name: str, split: str) -> None:
    entry = counter.setdefault(name, {})
    entry[split] = entry.get(split, 0) + 1


def _instruction_card(statistics: Mapping[str, Any]) -> str:
    lines = ["| task | train | validation | test |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | " + " | ".join(str(found.get(split, 0)) for split in instructions.SPLITS) + " |" for name, found in statistics["rows"].items()]
    return "# EVALITA instructions\n\nEvery row keeps its own licence.\n\n" + "\n".join(lines)


def _preview(rows: Iterable[Mapping[str, Any]]) -> str:
    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("\n", " ⏎ ")[:160]

    lines = ["| template | instruction | input | output |", "|---|---|---|---|"]
    lines += [f"| {row['template_id']} | {cell(row['instruction'])} | {cell(row['input'])} | {cell(row['output'])} |" for row in rows]
    return "\n".join(lines)


def build_report(context: StageContext) -> StageReport:
    """Score the answers of every model."""
    settings = cast(ReportSettings, context.settings["evalita.report"])
    items, _ = items_of(context.input("evalita_raw"))
    by_id = {item.item_id: item for rows in items.values() for item in rows}
    expected = scoring.expected_by_id(context.input("evalita_instructions").read("instructions", "test").iter_rows(named=True))
    answers: dict[tuple[str, str], list[scoring.Answered]] = {}
    for row in context.input("evalita_answers").read("answers").iter_rows(named=True):
        answered = _answered(row, expected, by_id)
        answers.setdefault((row["model"], row["task"]), []).append(answered)
    test_rows: dict[str, int] = {}
    for wanted in expected.values():
        test_rows[wanted["task"]] = test_rows.get(wanted["task"], 0) + 1
    rows: list[dict[str, Any]] = []
    failures: dict[str, dict[str, int]] = {}
    for (model, name), given in sorted(answers.items()):
        task: Task = TASKS[name]
        training = [item for item in items[name] if item.split == "train"]
        rows += scoring.score(model, task, given, training, test_rows[name], settings, context.seed)
        failures[f"{model} {name}"] = scoring.failures(task, given)
    rows.sort(key=lambda row: (row["model"], row["task"], row["metric"]))
    with context.staging.table(SCORES) as table:
        table.write(rows)
    text = _score_table(rows)
    context.staging.card(f"# EVALITA report\n\n{text}\n")
    return StageReport(statistics={"rows": len(rows), "failures": failures}, previews={"Scores": text})


def _answered(row: Mapping[str, Any], expected: Mapping[str, Mapping[str, Any]], items: Mapping[str, Item]) -> scoring.Answered:
    wanted = expected.get(row["id"])
    if wanted is None or wanted["task"] != row["task"]:
        raise EvalitaError(
            f"evalita_answers, row {row['id']!r} of task {row['task']!r}: no such test row in evalita_instructions; materialize evalita_answers again"
        )
    answered = scoring.Answered(items[wanted["item_id"]], wanted["wording"], row["answer"] or "")
    scoring.check_gold(TASKS[row["task"]], answered, row["gold"], row["id"])
    return answered


def _score_table(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = ["| model | task | metric | score | interval | baseline | failed | items |", "|---|---|---|---:|---:|---:|---:|---:|"]
    for row in rows:
        lines.append(
            f"| {row['model']} | {row['task']} | {row['metric']} | {row['score']:.3f} | {row['low']:.3f}–{row['high']:.3f} | {row['baseline']:.3f} | {row['parse_failure_rate']:.1%} | {row['items']} |"
        )
    return "\n".join(lines)


def stages(settings: EvalitaSettings) -> tuple[Stage, ...]:
    """All stages of the workshop."""
    return (
        Stage(
            asset="evalita_raw",
            version="1",
            group="sources",
            build=build_raw,
            sections=("evalita.raw",),
            tables=(ITEMS,),
            kinds=("parquet",),
            description="Items of the EVALITA tasks whose files the user has (or of the bundled samples), read from the official formats with their official "
            "splits, labels and licences. Tasks whose files are absent are listed as missing.",
            user_files=_raw_files,
        ),
        Stage(
            asset="benchmark_sets",
            version="1",
            group="sources",
            build=build_benchmarks,
            sections=("evalita.benchmarks",),
            upstream=("evalita_raw",),
            tables=(BENCHMARK_ITEMS,),
            kinds=("parquet",),
            description="Test items only, of all tasks read and of further benchmarks named in the settings. The corpus and both translated sets look for them.",
            user_files=_benchmark_files,
        ),
        Stage(
            asset="evalita_instructions",
            version="1",
            group="evalita",
            build=build_instructions,
            sections=("evalita.instructions",),
            upstream=("evalita_raw",),
            tables=(INSTRUCTIONS,),
            kinds=("parquet",),
            description="EVALITA items as instruction, input and output (LLaMAntino, arXiv 2312.09993; wordings after ExtremITA, Evalita-LLM and this "
            "project's own). Groups never lie on two sides of a split, and nothing that shares text with a test item is trained on.",
            gates=("groups_apart",),
        ),
        Stage(
            asset="evalita_report",
            version="1",
            group="evaluation",
            build=build_report,
            sections=("evalita.report",),
            upstream=("evalita_answers", "evalita_instructions", "evalita_raw"),
            tables=(SCORES,),
            kinds=("parquet",),
            description="Official metrics of the models' answers with bootstrap intervals and a baseline. Answers that hold no value count as wrong and are "
            "reported as a rate; they never become a default class.",
        ),
    )
