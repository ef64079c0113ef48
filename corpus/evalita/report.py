"""What people read: tables of status, rows and scores as Markdown, and rendered examples of every task."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from corpus.evalita.items import SAMPLE_LICENCE, SAMPLES, Located
from corpus.evalita.splits import SPLITS
from foundation.store import PublishedVersion

_PERSONAL = (
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "[e-mail]"),
    (re.compile(r"https?://\S+|www\.\S+"), "[link]"),
    (re.compile(r"@\w+"), "@utente"),
    (re.compile(r"\+?\d[\d .-]{7,}\d"), "[numero]"),
)


def masked(text: str) -> str:
    """A text without what may lead to a person: addresses, links, account names, long numbers."""
    for pattern, placeholder in _PERSONAL:
        text = pattern.sub(placeholder, text)
    return text


def rendered_examples(instructions: PublishedVersion, per_task: int = 10) -> dict[str, list[dict[str, str]]]:
    """Rows of ``evalita_instructions`` as a reader sees them, by task: split, template, instruction, input and output, masked.

    The choice is by hash of the row's id, so that it shows all splits and wordings of a task, and stays as it is.
    """
    rows: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for split in SPLITS:
        for row in instructions.read("instructions", split).iter_rows(named=True):
            rank = hashlib.sha256(row["id"].encode()).hexdigest()
            rows.setdefault(row["task"], []).append((rank, split, row))
    return {task: [_shown(split, row) for _, split, row in sorted(found, key=lambda entry: entry[0])[:per_task]] for task, found in sorted(rows.items())}


def _shown(split: str, row: Mapping[str, Any]) -> dict[str, str]:
    return {"split": split, "template": row["template_id"], **{name: masked(row[name]) for name in ("instruction", "input", "output")}}


def examples_table(examples: Mapping[str, Sequence[Mapping[str, str]]], characters: int = 160) -> str:
    """Rendered examples as a Markdown table, each text cut to so many characters."""

    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("\n", " ⏎ ")[:characters]

    lines = ["| template | split | instruction | input | output |", "|---|---|---|---|---|"]
    for rows in examples.values():
        lines += [f"| {row['template']} | {row['split']} | {' | '.join(cell(row[name]) for name in ('instruction', 'input', 'output'))} |" for row in rows]
    return "\n".join(lines)


def status_table(present: Sequence[Located], missing: Sequence[Located]) -> str:
    """Which tasks were read, from where and under which licence."""
    lines = ["| task | name | state | licence | where |", "|---|---|---|---|---|"]
    for entry in present:
        licence = SAMPLE_LICENCE if entry.origin == SAMPLES else ", ".join(entry.task.licences)
        lines.append(f"| {entry.task.title} | {entry.task.name} | {entry.origin} | {licence} | {entry.task.access.where} |")
    lines += [f"| {entry.task.title} | {entry.task.name} | missing | {', '.join(entry.task.licences)} | {entry.task.access.where} |" for entry in missing]
    return "\n".join(lines)


def split_table(title: str, counted: Mapping[str, Mapping[str, int]]) -> str:
    """Rows by name and split, with a last line of sums."""
    lines = [f"| {title} | {' | '.join(SPLITS)} |", "|---" + "|---:" * len(SPLITS) + "|"]
    sums = {split: sum(found.get(split, 0) for found in counted.values()) for split in SPLITS}
    for name, found in (*counted.items(), ("all", sums)):
        lines.append(f"| {name} | {' | '.join(str(found.get(split, 0)) for split in SPLITS)} |")
    return "\n".join(lines)


def left_out_table(left_out: Mapping[str, Mapping[str, int]]) -> str:
    """Items that a split did not get, by task and reason."""
    lines = ["| task | reason | items |", "|---|---|---:|"]
    lines += [f"| {task} | {reason} | {count} |" for task, reasons in left_out.items() for reason, count in reasons.items()]
    return "\n".join(lines)


def score_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Scores with intervals beside the baseline; an asterisk marks a metric that no source confirmed."""
    lines = [
        "| model | task | metric | score | interval | parsed only | baseline | failed | coverage | items |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        name = row["metric"] + ("" if row["metric_verified"] else " *")
        parsed = "–" if row["score_parsed"] is None else f"{row['score_parsed']:.3f}"
        lines.append(
            f"| {row['model']} | {row['task']} | {name} | {row['score']:.3f} | {row['low']:.3f}–{row['high']:.3f} | {parsed} | {row['baseline']:.3f} "
            f"| {row['parse_failure_rate']:.1%} | {row['coverage']:.1%} | {row['items']} |"
        )
    return "\n".join(lines)


def baseline_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Scores of the trivial baselines."""
    lines = ["| task | metric | baseline | score | items |", "|---|---|---|---:|---:|"]
    lines += [f"| {row['task']} | {row['metric']} | {row['baseline']} | {row['score']:.3f} | {row['items']} |" for row in rows]
    return "\n".join(lines)


def wording_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Scores by wording of the test items."""
    lines = ["| model | task | wording | trained on | metric | score | failed |", "|---|---|---|---|---|---:|---:|"]
    for row in rows:
        trained = "yes" if row["trained_on"] else "no"
        lines.append(f"| {row['model']} | {row['task']} | {row['wording']} | {trained} | {row['metric']} | {row['score']:.3f} | {row['parse_failure_rate']:.1%} |")
    return "\n".join(lines)
