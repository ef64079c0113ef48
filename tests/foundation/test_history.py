"""Looking back at earlier builds of a profile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foundation.store import GateResult, PublishedVersion, Store
from foundation.store.history import History, PastBuild
from tests.foundation.store_builds import published, record_path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def rewritten(version: PublishedVersion, fingerprint: str, **changes: Any) -> None:
    """A record as another build would have left it."""
    path = record_path(version, fingerprint)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def failed(version: PublishedVersion, fingerprint: str) -> None:
    rewritten(version, fingerprint, gates=[vars(GateResult("g", False, 1, 2))])


def fingerprints(builds: Sequence[PastBuild]) -> list[str]:
    return [build.record.fingerprint for build in builds]


def test_builds_are_newest_first_and_of_this_profile(store: Store) -> None:
    versions = {number: published(store, "report", f"text {number}", fingerprint=number) for number in ("01", "02", "03", "04")}
    rewritten(versions["03"], "03", profile="another")
    history = History(store, "demo")
    assert fingerprints(history.builds("report")) == ["04", "02", "01"]
    assert fingerprints(history.builds("report", before=versions["04"])) == ["02", "01"]
    assert fingerprints(history.builds("report", before=versions["02"])) == ["01"]
    assert history.builds("report", before=versions["01"]) == []
    assert history.builds("nothing") == []
    shutil.rmtree(versions["02"].path)
    assert fingerprints(history.builds("report")) == ["04", "01"], "a version whose files are gone cannot be looked at"


def test_what_came_later_changes_nothing(store: Store) -> None:
    first, second = (published(store, "report", f"text {number}", fingerprint=number) for number in ("01", "02"))
    history = History(store, "demo")
    before = fingerprints(history.builds("report", before=second))
    published(store, "report", "text 05", fingerprint="05")
    published(store, "report", "text 02", fingerprint="06")  # the same version again, by another way
    assert fingerprints(history.builds("report", before=second)) == before == ["01"]
    assert history.record_of(first) == store.build("report", None, "01")


def test_the_last_that_passed_is_the_profiles_own_where_that_passed(store: Store) -> None:
    versions = {number: published(store, "report", f"text {number}", fingerprint=number, ref="demo") for number in ("01", "02", "03")}
    history = History(store, "demo")
    failed(versions["03"], "03")
    last = history.last_passed("report")
    assert last is not None and last.record.fingerprint == "02"
    record = store.build("report", None, "01")
    assert record is not None
    store.point("report", None, "demo", record)
    last = history.last_passed("report")
    assert last is not None and last.record.fingerprint == "01", "the user went back to it"
    for number in ("01", "02"):
        failed(versions[number], number)
    assert history.last_passed("report") is None


def test_versions_behind_are_followed_through_the_records(store: Store) -> None:
    base = published(store, "base", "base", fingerprint="01")
    other = published(store, "base", "another", fingerprint="02")
    model = published(store, "model", "model", [base], fingerprint="03", reproducible=False)
    answers = published(store, "answers", "answers", [model], fingerprint="04")
    report = published(store, "report", "report", [answers, other], fingerprint="05")
    history = History(store, "demo")
    (build,) = history.builds("report")
    assert history.versions_behind(build.record, {"model", "base"}) == {"model": model.version, "base": other.version}
    assert history.upstream(build, "answers") == replace(answers)
    assert history.upstream(build, "model") is None, "it was not read by this build itself"
    shutil.rmtree(answers.path)
    assert history.upstream(build, "answers") is None
    assert history.versions_behind(build.record, {"model"}) == {"model": model.version}, "records outlive files"
    assert history.record_of(report) == build.record
