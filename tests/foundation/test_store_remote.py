"""A store under a URL: published, resolved, tagged, collected and erased through a mirror. On a folder's URL here; on S3 in ``test_store_s3``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from foundation.release.ancestry import ancestry
from foundation.stages import StageResult, Workplace, run_stage
from foundation.store import NotPublished, Store, StoreError
from foundation.store.collection import Limits, collect, plan_collection
from foundation.store.erasure import erase, plan_erasure
from foundation.store.errors import Pruned
from foundation.store.history import History, PastBuild
from foundation.store.layout import PRUNED
from foundation.store.mirrored import REMOVING, MirroredStore
from foundation.store.opening import open_store
from foundation.store.pruning import Reader
from tests.foundation.erasable_line import ASSETS, LINE, MIXED, urls, workplace
from tests.foundation.store_builds import published

DOMAIN = "rossi.example"
ALL = Limits(min_age_s=0)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "remote").mkdir()
    yield f"file://{tmp_path}/remote"


def mirrored(url: str, tmp_path: Path, name: str = "mirror") -> MirroredStore:
    return MirroredStore(url, tmp_path / name, grace_s=0.0)


def run_remote(store: Store, home: Path) -> dict[str, StageResult]:
    place: Workplace = replace(workplace(home), store=store)
    return {asset: run_stage(LINE[asset], LINE, place) for asset in ASSETS}


def check_whole_line(url: str, tmp_path: Path) -> None:
    """The same versions as on a local disk, found again from another machine, which has only the URL."""
    local = run_remote(Store(tmp_path / "local"), tmp_path / "a")
    first = run_remote(mirrored(url, tmp_path), tmp_path / "b")
    assert {asset: result.record.version for asset, result in local.items()} == {asset: result.record.version for asset, result in first.items()}
    other = mirrored(url, tmp_path, "other")
    assert all(result.reused for result in run_remote(other, tmp_path / "c").values())
    assert other.resolve("pages", ref="demo").read("pages").height == 12 and other.assets() == sorted(ASSETS)
    other.tag(other.record("pages", ref="demo"), "kept")
    assert set(mirrored(url, tmp_path).refs("pages")) == {"demo"} and mirrored(url, tmp_path).record("pages", ref="tags/kept") == other.record("pages", ref="demo")
    with pytest.raises(StoreError, match="names"):
        other.tag(replace(other.record("pages", ref="demo"), version="x"), "kept")
    other.untag("pages", None, "kept")
    with pytest.raises(NotPublished):
        mirrored(url, tmp_path).record("pages", ref="tags/kept")


def check_collection(url: str, tmp_path: Path) -> None:
    store = mirrored(url, tmp_path)
    old = published(store, "raw", "old", fingerprint="a" * 32, ref="demo")
    made = published(store, "made", "of old", [old], fingerprint="b" * 32, ref="tags/v1")
    gone = published(store, "raw", "gone", fingerprint="c" * 32, ref="demo")
    kept = published(store, "raw", "kept", fingerprint="d" * 32, ref="demo")
    assert collect(store).versions == ()
    other = mirrored(url, tmp_path, "other")
    with other.pin("a build elsewhere") as pin:
        pin.hold([gone])
        assert collect(store, ALL, now=time.time() + 60).versions == ()
    assert collect(store, ALL, now=time.time() + 60).versions == (gone.key,)
    assert not any(gone.version in path for path in store.objects.listing())
    fresh = mirrored(url, tmp_path, "fresh")
    assert fresh.resolve("raw", ref="demo").version == kept.version and fresh.find("raw", None, old.version).version == old.version
    assert fresh.resolve("made", ref="tags/v1").version == made.version and len(fresh.builds("raw")) == 2
    assert REMOVING not in store.objects.listing()


def check_erasure(url: str, tmp_path: Path) -> None:
    store = mirrored(url, tmp_path)
    run_remote(store, tmp_path / "a")
    other = mirrored(url, tmp_path, "other")
    gone = other.resolve("pages", ref="demo")
    assert gone.read("pages").height == 12
    done = erase(store, domains=[DOMAIN], mixed=MIXED)
    assert [(held.key.asset, held.way) for held in done.held] == [("pages", "rewritten"), ("measures", "rewritten"), ("tokens", "withdrawn")]
    kept = [url for url in urls() if DOMAIN not in url]
    assert sorted(other.resolve("pages", ref="demo").read("pages")["url"].to_list()) == kept
    with pytest.raises(NotPublished, match="withdrawn"):
        other.resolve("tokens", ref="demo")
    assert not gone.path.exists(), "a mirror still has what was erased elsewhere"
    for path, content in other.objects.read(other.objects.listing()).items():
        assert DOMAIN.encode() not in content, path
    second = run_remote(other, tmp_path / "b")
    assert not second["pages"].reused and sorted(second["pages"].published.read("pages")["url"].to_list()) == kept
    assert all(result.reused for result in run_remote(store, tmp_path / "a").values())


def check_pruning(url: str, tmp_path: Path) -> None:
    """Rows go from the server, not only from a mirror; and come back, for every mirror, once the asset is made again."""
    store, home, prunes = mirrored(url, tmp_path), tmp_path / "a", {"pages": [Reader("measures", False)]}
    version = run_remote(store, home)["pages"].published
    rows = f"pages/v/{version.version}/tables/pages/"
    later = time.time() + 10 * 86_400
    dry = plan_collection(mirrored(url, tmp_path, "dry"), prunes=prunes, now=later)
    assert [(one.reason, one.bytes) for one in dry.prunings] == [(None, store.objects.listing(rows)[f"{rows}train-00000-of-00001.parquet"].size)]
    other = mirrored(url, tmp_path, "other")
    assert collect(other, prunes=prunes, now=later).prunings[0].reason is None
    assert not store.objects.listing(rows), "the rows are still on the server"
    assert store.resolve("pages", ref="demo").read("counts").height == 1
    with pytest.raises(Pruned, match="materialize pages again"):
        mirrored(url, tmp_path, "reader").resolve("pages", ref="demo").read("pages")
    again = run_remote(store, home)
    assert [asset for asset, result in again.items() if not result.reused] == ["pages"] and again["pages"].published.version == version.version
    assert other.resolve("pages", ref="demo").read("pages").height == 12 and mirrored(url, tmp_path, "fresh").resolve("pages", ref="demo").read("pages").height == 12
    store.objects.put(f"pages/v/{version.version}/{PRUNED}", b'{"tables": ["pages"]}')  # killed after the mark, before the rows went
    collect(other, prunes=prunes, now=later)
    assert not store.objects.listing(rows)


def check_lineage_elsewhere(url: str, tmp_path: Path) -> None:
    """A machine that has only the URL knows what stands behind a version, and what an erasure would find."""
    model = run_remote(mirrored(url, tmp_path), tmp_path / "a")["model"]
    elsewhere = mirrored(url, tmp_path, "elsewhere")
    with elsewhere.pin("a reader"):
        behind = ancestry([elsewhere.resolve("model", ref="demo")])
        assert [one.name for one in behind] == ["model", "tokens", "measures", "pages"] and all(one.record for one in behind)
        assert behind[-1].version.read("pages").height == 12
        pages = History(elsewhere, "demo").upstream(PastBuild(elsewhere.record("measures", ref="demo"), behind[2].version), "pages")
        assert pages is not None and pages.read("pages").height == 12
    found = plan_erasure(mirrored(url, tmp_path, "asking"), domains=[DOMAIN], mixed=MIXED)
    assert [held.key.asset for held in found.held] == ["pages", "measures", "tokens"] and [one.key.asset for one in found.models] == ["model"]
    assert mirrored(url, tmp_path, "last").resolve("model", ref="demo").version == model.published.version


def test_pruning_on_a_url(url: str, tmp_path: Path) -> None:
    check_pruning(url, tmp_path)


def test_lineage_from_another_machine(url: str, tmp_path: Path) -> None:
    check_lineage_elsewhere(url, tmp_path)


def test_a_line_on_a_url(url: str, tmp_path: Path) -> None:
    check_whole_line(url, tmp_path)


def test_collection_on_a_url(url: str, tmp_path: Path) -> None:
    check_collection(url, tmp_path)


def test_erasure_on_a_url(url: str, tmp_path: Path) -> None:
    check_erasure(url, tmp_path)


def test_what_lacks_a_manifest_is_no_version_and_is_completed(url: str, tmp_path: Path) -> None:
    store = mirrored(url, tmp_path)
    version = published(store, "raw", "x", fingerprint="a" * 32, ref="demo")
    remote = tmp_path / "remote" / "raw" / "v" / version.version
    (remote / "manifest.json").unlink()
    (remote / "files" / "0.txt").unlink()
    shutil.rmtree(store.root)
    assert store.reuse("raw", None, "a" * 32, ref="demo") is None
    published(store, "raw", "x", fingerprint="a" * 32, ref="demo")
    assert mirrored(url, tmp_path, "other").resolve("raw", ref="demo").damage(hashes=True) == []
    (remote / "files" / "0.txt").write_text("x 9\n", encoding="utf-8")
    with pytest.raises(StoreError, match="another sha256"):
        mirrored(url, tmp_path, "third").resolve("raw", ref="demo")


def test_unchanged_files_are_copied_where_they_lie(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = mirrored(url, tmp_path)
    sent: list[str] = []
    copied: list[str] = []
    monkeypatch.setattr(store.objects, "upload", lambda source, path, real=store.objects.upload: (sent.append(path), real(source, path)))
    monkeypatch.setattr(store.objects, "copy", lambda source, path, real=store.objects.copy: (copied.append(path), real(source, path)))
    for extra in ("one", "two"):
        with store.stage("raw") as staging:
            (staging.files / "large.bin").write_text("the same", encoding="utf-8")
            (staging.files / "small.txt").write_text(extra, encoding="utf-8")
            name = staging.complete({})
            record = replace(run_remote(Store(tmp_path / "local"), tmp_path / "a")["report"].record, asset="raw", version=name, data_version=name, fingerprint=extra.ljust(32, "0"))
            store.publish(staging, record, ref="demo")
    assert [path.split("/")[-1] for path in copied] == ["large.bin"] and sum(path.endswith("large.bin") for path in sent) == 1
    assert mirrored(url, tmp_path, "other").resolve("raw", ref="demo").damage(hashes=True) == []


def test_whoever_removes_is_waited_for_or_taken_over(url: str, tmp_path: Path) -> None:
    store = mirrored(url, tmp_path)
    published(store, "raw", "x", fingerprint="a" * 32, ref="demo")
    store.objects.put(REMOVING, b"elsewhere.7-1. since 2026")
    with pytest.raises(StoreError, match="being removed already"):
        collect(store, ALL)
    store.objects.put(REMOVING, f"{__import__('foundation.store.owners', fromlist=['_host'])._host()}.{2**22 - 1}-1. since 2026".encode())
    published(store, "raw", "y", fingerprint="b" * 32, ref="demo")
    assert collect(store, ALL, now=time.time() + 60).versions


def test_where_a_store_lies(tmp_path: Path) -> None:
    assert type(open_store(tmp_path / "x", tmp_path)) is Store and open_store(f"file://{tmp_path}/x", tmp_path).root == tmp_path / "x"
    assert isinstance(open_store("memory://x", tmp_path), MirroredStore)
    with pytest.raises(StoreError, match="cannot be reached"):
        open_store("nosuch://x", tmp_path)
