"""The stages of the EVALITA workshop: raw items, benchmark texts, instruction rows, and the report on answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from corpus.evalita import benchmarks, report
from corpus.evalita.answer_scores import questions_of, score_answers
from corpus.evalita.errors import EvalitaError
from corpus.evalita.instructions import instruction_row, wordings_for
from corpus.evalita.items import (
    SAMPLE_LICENCE,
    SAMPLE_SOURCE,
    SAMPLES,
    Located,
    counts,
    has_test,
    items_of,
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
from foundation.store import GateResult


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
    questions = questions_of(context.input("evalita_instructions"), context.input("evalita_raw"))
    answers = context.input("evalita_answers").read("answers").iter_rows(named=True)
    found = score_answers(questions, answers, settings, context.seed, origin="evalita_answers", remedy="materialize evalita_answers again")
    for spec, rows in ((SCORES, found.scores), (WORDING_SCORES, found.wording_scores), (BASELINES, found.baselines)):
        rows.sort(key=lambda row: tuple(row[column] for column in spec.key))
        with context.staging.table(spec) as table:
            table.write([{column: row[column] for column in spec.schema.names} for row in rows])
    previews = {
        "Scores": report.score_table(found.scores),
        "Scores by wording": report.wording_table(found.wording_scores),
        "Baselines": report.baseline_table(found.baselines),
    }
    note = "An asterisk marks a metric that was not confirmed as the organisers' own. Failed answers count as wrong."
    context.staging.card(f"# EVALITA report\n\n{note}\n\n{previews['Scores']}\n")
    return StageReport(statistics={"rows": len(found.scores), "failures": found.failures}, previews=previews)


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
            version="3",
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
            gates={
                "groups_apart": "No group has rows on more than one side of a split.",
                "texts_apart": "No item's text (lower case, words alone) is on more than one side of a split.",
                "answers_read_back": "Outputs of lossless wordings are read back as the label they were made of.",
            },
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
