"""Argos packages: the real engine on a package trained here, equal to argostranslate's own calls; dangerous archives."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from foundation.settings import content_of, file_sha256
from foundation.sources.data import DataFolder
from foundation.sources.debian import DebianPackages
from foundation.sources.downloads import Downloads
from tests.translation.toy_argos import toy_pairs
from translation.engines import argos_package
from translation.engines.argos import choice_of, open_package
from translation.engines.choice import choose, open_engine
from translation.engines.transformer import TransformerModel
from translation.errors import EngineError
from translation.settings import ArgosSettings, EngineSettings

OFFICIAL = """
import json, socket, sys
def refuse(*arguments, **keywords): raise OSError("the network is switched off")
socket.socket.connect = refuse
import argostranslate.package, argostranslate.translate
argostranslate.package.install_from_path(sys.argv[1])
translation = argostranslate.translate.get_translation_from_codes("en", "it")
class Whole:
    def split_sentences(self, text): return [text]
translation.underlying.sentencizer = Whole()
results = []
for sentence in json.load(open(sys.argv[2])):
    hypothesis = translation.hypotheses(sentence, 1)[0]
    results.append([hypothesis.value, hypothesis.score])
json.dump(results, open(sys.argv[3], "w"))
"""


def opened(package: Path, cache: Path, **settings: Any) -> TransformerModel:
    return open_package(choice_of(argos_package.unpack(package, cache, "en", "it"), ArgosSettings(**settings)))


def test_it_translates(toy_package: Path, tmp_path: Path) -> None:
    pairs = toy_pairs(200, seed=99)
    translations = opened(toy_package, tmp_path).translate([source for source, _ in pairs])
    right = sum(translation.text == target for translation, (_, target) in zip(translations, pairs, strict=True))
    assert right >= 180
    assert all(translation.score is not None and not translation.truncated for translation in translations)


def test_batched_output_equals_argostranslate(toy_package: Path, tmp_path: Path) -> None:
    sentences = [source for source, _ in toy_pairs(60, seed=5)]
    sentences += ["the cat", "cat cat cat the small", "the dog has the unknownword .", "the cat sees the dog XQ1Z ."]
    (tmp_path / "in.json").write_text(json.dumps(sentences))
    folders = {name: str(tmp_path / name) for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    (tmp_path / "XDG_CACHE_HOME/argos-translate/spacy/senter/model").mkdir(parents=True)
    environment = {**os.environ, **folders, "ARGOS_COMPUTE_TYPE": "float32", "ARGOS_CHUNK_TYPE": "SPACY", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", OFFICIAL, str(toy_package), str(tmp_path / "in.json"), str(tmp_path / "out.json")],
        env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    official = json.loads((tmp_path / "out.json").read_text())
    for batch_tokens in (32, 1024):
        ours = opened(toy_package, tmp_path / "cache", batch_tokens=batch_tokens).translate(sentences)
        assert [translation.text for translation in ours] == [text.strip() for text, _ in official]
        scores = [score for _, score in opened(toy_package, tmp_path / "cache", batch_tokens=batch_tokens).tokens(sentences)]
        assert scores == pytest.approx([score for _, score in official], abs=1e-4)


def test_the_limit_is_flagged(toy_package: Path, tmp_path: Path) -> None:
    long = opened(toy_package, tmp_path, max_output_tokens=16).translate([" ".join(["the red cat sees the old dog"] * 4)])
    assert long[0].truncated


def test_choice_finds_the_package_and_pins_it(toy_package: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "argos").mkdir(parents=True)
    shutil.copy(toy_package, data / "argos")
    places = DataFolder(data), Downloads(tmp_path / "cache", offline=True), DebianPackages(tmp_path / "cache", offline=True)
    choice = choose(EngineSettings(target_code="it"), *places)
    assert (choice.kind, choice.deterministic) == ("argos", True)
    assert file_sha256(toy_package) in choice.package
    assert str(tmp_path) not in choice.package + str(choice.parameters)
    assert open_engine(choice).translate(["the cat sees the dog ."])[0].text == "il gatto vede il cane ."
    assert not choose(EngineSettings(target_code="it", argos=ArgosSettings(compute_type="int8")), *places).deterministic
    by_address = ArgosSettings(url=toy_package.as_uri(), sha256=file_sha256(toy_package))
    online = DataFolder(None), Downloads(tmp_path / "cache"), DebianPackages(tmp_path / "cache", offline=True)
    assert choose(EngineSettings(target_code="it", engine="argos", argos=by_address), *online).package == choice.package
    elsewhere = by_address.model_copy(update={"url": "https://example.org/moved.argosmodel"})
    assert content_of(elsewhere) == content_of(by_address), "the sha256 says what it is"
    with pytest.raises(EngineError, match="is pinned"):
        choose(EngineSettings(target_code="it", argos=ArgosSettings(sha256="0" * 64)), *places)
    shutil.copy(toy_package, data / "argos" / "second.argosmodel")
    with pytest.raises(EngineError, match="several Argos packages"):
        choose(EngineSettings(target_code="it"), *places)
    with pytest.raises(EngineError, match="there is no package"):
        choose(EngineSettings(target_code="it", engine="argos"), DataFolder(None), *places[1:])
    with pytest.raises(ValueError, match=r"need argos\.sha256"):
        ArgosSettings(url="https://example.org/x.argosmodel")


def archive(path: Path, *members: tuple[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as opened_archive:
        for name, text in members:
            opened_archive.writestr(name, text)
    return path


@pytest.mark.parametrize("name", ["../escape.txt", "/etc/escape.txt", "top/../../escape.txt", "top\\..\\escape.txt", "C:/escape.txt"])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    bad = archive(tmp_path / "bad.argosmodel", ("top/metadata.json", "{}"), (name, "x"))
    with pytest.raises(EngineError, match=r"outside its folder|one top folder"):
        argos_package.unpack(bad, tmp_path / "cache", "en", "it")
    assert not list(tmp_path.rglob("escape.txt"))
    assert not list((tmp_path / "cache").rglob("metadata.json"))


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("top/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.argosmodel", "w") as opened_archive:
        opened_archive.writestr(link, "/etc/passwd")
    with pytest.raises(EngineError, match="link or a device"):
        argos_package.unpack(tmp_path / "bad.argosmodel", tmp_path / "cache", "en", "it")


def test_other_archives_are_refused(tmp_path: Path, toy_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises(EngineError, match=message):
            argos_package.unpack(path, tmp_path / "cache", "en", "it")

    refused(archive(tmp_path / "flat", ("metadata.json", "{}")), "one top folder")
    refused(archive(tmp_path / "two", ("a/metadata.json", "{}"), ("b/x", "")), "one top folder")
    refused(archive(tmp_path / "bare", ("a/x", "")), r"metadata\.json is missing")
    other = json.dumps({"from_code": "en", "to_code": "fr", "package_version": "1"})
    refused(archive(tmp_path / "french", ("a/metadata.json", other)), "translates en→fr")
    pair = json.dumps({"from_code": "en", "to_code": "it", "package_version": "1"})
    refused(archive(tmp_path / "empty", ("a/metadata.json", pair), ("a/bpe.model", "")), r"bpe\.model are not supported")
    clipped = tmp_path / "clipped"
    clipped.write_bytes(toy_package.read_bytes()[:5000])
    refused(clipped, "not a whole ZIP")
    with zipfile.ZipFile(tmp_path / "damaged", "w", zipfile.ZIP_DEFLATED) as opened_archive:
        opened_archive.writestr("a/metadata.json", "metadata " * 500)
    data = bytearray((tmp_path / "damaged").read_bytes())
    data[45:55] = b"\xff" * 10
    (tmp_path / "damaged").write_bytes(data)
    refused(tmp_path / "damaged", "not a whole ZIP")
    refused(archive(tmp_path / "tangled", ("a/x", ""), ("a/x/y", "")), "not a whole ZIP")
    monkeypatch.setattr(argos_package, "MAX_UNPACKED_BYTES", 1000)
    refused(toy_package, "unpacks to")


def test_two_processes_may_unpack_at_a_time(toy_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is done between the look into the cache and the rename."""
    extract = argos_package._extract

    def extract_twice(package: Path, target: Path) -> None:
        extract(package, target)
        extract(package, tmp_path / "engines/argos" / file_sha256(toy_package))

    monkeypatch.setattr(argos_package, "_extract", extract_twice)
    found = argos_package.unpack(toy_package, tmp_path, "en", "it")
    assert [path.name for path in (tmp_path / "engines/argos").iterdir()] == [found.sha256], "nothing is left over"


def test_a_package_without_a_prefix_has_none(tmp_path: Path) -> None:
    metadata = {"from_code": "en", "to_code": "it", "package_version": "1", "target_prefix": None}
    members = (("a/metadata.json", json.dumps(metadata)), ("a/model/model.bin", ""), ("a/sentencepiece.model", ""))
    assert argos_package.unpack(archive(tmp_path / "x.argosmodel", *members), tmp_path, "en", "it").target_prefix == ""
