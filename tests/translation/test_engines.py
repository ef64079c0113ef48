"""Converted models and OpenAI-compatible servers behind the same interface as Argos; scores are per token."""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from foundation.settings import file_sha256
from foundation.sources.chat_completions import RETRIES
from foundation.sources.data import DataFolder
from foundation.sources.debian import DebianPackages
from foundation.sources.downloads import DownloadError, Downloads
from tests.translation.openai_server import completion, server
from tests.translation.toy_argos import toy_pairs
from translation.engines import argos, argos_package, converted_model
from translation.engines.choice import choose
from translation.engines.openai_server import OpenAIEngine, choice_of
from translation.errors import EngineError
from translation.settings import ArgosSettings, ConvertedModelSettings, EngineSettings, OpenAISettings


@pytest.fixture
def converted(toy_package: Path, tmp_path: Path) -> Path:
    """The toy's model as a converter leaves an OPUS-MT model."""
    folder = tmp_path / "opus-mt-en-it"
    with zipfile.ZipFile(toy_package) as archive:
        archive.extractall(tmp_path / "unpacked")
    top = next((tmp_path / "unpacked").iterdir())
    shutil.copytree(top / "model", folder)
    for name in ("source.spm", "target.spm"):
        shutil.copy(top / "sentencepiece.model", folder / name)
    return folder


def places(cache: Path, *, offline: bool = True) -> tuple[DataFolder, Downloads, DebianPackages]:
    return DataFolder(None), Downloads(cache, offline=offline), DebianPackages(cache, offline=offline)


def test_a_converted_model_translates(converted: Path, tmp_path: Path) -> None:
    config = json.loads((converted / "config.json").read_text())
    (converted / "config.json").write_text(json.dumps({**config, "add_source_eos": False}))
    choice = choose(EngineSettings(engine="ctranslate2", ctranslate2=ConvertedModelSettings(path=converted)), *places(tmp_path))
    assert choice.kind == "ctranslate2"
    assert choice.package.startswith("opus-mt-en-it (opus-mt) sha256:")
    assert str(tmp_path) not in choice.package + str(choice.parameters)
    assert dict(choice.parameters)["after"] == "</s>", "Marian ends a sentence, and this config does not do it"
    pairs = toy_pairs(50, seed=7)
    found = converted_model.open_model(choice).translate([source for source, _ in pairs])
    assert sum(translation.text == target for translation, (_, target) in zip(found, pairs, strict=True)) >= 40
    (converted / "config.json").write_text(json.dumps({**config, "add_source_eos": True}))
    again = converted_model.choice_of(ConvertedModelSettings(path=converted))
    assert dict(again.parameters)["after"] == ""
    assert again.package != choice.package, "a changed file is another model"
    with pytest.raises(EngineError, match="is pinned"):
        converted_model.choice_of(ConvertedModelSettings(path=converted, sha256="0" * 64))


def test_nllb_gets_its_language_tokens(converted: Path) -> None:
    """Pieces of the toy's vocabulary stand in for language tokens."""
    (converted / "source.spm").rename(converted / "sentencepiece.bpe.model")
    vocabulary = json.loads((converted / "shared_vocabulary.json").read_text())
    one, other = [piece for piece in vocabulary if piece.startswith("▁") and len(piece) > 1][:2]
    choice = converted_model.choice_of(ConvertedModelSettings(path=converted, family="nllb", source_language=one, target_language=other))
    parameters = dict(choice.parameters)
    assert (parameters["before"], parameters["after"], parameters["target_prefix"]) == (one, "</s>", other)
    opened = converted_model.open_model(choice)
    tokens, _ = opened.tokens(["the cat sees the dog ."])[0]
    assert tokens[0] == other
    assert opened.translate(["the cat sees the dog ."])[0].text == "".join(tokens[1:]).replace("▁", " ").strip()
    with pytest.raises(ValueError, match="eng_Latn and ita_Latn"):
        ConvertedModelSettings(path=converted, family="nllb")
    with pytest.raises(EngineError, match=r"is an NLLB model, which needs .*source_language"):
        converted_model.choice_of(ConvertedModelSettings(path=converted))
    for name in ("source.spm", "target.spm"):
        (converted / name).write_text("of another family")
    both = converted_model.choice_of(ConvertedModelSettings(path=converted, family="nllb", source_language=one, target_language=other))
    assert converted_model.open_model(both).tokens(["the cat sees the dog ."])[0][0] == tokens, "the profile's family counts, not what else is there"
    for name in ("source.spm", "target.spm"):
        (converted / name).unlink()
    with pytest.raises(EngineError, match="no token 'eng_Latn' in its source vocabulary"):
        converted_model.choice_of(ConvertedModelSettings(path=converted, family="nllb", source_language="eng_Latn", target_language="ita_Latn"))


def test_folders_that_are_no_models_are_refused(converted: Path, tmp_path: Path) -> None:
    def refused(message: str, **settings: Any) -> None:
        with pytest.raises(EngineError, match=message):
            converted_model.choice_of(ConvertedModelSettings(**settings))

    refused("no such folder", path=tmp_path / "nowhere")
    refused("no such folder None")
    (converted / "target.spm").unlink()
    refused(r"lacks \['target.spm'\]", path=converted)
    (converted / "source.spm").unlink()
    refused("neither a converted OPUS-MT model nor an NLLB one", path=converted)


def test_scores_are_mean_log_probabilities(toy_package: Path, tmp_path: Path) -> None:
    """The penalty divides the sum; without a penalty the sum itself is there to compare with."""
    package = argos_package.unpack(toy_package, tmp_path, "en", "it")
    sentences = [source for source, _ in toy_pairs(20, seed=11)]
    plain = argos.open_package(argos.choice_of(package, ArgosSettings(length_penalty=0.0, beam_size=1)))
    penalised = argos.open_package(argos.choice_of(package, ArgosSettings(length_penalty=0.7, beam_size=1)))
    for (tokens, total), with_penalty, without in zip(plain.tokens(sentences), penalised.translate(sentences), plain.translate(sentences), strict=True):
        assert without.score == pytest.approx(total / (len(tokens) + 1))
        assert with_penalty.score == pytest.approx(without.score, abs=1e-4)


def test_batches_hold_every_sentence_and_like_lengths(toy_package: Path, tmp_path: Path) -> None:
    package = argos_package.unpack(toy_package, tmp_path, "en", "it")
    opened = argos.open_package(argos.choice_of(package, ArgosSettings(batch_tokens=32)))
    sentences = sorted({source for source, _ in toy_pairs(600, seed=2)})
    batches = opened.batches(sentences)
    assert len(batches) > 3
    assert sorted(sentence for batch in batches for sentence in batch) == sentences
    lengths = [[len(opened._source.encode(sentence)) for sentence in batch] for batch in batches]
    assert [length for batch in lengths for length in batch] == sorted((length for batch in lengths for length in batch), reverse=True)
    assert all(sum(batch) <= 32 * 16 for batch in lengths)
    assert opened.batches(sentences) == batches
    assert opened.batches([]) == []


def index(tmp_path: Path, *records: dict[str, Any]) -> str:
    path = tmp_path / "index.json"
    path.write_text(json.dumps(records))
    return path.as_uri()


def test_a_package_by_index_is_pinned_and_staged(toy_package: Path, tmp_path: Path) -> None:
    old = {"from_code": "en", "to_code": "it", "package_version": "0.9", "links": ["https://example.invalid/old"]}
    new = {"from_code": "en", "to_code": "it", "package_version": "0.10", "links": ["ipfs://x", "file:///nowhere", toy_package.as_uri()]}
    other = {"from_code": "en", "to_code": "fr", "package_version": "2.0", "links": []}
    pinned = ArgosSettings(index=index(tmp_path, old, other, new), sha256=file_sha256(toy_package))
    settings = EngineSettings(engine="argos", target_code="it", argos=pinned)
    assert choose(settings, *places(tmp_path / "cache", offline=False)).package.endswith(file_sha256(toy_package))
    (tmp_path / "index.json").unlink()
    assert choose(settings, *places(tmp_path / "cache")).kind == "argos", "staged: neither index nor network is needed"
    for records, error, message in (
        ((other,), EngineError, "knows no package en→it"),
        (({**new, "links": ["ipfs://x"]},), EngineError, "no web address"),
        (({**new, "links": ["file:///nowhere"]},), DownloadError, "nowhere"),
    ):
        wrong = pinned.model_copy(update={"index": index(tmp_path, *records)})
        with pytest.raises(error, match=message):
            choose(settings.model_copy(update={"argos": wrong}), *places(tmp_path / "other", offline=False))
    with pytest.raises(DownloadError, match="is pinned"):
        wrong = ArgosSettings(index=index(tmp_path, new), sha256="0" * 64)
        choose(settings.model_copy(update={"argos": wrong}), *places(tmp_path / "other", offline=False))


def engine(url: str, **settings: Any) -> tuple[OpenAIEngine, list[float]]:
    waits: list[float] = []
    choice = choice_of(OpenAISettings(url=url, model="m", concurrency=4, timeout_s=20, **settings))
    return OpenAIEngine(choice, waits.append), waits


def test_a_server_translates_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")

    def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        text = request["messages"][-1]["content"]
        if text == "long":
            return completion("LO", finish_reason="length")
        if text == "thinks":
            return completion("<think>the user\nwants</think>\n PENSA ")
        return completion(text.upper(), logprobs={"content": [{"logprob": math.log(0.5)}, {"logprob": math.log(0.25)}]})

    with server(answer) as (url, requests):
        opened, _ = engine(url)
        found = opened.translate([*(f"text {number}" for number in range(20)), "long", "thinks"])
    assert [translation.text for translation in found] == [*(f"TEXT {number}" for number in range(20)), "LO", "PENSA"]
    assert found[0].score == pytest.approx((math.log(0.5) + math.log(0.25)) / 2)
    assert [translation.truncated for translation in found[-2:]] == [True, False]
    assert {request["headers"]["Authorization"] for request in requests} == {"Bearer s3cret"}
    assert {(request["path"], request["model"], request["temperature"]) for request in requests} == {("/v1/chat/completions", "m", 0.0)}
    choice = choice_of(OpenAISettings(url=url, model="m"))
    assert "s3cret" not in repr(choice)
    assert not choice.deterministic


def test_a_busy_server_is_asked_again_and_a_refusal_is_told() -> None:
    statuses = [429, 503, 200]
    with server(lambda _: completion("SÌ") if (status := statuses.pop(0)) == 200 else (status, {"error": "busy"})) as (url, requests):
        opened, waits = engine(url)
        assert opened.translate(["yes"])[0].text == "SÌ"
        assert len(requests) == 3
        assert waits == [0.5, 1.0]
    with server(lambda _: (500, {"error": "broken"})) as (url, requests):
        opened, waits = engine(url)
        with pytest.raises(EngineError, match=r"no answer in 7 tries, .*broken"):
            opened.translate(["yes"])
        assert (len(requests), len(waits)) == (RETRIES + 1, RETRIES)
    with server(lambda _: (401, {"error": "no key"})) as (url, _), pytest.raises(EngineError, match="environment variable MY_KEY"):
        engine(url, key_variable="MY_KEY")[0].translate(["yes"])
    with server(lambda _: (404, {"error": "no model"})) as (url, _), pytest.raises(EngineError, match=r"openai\.url and model"):
        engine(url)[0].translate(["yes"])
    with server(lambda _: (200, {"choices": []})) as (url, _), pytest.raises(EngineError, match=r"without choices"):
        engine(url)[0].translate(["yes"])
    opened, waits = engine("http://127.0.0.1:9")
    with pytest.raises(EngineError, match="ConnectError"):
        opened.translate(["yes"])


def test_servers_without_log_probabilities_are_asked_without() -> None:
    with server(lambda request: (400, {"error": "logprobs is not supported"}) if "logprobs" in request else completion("SÌ")) as (url, requests):
        opened, _ = engine(url)
        found = opened.translate(["yes"])[0]
        assert len(requests) == 2
        opened.translate(["yes", "no"])
        assert len(requests) == 4, "it is not asked for them again"
    assert (found.text, found.score) == ("SÌ", None)


def test_a_server_needs_a_model_and_no_password() -> None:
    with pytest.raises(EngineError, match=r"openai\.model is not set"):
        choice_of(OpenAISettings())
    with pytest.raises(ValueError, match="must not hold a name or a password"):
        OpenAISettings(url="http://me:pw@127.0.0.1/v1")
