"""Commands on answers to EVALITA tasks: ask a model or a server, score a table of answers, export the tasks to lm-eval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dagster_project.factory import Factory, make_factory
from dagster_project.tables import text_table
from foundation.errors import TransumanzaError
from foundation.language.prompts import PromptForm
from foundation.store import NotPublished, PublishedVersion

if TYPE_CHECKING:
    from corpus.evalita.answer_scores import AnswerScores, Questions
    from training.answers import Answered, Asking


def register(train_app: typer.Typer, evalita_app: typer.Typer) -> None:
    """Add the commands to those of their workshops."""
    train_app.command()(answer)
    evalita_app.command()(score)
    evalita_app.command("export-lm-eval")(export_tasks)


_Instructions = Annotated[
    str | None, typer.Option("--instructions", help="A tag or the beginning of a version of evalita_instructions.", show_default="the profile's")
]
_Split = Annotated[str, typer.Option(help="test, validation or train.")]
_Tasks = Annotated[list[str] | None, typer.Option("--task", help="Only this task; may be given again.")]
_Wordings = Annotated[list[str] | None, typer.Option("--wording", help="Only this wording of what is published; may be given again.")]
_Prompts = Annotated[PromptForm, typer.Option(help="The language file's template, or one message in the model's chat template.")]
_Tokens = Annotated[int | None, typer.Option(help="Longest generated answer, in tokens.", min=1, show_default="the profile's")]
_Stop = Annotated[list[str] | None, typer.Option(help="A text that ends a generated answer, beside the end token; may be given again.")]


def answer(
    output: Annotated[Path, typer.Argument(help="The table to write: .parquet, .jsonl or .csv.")],
    model: Annotated[str, typer.Option(help="A published model asset, or a checkpoint folder; with --server, the model's name there.")] = "evalita_model",
    server: Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server, as http://127.0.0.1:8000/v1.")] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called in the table.", show_default="the folder's or the asset's name")] = None,
    prompts: _Prompts = "instruction",
    labels: Annotated[Literal["generation", "likelihood", "likelihood_per_character"], typer.Option(help="How rows with a few fixed answers are answered.")] = "generation",
    task: _Tasks = None,
    wording: _Wordings = None,
    split: _Split = "test",
    rows_per_task: Annotated[int | None, typer.Option(help="At most so many rows of each task, drawn by the profile's seed.", min=1)] = None,
    answer_tokens: _Tokens = None,
    stop: _Stop = None,
    batch: Annotated[int | None, typer.Option(help="Prompts at once.", min=1, show_default="the profile's")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Where to compute.", show_default="the profile's")] = None,
    stored_dtype: Annotated[bool, typer.Option("--stored-dtype", help="Compute in the type that the weights are stored in, not in float32.")] = False,
    concurrency: Annotated[int, typer.Option(help="Requests at a time to a server.", min=1)] = 8,
    key_variable: Annotated[str, typer.Option(help="Environment variable with the server's key.")] = "OPENAI_API_KEY",
    instructions: _Instructions = None,
) -> None:
    """Write a model's answers to EVALITA rows as a table; `evalita score` scores it."""
    from training.answer_files import check_answer_file, write_answers
    from training.answers import Asking, choose_items

    check_answer_file(output)
    factory = make_factory(offline=True)
    settings = factory.loaded.profile.training.evaluation
    asking = Asking(prompts, labels, answer_tokens or settings.evalita_answer_tokens, tuple(stop or ()), batch or settings.batch)
    published = _instructions(factory, instructions)
    rows = published.read("instructions", _known_split(split))
    items = choose_items(rows, rows_per_task, factory.loaded.profile.seed, tasks=task or (), wordings=wording or ())
    if server is not None:
        found = _asked_server(server, model, name or model, items, asking, concurrency, key_variable)
    else:
        found = _asked_folder(factory, model, name, items, asking, device or settings.device, stored_dtype)
    write_answers(output, found.rows)
    typer.echo(f"{output}: {len(found.rows)} answers to {published}")
    if found.too_long:
        typer.secho(f"{found.too_long} prompts are longer than the model's context; their answers are empty and count as failed", fg=typer.colors.YELLOW, err=True)


def _asked_server(url: str, model: str, name: str, items: list[dict[str, Any]], asking: Asking, concurrency: int, key_variable: str) -> Answered:
    from tqdm import tqdm

    from foundation.sources.chat_completions import ChatServer, without_credentials
    from training.server_answers import ask_server

    try:
        address = without_credentials(url)
    except ValueError as error:
        raise TransumanzaError(f"--server: {error}") from error
    with tqdm(total=len(items), desc="EVALITA answers", unit="item", disable=None) as bar:
        reached = ChatServer(address, key_variable=key_variable, concurrency=concurrency, timeout_s=300.0)
        return ask_server(name, reached, model, items, asking, threads=concurrency, advance=bar.update)


def _asked_folder(
    factory: Factory, model: str, name: str | None, items: list[dict[str, Any]], asking: Asking, device: str, stored_dtype: bool
) -> Answered:
    from tqdm import tqdm

    from training.answers import answer_items
    from training.checkpoints import check_checkpoint, torch_threads

    folder = _model_folder(factory, model)
    check_checkpoint(folder)
    profile = factory.loaded.profile
    dtype: Literal["stored", "float32"] = "stored" if stored_dtype else "float32"
    with torch_threads(profile.training.evaluation.threads):
        return answer_items(
            name or (model if model in factory.stages else folder.name), folder, items, profile.language.templates, asking,
            lambda total, label, unit: tqdm(total=total, desc=label, unit=unit, disable=None), device=device, dtype=dtype,
        )  # fmt: skip


def _model_folder(factory: Factory, model: str) -> Path:
    """A published model's checkpoint, or the folder of that name."""
    from training.builds.merges import checkpoint_of

    if model in factory.stages:
        workplace = factory.workplace
        return checkpoint_of(workplace.store.resolve(model, ref=workplace.profile, allow_failed_gates=list(factory.stages)))
    if not Path(model).is_dir():
        raise TransumanzaError(f"--model: {model!r} is neither a model asset of the profile nor a folder; name one that holds config.json and safetensors")
    return Path(model).resolve()


def _known_split(split: str) -> str:
    from corpus.evalita.splits import SPLITS

    if split not in SPLITS:
        raise TransumanzaError(f"--split is {split!r}; evalita_instructions has {', '.join(SPLITS)}")
    return split


def _instructions(factory: Factory, version: str | None) -> PublishedVersion:
    store = factory.workplace.store
    return store.published(store.find("evalita_instructions", None, version or factory.workplace.profile))


def _questions(factory: Factory, version: str | None, split: str) -> tuple[PublishedVersion, Questions]:
    """The instructions, and their rows beside the very items that they were made of."""
    from corpus.evalita.answer_scores import questions_of

    store = factory.workplace.store
    record = store.find("evalita_instructions", None, version or factory.workplace.profile)
    try:
        raw = store.published(store.find("evalita_raw", None, record.inputs["upstream"]["evalita_raw"]["version"]))
    except NotPublished as error:
        raise TransumanzaError(f"the items that evalita_instructions was made of are not in the store any more ({error}); materialize evalita_raw again") from error
    published = store.published(record)
    return published, questions_of(published, raw, _known_split(split))


def score(
    answers: Annotated[Path, typer.Argument(help="A table with the columns task, id and answer (.parquet, .jsonl, .csv, .tsv); model and gold may be there.")],
    model: Annotated[str | None, typer.Option(help="What answers without a model of their own are filed under.", show_default="the file's name")] = None,
    split: _Split = "test",
    instructions: _Instructions = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score answers of any generator: official metrics with intervals, baselines, failed answers by kind, coverage."""
    from corpus.evalita.answer_files import read_answers
    from corpus.evalita.answer_scores import score_answers

    rows = read_answers(answers, model or "")
    factory = make_factory(offline=True)
    published, questions = _questions(factory, instructions, split)
    profile = factory.loaded.profile
    remedy = f"the ids are those of {published}; answer these rows, or name the version that was answered by --instructions"
    found = score_answers(questions, rows, profile.evalita.report, profile.seed, origin=str(answers), remedy=remedy)
    if as_json:
        typer.echo(json.dumps({"instructions": str(published), "split": split, **vars(found)}, ensure_ascii=False))
        return
    typer.echo("\n".join(_score_lines(found)))


def _score_lines(found: AnswerScores) -> list[str]:
    rows = [
        (
            row["model"], f"{row['task']}/{row['wording']}", row["metric"] + ("" if row["metric_verified"] else " *"), f"{row['score']:.4f}",
            f"{row['low']:.4f}–{row['high']:.4f}", "–" if row["score_parsed"] is None else f"{row['score_parsed']:.4f}", f"{row['baseline']:.4f}",
            f"{row['parse_failure_rate']:.1%}", f"{row['coverage']:.1%}", row["items"],
        )
        for row in found.wording_scores
    ]  # fmt: skip
    header = ("model", "task/wording", "metric", "score", "interval", "parsed only", "baseline", "failed", "coverage", "items")
    lines = [text_table(header, rows, right=range(3, 10))]
    if any(not row["metric_verified"] for row in found.wording_scores):
        lines.append("* not confirmed as the organisers' own")
    if any(row["coverage"] < 1 for row in found.wording_scores):
        lines.append("coverage below 100 %: not every item of the test set was answered, and these are no official scores")
    for label, kinds in found.failures.items():
        if kinds:
            lines.append(f"{label}: answers without a value, by kind: {', '.join(f'{kind} {count}' for kind, count in kinds.items())}")
    lines += [f"{label}: {count} asked rows have no answer" for label, count in found.unanswered.items() if count]
    return lines


def export_tasks(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    task: _Tasks = None,
    wording: _Wordings = None,
    split: _Split = "test",
    held_out: Annotated[bool, typer.Option("--held-out", help="Only wordings that no training row has.")] = False,
    prompts: _Prompts = "instruction",
    labels: Annotated[Literal["choice", "generation"], typer.Option(help="Rows with a few fixed answers: a multiple choice, or generated as all others.")] = "choice",
    answer_tokens: _Tokens = None,
    stop: _Stop = None,
    private: Annotated[bool, typer.Option("--private", help="Take rows too that may not be given on; the folder is then for this machine alone.")] = False,
    instructions: _Instructions = None,
) -> None:
    """Write EVALITA tasks that lm-eval runs offline, with the organisers' metrics."""
    from corpus.evalita.harness.export import HarnessOptions, export_lm_eval

    factory = make_factory(offline=True)
    published, questions = _questions(factory, instructions, split)
    profile = factory.loaded.profile
    options = HarnessOptions(
        tuple(task or ()), tuple(wording or ()), held_out, prompts, labels,
        answer_tokens or profile.training.evaluation.evalita_answer_tokens, tuple(stop or ()), private,
    )  # fmt: skip
    export = export_lm_eval(folder, questions, profile.language.templates, options, f"{published}, {split}")
    typer.echo(text_table(("lm-eval task", "rows"), list(export.rows.items()), right=(1,)))
    for name, counts in export.left_out.items():
        for reason, count in counts.items():
            typer.secho(f"left out: {count} rows of {name} ({reason})", fg=typer.colors.YELLOW, err=True)
