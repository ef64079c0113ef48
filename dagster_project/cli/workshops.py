"""Commands of the workshops: one question or one small job each, without Dagster."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from dagster_project.corpus_report import corpus_versions, report_settings
from dagster_project.factory import Factory, data_folder, make_factory
from dagster_project.tables import text_table
from foundation.errors import TransumanzaError
from foundation.settings import PROFILES_ROOT
from foundation.store import BuildRecord, NotPublished, PublishedVersion

corpus_app = typer.Typer(help="The web corpus: why a page was dropped, what other rules would change, reports and reviews.", no_args_is_help=True)
translate_app = typer.Typer(help="Translation: try the engine, score it, review its rows.", no_args_is_help=True)
train_app = typer.Typer(help="Training: look at rows, export, measure and question models.", no_args_is_help=True)
evalita_app = typer.Typer(help="EVALITA tasks: what is there, scores of answers, tasks for lm-eval.", no_args_is_help=True)


def _resolve(asset: str, partition: str | None = None) -> PublishedVersion:
    factory = make_factory(offline=True)
    workplace = factory.workplace
    return workplace.store.resolve(asset, partition, ref=workplace.profile, allow_failed_gates=list(factory.stages))


def _published(asset: str, partition: str | None = None) -> PublishedVersion | None:
    try:
        return _resolve(asset, partition)
    except NotPublished:
        return None


@corpus_app.command()
def why(url: Annotated[str, typer.Argument(help="The page's address, as it was crawled.")]) -> None:
    """Tell what became of a page, and why: every failing rule with its value and threshold, copies, overlap with benchmarks."""
    from corpus.web.story import JudgedSnapshot, StorySettings
    from corpus.web.story import why as story

    profile = make_factory(offline=True).loaded.profile
    found = {snapshot: _published("documents", snapshot) for snapshot in profile.snapshots}
    documents = {name: version for name, version in found.items() if version is not None}
    absent = [name for name, version in found.items() if version is None]
    if not documents:
        _resolve("documents", absent[0])  # says what to do
    judged = {name: JudgedSnapshot(version, _published("signals", name), _published("decisions", name)) for name, version in documents.items()}
    web = profile.corpus.web
    settings = StorySettings(web.decisions, profile.language.identification, web.clean.personal_data)
    entries = story(url, documents, _published("clean_corpus"), judged, settings)
    unread = f"documents of {', '.join(absent)} are not published, and were not looked through" if absent else ""
    if not entries:
        scheme = "" if "://" in url else "write the scheme too (https://…); "
        raise TransumanzaError(
            f"nothing is known of {url}: {scheme}no document has this address, and it is not among the examples that `documents` keeps of "
            f"skipped pages{f'; {unread}' if unread else ''}; look at the spelling, or at the table `skipped` for the counts"
        )
    for entry in entries:
        outcome = {True: "kept", False: f"dropped: {entry['reason']}", None: "not decided yet"}[entry["kept"]]
        by = f"decided by {entry['step']}" if entry["kept"] is not None else f"known up to {entry['step']}"
        typer.echo(f"{entry['url']} [{entry['snapshot']}] {outcome} ({by})")
        for name, value in entry.items():
            if name not in ("url", "snapshot", "kept", "step", "reason") and value not in (None, "", []):
                typer.echo(f"  {name.replace('_', ' ')}:{_told(value)}")
    if unread:
        typer.echo(unread, err=True)


def _told(value: object) -> str:
    """A part of a page's story as text: long entries on lines of their own."""
    if isinstance(value, dict):
        return " " + ", ".join(f"{key} {count}" for key, count in value.items())
    if not isinstance(value, list):
        return f" {value}"
    if any(len(str(item)) > 40 for item in value):
        return "".join(f"\n    {item}" for item in value)
    return " " + ", ".join(str(item) for item in value)


@corpus_app.command("what-if")
def what_if(
    rules: Annotated[Path, typer.Option(help="A rule file; a path, or a name below profiles/, as rules/fineweb2_ita.yaml.")],
    snapshot: Annotated[list[str] | None, typer.Option(help="Only these snapshots; default: all of the profile.")] = None,
    examples: Annotated[int, typer.Option(help="Pages to name for each change.", min=0)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a snapshot.")] = False,
) -> None:
    """Judge snapshots by other rules, from their signals alone, and print the difference rule by rule."""
    from corpus.web.rules import load_rules
    from corpus.web.what_if import summary
    from corpus.web.what_if import what_if as judged_again

    profile = make_factory(offline=True).loaded.profile
    unknown = sorted(set(snapshot or ()) - set(profile.snapshots))
    if unknown:
        raise TransumanzaError(f"--snapshot: the profile has no {unknown}; it has {list(profile.snapshots)}")
    loaded = load_rules(_rule_file(rules))
    rights, identification = profile.corpus.web.decisions.rights, profile.language.identification
    judged = 0
    for name in snapshot or profile.snapshots:
        try:
            documents, signals, decisions = (_resolve(asset, name) for asset in ("documents", "signals", "decisions"))
        except NotPublished as error:
            if snapshot or (name == profile.snapshots[-1] and not judged):
                raise
            typer.echo(f"{name} is left out: {error}", err=True)
            continue
        judged += 1
        result = judged_again(documents, signals, decisions, loaded, rights, identification, examples)
        typer.echo(json.dumps(result.as_json(), ensure_ascii=False) if as_json else "\n".join(summary(result)))


def _rule_file(named: Path) -> Path:
    found = next((path for path in (named, PROFILES_ROOT / named) if path.is_file()), None)
    if found is None:
        known = ", ".join(path.relative_to(PROFILES_ROOT).as_posix() for path in sorted((PROFILES_ROOT / "rules").glob("*.yaml")))
        raise TransumanzaError(f"--rules: there is no file {named}, here or below profiles/; name a rule file, or one of {known}")
    return found


@corpus_app.command()
def report(
    output: Annotated[Path | None, typer.Option(help="The folder to write into.", show_default="reports/corpus-PROFILE of the state folder")] = None,
    examples: Annotated[int, typer.Option(help="Dropped pages to draw for each rule.", min=0)] = 20,
    sample: Annotated[int, typer.Option(help="Texts in which places and institutions are counted; 0: none.", min=0)] = 20_000,
) -> None:
    """Write the report of the corpus (HTML, and Markdown with pictures) and review.csv, the dropped pages to judge by eye."""
    from corpus.web.report import corpus_report
    from corpus.web.report.html import key_numbers
    from corpus.web.report.writing import write_report

    factory = make_factory(offline=True)
    versions = corpus_versions(factory)
    computed = corpus_report(versions, report_settings(factory.loaded.profile, examples=examples, sample=sample))
    written = write_report(computed, versions, output or factory.home / "reports" / f"corpus-{factory.loaded.profile.name}")
    typer.echo("\n".join(f"{name}: {value}" for name, value in key_numbers(computed)))
    for remark in (*computed.remarks, *([written.sheet_kept] if written.sheet_kept else [])):
        typer.secho(remark, fg=typer.colors.YELLOW, err=True)
    typer.echo("\n".join(str(path) for path in written.files if path.suffix != ".png"))


@corpus_app.command()
def review(
    sheet: Annotated[Path, typer.Argument(help="review.csv of `corpus report`, with verdicts: right, wrong or unsure.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read a filled review sheet back: the share of each rule's drops that was right, with its 95 % interval."""
    from corpus.web.report.precision import lines
    from corpus.web.report.precision import review as reviewed
    from corpus.web.report.review_sheet import read_sheet

    found = reviewed(read_sheet(sheet), corpus_versions(make_factory(offline=True)))
    typer.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else "\n".join(lines(found)))


@evalita_app.command()
def status(
    tasks: Annotated[list[str] | None, typer.Argument(help="Names of tasks; default: all.")] = None,
) -> None:
    """Say for each task whether its files are there and right, where to ask for them, under which licence, and where they go.

    Exits with 1 where a set is incomplete or a file is not the one that its organisers distribute.
    """
    from corpus.evalita.status import status as task_status
    from corpus.evalita.tasks import TASKS, named

    rows = task_status(data_folder(), make_factory(offline=True).loaded.profile.evalita.raw.origin, named(tasks or TASKS))
    table = [
        (row.task, f"present ({row.origin})" if row.present else row.state, ", ".join(row.licences), "may be released" if row.redistributable else "not for release", row.where)
        for row in rows
    ]
    typer.echo(text_table(("task", "files", "licence", "release", "where to ask"), table))
    typer.echo("\nwhere files go, below TRANSUMANZA_DATA:")
    for row in rows:
        typer.echo(f"  {row.task}: {row.title}{', on request' if row.access == 'request' else ''}")
        for file in row.files:
            typer.echo(f"    {file.path} ({file.state})")
        for question in row.unverified:
            typer.echo(f"    not verified: {question}")
    wrong = [row.task for row in rows if row.state in ("incomplete", "changed")]
    if wrong:
        raise TransumanzaError(f"files of {', '.join(wrong)} are missing or are not those that were distributed; copy them again from where the table says")


@translate_app.command("text")
def translate_text(text: Annotated[str | None, typer.Argument(help="English text; default: standard input.")] = None) -> None:
    """Translate a text with the profile's engine, structure kept."""
    from foundation.stages import setup_of
    from translation.text import translate_markdown

    factory = make_factory()
    setup = setup_of(factory.stages["translated_chats"], factory.workplace, None)
    typer.echo(translate_markdown(text if text is not None else sys.stdin.read(), setup))


@translate_app.command("report")
def translate_report(
    output: Annotated[Path | None, typer.Option(help="The folder to write into.", show_default="reports/translation-PROFILE of the state folder")] = None,
    samples: Annotated[int | None, typer.Option(help="Rows of the review sheet.", min=0, show_default="the profile's")] = None,
    sentences: Annotated[int | None, typer.Option(help="Only the first so many sentences of each parallel set.", min=1)] = None,
) -> None:
    """Score the engine on parallel sets, show what the gates reject, and write review.csv, rows to judge by eye."""
    from foundation.stages import setup_of
    from translation.quality.parallel_sets import read_sets
    from translation.quality.quality_report import quality_report
    from translation.quality.writing import write_report
    from translation.text import translator_of

    factory = make_factory()
    profile = factory.loaded.profile
    settings = profile.translation.quality
    pairs, missing = read_sets(settings.sets, factory.data, sentences)
    translator = translator_of(setup_of(factory.stages["translated_chats"], factory.workplace, None))
    report = quality_report(
        profile.name, translator, pairs, _translated_sets(factory), profile.translation.gates, seed=profile.seed,
        samples=settings.samples if samples is None else samples, missing=[f"parallel set {name}: its files are not below TRANSUMANZA_DATA" for name in missing],
    )  # fmt: skip
    written = write_report(report, output or factory.home / "reports" / f"translation-{profile.name}")
    for found in report.scores:
        typer.echo(f"{found.name}: BLEU {found.bleu.value:.1f} ± {found.bleu.half_width:.1f}, chrF {found.chrf.value:.1f} ± {found.chrf.half_width:.1f} ({found.sentences:,} sentences)")
    for translated in report.sets:
        typer.echo(f"{translated.name}: {translated.kept:,} of {translated.rows:,} rows kept")
    for remark in (*([report.note] if report.note else []), *report.missing, *([written.sheet_kept] if written.sheet_kept else [])):
        typer.secho(remark, fg=typer.colors.YELLOW, err=True)
    typer.echo("\n".join(str(path) for path in written.files if path.suffix != ".png"))


@translate_app.command("review")
def translate_review(
    sheet: Annotated[Path, typer.Argument(help="review.csv of `translate report`, with verdicts: good, minor or bad.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read a filled review sheet back: the share of rows that are usable, kept and quarantined, with 95 % intervals."""
    from translation.quality.samples import lines, read_sheet

    found = read_sheet(sheet, {name: version for name, (version, _) in _translated_sets(make_factory(offline=True)).items()})
    typer.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else "\n".join(lines(found)))


def _translated_sets(factory: Factory) -> dict[str, tuple[PublishedVersion, BuildRecord]]:
    """The translated sets that are published under the profile, with their builds."""
    store, found = factory.workplace.store, {}
    for name in ("chats", "instructions"):
        try:
            record = store.record(f"translated_{name}", ref=factory.workplace.profile)
        except NotPublished:
            continue
        found[name] = (store.resolve(f"translated_{name}", ref=factory.workplace.profile, allow_failed_gates=list(factory.stages)), record)
    return found


@train_app.command()
def preview(
    asset: Annotated[str, typer.Argument(help="instruction_model, chat_model or evalita_model.")] = "instruction_model",
    rows: Annotated[int, typer.Option(help="How many rows.", min=1)] = 3,
) -> None:
    """Print training rows with the tokens that carry loss in colour."""
    from training.preview import preview_rows

    factory = make_factory(offline=True)
    if asset not in factory.stages:
        raise TransumanzaError(f"there is no asset {asset!r}; name instruction_model, chat_model or evalita_model")
    for line in preview_rows(factory.stages[asset], factory.workplace, factory.stages, rows=rows):
        for piece, has_loss in line:
            shown = piece if sys.stdout.isatty() or not has_loss else f"⟦{piece}⟧"  # brackets where there is no colour
            typer.secho(shown, fg=typer.colors.GREEN if has_loss else None, nl=False)
        typer.echo("\n")


@train_app.command("export")
def train_export(
    asset: Annotated[str, typer.Argument(help="A trained model: adapted_model, instruction_model, chat_model, ...")],
    output: Annotated[Path, typer.Argument(help="The folder to make.")],
    form: Annotated[str, typer.Option("--format", help="merged, adapter, difference or gguf.")] = "merged",
    kind: Annotated[str, typer.Option("--type", help="Matrices of a GGUF file: f16 or q8_0.")] = "f16",
) -> None:
    """Write a published model as a folder of its own: merged weights, adapter, difference against the base, or GGUF read back and compared."""
    from training.evaluation.candidates import ADAPTED, ADAPTED_CHAT, TUNED
    from training.exports.formats import FORMS, export_model
    from training.exports.gguf_file import FILE_TYPES
    from training.exports.gguf_tensors import GgufType

    if form not in FORMS or kind not in FILE_TYPES:
        raise TransumanzaError(f"--format is one of {', '.join(FORMS)} and --type one of {', '.join(FILE_TYPES)}; got {form!r} and {kind!r}")
    factory = make_factory(offline=True)
    if asset not in factory.stages:
        raise TransumanzaError(f"there is no asset {asset!r}; trained models are {', '.join((ADAPTED, ADAPTED_CHAT, *TUNED))}")
    workplace = factory.workplace
    # Where no merge passed its gate there is still the adapter.
    allowed = [asset] if form == "adapter" else workplace.allow_failed_gates
    model = workplace.store.resolve(asset, ref=workplace.profile, allow_failed_gates=allowed)
    done = export_model(model, form, output, cast(GgufType, kind))
    typer.echo(f"{model} as {form}: {done.folder}, {done.bytes / 1e6:,.1f} MB")
    for name, value in done.findings.items():
        typer.echo(f"  {name.replace('_', ' ')}: {value}")


@train_app.command("apply-difference")
def train_apply_difference(
    base: Annotated[Path, typer.Argument(help="The folder of the base checkpoint, unchanged.")],
    difference: Annotated[Path, typer.Argument(help="The folder that `train export --format difference` wrote.")],
    output: Annotated[Path, typer.Argument(help="The folder to make.")],
) -> None:
    """Add a weight difference to its base; the digests of the base before and of the result after are checked."""
    from training.exports.difference import apply_difference

    typer.echo(f"{output}: weights {apply_difference(base, difference, output)}, as they were trained")


@train_app.command("digest")
def train_digest(folder: Annotated[Path, typer.Argument(help="The folder of a checkpoint.")]) -> None:
    """Print the digest of a checkpoint's weights, for `weights_sha256` of a base; it does not depend on how they are cut into files."""
    from training.weights import weights_digest

    typer.echo(weights_digest(folder))
