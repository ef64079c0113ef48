"""Versions of a remote store: their files come to the mirror when somebody wants them, each checked against its sha256."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation.settings import file_sha256
from foundation.store.errors import StoreError
from foundation.store.published import PublishedVersion, listed_files
from foundation.store.remote import Objects


@dataclass(frozen=True)
class RemoteVersion(PublishedVersion):
    """A version whose files may not be here yet. ``root``: of the mirror, which ``path`` lies below."""

    objects: Objects = field(compare=False, repr=False)
    root: Path = field(compare=False, repr=False)

    @property
    def files(self) -> Path:
        """The folder of files, all of them here."""
        self._fetch(dict(listed_files(self.manifest, self.tables)))
        return super().files

    def file(self, relative: str) -> Path:
        """As of any version; it is here then."""
        self._fetch({relative: dict(listed_files(self.manifest))[relative]})
        return super().file(relative)

    def table_files(self, table: str, split: str | None = None) -> list[Path]:
        """As of any version; they are here then."""
        found = super().table_files(table, split)
        entries = dict(listed_files(self.manifest, self.pruned))
        self._fetch({relative: entries[relative] for relative in (path.relative_to(self.path).as_posix() for path in found)})
        return found

    def damage(self, *, hashes: bool = False) -> list[str]:
        """As of any version; what can be fetched is no damage."""
        try:
            self.fetch()
        except (StoreError, KeyError, TypeError) as error:
            return [str(error)]
        return super().damage(hashes=hashes)

    def fetch(self) -> None:
        """Bring all files here.

        Raises:
            StoreError: a file is missing or another one than the manifest says.
        """
        self._fetch(dict(listed_files(self.manifest, self.pruned)))

    def _fetch(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        for relative, entry in entries.items():
            place = self.path / relative
            if place.is_file() and place.stat().st_size == entry["bytes"]:
                continue
            name = place.relative_to(self.root).as_posix()
            try:
                self.objects.fetch(name, place)
            except FileNotFoundError as error:
                raise StoreError(f"{self.objects.url}/{name} is missing; materialize {self.asset} again to restore it") from error
            if file_sha256(place) != entry["sha256"]:
                place.unlink()
                raise StoreError(f"{self.objects.url}/{name} has another sha256 than its manifest; materialize {self.asset} again to restore it")
