"""Garbage collection: what nobody needs goes, what anybody needs stays, whoever is killed or publishes at any moment."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.execution import JobSubmitted
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageContext, StageReport, Workplace, run_stage
from foundation.store import NotPublished, PublishedVersion, Store, StoreError, TableSpec
from foundation.store.collection import Limits, collect, finished_work, plan_collection, space_of
from foundation.store.errors import Pruned
from foundation.store.holding import DAY_S
from foundation.store.pruning import Reader
from tests.foundation.store_builds import OLD_S, everything_old, held, made_old, published, record_path

ROOT = Path(__file__).parents[2]
ALL = Limits(min_age_s=0)
KILLS = int(os.environ.get("TRANSUMANZA_KILLS", "30"))
"""How many collections are killed; a campaign sets it higher."""
RACE_S = float(os.environ.get("TRANSUMANZA_RACE_SECONDS", "4"))
"""How long publishers and collections run beside each other."""

# -- what is needed ------------------------------------------------------------------------------------------------------

ASSETS = ("raw", "clean", "model", "report")
"""The first two are made per partition."""


@dataclass(frozen=True)
class Drawn:
    """A build of the random store; ``reads`` are indices of earlier ones."""

    asset: int
    partition: str
    content: int
    reads: tuple[int, ...]
    reproducible: bool
    old_record: bool
    old_version: bool
    names: tuple[str, ...]
    pinned: bool


@st.composite
def stores(draw: st.DrawFn) -> list[Drawn]:
    drawn: list[Drawn] = []
    for index in range(draw(st.integers(1, 10))):
        asset, partition = draw(st.integers(0, 3)), draw(st.sampled_from("pq"))
        readable = [
            other for other in range(index) if drawn[other].asset < asset and (asset > 1 or drawn[other].partition == partition)
        ]  # one of each asset and partition, as stages read
        chosen = {(drawn[other].asset, drawn[other].partition if drawn[other].asset < 2 else ""): other for other in readable if draw(st.booleans())}
        drawn.append(
            Drawn(
                asset, partition, draw(st.integers(0, 2)), tuple(chosen.values()), draw(st.booleans()), draw(st.integers(0, 3)) > 0, draw(st.integers(0, 3)) > 0,
                tuple(draw(st.sets(st.sampled_from(["demo", "other", "tags/v1"]), max_size=1))), draw(st.integers(0, 7)) == 0,
            )
        )  # fmt: skip
    return drawn


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=stores())
def test_exactly_what_is_unreachable_and_old_goes(drawn: list[Drawn], tmp_path_factory: pytest.TempPathFactory) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    versions: list[PublishedVersion] = []
    for index, build in enumerate(drawn):
        versions.append(
            published(
                store, ASSETS[build.asset], f"{build.content}", [versions[other] for other in build.reads], fingerprint=f"{index:032x}",
                partition=build.partition if build.asset < 2 else None, reproducible=build.reproducible, parts=1,
            )
        )  # fmt: skip
        for name in build.names:
            record = store.build(versions[-1].asset, versions[-1].partition, f"{index:032x}")
            assert record is not None
            store.point(record.asset, record.partition, name, record)
    for index, (build, version) in enumerate(zip(drawn, versions, strict=True)):
        made_old(version.path / "manifest.json", age_s=OLD_S if build.old_version else 0)
        made_old(record_path(version, f"{index:032x}"), age_s=OLD_S if build.old_record else 0)
    young = {version.key: version.path.joinpath("manifest.json").stat().st_mtime > time.time() - DAY_S for version in versions}
    builds, kept = expected(store, drawn, versions, young)
    with store.pin("a test") as pin:
        pin.hold(version for build, version in zip(drawn, versions, strict=True) if build.pinned)
        before = held(store)
        plan = plan_collection(store)
        assert held(store) == before, "planning changed the store"
        done = collect(store)
        again = collect(store)
    assert done.versions == plan.versions and done.builds == plan.builds
    assert held(store) == (
        {versions[index].path.relative_to(store.root).as_posix() for index in kept},
        {record_path(versions[index], f"{index:032x}").relative_to(store.root).as_posix() for index in builds},
    )
    assert not again.versions and not again.builds and not again.leftovers
    assert all(versions[index].damage(hashes=True) == [] for index in kept)
    assert plan.kept.total() == len({versions[index].key for index in kept}) and not done.dangling
    for index in builds:
        record = store.build(versions[index].asset, versions[index].partition, f"{index:032x}")
        assert record is not None and store.shown(record)[0] == {"text": str(drawn[index].content)}
    shown = {path.stem for path in store.root.glob("**/builds/shown/*")}
    assert shown == {f"{index:032x}" for index in builds} and not list(store.root.glob("**/.trash"))


def expected(store: Store, drawn: list[Drawn], versions: list[PublishedVersion], young: dict) -> tuple[set[int], set[int]]:
    """Indices of builds whose record stays, and of those whose version does, by going round until nothing is added."""
    named = {fingerprint for place in store.places() for _, fingerprint in store.refs(*place).values()}
    builds = {index for index in range(len(drawn)) if f"{index:032x}" in named or not drawn[index].old_record or young[versions[index].key]}
    identity = [(version.key, version.data_version) for version in versions]
    pinned = {identity[index] for index, build in enumerate(drawn) if build.pinned}
    kept_keys = {key for key, _ in pinned} | {key for key, is_young in young.items() if is_young}
    builds |= {index for index in range(len(drawn)) if identity[index] in pinned}
    while True:
        read = {identity[other] for index in builds for other in drawn[index].reads}
        more = builds | {index for index in range(len(drawn)) if identity[index] in read}
        if more == builds:
            break
        builds = more
    kept_keys |= {versions[index].key for index in builds} | {versions[other].key for index in builds for other in drawn[index].reads}
    return builds, {index for index in range(len(drawn)) if versions[index].key in kept_keys}


def test_leftovers_go_and_what_is_in_work_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    kept = published(store, "raw", "kept", fingerprint="a" * 32, ref="demo")
    folder = store.folder("raw")
    host = os.uname().nodename
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True).stdout.strip()
    gone = [
        folder / "v" / f".damaged-{kept.version}-00",
        folder / ".trash" / "x.00",
        folder / ".staging" / f"{host}.{ended}-1.00",
        folder / ".staging" / f"{host}.{os.getpid()}-1.00",  # this process's id, given to another one before
        folder / ".staging" / "elsewhere.7-1.00",
    ]
    busy = folder / ".staging" / "elsewhere.8-1.00"
    work = tmp_path / "work" / "raw" / "all"
    for path in (busy, work / ("a" * 32), work / ("b" * 32)):
        path.mkdir(parents=True)
    with store.stage("raw") as staging:
        for path in gone:
            (path / "files").mkdir(parents=True)
            (path / "files" / "x").write_text("x" * 10, encoding="utf-8")
        made_old(gone[-1], *gone[-1].rglob("*"), age_s=40 * DAY_S)
        for path in (folder / "builds" / ".a.json.7.00", folder / "builds" / "shown" / "b.json", folder / "refs" / ".demo.7.00"):
            path.write_text("x", encoding="utf-8")
            gone.append(path)
        plan = plan_collection(store)
        assert set(plan.leftovers) == set(gone) and space_of(plan.leftovers).freed == 5 * 10 + 3
        assert finished_work(tmp_path / "work", plan.holdings) == [work / ("a" * 32)]
        collect(store)
        assert staging.path.is_dir() and busy.is_dir() and kept.damage(hashes=True) == []
    assert not any(path.exists() for path in gone)
    busy.rmdir()
    (folder / "refs" / "demo").unlink()
    collect(store, ALL)
    assert store.assets() == [], "an asset without any version is still listed"


def test_linked_files_free_no_space_while_something_links_to_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "x").write_bytes(b"x" * 1000)
    (tmp_path / "b" / "x").hardlink_to(tmp_path / "a" / "x")
    space = space_of([tmp_path / "a"])
    assert (space.by_path[tmp_path / "a"], space.freed) == (1000, 0) and space_of([tmp_path / "a", tmp_path / "b"]).freed == 1000


def test_damage_stops_a_collection_that_could_not_tell_what_is_needed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    version = published(store, "raw", "x", fingerprint="a" * 32, ref="demo")
    for path in (version.path.parent.parent / "refs" / "demo", record_path(version, "a" * 32)):
        text = path.read_text(encoding="utf-8")
        path.write_text("{", encoding="utf-8")
        with pytest.raises(StoreError, match=path.name):
            collect(store, ALL)
        path.write_text(text, encoding="utf-8")
    assert collect(store, ALL).versions == () and version.damage(hashes=True) == []


# -- running builds ------------------------------------------------------------------------------------------------------


def _workplace(home: Path, profile: str = "demo") -> Workplace:
    return Workplace(Store(home / "store"), home, profile, {}, (), DataFolder(None), seed=1)


def _raw(text: str) -> Stage:
    def build(context: StageContext) -> StageReport:
        (context.staging.files / "raw.txt").write_text(text, encoding="utf-8")
        return StageReport()

    return Stage("raw", text, "corpus", build)


def test_a_running_build_keeps_what_it_resolved(tmp_path: Path) -> None:
    """Its input is named by nothing any more and a collection runs: the build reads on, and its lineage is whole."""
    raw, place = _raw("one"), _workplace(tmp_path)
    other = _raw("two")
    first = run_stage(raw, {}, place).published

    def build(context: StageContext) -> StageReport:
        run_stage(other, {}, place)
        assert place.store.record("raw", ref="demo").version != first.version
        assert first.key not in collect(place.store, ALL).versions
        text = (context.input("raw").files / "raw.txt").read_text(encoding="utf-8")
        (context.staging.files / "made.txt").write_text(text, encoding="utf-8")
        return StageReport()

    graph = {"raw": raw, "made": Stage("made", "1", "corpus", build, upstream=("raw",))}
    made = run_stage(graph["made"], graph, place)
    assert (made.published.files / "made.txt").read_text(encoding="utf-8") == "one"
    assert not list((place.store.root / ".pins").iterdir())
    assert collect(place.store, ALL).versions == () and first.damage(hashes=True) == []


def test_work_handed_to_a_cluster_keeps_its_inputs_until_the_build_is_done(tmp_path: Path) -> None:
    raw, place = _raw("one"), _workplace(tmp_path)
    first = run_stage(raw, {}, place).published
    waiting = [True]

    def build(context: StageContext) -> StageReport:
        if waiting[0]:
            raise JobSubmitted("with the cluster", job_id="1", done=0, total=1, logs="")
        (context.staging.files / "made.txt").write_text("made", encoding="utf-8")
        return StageReport()

    graph = {"raw": raw, "made": Stage("made", "1", "corpus", build, upstream=("raw",))}
    with pytest.raises(JobSubmitted):
        run_stage(graph["made"], graph, place)
    (place.store.folder("raw") / "refs" / "demo").unlink()
    (left,) = (place.store.root / ".pins").iterdir()
    assert collect(place.store, ALL).versions == () and first.damage() == []
    assert first.key in plan_collection(place.store, ALL, now=time.time() + 31 * DAY_S).versions
    run_stage(raw, {}, place)
    waiting[0] = False
    run_stage(graph["made"], graph, place)
    assert not left.exists()


def test_pins_of_processes_that_are_gone_hold_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    version = published(store, "raw", "x", fingerprint="a" * 32)
    with store.pin("a test") as pin:
        pin.hold([version])
        (mine,) = (tmp_path / ".pins").iterdir()
        assert collect(store, ALL).versions == ()
        text = mine.read_text(encoding="utf-8")
    host = mine.name.split(".", maxsplit=1)[0]
    elsewhere = tmp_path / ".pins" / "elsewhere.7-1.00.json"
    elsewhere.write_text(text, encoding="utf-8")
    assert collect(store, ALL).versions == ()
    made_old(elsewhere, age_s=31 * DAY_S)
    stale = tmp_path / ".pins" / f"{host}.{os.getpid()}-1.00.json"  # the id of this process, which began at another time
    stale.write_text(text, encoding="utf-8")
    assert collect(store, ALL).versions == (version.key,) and not list((tmp_path / ".pins").iterdir())


# -- kill -9 -------------------------------------------------------------------------------------------------------------

COLLECTOR = """
import json, os, signal, sys
from foundation.store import Store
from foundation.store.collection import Limits, collect
from foundation.store.pruning import Reader
CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "shutil.rmtree", "os.chmod"}
def child(root, moment):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if event in CHANGES or (event == "open" and isinstance(arguments[1], str) and "w" in arguments[1]):
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
    sys.addaudithook(hook)
    collect(Store(root), Limits(), prunes={"raw": [Reader("clean", False)]})
    return seen
for line in sys.stdin:  # one collection a line, each in a process of its own
    root, moment = json.loads(line)
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.write(writing, str(child(root, moment)).encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(process, 0)
    print(json.dumps([os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0, os.read(reading, 99).decode()]), flush=True)
    os.close(reading)
"""
ROWS = TableSpec("rows", pa.schema([("id", pa.int64()), ("text", pa.string())]), key=("id",))


def _template(home: Path) -> Store:
    """A store with versions that stay, chains of old ones that go, rows to prune, leftovers."""
    store = Store(home / "store")

    def build(context: StageContext) -> StageReport:
        with context.staging.table(ROWS) as table:
            table.write([{"id": index, "text": "x" * index} for index in range(50)])
        (context.staging.files / "note").write_text("kept", encoding="utf-8")
        return StageReport()

    raw = Stage("raw", "1", "corpus", build)
    clean = Stage("clean", "1", "corpus", lambda context: _copied(context, "raw"), upstream=("raw",))
    graph = {"raw": raw, "clean": clean}
    for stage in graph.values():
        run_stage(stage, graph, Workplace(store, home, "demo", {}, (), DataFolder(None), seed=1))
    generator = random.Random(1)
    number = itertools.count(1)
    for chain in range(4):
        made: list[PublishedVersion] = []
        for asset in ("first", "second", "third"):
            made = [
                published(store, asset, f"{chain} {copy}", made[:1], fingerprint=f"{next(number):032x}", ref="tags/kept" if chain == 0 and copy == 0 and asset == "third" else None)
                for copy in range(generator.randint(1, 2))
            ]
    published(store, "first", "2 0", fingerprint="f" * 32)  # another record of a version that goes
    leftover = store.folder("first") / ".trash" / "x"
    leftover.mkdir(parents=True)
    (leftover / "x").write_text("x", encoding="utf-8")
    everything_old(store)
    return store


def _copied(context: StageContext, asset: str) -> StageReport:
    (context.staging.files / "rows").write_text(str(context.input(asset).read("rows").height), encoding="utf-8")
    return StageReport()


def _is_consistent(store: Store) -> None:
    """References resolve, every version in a reader's sight is whole, whatever record is left has a whole ancestry."""
    plan = plan_collection(store, Limits(min_age_s=1e9))
    assert not plan.dangling
    for key in plan.holdings.versions:
        path = store.folder(key.asset, key.partition) / "v" / key.version
        assert PublishedVersion(*key, key.version, path).damage(hashes=True) == []
    for place in store.places():
        for ref in store.refs(*place):
            assert store.resolve(*place, ref=ref).damage(hashes=True) == []
    for build in plan.holdings.builds.values():
        version = store.published(store.build(*build.key))  # type: ignore[arg-type]
        assert version.damage(hashes=True) == [], build
        assert len(list(plan.holdings.parents(build))) >= len(build.upstream), f"the ancestry of {build.key} is cut"


def test_killed_collections_leave_whole_stores_which_the_next_one_completes(tmp_path: Path) -> None:
    """Real kill -9, before any of the changes that a collection makes to the disk; TRANSUMANZA_KILLS says how often."""
    _template(tmp_path / "template")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    generator = random.Random(20260101)
    with subprocess.Popen([sys.executable, "-c", COLLECTOR], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as collector:

        def collected(name: str, moment: int) -> tuple[Store, int, int]:
            shutil.copytree(tmp_path / "template", tmp_path / name)
            assert collector.stdin is not None and collector.stdout is not None
            print(json.dumps([str(tmp_path / name / "store"), moment]), file=collector.stdin, flush=True)
            signal, code, changes = json.loads(collector.stdout.readline())
            assert code == 0
            return Store(tmp_path / name / "store"), signal, int(changes or 0)

        whole, signal, changes = collected("whole", -1)
        assert signal == 0 and changes > 30
        final = sorted(path.relative_to(whole.root).as_posix() for path in whole.root.rglob("*"))
        _is_consistent(whole)
        assert whole.resolve("raw", ref="demo").pruned == ("rows",) and not list(whole.root.glob("raw/v/*/tables/rows"))
        moments = generator.sample(range(changes), changes) * (KILLS // changes + 1)
        states = set()
        for moment in moments[:KILLS]:
            store, signal, _ = collected("killed", moment)
            assert signal == 9, f"the collection was over before change {moment}"
            states.add(tuple(sorted(path.relative_to(store.root).as_posix().split(".trash")[0] for path in store.root.rglob("*"))))
            _is_consistent(store)
            collect(store, Limits(), prunes={"raw": [Reader("clean", False)]})
            _is_consistent(store)
            assert sorted(path.relative_to(store.root).as_posix() for path in store.root.rglob("*")) == final, f"killed before change {moment}"
            shutil.rmtree(tmp_path / "killed")
        assert len(states) > min(KILLS, changes) / 3, "hardly any kill came in the middle"
        collector.stdin.close()


# -- publishers and collections beside each other ------------------------------------------------------------------------

RACER = """
import random, sys, time
from pathlib import Path
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageReport, Workplace, run_stage
from foundation.store import Store
from foundation.store.collection import Limits, collect
kind, home, seed, until = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
store, generator, count = Store(home / "store"), random.Random(seed), 0
place = Workplace(store, home / str(seed), "demo", {}, (), DataFolder(None), seed=1)  # each its own work folder: nothing but the store's lock between them
def raw(content):
    def build(context):
        for part in range(20):
            (context.staging.files / f"{part}.txt").write_text(content)
        return StageReport()
    return Stage("raw", content, "corpus", build)
def copied(context):
    time.sleep(generator.uniform(0, 0.02))
    version = context.input("raw")
    faults = version.damage(hashes=True)
    assert not faults, faults
    for path in sorted(version.files.iterdir()):
        (context.staging.files / path.name).write_text(path.read_text())
    return StageReport()
made = Stage("made", "1", "corpus", copied, upstream=("raw",))
while time.time() < until or count < 4:  # on a busy machine the time may be over before all have begun
    count += 1
    if kind == "gc":
        collect(store, Limits(min_age_s=0))
        continue
    stage = raw(str(generator.randint(0, 2)))
    graph = {"raw": stage, "made": made}
    for each in graph.values():
        result = run_stage(each, graph, place)
    with store.pin("a check") as pin:
        for asset in graph:
            with store.undisturbed():
                version = store.resolve(asset, ref="demo")
                pin.hold([version])
            faults = version.damage(hashes=True)
            assert not faults, faults
            pin.release()
print(count)
"""


def test_publishers_and_collections_beside_each_other(tmp_path: Path) -> None:
    """Three publishers move the references to and fro between a few contents while two collections remove whatever is not named."""
    store, until = Store(tmp_path / "store"), str(time.time() + 1.5 + RACE_S)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, kind, str(tmp_path), str(seed), until], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for seed, kind in enumerate(["publish", "publish", "publish", "gc", "gc"])
    ]
    rounds = []
    for racer in racers:
        output, errors = racer.communicate(timeout=120)
        assert racer.returncode == 0, errors
        rounds.append(int(output))
    assert min(rounds) > 3, rounds
    assert not list((store.root / ".pins").iterdir())
    done = collect(store, ALL)
    assert not done.dangling
    for asset in ("raw", "made"):
        assert store.resolve(asset, ref="demo").damage(hashes=True) == []
    made = store.record("made", ref="demo")
    assert len(held(store)[0]) == 2 + (made.inputs["upstream"]["raw"]["version"] != store.record("raw", ref="demo").version)


# -- pruning -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def line(tmp_path: Path) -> tuple[Workplace, dict[str, Stage], list[int]]:
    """``raw`` with a table of rows and a small one, ``made`` of its rows; ``built`` counts builds of raw."""
    built = [0]
    few = TableSpec("few", pa.schema([("id", pa.int64())]), key=("id",))

    def build(context: StageContext) -> StageReport:
        built[0] += 1
        with context.staging.table(ROWS) as table:
            table.write([{"id": index, "text": "testo " * index} for index in range(200)])
        with context.staging.table(few) as table:
            table.write([{"id": 1}])
        return StageReport({"rows": 200})

    made = Stage("made", "1", "corpus", lambda context: _copied(context, "raw"), upstream=("raw",))
    return _workplace(tmp_path), {"raw": Stage("raw", "1", "corpus", build), "made": made}, built


def test_pruned_rows_are_missed_by_nobody_but_who_reads_them(line: tuple[Workplace, dict[str, Stage], list[int]]) -> None:
    place, graph, built = line
    store, prunes = place.store, {"raw": [Reader("made", False)]}
    run_stage(graph["raw"], graph, place)
    everything_old(store)
    (waiting,) = collect(store, prunes=prunes).prunings
    assert waiting.reason == "made of profile demo is not made of it yet" and waiting.version.read("rows").height == 200
    run_stage(graph["made"], graph, place)
    (young,) = plan_collection(store, Limits(min_age_s=1e9), prunes=prunes).prunings
    assert young.reason == "it is young"
    (gone,) = collect(store, prunes=prunes).prunings
    assert gone.reason is None and gone.bytes > 0 and collect(store, prunes=prunes).prunings == ()

    raw = store.resolve("raw", ref="demo")
    assert raw.pruned == ("rows",) and raw.damage(hashes=True) == [] and raw.rows == 200 and raw.bytes - raw.bytes_left == gone.bytes
    assert raw.read("few").height == 1
    with pytest.raises(Pruned, match=r"gc --prune raw.*materialize raw again.*same version"):
        raw.scan("rows")
    assert run_stage(graph["made"], graph, place).reused, "what was made of the rows is not read again"
    changed = {**graph, "made": Stage("made", "2", "corpus", graph["made"].build, upstream=("raw",))}
    with pytest.raises(Pruned, match="materialize raw"):
        run_stage(changed["made"], changed, place)

    again = run_stage(graph["raw"], graph, place)
    assert not again.reused and built[0] == 2 and again.published.version == raw.version
    assert again.published.pruned == () and again.published.read("rows").height == 200
    assert not run_stage(changed["made"], changed, place).reused
    assert run_stage(graph["raw"], graph, place).reused and not list(store.root.glob("raw/v/.*"))


def test_rows_stay_where_a_tag_or_another_profile_wants_them(line: tuple[Workplace, dict[str, Stage], list[int]]) -> None:
    place, graph, _ = line
    store, prunes = place.store, {"raw": [Reader("made", False)]}
    for stage in graph.values():
        run_stage(stage, graph, place)
    everything_old(store)
    store.tag(store.record("raw", ref="demo"), "v1")
    assert [pruning.reason for pruning in plan_collection(store, prunes=prunes).prunings] == ["a tag names it"]
    store.untag("raw", None, "v1")
    run_stage(graph["raw"], graph, _workplace(place.home, "other"))
    assert [pruning.reason for pruning in plan_collection(store, prunes=prunes).prunings] == ["made of profile other is not made of it yet"]
    run_stage(graph["made"], graph, _workplace(place.home, "other"))
    with store.pin("a reader") as pin:
        pin.hold([store.resolve("raw", ref="demo")])
        assert [pruning.reason for pruning in plan_collection(store, prunes=prunes).prunings] == ["a running build reads it"]
    assert [pruning.reason for pruning in plan_collection(store, prunes=prunes).prunings] == [None]


def test_other_rows_from_the_same_settings_replace_a_pruned_version(line: tuple[Workplace, dict[str, Stage], list[int]]) -> None:
    """A build that was thought reproducible and is not: the reference must not go back to the version without rows."""
    place, graph, _ = line
    for stage in graph.values():
        run_stage(stage, graph, place)
    everything_old(place.store)
    collect(place.store, prunes={"raw": [Reader("made", False)]})

    def build(context: StageContext) -> StageReport:
        with context.staging.table(ROWS) as table:
            table.write([{"id": 1, "text": "another"}])
        return StageReport()

    raw = run_stage(Stage("raw", "1", "corpus", build), graph, place).published
    assert raw.read("rows")["text"].to_list() == ["another"] and place.store.resolve("raw", ref="demo") == raw


# -- tags ----------------------------------------------------------------------------------------------------------------


def test_tags_move_by_force_alone_and_hold_their_version(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = published(store, "raw", "one", fingerprint="a" * 32, ref="demo")
    old = store.record("raw", ref="demo")
    store.tag(old, "v1")
    store.tag(old, "v1")
    second = published(store, "raw", "two", fingerprint="b" * 32, ref="demo")
    new = store.record("raw", ref="demo")
    with pytest.raises(StoreError, match=rf"names {first.version}.*--force"):
        store.tag(new, "v1")
    for name in ("", "a/b", ".x", "-x", "x" * 101):
        with pytest.raises(StoreError, match="cannot be a tag"):
            store.tag(new, name)
    assert store.resolve("raw", ref="tags/v1") == first and collect(store, ALL).versions == ()
    assert [store.find("raw", None, name).version for name in ("v1", "tags/v1", "demo", second.version[:6])] == [first.version, first.version, second.version, second.version]
    store.tag(new, "v1", force=True)
    assert collect(store, ALL).versions == (first.key,)
    with pytest.raises(NotPublished, match="removed meanwhile"):
        store.tag(old, "v2")
    with pytest.raises(NotPublished, match=r"no reference, tag or version.*demo, tags/v1"):
        store.find("raw", None, first.version)
    store.untag("raw", None, "v1")
    with pytest.raises(StoreError, match="no tag 'v1'"):
        store.untag("raw", None, "v1")
