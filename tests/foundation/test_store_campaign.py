"""Whatever is killed at whatever moment, and however many publish at once: readers see whole versions, and nothing that is named is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foundation.store import PublishedVersion, Store
from foundation.store.collection import Limits, collect, plan_collection
from foundation.store.erasure import erase
from tests.foundation.erasable_line import ASSETS, MIXED, run_line
from tests.foundation.killing import Killer, killer
from tests.foundation.store_builds import everything_old, published

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("TRANSUMANZA_CAMPAIGN_KILLS", "200"))
ACTIONS = ("publish", "collect", "tag", "erase")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line that is published and tagged, and old versions that nothing names."""
    home = tmp_path_factory.mktemp("template")
    made = run_line(home)
    store = Store(home / "store")
    store.tag(made["pages"].record, "old")
    store.tag(made["model"].record, "kept")
    first = published(store, "raw", "old", fingerprint="a" * 32)
    published(store, "made", "of old", [first], fingerprint="b" * 32)
    published(store, "raw", "kept", fingerprint="c" * 32, ref="demo")
    everything_old(store)
    return home


def see_whole(store: Store) -> None:
    """Every reference resolves, every version that can be found is whole to the last byte, every ancestry is there."""
    for asset, partition in store.places():
        for ref in store.refs(asset, partition):
            store.resolve(asset, partition, ref=ref)
        for record in store.builds(asset, partition):
            version = store.published(record)
            assert version.damage(hashes=True) == [] and all(version.read(table).height == version.manifest["tables"][table]["rows"] for table in version.tables)
    plan = plan_collection(store, Limits(min_age_s=1e9))
    assert not plan.dangling
    for key in plan.holdings.versions:
        assert PublishedVersion(*key, key.version, store.folder(key.asset, key.partition) / "v" / key.version).damage() == []


def kill_once(server: Killer, template: Path, home: Path, action: str, moment: int, *, go_on: bool) -> bool:
    """Kill an action, look, complete it, look again; ``go_on``: then everything else too. Returns whether it was killed before it was done."""
    fresh = action == "publish" and moment % 2 == 0
    if fresh:
        home.mkdir()
    else:
        shutil.copytree(template, home)
    store = Store(home / "store")
    killed, _ = server.run(action, home, moment)
    see_whole(store)
    if not fresh:
        assert {(asset, ref) for asset in (*ASSETS, "raw") if asset != "tokens" or action != "erase" for ref in store.refs(asset)} >= {
            *((asset, "demo") for asset in ASSETS if asset != "tokens" or action != "erase"), ("model", "tags/kept"), ("raw", "demo")
        }, f"{action} killed before change {moment} lost a reference"  # fmt: skip
    assert not server.run(action, home)[0] if action != "tag" else True
    see_whole(store)
    collect(store, Limits(min_age_s=0), now=time.time() + 60)
    if go_on:
        erase(store, mixed=MIXED)
        run_line(home)
        see_whole(store)
    assert not list(store.root.glob("*/.trash/*")) and not list(store.root.glob("*/.staging/*"))
    shutil.rmtree(home)
    return killed


def campaign(template: Path, folder: Path, action: str, kills: int) -> None:
    generator = random.Random(f"20260101 {action}")
    with killer() as server:
        shutil.copytree(template, folder / "counted")
        killed, changes = server.run(action, folder / "counted")
        assert not killed and changes > 5
        shutil.rmtree(folder / "counted")
        moments = [generator.randrange(changes) for _ in range(kills)]
        killed_before = sum(kill_once(server, template, folder / "home", action, moment, go_on=index % 5 == 0) for index, moment in enumerate(moments))
    assert killed_before > kills * 0.8, "most actions were over before they were killed"


@pytest.mark.parametrize("action", ACTIONS)
def test_two_kills_at_random(template: Path, tmp_path: Path, action: str) -> None:
    campaign(template, tmp_path, action, 2)


@pytest.mark.services
@pytest.mark.parametrize("action", ACTIONS)
def test_fifty_kills_at_random(template: Path, tmp_path: Path, action: str) -> None:
    """TRANSUMANZA_CAMPAIGN_KILLS says how many of all actions together."""
    campaign(template, tmp_path, action, KILLS // len(ACTIONS))


# -- publishers at once --------------------------------------------------------------------------------------------------

PUBLISHER = """
import json, sys
from pathlib import Path
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageReport, Workplace, run_stage
from foundation.store import Store
home, number = Path(sys.argv[1]), int(sys.argv[2])
place = Workplace(Store(home / "store"), home / f"{number}", "demo", {}, (), DataFolder(None), seed=1)
sys.stdin.readline()  # all begin at once
for turn in range(12):
    content = f"{number} {turn}" if turn % 3 else f"shared {turn}"  # a third of the builds are the same in all processes
    def build(context):
        for part in range(5):
            (context.staging.files / f"{part}.txt").write_text(f"{content} {part}")
        return StageReport()
    result = run_stage(Stage("raw", content, "corpus", build), {}, place)
    assert result.published.damage(hashes=True) == []
    print(json.dumps([result.record.fingerprint, result.record.version]))
"""


def test_eight_publishers_of_one_asset(tmp_path: Path) -> None:
    import json

    command = [sys.executable, "-c", PUBLISHER, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    publishers = [
        subprocess.Popen([*command, str(number)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(8)
    ]
    told: dict[str, set[str]] = {}
    for publisher in publishers:
        assert publisher.stdin is not None
        publisher.stdin.write("go\n")
        publisher.stdin.flush()
    for publisher in publishers:
        output, errors = publisher.communicate(timeout=180)
        assert publisher.returncode == 0, errors
        for line in output.splitlines():
            fingerprint, version = json.loads(line)
            told.setdefault(fingerprint, set()).add(version)
    store = Store(tmp_path / "store")
    assert len(told) == 8 * 8 + 4 and all(len(versions) == 1 for versions in told.values())
    assert {record.fingerprint: {record.version} for record in store.builds("raw")} == told, "a build was lost, or is another one than its publisher was told"
    assert all(store.published(record).damage(hashes=True) == [] for record in store.builds("raw"))
    assert store.resolve("raw", ref="demo").version in set().union(*told.values())
    assert not (store.root / "raw" / ".staging").exists() and collect(store).versions == ()
