"""Uploads to a server that speaks the Hub's protocol: killed and resumed, of what is left from earlier, and what of the token is seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.release import finish_repository
from tests.conftest import ROOT
from tests.hub_server import HubServer, hub_server

TOKEN = "hf_a_secret_that_nobody_may_see"
REPOSITORY = "someone/corpus"


def repository(folder: Path, files: int, *, large: int = 0) -> Path:
    """A finished repository of small texts and some files that the Hub keeps apart."""
    (folder / "data").mkdir(parents=True)
    for index in range(files):
        (folder / "data" / f"{index:03d}.txt").write_text(f"text {index}\n", encoding="utf-8")
    for index in range(large):
        (folder / "data" / f"train-{index:05d}-of-{large:05d}.parquet").write_bytes(os.urandom(2_000))
    finish_repository(folder, "---\nlicense: mit\n---\n\n# A corpus\n", [])
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def uploading(hub: HubServer, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """A process of its own that uploads: the client's constants are read when it is imported."""
    code = f"from pathlib import Path; from foundation.release import push; print(push(Path({str(folder)!r}), {REPOSITORY!r}, 'dataset', dry_run=False, tag='v1'))"
    variables = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN, "HF_HUB_VERBOSITY": "debug", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen([sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("files", "large", "write", "at", "xet"),
    [(3, 6, "put", 4, "0"), (600, 0, "commit", 2, "1")],
    ids=["large files one by one", "many files in several commits"],
)
def test_a_killed_upload_goes_on_where_it_was(tmp_path: Path, files: int, large: int, write: str, at: int, xet: str) -> None:
    folder = repository(tmp_path / "release", files, large=large)
    with hub_server(tmp_path / "hub") as hub:
        hub.token = TOKEN
        seen = []
        environment = {"HF_HUB_DISABLE_XET": "1" if xet == "0" else "0"}
        first = uploading(hub, folder, **environment)

        def kill(kind: str) -> None:
            seen.append(kind)
            if seen.count(write) == at:
                os.kill(first.pid, signal.SIGKILL)

        hub.on_write = kill
        said = "".join(first.communicate(timeout=120))
        assert first.returncode == -signal.SIGKILL, said
        assert not hub.tags, "a tag names a release that is not whole"
        sent, commits = list(hub.uploads), len(hub.commits)
        assert sent or commits, "killed before anything was sent"
        hub.on_write = lambda _: None
        second = uploading(hub, folder, **environment)
        said += "".join(second.communicate(timeout=120))
        assert second.returncode == 0, said
        assert contents(hub.root / REPOSITORY / hub.branches["main"]) == contents(folder)
        assert hub.tags == {(REPOSITORY, "v1"): hub.branches["main"]}
        assert len(hub.uploads) == len(set(hub.uploads)) == large, "a file that was there was sent again"
        named = [path for commit in hub.commits for path in commit]
        assert len(named) == len(set(named)), "a file that was there was committed again"
        assert TOKEN not in said and hub.tokens <= {f"Bearer {TOKEN}", ""}


def test_what_an_earlier_release_left_is_deleted_and_a_second_upload_sends_nothing(tmp_path: Path) -> None:
    with hub_server(tmp_path / "hub") as hub:
        for large in (3, 2):
            folder = repository(tmp_path / f"release-{large}", 1, large=large)
            assert uploading(hub, folder, HF_HUB_DISABLE_XET="1").wait(120) == 0
        assert contents(hub.root / REPOSITORY / hub.branches["main"]) == contents(folder), "shards of the release before are read with those of this one"
        before = len(hub.uploads), len(hub.commits)
        assert uploading(hub, folder, HF_HUB_DISABLE_XET="1").wait(120) == 0
        assert len(hub.uploads) == before[0] and not any(path.endswith(".parquet") for commit in hub.commits[before[1] :] for path in commit)


def test_a_refused_token_is_explained_and_shown_nowhere(tmp_path: Path) -> None:
    folder = repository(tmp_path / "release", 1)
    with hub_server(tmp_path / "hub") as hub:
        hub.token = "another"
        run = uploading(hub, folder, HF_HUB_DISABLE_XET="1")
        out, error = run.communicate(timeout=120)
        assert run.returncode == 1 and "the Hub did not take someone/corpus" in error and "401" in error
        assert TOKEN not in out + error


def test_a_server_that_is_gone_is_one_error(tmp_path: Path) -> None:
    folder = repository(tmp_path / "release", 1)
    with hub_server(tmp_path / "hub") as hub:
        pass
    run = uploading(hub, folder, HF_HUB_DISABLE_XET="1")
    out, error = run.communicate(timeout=120)
    assert run.returncode == 1 and "ReleaseError: the Hub did not take someone/corpus" in error and "the same call goes on" in error
    assert TOKEN not in out + error
