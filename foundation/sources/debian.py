"""Debian packages without root: fetched and verified by apt with lists and a cache of its own, unpacked by dpkg-deb.

Debian drops superseded files from its servers, so that versions cannot be pinned: apt checks the signed hashes, and what
was obtained is recorded with its sha256, which then counts in the fingerprint of whatever is made of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from foundation.settings import file_sha256
from foundation.sources.downloads import DownloadError, NotStaged
from foundation.store.builds import replace_atomically

logger = logging.getLogger(__name__)

RUNTIME = ("libc6", "libstdc++6")
"""What every machine with Debian's dpkg runs on; it and what it needs are never part of a closure."""
_DEPENDS = (
    "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances",
)  # fmt: skip


@dataclass(frozen=True)
class DebianPackage:
    """A package file in the cache."""

    name: str
    version: str
    sha256: str
    file: str


@dataclass(frozen=True)
class DebianPackages:
    """Packages of the Debian release that this machine's apt is set up for."""

    cache: Path
    offline: bool = False

    @property
    def folder(self) -> Path:
        """Lists, package files and records."""
        return self.cache / "debian"

    @staticmethod
    def available() -> bool:
        """Whether this machine has apt and dpkg."""
        return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None

    def obtain(self, names: Sequence[str]) -> Mapping[str, DebianPackage]:
        """Packages by name; those already in the cache are not fetched again.

        Raises:
            NotStaged: a package is missing from the cache and ``offline`` is set.
            DownloadError: apt cannot get one.
        """
        found = {name: self._recorded(name) for name in names}
        missing = [name for name, package in found.items() if package is None]
        if missing:
            if self.offline:
                raise NotStaged(f"Debian packages {missing} are not in {self.folder}; run `transumanza fetch` where there is a network")
            if not self.available():
                raise DownloadError(f"Debian packages {missing} are needed, and this machine has no apt-get and dpkg-deb")
            with self._locked():
                # Another process may have fetched some of them while this one waited.
                self._download([name for name in missing if self._recorded(name) is None])
            found.update({name: self._recorded(name) for name in missing})
        packages = {name: package for name, package in found.items() if package is not None}
        lost = [name for name in names if name not in packages]
        if lost:
            raise DownloadError(f"apt-get downloaded {lost}, and their files are not whole; delete {self.folder} and try again")
        return packages

    def closure(self, roots: Sequence[str]) -> tuple[str, ...]:
        """The packages that some packages need to run, themselves included, in order of name.

        apt's own resolution of Depends and Pre-Depends over this cache's lists, whatever is installed here; without
        the C runtime and without names of virtual packages. Recorded by roots, so that it is resolved once.

        Raises:
            NotStaged: it is not recorded and ``offline`` is set.
            DownloadError: apt does not know a root.
        """
        wanted = sorted(set(roots))
        key = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:32]
        record = self.folder / "closures" / f"{key}.json"
        if record.is_file():
            return tuple(json.loads(record.read_text(encoding="utf-8"))["packages"])
        if self.offline:
            raise NotStaged(f"what Debian packages {wanted} need is not recorded in {self.folder}; run `transumanza fetch` where there is a network")
        if not self.available():
            raise DownloadError(f"Debian packages {wanted} are needed, and this machine has no apt-get and dpkg-deb")
        with self._locked():
            if record.is_file():
                return tuple(json.loads(record.read_text(encoding="utf-8"))["packages"])
            self._update()
            found = self._dependencies(wanted)
            if unknown := [name for name in wanted if name not in found]:
                raise DownloadError(f"apt knows no packages {unknown}; look at the network and at this machine's apt sources")
            packages = sorted(found - self._dependencies(RUNTIME))
            replace_atomically(record, json.dumps({"roots": wanted, "packages": packages}, indent=1) + "\n")
        return tuple(packages)

    def unpack(self, package: DebianPackage, target: Path) -> None:
        """Unpack the files of a package below a folder.

        Raises:
            DownloadError: the package file is damaged.
        """
        target.mkdir(parents=True, exist_ok=True)
        run = subprocess.run(
            ["dpkg-deb", "--extract", str(self.folder / package.file), str(target)], capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise DownloadError(f"{package.file} cannot be unpacked: {run.stderr.strip()}; delete {self.folder} and try again")

    def _recorded(self, name: str) -> DebianPackage | None:
        record = self.folder / "packages" / f"{name}.json"
        if not record.is_file():
            return None
        package = DebianPackage(**json.loads(record.read_text(encoding="utf-8")))
        path = self.folder / package.file
        if not path.is_file() or file_sha256(path) != package.sha256:
            logger.warning("%s in the cache is damaged and is fetched again", path)
            return None
        return package

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the cache against other processes that fetch into it; the system frees the lock when a holder dies."""
        for folder in ("lists/partial", "archives/partial", "packages", "closures"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            yield

    def _update(self) -> None:
        # A source that does not answer is only a warning: the packages may all be in the others.
        for line in self._apt("apt-get", "update").stderr.splitlines():
            logger.warning("apt-get update: %s", line)

    def _dependencies(self, roots: Sequence[str]) -> set[str]:
        """Names of all packages that apt finds below some roots, themselves included; unknown roots are absent."""
        output = self._apt("apt-cache", "depends", *_DEPENDS, *roots).stdout
        heads = (line.strip() for line in output.splitlines() if line and not line.startswith((" ", "|")))
        return {head for head in heads if not head.startswith("<") and ":" not in head}

    def _download(self, names: Sequence[str]) -> None:
        if not names:
            return
        logger.info("fetching Debian packages: %s", ", ".join(names))
        self._update()
        for name in names:
            for stale in (self.folder / "archives").glob(f"{name}_*.deb"):
                stale.unlink()
        self._apt("apt-get", "download", *names)
        for name in names:
            after = list((self.folder / "archives").glob(f"{name}_*.deb"))
            if len(after) != 1:
                raise DownloadError(f"apt-get download {name} left {len(after)} files in {self.folder / 'archives'}, expected one")
            version = after[0].name.split("_")[1].replace("%3a", ":")
            package = DebianPackage(name, version, file_sha256(after[0]), f"archives/{after[0].name}")
            replace_atomically(self.folder / "packages" / f"{name}.json", json.dumps(asdict(package), indent=1) + "\n")

    def _apt(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        options = {
            "Dir::State::status": "/dev/null",  # what is installed here has no say
            "Dir::State::lists": self.folder / "lists",
            "Dir::Cache": self.folder,
            "Dir::Cache::archives": self.folder / "archives",
            "Debug::NoLocking": 1,
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": 3,
        }
        command = [program, "-qq", *(part for key, value in options.items() for part in ("-o", f"{key}={value}")), *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder / "archives")
        if run.returncode:
            reason = next((line for line in run.stderr.splitlines() if line.startswith(("E:", "W:"))), run.stderr.strip()[:300])
            raise DownloadError(f"{program} {' '.join(arguments)} failed ({reason}); look at the network and at this machine's apt sources")
        return run
