"""Releases: what is left out and counted, what opens, what is linked, and what is never uploaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import yaml

import corpus.web.release as corpus_release
import training.release as model_release
import translation.release as dataset_release
from foundation.language.settings import LanguageSettings
from foundation.release import ReleaseError, ReleaseSettings, push
from foundation.release.ancestry import Ancestor
from foundation.release.cards import size_category
from foundation.release.repository import CHECKSUMS, NOT_FOR_RELEASE, changed_files
from foundation.settings import PROFILES_ROOT, content_of
from foundation.stages import Stage, StageContext, StageReport
from foundation.store import TableSpec
from training.comparison import COMPARISON
from training.compute import compute_table
from training.errors import TrainingError
from training.linking import link_tree

LANGUAGE = LanguageSettings.model_validate(yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8")))
_SPLITS = {"clean_corpus": ("train", "validation"), "evalita_instructions": ("train", "validation", "test")}
_TABLES = {"clean_corpus": "text", "translated_chats": "chats", "translated_instructions": "instructions", "evalita_instructions": "instructions"}
LICENCES: list[str | None] = ["CC-BY-SA-3.0", "MIT", None, "CC-BY-NC-4.0", "CC-BY-SA-3.0", "none stated"]


def table_stage(asset: str, licences: list[str | None], version: str = "1") -> Stage:
    """A stand-in for a dataset: one row a licence, in its first split."""
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))), ("licence", pa.string())])
    spec = TableSpec(_TABLES[asset], schema, key=("id",), splits=_SPLITS.get(asset, ("train",)))

    def build(context: StageContext) -> StageReport:
        rows = [
            {"id": f"{index:03d}", "text": f"Riga {index}", "messages": [{"role": "user", "content": "Ciao"}], "licence": licence} for index, licence in enumerate(licences)
        ]
        with context.staging.table(spec) as table:
            table.write(rows)
        context.staging.card("# Rows", license="other")
        return StageReport()

    return Stage(asset, version, "x", build, tables=(spec,))


def release_sections(**changes: Any) -> dict[str, Any]:
    settings = ReleaseSettings(**changes)
    return {"release.corpus": settings.corpus, "release.datasets": settings.datasets, "release.models": settings.models, "language": LANGUAGE}


def released(stage_runner: Callable[..., Any], licences: list[str | None], **changes: Any) -> Path:
    stages = (table_stage("clean_corpus", licences), *corpus_release.stages(ReleaseSettings()))
    stage_runner(stages, release_sections(**changes), "clean_corpus")
    result = stage_runner(stages, release_sections(**changes), "corpus_release")
    return next(path for path in result.published.files.iterdir())


def front_matter(folder: Path) -> Mapping[str, Any]:
    return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def test_rows_are_filtered_by_licence_and_counted(stage_runner: Callable[..., Any]) -> None:
    folder = released(stage_runner, LICENCES)
    rows = pl.read_parquet(folder / "data/text/train-*.parquet")
    assert rows["id"].to_list() == ["000", "001", "003", "004"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| text | none stated | no licence is stated | 2 |" in card
    assert "| text | CC-BY-SA-3.0 | 2 | attribution, share alike |" in card
    front = front_matter(folder)
    assert (front["license"], front["license_name"], front["size_categories"], front["language"]) == ("other", "each-row-its-own", ["n<1K"], ["it"])
    assert "clean_corpus" in card and not (folder / NOT_FOR_RELEASE).exists()
    assert sorted(path.name for path in (folder / "data/text").iterdir()) == ["train-00000-of-00001.parquet"]
    assert "| text | validation | 0 |" in card and front["configs"][0]["data_files"] == [{"split": "train", "path": "data/text/train-*.parquet"}]


def test_rows_that_do_not_fit_the_licence_asked_for_stay_out(stage_runner: Callable[..., Any]) -> None:
    folder = released(stage_runner, LICENCES, corpus={"name": "someone/corpus-ita", "licence": "cc-by-sa-4.0"})
    assert folder.name == "corpus-ita"
    assert pl.read_parquet(folder / "data/text/train-*.parquet")["licence"].to_list() == ["CC-BY-SA-3.0", "MIT", "CC-BY-SA-3.0"]
    assert front_matter(folder)["license"] == "cc-by-sa-4.0"
    assert "CC-BY-NC-4.0 is non-commercial, CC-BY-SA-4.0 is not | 1 |" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_permission_lets_rows_in_and_is_named(stage_runner: Callable[..., Any]) -> None:
    folder = released(stage_runner, LICENCES, corpus={"name": "c", "permissions": ["none stated"]})
    assert pl.read_parquet(folder / "data/text/train-*.parquet").height == len(LICENCES)
    assert "by permission that the releaser holds: none stated" in (folder / "README.md").read_text(encoding="utf-8")


def load(folder: Path, cache: Path, config: str) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(str(folder), config, cache_dir=str(cache))


def test_the_repository_opens_offline(stage_runner: Callable[..., Any], tmp_path: Path) -> None:
    folder = released(stage_runner, LICENCES)
    data = load(folder, tmp_path / "cache", "text")
    assert {split: part.num_rows for split, part in data.items()} == {"train": 4}
    assert data["train"][0] == {"id": "000", "text": "Riga 0", "messages": [{"role": "user", "content": "Ciao"}], "licence": "CC-BY-SA-3.0"}


def test_forbidden_rows_alone_give_a_repository_that_says_so(stage_runner: Callable[..., Any]) -> None:
    folder = released(stage_runner, [None, "none stated", "boh"])
    assert (folder / NOT_FOR_RELEASE).is_file() and "not-for-release" in front_matter(folder)["tags"]
    assert "**Not for release.**" in (folder / "README.md").read_text(encoding="utf-8")
    assert not list(folder.rglob("*.parquet")) and "| text | none stated | no licence is stated | 2 |" in (folder / "README.md").read_text(encoding="utf-8")
    with pytest.raises(ReleaseError, match="marked not for release"):
        push(folder, "someone/thing", "dataset")


def test_the_three_instruction_sets(stage_runner: Callable[..., Any]) -> None:
    graph = (
        table_stage("translated_chats", ["MIT", "MIT"]),
        table_stage("translated_instructions", ["CC-BY-SA-3.0"]),
        table_stage("evalita_instructions", ["none stated", "CC-BY-NC-4.0"]),
        *dataset_release.stages(ReleaseSettings()),
    )
    for stage in graph:
        result = stage_runner(graph, release_sections(), stage.asset)
    folders = {path.name: path for path in result.published.files.iterdir()}
    assert {name: front_matter(path)["license"] for name, path in folders.items()} == {
        "transumanza-chats-ita": "mit",
        "transumanza-instructions-ita": "cc-by-sa-3.0",
        "transumanza-evalita-instructions": "cc-by-nc-4.0",
    }
    evalita = result.published.statistics["transumanza-evalita-instructions"]["instructions"]
    assert evalita["rows"] == {"train": 1, "validation": 0, "test": 0}
    assert evalita["left_out"] == [{"licence": "none stated", "reason": "no licence is stated", "rows": 1}]
    assert stage_runner(graph, release_sections(), "dataset_release").reused
    both = {"chats": {"name": "a/x"}, "instructions": {"name": "b/x"}}
    with pytest.raises(ReleaseError, match="different names"):
        stage_runner(graph, release_sections(datasets=both), "dataset_release")


# -- models -------------------------------------------------------------------------------------------------------------

BITS = TableSpec("bits_per_byte", pa.schema([("model", pa.string()), ("text", pa.string()), ("bits_per_byte", pa.float64())]), key=("model", "text"), decimals={"bits_per_byte": 4})


def tiny_checkpoint(folder: Path) -> None:
    """A random LLaMA of a few kilobytes with a word tokenizer."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    vocabulary = {"<unk>": 0, "</s>": 1, "ciao": 2, "mondo": 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>").save_pretrained(folder)
    config = transformers.LlamaConfig(vocab_size=4, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def model_graph(base_licence: str | None, checkpoint: Path, data_licences: list[str | None]) -> tuple[Stage, ...]:
    """Stand-ins for the training line."""

    def base(context: StageContext) -> StageReport:
        (context.staging.files / "config.json").write_text("{}", encoding="utf-8")
        (context.staging.files / "LICENSE.txt").write_text("the base's licence", encoding="utf-8")
        context.staging.card("# Base", **({} if base_licence is None else {"license": base_licence}))
        return StageReport()

    def model(context: StageContext) -> StageReport:
        merged = context.staging.files / "merged"
        merged.mkdir()
        for path in checkpoint.iterdir():
            (merged / path.name).write_bytes(path.read_bytes())
        (merged / "README.md").write_text("a card of somebody else", encoding="utf-8")
        if context.asset != "evalita_model":
            (context.staging.files / "adapter").mkdir()
            (context.staging.files / "adapter" / "adapter_config.json").write_text('{"r": 8}', encoding="utf-8")
        share = 1 if context.asset == "adapted_model" else 2
        return StageReport(statistics={"steps": 12, "tokens": 600 * share, "asset": context.asset}, observations={"fitting_seconds": 900 * share})

    def comparison(context: StageContext) -> StageReport:
        with context.staging.table(COMPARISON) as table:
            for version, present, value in (("before", False, 0.95678), ("now", True, 0.91234)):
                row = {"model": "adapted_model", "form": "export", "version": version, "measure": "bits_per_byte", "set": "italian", "present": present, "value": value}
                table.write([{**row, **dict.fromkeys(("low", "high", "base_value", "difference_percent")), "same_text": True}])
        return StageReport()

    def bits(context: StageContext) -> StageReport:
        with context.staging.table(BITS) as table:
            table.write([{"model": "adapted_model", "text": "italian", "bits_per_byte": 0.91234}])
        return StageReport()

    def child(name: str, *upstream: str) -> Stage:
        return Stage(name, "1", "training", model, upstream=upstream, reproducible=False)

    return (
        Stage("base_model", "1", "sources", base),
        table_stage("clean_corpus", data_licences),
        child("adapted_model", "base_model", "clean_corpus"),
        child("instruction_model", "adapted_model"),
        child("chat_model", "adapted_model"),
        child("evalita_model", "adapted_model"),
        Stage("model_comparison", "1", "evaluation", comparison),
        Stage("language_report", "1", "evaluation", bits),
        *model_release.stages(ReleaseSettings()),
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_checkpoint(folder)
    return folder


def released_models(stage_runner: Callable[..., Any], graph: tuple[Stage, ...], **changes: Any) -> tuple[Any, dict[str, Any]]:
    results = {stage.asset: stage_runner(graph, release_sections(**changes), stage.asset) for stage in graph}
    return results["model_release"], results


def test_models_are_linked_described_and_open(stage_runner: Callable[..., Any], checkpoint: Path) -> None:
    import transformers

    result, results = released_models(stage_runner, model_graph("llama2", checkpoint, ["MIT", None, "CC-BY-NC-4.0"]))
    folders = {path.name: path for path in result.published.files.iterdir()}
    assert set(folders) == {"transumanza-adapted-ita", "transumanza-instruction-ita", "transumanza-chat-ita", "transumanza-evalita-ita"}
    folder = folders["transumanza-adapted-ita"]
    original = results["adapted_model"].published.files / "merged" / "model.safetensors"
    assert (folder / "model.safetensors").stat().st_ino == original.stat().st_ino
    assert (folder / "adapter" / "adapter_config.json").is_file() and not (folders["transumanza-evalita-ita"] / "adapter").exists()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert model.config.vocab_size == 4 and tokenizer("ciao mondo")["input_ids"] == [2, 3]
    card = (folder / "README.md").read_text(encoding="utf-8")
    for words in ("somebody else", "0.9568"):  # the second is the score of an earlier version
        assert words not in card
    for words in ("Llama 2 is licensed under", "non-commercial use only", "0.9123", "steps: 12", "base_model", "rows without a known licence"):
        assert words in card, words
    assert front_matter(folder)["license"] == "llama2"
    assert "No rows for this model" in (folders["transumanza-chat-ita"] / "README.md").read_text(encoding="utf-8")
    statistics = result.published.statistics["transumanza-chat-ita"]
    assert statistics["base_licences"] == ["Llama-2"] and statistics["data_licences"] == ["CC-BY-NC-4.0", "MIT", "none stated"]
    assert statistics["not_for_release"] == [] and changed_files(folder) == []


@pytest.mark.parametrize(
    ("base", "changes", "reason"),
    [
        (None, {}, "no licence is stated"),
        ("apache-2.0", {"models": {"adapted": {"name": "x", "licence": "apache-2.0"}}}, "trained on non-commercial rows"),
    ],
)  # fmt: skip
def test_models_that_must_stay_say_why(stage_runner: Callable[..., Any], checkpoint: Path, base: str | None, changes: dict[str, Any], reason: str) -> None:
    result, _ = released_models(stage_runner, model_graph(base, checkpoint, ["CC-BY-NC-4.0"]), **changes)
    name = changes["models"]["adapted"]["name"] if changes else "transumanza-adapted-ita"
    folder = result.published.files / name
    assert reason in (folder / NOT_FOR_RELEASE).read_text(encoding="utf-8")
    with pytest.raises(ReleaseError, match="marked not for release"):
        push(folder, "someone/model", "model", dry_run=False)


@pytest.mark.parametrize(
    ("licence", "name", "pretty", "asked"),
    [
        ("llama3.1", "Llama-ita-adapted", "Llama, adapted to Italian", None),
        ("llama3.1", "transumanza-adapted-ita", "Llama, adapted", "«Llama», and this one is transumanza-adapted-ita"),
        ("llama3.1", "Llama-ita", "Adapted to Italian", "«Llama»"),
        ("llama3", "llama-3-ita", "Llama 3, adapted to Italian", None),
        ("llama3", "Llama-ita", "Llama, adapted to Italian", "«Llama 3»"),
        ("llama2", "transumanza-adapted-ita", "Adapted to Italian", None),
    ],
)
def test_llama_asks_for_a_name_a_notice_and_its_text(
    stage_runner: Callable[..., Any], checkpoint: Path, licence: str, name: str, pretty: str, asked: str | None
) -> None:
    graph = model_graph(licence, checkpoint, ["MIT"])
    result, _ = released_models(stage_runner, graph, models={"adapted": {"name": f"someone/{name}", "pretty_name": pretty}})
    folder = result.published.files / name
    assert (folder / "LICENSE.txt").read_text() == "the base's licence"
    notice = (folder / "NOTICE").read_text().strip()
    assert notice in (folder / "README.md").read_text() and ("Built with" in notice) == licence.startswith("llama3")
    assert (folder / NOT_FOR_RELEASE).exists() == (asked is not None)
    if asked is not None:
        assert asked in (folder / NOT_FOR_RELEASE).read_text()
    assert changed_files(folder) == []


@pytest.mark.parametrize(("watts", "said"), [(None, "0.75 hours of training; energy was not measured"), (400.0, "0.75 hours of training; 0.3 kWh at the declared mean power of 400 W")])
def test_cards_tell_hours_and_energy_only_where_power_is_declared(stage_runner: Callable[..., Any], checkpoint: Path, watts: float | None, said: str) -> None:
    result, _ = released_models(stage_runner, model_graph("mit", checkpoint, ["MIT"]), models={"power_watts": watts})
    card = (result.published.files / "transumanza-chat-ita" / "README.md").read_text()
    assert "| chat_model | 0.5 | 1,200 |" in card and "| adapted_model | 0.25 | 600 |" in card and said in card


def test_hours_of_a_resumed_run_are_said_to_be_the_least() -> None:
    def run(asset: str, observations: dict[str, Any]) -> Ancestor:
        record = SimpleNamespace(observations=observations, statistics={}, environment={"cpus": 8, "cpu": "x", "gpus": []})
        return Ancestor(SimpleNamespace(asset=asset, partition=None), record)  # type: ignore[arg-type]

    gpus = {"gpus": ["H100", "H100"]}
    table = compute_table([run("a", {"fitting_seconds": 3600, "resumed_at_step": 20, "hardware": gpus}), run("b", {"seconds": 9})], 1000)
    assert "| a | 1 (resumed at step 20) |  | 2 × H100 |" in table and "| b" not in table
    assert "1 hours of training at least, since a run was resumed; 1 kWh" in table
    assert "not known" in compute_table([], 1000)


def test_links_become_copies_across_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "weights").write_bytes(b"123")

    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assert link_tree(source, tmp_path / "target") == 3
    assert (tmp_path / "target" / "weights").read_bytes() == b"123"
    with pytest.raises(TrainingError, match="holds no files"):
        link_tree(tmp_path / "absent", tmp_path / "target")
    with pytest.raises(TrainingError, match="is there already"):
        link_tree(source, tmp_path / "target")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space left"):  # a copy would need more of it
        link_tree(source, tmp_path / "other")


# -- upload -------------------------------------------------------------------------------------------------------------


def test_a_dry_run_lists_and_sends_nothing(stage_runner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    calls: list[Any] = []
    monkeypatch.setattr(huggingface_hub, "upload_folder", lambda **arguments: (calls.append(arguments), SimpleNamespace(oid="0", commit_url="u"))[1])
    monkeypatch.setattr(huggingface_hub, "create_repo", lambda *arguments, **named: calls.append(named))
    folder = released(stage_runner, LICENCES)
    plan = push(folder, "someone/corpus", "dataset")
    assert not calls and plan.url is None and "README.md" in plan.files and CHECKSUMS in plan.files and plan.bytes > 0
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(ReleaseError, match="HF_TOKEN"):
        push(folder, "someone/corpus", "dataset", dry_run=False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    push(folder, "someone/corpus", "dataset", dry_run=False)
    assert [call["token"] for call in calls] == ["hf_secret", "hf_secret"] and calls[1]["repo_id"] == "someone/corpus"


def test_the_token_never_shows(stage_runner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(*_: Any, **named: Any) -> None:
        raise ValueError(f"bad token {named['token']}")

    monkeypatch.setattr(huggingface_hub, "create_repo", refuse)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(ReleaseError) as caught:
        push(released(stage_runner, LICENCES), "someone/corpus", "dataset", dry_run=False)
    assert "hf_secret" not in str(caught.value) and "bad token ***" in str(caught.value) and caught.value.__suppress_context__


def test_a_changed_repository_and_a_bare_name_are_refused(stage_runner: Callable[..., Any]) -> None:
    folder = released(stage_runner, LICENCES)
    with pytest.raises(ReleaseError, match="owner/name"):
        push(folder, "corpus", "dataset")
    (folder / "extra.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ReleaseError, match=r"extra.txt was changed"):
        push(folder, "someone/corpus", "dataset")


def test_pushing_is_off_and_never_counts_as_content() -> None:
    assert ReleaseSettings().push == "never" and "push" not in content_of(ReleaseSettings())
    with pytest.raises(ValueError, match="not known"):
        ReleaseSettings(corpus={"name": "x", "licence": "cc-by-9"})


@pytest.mark.parametrize(("rows", "name"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**9, "n>1B")])
def test_size_categories(rows: int, name: str) -> None:
    assert size_category(rows) == name
