"""The command that evaluates any one model: a published asset, a folder, a model of the Hub, a server's model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dagster_project.factory import Factory, make_factory
from foundation.errors import TransumanzaError
from foundation.store import NotPublished, PublishedVersion

if TYPE_CHECKING:
    from training.evaluation.evaluate import Evaluation, Measuring
    from training.evaluation.subjects import LocalModel, ServedModel


def register(train_app: typer.Typer) -> None:
    """Add the command to those of the training workshop."""
    train_app.command()(evaluate)


def evaluate(
    model: Annotated[str, typer.Argument(help="A published model asset, a checkpoint folder, or OWNER/NAME[@REVISION] of the Hub; with --server, the model's name there.")],
    server: Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server, as http://127.0.0.1:8000/v1.")] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called in the output.", show_default="its own")] = None,
    against: Annotated[str | None, typer.Option(help="Another model (asset, folder or Hub) to tell the change against, on the same text.")] = None,
    nf4: Annotated[bool, typer.Option("--nf4", help="Quantize to NF4 while reading, as QLoRA trains.")] = False,
    adapter: Annotated[Path | None, typer.Option(help="A PEFT adapter folder to put on the NF4 model.")] = None,
    text: Annotated[
        list[Path] | None, typer.Option(help="Held-out text of your own: UTF-8, documents set apart by blank lines; repeatable.", show_default="the profile's")
    ] = None,
    lm_eval: Annotated[str | None, typer.Option("--lm-eval", help="A preset below profiles/lm_eval, or a YAML file; wants the extra `eval`.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only so many items of each lm-eval task, to try it out.", min=1)] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Where to compute.", show_default="the profile's")] = None,
    concurrency: Annotated[int, typer.Option(help="Requests at a time to a server.", min=1)] = 8,
    key_variable: Annotated[str, typer.Option(help="Environment variable with the server's key.")] = "OPENAI_API_KEY",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a model: bits per byte on held-out text with intervals, answers to fixed prompts, lm-eval tasks."""
    from training.evaluation.evaluate import evaluate_local, evaluate_served
    from training.evaluation.lm_eval_presets import check_installed, load_preset, run_preset

    preset = None if lm_eval is None else load_preset(lm_eval)
    if preset is not None:
        check_installed()
    factory = make_factory()
    measuring = _measuring(factory, text or [], device)
    if server is not None:
        if against or nf4 or adapter:
            raise TransumanzaError("--against, --nf4 and --adapter need the weights, and a server gives none; give the model's folder instead")
        found = evaluate_served(_served(server, model, concurrency, key_variable), measuring)
    else:
        chosen = _local(factory, model, name)
        found = evaluate_local(chosen, measuring, against=None if against is None else _local(factory, against), nf4=nf4, adapter=adapter)
        if preset is not None:
            from training.checkpoints import device_of

            settings = measuring.settings
            found.lm_eval.extend(run_preset(preset, chosen.folder, device=device_of(settings.device).type, batch=settings.batch, limit=limit))
    typer.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else _shown(found))
    for measure, reason in found.not_measured.items():
        if measure != "lm_eval" or lm_eval is not None:
            typer.secho(f"not measured: {measure} ({reason})", fg=typer.colors.YELLOW, err=True)


def _measuring(factory: Factory, files: list[Path], device: str | None) -> Measuring:
    from tqdm import tqdm

    from foundation.stages import setup_of
    from training.builds.language_report import judge_of, text_sets
    from training.evaluation.evaluate import Measuring
    from training.evaluation.text_files import text_file

    profile = factory.loaded.profile
    settings = profile.training.evaluation.model_copy(update={"device": device} if device else {})
    missing: dict[str, str] = {}
    if files:
        texts = [text_file(path, "", settings.passages, settings.passage_characters, profile.seed) for path in files]
    else:
        published = {asset: _published(factory, asset) for asset in ("clean_corpus", "evaluation_text")}
        texts = text_sets(published["clean_corpus"], published["evaluation_text"], settings, profile.language, profile.seed)
        absent = [asset for asset, version in published.items() if version is None]
        if absent:
            missing[f"bits per byte on {' and '.join(absent)}"] = f"not published under profile {profile.name!r}; materialize it, or give text of your own by --text"
    return Measuring(
        texts, profile.language.prompts, settings, judge_of(setup_of(factory.stages["language_report"], factory.workplace, None)), profile.seed,
        lambda total, label, unit: tqdm(total=total, desc=label, unit=unit, disable=None), missing,
    )  # fmt: skip


def _published(factory: Factory, asset: str) -> PublishedVersion | None:
    workplace = factory.workplace
    try:
        return workplace.store.resolve(asset, ref=workplace.profile, allow_failed_gates=list(factory.stages))
    except NotPublished:
        return None


def _local(factory: Factory, model: str, name: str | None = None) -> LocalModel:
    from foundation.sources.downloads import Downloads
    from training.builds.merges import checkpoint_of
    from training.evaluation.subjects import LocalModel, local_model

    if model in factory.stages:
        workplace = factory.workplace
        version = workplace.store.resolve(model, ref=workplace.profile, allow_failed_gates=list(factory.stages))
        return LocalModel(name or model, str(version), checkpoint_of(version))
    found = local_model(model, Downloads(factory.workplace.cache, factory.offline))
    return found if name is None else LocalModel(name, found.source, found.folder)


def _served(url: str, model: str, concurrency: int, key_variable: str) -> ServedModel:
    from foundation.sources.chat_completions import ChatServer, without_credentials
    from training.evaluation.subjects import ServedModel

    try:
        address = without_credentials(url)
    except ValueError as error:
        raise TransumanzaError(f"--server: {error}") from error
    return ServedModel(model, ChatServer(address, key_variable=key_variable, concurrency=concurrency, timeout_s=300.0), concurrency)


def _shown(found: Evaluation) -> str:
    from training.evaluation.showing import answer_table, change_table, harness_table, measure_table, score_table

    measures: list[Mapping[str, object]] = [{"model": found.model, **found.answer_measures}] if found.answer_measures else []
    parts = (
        ("Bits per byte (lower is better), 95 % intervals", score_table(found.bits_per_byte) if found.bits_per_byte else ""),
        ("Change of bits per byte, paired 95 % intervals", change_table(found.changes) if found.changes else ""),
        ("Answers to the fixed prompts", measure_table(measures) if measures else ""),
        ("The answers", answer_table(found.generations) if found.generations else ""),
        ("lm-eval", harness_table(found.lm_eval) if found.lm_eval else ""),
    )
    return "\n\n".join([f"{found.model} ({found.source})", *(f"{title}\n\n{table}" for title, table in parts if table)])
