"""Argos packages: a ZIP archive is checked before a byte of it is unpacked.

argostranslate itself extracts packages without looking and its index holds no checksums, so that a package here is
named by the sha256 of its file, and anything but plain files in one folder is refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from foundation.settings import file_sha256
from foundation.sources.downloads import DownloadError, Downloads, fetch_url
from translation.errors import EngineError

MAX_UNPACKED_BYTES = 4_000_000_000
MAX_MEMBERS = 10_000


@dataclass(frozen=True)
class ArgosPackage:
    """An unpacked package."""

    folder: Path
    name: str
    sha256: str
    target_prefix: str


def fetched(sha256: str, url: str | None, index: str | None, pair: tuple[str, str], downloads: Downloads) -> Path:
    """The archive of a pinned sha256, from its address or by an index of packages; from the cache where it is there.

    Raises:
        EngineError: the index is none, or knows no package of the pair.
        DownloadError: nothing can be fetched, or what was fetched has another sha256.
    """

    def fetch(target: Path) -> None:
        errors = []
        for address in [url] if url is not None else _links(index or "", pair):
            try:
                return fetch_url(address, target)
            except DownloadError as error:
                errors.append(str(error))
        raise DownloadError("; ".join(errors))

    return downloads.file(sha256, f"{sha256[:16]}.argosmodel", url or f"the package {'→'.join(pair)} of {index}", fetch)


def _links(index: str, pair: tuple[str, str]) -> list[str]:
    """Web addresses of the newest package of a pair; index records name several, IPFS among them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.json"
        fetch_url(index, path)
        try:
            records = [record for record in json.loads(path.read_text(encoding="utf-8")) if (record.get("from_code"), record.get("to_code")) == pair]
        except (ValueError, AttributeError, TypeError) as error:
            raise EngineError(f"{index} is not an index of Argos packages ({error}); a JSON list of records is expected") from error
    if not records:
        raise EngineError(f"{index} knows no package {pair[0]}→{pair[1]}; look at translation.engine.source_code and target_code")
    newest = max(records, key=lambda record: [int(part) for part in re.findall(r"\d+", str(record.get("package_version", "0")))])
    links = [link for link in newest.get("links", []) if isinstance(link, str) and link.startswith(("https://", "http://", "file:"))]
    if not links:
        raise EngineError(f"{index} gives no web address for {pair[0]}→{pair[1]}; fetch the package yourself and set translation.engine.argos.package")
    return links


def unpack(archive: Path, cache: Path, source_code: str, target_code: str, sha256: str | None = None) -> ArgosPackage:
    """Check a package and unpack it into the cache, once for each sha256.

    Raises:
        EngineError: not the pinned file, not a package, a dangerous archive, or another language pair.
    """
    found = file_sha256(archive)
    if sha256 is not None and found != sha256:
        raise EngineError(f"{archive} has sha256 {found}, and {sha256} is pinned; it was not unpacked")
    folder = cache / "engines" / "argos" / found
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = folder.with_name(f".{found}.{os.getpid()}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            _extract(archive, part)
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was not faster: a real fault
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return _described(archive, next(path for path in folder.iterdir() if path.is_dir()), found, source_code, target_code)


def check_members(archive: Path, members: list[zipfile.ZipInfo]) -> str:
    """The name of the one top folder of an archive that may be unpacked.

    Raises:
        EngineError: a path that leaves the folder, a link, several top folders, or too much data.
    """
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename:
            raise EngineError(f"{archive}: member {member.filename!r} would be written outside its folder; the package was refused")
        mode = member.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise EngineError(f"{archive}: member {member.filename!r} is a link or a device; the package was refused")
    total = sum(member.file_size for member in members)
    if total > MAX_UNPACKED_BYTES or len(members) > MAX_MEMBERS:
        raise EngineError(
            f"{archive} unpacks to {total} bytes in {len(members)} files; at most {MAX_UNPACKED_BYTES} in {MAX_MEMBERS} are accepted"
        )
    tops = {PurePosixPath(member.filename).parts[0] for member in members if PurePosixPath(member.filename).parts}
    flat = [member.filename for member in members if len(PurePosixPath(member.filename).parts) == 1 and not member.is_dir()]
    if len(tops) != 1 or flat:
        raise EngineError(f"{archive} must hold exactly one top folder; it holds {sorted(tops)[:5]}; an .argosmodel file is expected")
    return tops.pop()


def _extract(archive: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            check_members(archive, opened.infolist())
            for member in opened.infolist():
                path = target / member.filename
                if member.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, path.open("wb") as sink:
                    _copy(archive, source, sink, member)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise EngineError(f"{archive} is not a whole ZIP archive ({error}); get the .argosmodel file again") from error


def _copy(archive: Path, source: object, sink: object, member: zipfile.ZipInfo) -> None:
    """Copy a member, and stop where it grows beyond the size that its header declares."""
    written = 0
    while chunk := source.read(1 << 20):  # type: ignore[attr-defined]
        written += len(chunk)
        if written > member.file_size:
            raise EngineError(f"{archive}: member {member.filename!r} is larger than it declares; the package was refused")
        sink.write(chunk)  # type: ignore[attr-defined]


def _described(archive: Path, folder: Path, sha256: str, source_code: str, target_code: str) -> ArgosPackage:
    try:
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        pair = metadata["from_code"], metadata["to_code"]
        version = str(metadata["package_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{archive}: metadata.json is missing or damaged ({error}); an .argosmodel file is expected") from error
    if pair != (source_code, target_code):
        raise EngineError(f"{archive} translates {pair[0]}→{pair[1]}; {source_code}→{target_code} is needed")
    missing = [name for name in ("model/model.bin", "sentencepiece.model") if not (folder / name).is_file()]
    if missing:
        hint = "; packages with bpe.model are not supported" if (folder / "bpe.model").is_file() else ""
        raise EngineError(f"{archive} lacks {missing}{hint}")
    return ArgosPackage(folder, f"argos-{pair[0]}_{pair[1]} {version}", sha256, str(metadata.get("target_prefix") or ""))
