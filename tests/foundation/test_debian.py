"""Debian packages: what they need, resolved once, under a lock, with apt's programs played by scripts."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from foundation.sources.debian import DebianPackages
from foundation.sources.downloads import DownloadError, NotStaged

APT_GET = """#!/bin/sh
echo "$*" >> "$APT_LOG"
case "$*" in
  *update*) echo "W: Failed to fetch a third party's list" >&2; case "$*" in *error-on*) exit 100;; esac;;
  *download*) found=; for word in "$@"; do
    [ -n "$found" ] && { sleep 0.2; echo "$word" > "${word}_1.0_all.deb"; }; [ "$word" = download ] && found=1; done; exit 0;;
esac
"""
APT_CACHE = """#!/bin/sh
case "$*" in
  *" tool"*) printf 'tool\\n  Depends: libtool7\\n |Depends: <virtual>\\n    other\\nlibtool7\\n  Depends: libc6\\n<virtual>\\nlibc6:i386\\nlibc6\\n  Depends: libgcc-s1\\nlibgcc-s1\\n';;
  *libstdc++6*) printf 'libc6\\n  Depends: libgcc-s1\\nlibgcc-s1\\nlibstdc++6\\n';;
esac
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scripts in apt's place; returns the log of apt-get's calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("dpkg-deb", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("APT_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def test_a_closure_leaves_the_runtime_out_and_is_resolved_once(log: Path, tmp_path: Path) -> None:
    """A third-party source that is down stops nothing; the record serves a machine without a network."""
    with pytest.raises(NotStaged, match="transumanza fetch"):
        DebianPackages(tmp_path, offline=True).closure(["tool"])
    assert DebianPackages(tmp_path).closure(["tool"]) == ("libtool7", "tool")
    assert log.read_text().count("update") == 1
    assert DebianPackages(tmp_path, offline=True).closure(["tool", "tool"]) == ("libtool7", "tool")
    with pytest.raises(DownloadError, match=r"apt knows no packages \['gone'\]"):
        DebianPackages(tmp_path).closure(["tool", "gone"])


def obtain(cache: Path) -> None:
    DebianPackages(cache).obtain(["tool", "libtool7"])


def test_two_processes_fetch_a_package_once(log: Path, tmp_path: Path) -> None:
    workers = [multiprocessing.get_context("spawn").Process(target=obtain, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert log.read_text().count("download") == 1
    assert set(DebianPackages(tmp_path, offline=True).obtain(["tool", "libtool7"])) == {"tool", "libtool7"}
