"""Erasure: what holds an address goes, whatever happens meanwhile, and does not come back."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.stages import Stage, StageContext, StageReport, run_stage
from foundation.store import NotPublished, PublishedVersion, Store, StoreError
from foundation.store.collection import Limits, collect
from foundation.store.erased import NOTHING_ERASED, normal_url, read_domains, read_erased, read_urls
from foundation.store.erasure import Erasure, erase, plan_erasure
from foundation.store.pruning import Reader
from tests.foundation.erasable_line import ASSETS, LINE, MIXED, hash_of, run_line, urls, workplace
from tests.foundation.killing import killer

KILLS = int(os.environ.get("TRANSUMANZA_KILLS", "8"))
DOMAIN = "rossi.example"
GONE = [url for url in urls() if DOMAIN in url]


def versions(store: Store) -> Iterator[PublishedVersion]:
    """Every version that any reader could open."""
    for asset, partition in store.places():
        for record in store.builds(asset, partition):
            yield store.published(record)


def holds(version: PublishedVersion, domain: str = DOMAIN) -> bool:
    """Whether a version names an erased page in any table, card or statistics; read in another way than the erasure does."""
    ids = {hash_of(url) for url in urls() if domain in url}
    text = (version.path / "README.md").read_text(encoding="utf-8") + json.dumps(version.manifest)
    for table in version.tables:
        text += version.read(table).write_json()
    return domain in text or any(key in text for key in ids)


# -- addresses -----------------------------------------------------------------------------------------------------------


def test_an_address_is_known_in_all_its_spellings() -> None:
    erased = NOTHING_ERASED.with_addresses(["https://Www.Rossi.example:443/a%2fb?q=1#top"], ["bianchi.example", "xn--caff-8oa.example"])
    assert all(map(erased.holds, ("http://www.rossi.example/a%2Fb?q=1", "https://www.rossi.example./a%2fb?q=1#x", "http://u@a.b.BIANCHI.example:8080/", "https://bianchi.example")))
    others = ("https://www.rossi.example/a%2Fb", "https://rossi.example/a%2Fb?q=1", "https://www.rossi.example:8080/a%2Fb?q=1", "https://nonbianchi.example/", "https://example/", "", None)
    assert not any(map(erased.holds, others)) and erased.holds_host("xn--caff-8oa.example")
    assert pickle.loads(pickle.dumps(erased)) == erased  # noqa: S301  # workers get it so
    assert not NOTHING_ERASED and NOTHING_ERASED.digest == ""
    assert erased.with_addresses([], []).digest == erased.digest != erased.with_addresses([], ["x.example"]).digest
    assert "rossi" not in json.dumps([sorted(erased.urls), sorted(erased.domains)])
    assert NOTHING_ERASED.with_addresses([], ["a.example"]).domains != NOTHING_ERASED.with_addresses([], ["a.example"]).domains, "hashes of two stores are the same"


@given(st.text(max_size=60))
def test_any_text_can_be_asked_for(text: str) -> None:
    erased = NOTHING_ERASED.with_addresses([text], ["a.example"])
    assert erased.holds(text) or not text
    assert normal_url(normal_url(f"https://h/{text}")) is not None


def test_files_of_addresses_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("# ours\n\nhttps://a.example/x#y\n", encoding="utf-8")
    assert read_urls(path) == ["https://a.example/x#y"]
    path.write_text("Caffè.example\nA.B.example.\n", encoding="utf-8")
    assert read_domains(path) == ["xn--caff-8oa.example", "a.b.example"]
    for text, read in (("a.example/x", read_domains), ("it", read_domains), ("a.example", read_urls), ("", read_urls), ("#", read_domains)):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(StoreError, match=r"write|whole"):
            read(path)


# -- the whole of it -----------------------------------------------------------------------------------------------------


def test_an_erased_domain_is_nowhere_and_stays_away(tmp_path: Path) -> None:
    first = run_line(tmp_path)
    store = Store(tmp_path / "store")
    store.tag(first["pages"].record, "kept")
    assert sum(holds(version) for version in versions(store)) == 3
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    plan = plan_erasure(store, domains=[DOMAIN], mixed=MIXED)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == files and not store.erased, "planning changed something"

    done = erase(store, domains=[DOMAIN], mixed=MIXED)
    assert plan == done
    assert [(held.key.asset, held.way, dict(held.hits.rows)) for held in done.held] == [
        ("pages", "rewritten", {"pages": 4, "counts": 1}), ("measures", "rewritten", {"measures": 4}), ("tokens", "withdrawn", {"used": 4}),
    ]  # fmt: skip
    assert [one.key for one in done.models] == [first["model"].published.key]
    assert [one.key.asset for one in done.affected] == ["model", "report"]
    assert not any(holds(version) for version in versions(store)) and not list(store.root.glob("*/.trash/*"))
    for ref in ("demo", "tags/kept"):
        pages = store.resolve("pages", ref=ref)
        assert pages.read("pages")["url"].to_list() == sorted((url for url in urls() if url not in GONE), key=hash_of) and pages.damage(hashes=True) == []
    assert pages.read("counts")["examples"].to_list() == [["https://bianchi.example/x"]] and pages.statistics["top_domains"] == {"bianchi.example": 4, "blog.verdi.example": 4}
    card = (pages.path / "README.md").read_text(encoding="utf-8")
    assert "[erased]" in card and card.startswith("---\nlicense: cc0-1.0\n") and card.count("configs:") == 1
    record = store.record("measures", ref="demo")
    assert record.inputs["upstream"]["pages"]["version"] == pages.version and record.inputs["erased_from"] == first["measures"].record.fingerprint
    with pytest.raises(NotPublished, match="withdrawn"):
        store.resolve("tokens", ref="demo")
    assert store.tombstones("pages")[first["pages"].record.version]["replaced_by"]["version"] == pages.version
    assert store.resolve("model", ref="demo").damage() == []

    second = run_line(tmp_path)
    assert not any(result.reused for result in second.values()), "something was reused that was made of what is erased"
    assert not any(holds(version) for version in versions(store)) and second["tokens"].published.read("used").height == 8
    assert all(result.reused for result in run_line(tmp_path).values())
    assert erase(store, mixed=MIXED).held == () and erase(store, domains=["nobody.example"], mixed=MIXED).held == ()
    assert not run_line(tmp_path)["pages"].reused, "the list's hash does not count"


def test_a_release_that_holds_rows_is_withdrawn_and_one_that_holds_none_stays(tmp_path: Path) -> None:
    import polars as pl

    run_line(tmp_path)
    place = workplace(tmp_path)

    def released(hosts: str) -> Stage:
        def build(context: StageContext) -> StageReport:
            folder = context.staging.files / "data"
            folder.mkdir()
            context.input("pages").scan("pages").filter(pl.col("url").str.contains(hosts)).collect().write_parquet(folder / "train.parquet")
            return StageReport()

        return Stage(f"release_{hosts}", "1", "release", build, upstream=("pages",))

    for hosts in ("rossi", "verdi"):
        run_stage(released(hosts), LINE, place)
    done = erase(place.store, domains=[DOMAIN], mixed=MIXED)
    assert {held.key.asset: held.way for held in done.held}["release_rossi"] == "withdrawn" and place.store.refs("release_rossi") == {}
    assert place.store.resolve("release_verdi", ref="demo").damage() == [] and "release_verdi" not in {one.key.asset for one in done.affected}


def test_what_names_a_domain_and_has_no_rows_any_more_is_withdrawn(tmp_path: Path) -> None:
    """Rows were pruned before: nothing can be rewritten, and statistics and card must not go on naming the domain."""
    run_line(tmp_path)
    store, later = Store(tmp_path / "store"), time.time() + 10 * 86_400
    collect(store, prunes={"pages": [Reader("measures", False)]}, now=later)
    gone = store.resolve("pages", ref="demo")
    assert gone.pruned and DOMAIN in json.dumps(gone.statistics)
    done = erase(store, domains=["verdi.example"], mixed=MIXED)
    assert {held.key.asset: (held.way, dict(held.hits.rows)) for held in done.held} == {"pages": ("withdrawn", {"statistics and card": 1})}
    assert [one.key.asset for one in done.affected] == ["measures", "tokens", "model", "report"], "which documents are gone is not known: all may hold some"
    assert [one.key.asset for one in done.models] == ["model"]
    assert "verdi.example" not in "".join(path.read_text() for path in store.root.rglob("*.json")) and store.refs("pages") == {}
    assert not run_line(tmp_path)["pages"].reused and "verdi.example" not in json.dumps(store.resolve("pages", ref="demo").statistics)


def test_single_urls_and_lists_that_grow(tmp_path: Path) -> None:
    run_line(tmp_path)
    store = Store(tmp_path / "store")
    erase(store, urls=["http://bianchi.example/1"], mixed=MIXED)
    erase(store, urls=["http://bianchi.example/2"], domains=["verdi.example"], mixed=MIXED)
    left = store.resolve("pages", ref="demo").read("pages")["url"].to_list()
    assert sorted(left) == sorted([*GONE, "https://bianchi.example/0", "https://bianchi.example/3"])
    assert [(entry["urls"], entry["domains"]) for entry in read_erased(store.root).history] == [(1, 0), (1, 1)]
    run_line(tmp_path)
    assert sorted(store.resolve("pages", ref="demo").read("pages")["url"].to_list()) == sorted(left)


def test_a_damaged_list_stops_everything_that_could_bring_pages_back(tmp_path: Path) -> None:
    run_line(tmp_path)
    store = Store(tmp_path / "store")
    erase(store, domains=[DOMAIN], mixed=MIXED)
    (store.root / ".erased.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="not a list of erased addresses"):
        run_line(tmp_path)
    with pytest.raises(StoreError, match="not a list of erased addresses"):
        erase(store)


# -- builds that run meanwhile -------------------------------------------------------------------------------------------


def test_a_build_that_reads_what_goes_stops_an_erasure_and_it_completes_later(tmp_path: Path) -> None:
    run_line(tmp_path)
    store = Store(tmp_path / "store")
    with store.pin("measures of a test") as pin:
        pin.hold([store.resolve("pages", ref="demo")])
        assert plan_erasure(store, domains=[DOMAIN], mixed=MIXED).readers == ("measures of a test",)
        with pytest.raises(StoreError, match="measures of a test"):
            erase(store, domains=[DOMAIN], mixed=MIXED)
        assert store.resolve("pages", ref="demo").read("pages").height == 12 and store.erased.holds(GONE[0])
    erase(store, mixed=MIXED)
    assert not any(holds(version) for version in versions(store))


def test_what_was_read_from_outside_before_an_erasure_is_not_published_after_it(tmp_path: Path) -> None:
    place = workplace(tmp_path)

    def build(context: StageContext) -> StageReport:
        report = LINE["pages"].build(context)
        erase(place.store, domains=[DOMAIN])
        return report

    slow = Stage("pages", "2", "corpus", build, from_outside=True)
    with pytest.raises(StoreError, match="while pages was made"):
        run_stage(slow, {}, place)
    assert list(versions(place.store)) == [] and not holds(run_stage(slow, {}, place).published)


def test_a_version_that_held_erased_rows_is_never_published_again(tmp_path: Path) -> None:
    first = run_line(tmp_path)["measures"]
    store = Store(tmp_path / "store")
    erase(store, domains=[DOMAIN], mixed=MIXED)
    with store.stage("measures") as staging:
        (staging.files / "x").write_text("x", encoding="utf-8")
        staging.complete({})
        with pytest.raises(StoreError, match="cannot be published again"):
            store.publish(staging, first.record, ref="demo")
    assert store.reuse("measures", None, first.record.fingerprint, ref="demo") is None


# -- kill -9 -------------------------------------------------------------------------------------------------------------

def _is_whole(store: Store) -> None:
    """Whatever can be resolved or is recorded is whole."""
    for version in versions(store):
        assert version.damage(hashes=True) == []
        assert [version.read(table).height for table in version.tables] == [table["rows"] for table in version.manifest["tables"].values()]
    for asset in ASSETS:
        for ref in store.refs(asset):
            assert store.resolve(asset, ref=ref).damage(hashes=True) == []
    for asset in ("pages", "measures", "model", "report"):
        assert "demo" in store.refs(asset), f"{asset} was lost"


def test_a_killed_erasure_leaves_whole_versions_and_the_next_one_completes_it(tmp_path: Path) -> None:
    """Real kill -9 before any of its changes to the disk; TRANSUMANZA_KILLS says how often."""
    run_line(tmp_path / "template")
    whole, home = tmp_path / "whole", tmp_path / "killed"
    shutil.copytree(tmp_path / "template", whole)
    with killer() as server:
        killed, changes = server.run("erase", whole)
        assert not killed and changes > 40
        final = {version.key for version in versions(Store(whole / "store"))}
        generator = random.Random(8)
        moments = generator.sample(range(changes), changes) * (KILLS // changes + 1)
        before = after = 0
        for moment in moments[:KILLS]:
            shutil.copytree(tmp_path / "template", home)
            store = Store(home / "store")
            assert server.run("erase", home, moment)[0]
            _is_whole(store)
            left = sum(holds(version) for version in versions(store))
            before, after = before + (left == 3), after + (left < 3)
            erase(store, domains=[DOMAIN], mixed=MIXED)
            _is_whole(store)
            assert not any(holds(version) for version in versions(store)), f"killed before change {moment}"
            assert {version.key for version in versions(store)} == final
            collect(store, Limits(min_age_s=0), now=time.time() + 60)
            _is_whole(store)
            shutil.rmtree(home)
    assert before and after, "all kills came at the same point"


def test_what_an_erasure_found_says_so(tmp_path: Path) -> None:
    run_line(tmp_path)
    found: Erasure = plan_erasure(Store(tmp_path / "store"), domains=[DOMAIN], mixed=MIXED)
    assert found.rows == 13 and "demo of" in found.references[0] and len(found.references) == 3
