"""Debian packages without root: fetched and verified by apt with lists and a cache of its own, unpacked by dpkg-deb.

Debian drops superseded files from its servers, so that versions cannot be pinned: apt checks the signed hashes, and what
was obtained is recorded with its sha256, which then counts in the fingerprint of whatever is made of it.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from foundation.settings import file_sha256
from foundation.sources.downloads import DownloadError, NotStaged
from foundation.store.builds import replace_atomically

logger = logging.getLogger(__name__)


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
            self._download(missing)
            found.update({name: self._recorded(name) for name in missing})
        packages = {name: package for name, package in found.items() if package is not None}
        lost = [name for name in names if name not in packages]
        if lost:
            raise DownloadError(f"apt-get downloaded {lost}, and their files are not whole; delete {self.folder} and try again")
        return packages

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

    def _download(self, names: Sequence[str]) -> None:
        for folder in ("lists/partial", "archives/partial", "packages"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        logger.info("fetching Debian packages: %s", ", ".join(names))
        self._apt("update", "--error-on=any")
        for name in names:
            before = set((self.folder / "archives").glob("*.deb"))
            for stale in (self.folder / "archives").glob(f"{name}_*.deb"):
                stale.unlink()
            self._apt("download", name)
            after = [path for path in (self.folder / "archives").glob(f"{name}_*.deb") if path not in before or path.is_file()]
            if len(after) != 1:
                raise DownloadError(f"apt-get download {name} left {len(after)} files in {self.folder / 'archives'}, expected one")
            version = after[0].name.split("_")[1].replace("%3a", ":")
            package = DebianPackage(name, version, file_sha256(after[0]), f"archives/{after[0].name}")
            replace_atomically(self.folder / "packages" / f"{name}.json", json.dumps(asdict(package), indent=1) + "\n")

    def _apt(self, *arguments: str) -> None:
        options = {
            "Dir::State::lists": self.folder / "lists",
            "Dir::Cache": self.folder,
            "Dir::Cache::archives": self.folder / "archives",
            "Debug::NoLocking": 1,
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": 3,
        }
        command = ["apt-get", "-qq", *(part for key, value in options.items() for part in ("-o", f"{key}={value}")), *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder / "archives")
        if run.returncode:
            reason = next((line for line in run.stderr.splitlines() if line.startswith(("E:", "W:"))), run.stderr.strip()[:300])
            raise DownloadError(f"apt-get {' '.join(arguments)} failed ({reason}); look at the network and at this machine's apt sources")
