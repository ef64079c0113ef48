"""The stages of the EVALITA workshop: raw items, benchmark texts, instruction rows, and the report on answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from corpus.evalita import benchmarks, report, scoring
from corpus.evalita.errors import EvalitaError
from corpus.evalita.instructions import instruction_row, wordings_for
from corpus.evalita.items import (
    SAMPLE_LICENCE,
    SAMPLE_SOURCE,
    SAMPLES,
    Located,
    counts,
    has_test,
    locate_all,
    official_items,
    used_files,
    with_test_groups,
)
from corpus.evalita.settings import (
    BenchmarkSettings,
    EvalitaSettings,
    InstructionSettings,
    RawSettings,
    ReportSettings,
)
from corpus.evalita.splits import SPLITS, Candidate, assign, on_two_sides
from corpus.evalita.tables import BASELINES, BENCHMARK_ITEMS, INSTRUCTIONS, ITEMS, SCORES, WORDING_SCORES
from corpus.evalita.task import Item, Wording
from corpus.evalita.tasks import TASKS
from foundation.sources.licences import combine, licence_of
from foundation.stages import Stage, StageContext, StageReport, StageSetup
from foundation.store import GateResult, PublishedVersion


def build_raw(context: StageContext) -> StageReport:
    """Read every task whose files are there."""
    settings = cast(RawSettings, context.settings["evalita.raw"])
    present, missing = locate_all(context.data, settings)
    rows: list[dict[str, Any]] = []
    sizes: dict[str, dict[str, int]] = {}
    own_tests: list[str] = []
    for located in present:
        task = located.task
        items = official_items(located, accept_changed=task.name in settings.accept_changed)
        official = has_test(items)
        if not official:
            items = with_test_groups(items, settings.test_share)
            own_tests.append(task.name)
        sizes[task.name] = counts(items)
        rows += [_raw_row(located, item, official) for item in items]
    rows.sort(key=lambda row: row["item_id"])
    with context.staging.table(ITEMS) as table:
        table.write(rows)
    status = report.status_table(present, missing)
    licences = sorted({row["licence"] for row in rows})
    context.staging.card(
        f"# EVALITA items\n\nSplits and labels of the organisers, read from the files as distributed.\n\n{status}\n", license=combine(licences).card_name
    )
    statistics = {"items": sizes, "missing": [entry.task.name for entry in missing], "test_items_of_this_project": own_tests}
    return StageReport(statistics=statistics, previews={"Tasks": status})


def _raw_row(located: Located, item: Item, official_test: bool) -> dict[str, Any]:
    sample = located.origin == SAMPLES
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
        "official_test": official_test,
    }


def _raw_files(setup: StageSetup) -> Sequence[Path]:
    return used_files(setup.data, cast(RawSettings, setup.settings["evalita.raw"]))


PROVENANCE = ("source", "revision", "licence", "redistributable", "official_test")


def items_of(raw: PublishedVersion) -> tuple[dict[str, list[Item]], dict[str, Mapping[str, Any]]]:
    """Items by task, in the registry's order, and the provenance of each item by id.

    Raises:
        EvalitaError: the table holds a task that is no more declared.
    """
    found: dict[str, list[Item]] = {name: [] for name in TASKS}
    provenance: dict[str, Mapping[str, Any]] = {}
    for row in raw.read("items").iter_rows(named=True):
        if row["task"] not in found:
            raise EvalitaError(f"evalita_raw holds items of {row['task']!r}, which is no task any more; materialize evalita_raw again")
        item = Item(row["item_id"], row["split"], row["group_id"], json.loads(row["fields"]), json.loads(row["label"]), row["licence"])
        found[row["task"]].append(item)
        provenance[item.item_id] = {name: row[name] for name in PROVENANCE}
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
    return StageReport(statistics={"items": sizes}, previews={"Items by benchmark": report.split_table("benchmark", {name: {"test": size} for name, size in sizes.items()})})


def _benchmark_files(setup: StageSetup) -> Sequence[Path]:
    settings = cast(BenchmarkSettings, setup.settings["evalita.benchmarks"])
    return [benchmarks.benchmark_path(entry, setup.data) for entry in settings.files]


class _Counts:
    """Rows by task, wording and licence, each by split; and the rows whose answer does not come back as the label."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, int]] = {}
        self.wordings: dict[str, dict[str, int]] = {}
        self.licences: dict[str, dict[str, int]] = {}
        self.lossy: dict[str, int] = {}
        self.broken = 0

    def add(self, row: Mapping[str, Any], split: str, candidate: Candidate, wording: Wording) -> None:
        for counter, name in ((self.rows, row["task"]), (self.wordings, row["template_id"]), (self.licences, row["licence"])):
            entry = counter.setdefault(name, {})
            entry[split] = entry.get(split, 0) + 1
        if not wording.keeps(candidate.item.fields, candidate.item.label):
            self.lossy[row["template_id"]] = self.lossy.get(row["template_id"], 0) + 1
            self.broken += wording.lossless

    def statistics(self) -> dict[str, Any]:
        return {
            "total": {split: sum(found.get(split, 0) for found in self.rows.values()) for split in SPLITS},
            **{name: dict(sorted(getattr(self, name).items())) for name in ("rows", "wordings", "licences", "lossy")},
        }


def build_instructions(context: StageContext) -> StageReport:
    """Put items into words, whole groups on one side of every split."""
    settings = cast(InstructionSettings, context.settings["evalita.instructions"])
    items, provenance = items_of(context.input("evalita_raw"))
    assignment = assign(items, TASKS, settings, context.seed)
    counted = _Counts()
    groups: list[tuple[str, list[str]]] = []
    texts: list[tuple[str, frozenset[str]]] = []
    examples: dict[str, list[dict[str, Any]]] = {}
    with context.staging.table(INSTRUCTIONS) as table:
        for split in SPLITS:
            rows = []
            for candidate in assignment.splits[split]:
                origin = {name: value for name, value in provenance[candidate.item.item_id].items() if name != "official_test"}
                for wording in wordings_for(candidate, split, settings, context.seed):
                    rows.append({**instruction_row(candidate, wording), **origin})
                    counted.add(rows[-1], split, candidate, wording)
                texts.append((split, candidate.keys))
            rows.sort(key=lambda row: row["id"])
            table.write(rows, split)
            groups += [(split, [row["group_id"]]) for row in rows]
            for row in rows:
                shown = examples.setdefault(row["task"], [])
                if not shown or shown[-1]["split"] != split:
                    shown.append({"template": row["template_id"], "split": split, **{name: report.masked(row[name]) for name in ("instruction", "input", "output")}})
    left_out = {name: dict(sorted(reasons.items())) for name, reasons in sorted(assignment.left_out.items())}
    statistics = {**counted.statistics(), "left_out": left_out}
    previews = {
        "Rows by task": report.split_table("task", statistics["rows"]),
        "Rows by wording": report.split_table("template", statistics["wordings"]),
        "Rows by licence": report.split_table("licence", statistics["licences"]),
        "Left out": report.left_out_table(left_out),
        "Rows": report.examples_table(examples),
    }
    context.staging.card(
        f"# EVALITA instructions\n\nEvery row keeps its own licence.\n\n{previews['Rows by task']}",
        license=combine(sorted(counted.licences)).card_name,
        language=["it"],
    )
    return StageReport(statistics=statistics, gates=_gates(groups, texts, counted), previews=previews)


def _gates(groups: Sequence[tuple[str, list[str]]], texts: Sequence[tuple[str, frozenset[str]]], counted: _Counts) -> list[GateResult]:
    both, copies = on_two_sides(groups), on_two_sides(texts)
    return [
        GateResult("groups_apart", both == 0, both, 0, "Groups with rows on more than one side of a split."),
        GateResult("texts_apart", copies == 0, copies, 0, "Texts of items (lower case, words alone) on more than one side of a split."),
        GateResult("answers_read_back", counted.broken == 0, counted.broken, 0, "Rows of lossless wordings whose output is not read back as the label."),
    ]


def build_report(context: StageContext) -> StageReport:
    """Score the answers of every model."""
    settings = cast(ReportSettings, context.settings["evalita.report"])
    items, provenance = items_of(context.input("evalita_raw"))
    instructions = context.input("evalita_instructions")
    expected = {row["id"]: row for row in instructions.read("instructions", "test").iter_rows(named=True)}
    trained = set(instructions.read("instructions", "train")["template_id"].unique())
    by_id = {item.item_id: item for rows in items.values() for item in rows}
    answers: dict[tuple[str, str, str], list[scoring.Answered]] = {}
    for row in context.input("evalita_answers").read("answers").iter_rows(named=True):
        answered = _answered(row, expected, by_id)
        answers.setdefault((row["model"], row["task"], answered.wording), []).append(answered)
    scores: list[dict[str, Any]] = []
    by_wording: list[dict[str, Any]] = []
    failures: dict[str, dict[str, int]] = {}
    for (model, name, wording), given in sorted(answers.items()):
        task = TASKS[name]
        training, test = ([item for item in items[name] if item.split == split] for split in ("train", "test"))
        rows = scoring.score(model, task, given, training, test, settings, context.seed)
        by_wording += [{**row, "wording": wording, "trained_on": f"{name}/{wording}" in trained} for row in rows]
        if wording == _main_wording(name, expected):
            scores += [{**row, "official_test": provenance[given[0].item.item_id]["official_test"]} for row in rows]
        failures[f"{model} {name}/{wording}"] = scoring.failures(task, given)
    baselines = [
        row
        for name, found in items.items()
        for row in scoring.baseline_scores(TASKS[name], [item for item in found if item.split == "train"], [item for item in found if item.split == "test"])
    ]
    for spec, rows in ((SCORES, scores), (WORDING_SCORES, by_wording), (BASELINES, baselines)):
        rows.sort(key=lambda row: tuple(row[column] for column in spec.key))
        with context.staging.table(spec) as table:
            table.write([{column: row[column] for column in spec.schema.names} for row in rows])
    previews = {"Scores": report.score_table(scores), "Scores by wording": report.wording_table(by_wording), "Baselines": report.baseline_table(baselines)}
    note = "An asterisk marks a metric that was not confirmed as the organisers' own. Failed answers count as wrong."
    context.staging.card(f"# EVALITA report\n\n{note}\n\n{previews['Scores']}\n")
    return StageReport(statistics={"rows": len(scores), "failures": failures}, previews=previews)


def _main_wording(task: str, expected: Mapping[str, Mapping[str, Any]]) -> str:
    """The wording that ``scores`` is about: of those that the test rows have, the first in the task's declaration."""
    present = {row["wording"] for row in expected.values() if row["task"] == task}
    return next(wording.name for wording in TASKS[task].wordings if wording.name in present)


def _answered(row: Mapping[str, Any], expected: Mapping[str, Mapping[str, Any]], items: Mapping[str, Item]) -> scoring.Answered:
    wanted = expected.get(row["id"])
    if wanted is None or wanted["task"] != row["task"]:
        raise EvalitaError(
            f"evalita_answers, row {row['id']!r} of task {row['task']!r}: no such test row in evalita_instructions; materialize evalita_answers again"
        )
    answered = scoring.Answered(items[wanted["item_id"]], wanted["wording"], row["answer"] or "")
    if row.get("gold") is not None:
        scoring.check_gold(TASKS[row["task"]], answered, row["gold"], row["id"])
    return answered


def stages(settings: EvalitaSettings) -> tuple[Stage, ...]:
    """All stages of the workshop."""
    return (
        Stage(
            asset="evalita_raw",
            version="2",
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
            version="2",
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
            version="2",
            group="evalita",
            build=build_instructions,
            sections=("evalita.instructions",),
            upstream=("evalita_raw",),
            tables=(INSTRUCTIONS,),
            carried={"evalita_raw": ("task", "item_id", "group_id", "source", "licence", "redistributable", "revision")},
            derived={"input": ("evalita_raw.fields",), "output": ("evalita_raw.label",)},
            kinds=("parquet",),
            description="EVALITA items as instruction, input and output (LLaMAntino, arXiv 2312.09993; wordings after ExtremITA, Evalita-LLM and this "
            "project's own). Groups never lie on two sides of a split, and nothing that shares text with a test item is trained on.",
            gates=("groups_apart", "texts_apart", "answers_read_back"),
        ),
        Stage(
            asset="evalita_report",
            version="2",
            group="evaluation",
            build=build_report,
            sections=("evalita.report",),
            upstream=("evalita_answers", "evalita_instructions", "evalita_raw"),
            tables=(SCORES, WORDING_SCORES, BASELINES),
            kinds=("parquet",),
            description="Official metrics of the models' answers with bootstrap intervals and baselines. Answers that hold no value count as wrong and are "
            "reported as a rate; they never become a default class.",
        ),
    )
