"""A local Hub dataset repository out of published tables: rows filtered by licence, Parquet shards, card, checksums.

Layout: ``data/<config>/<split>-0000N-of-0000M.parquet``, ``README.md``, ``SHA256SUMS``, and ``NOT_FOR_RELEASE.md`` where
nothing may be given on. ``datasets.load_dataset(folder)`` opens it without a network; since it refuses splits without
rows, such a split has no file and stands in the card alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from foundation.release.cards import dataset_card
from foundation.release.settings import ReleaseError, RepositorySettings
from foundation.settings import file_sha256
from foundation.sources.licences import NONE_STATED
from foundation.store import PublishedVersion
from foundation.store.writing import SHARD_BYTES

CHECKSUMS = "SHA256SUMS"
NOT_FOR_RELEASE = "NOT_FOR_RELEASE.md"


@dataclass(frozen=True)
class ReleasedTable:
    """A table of a published version as one config of the repository; it has a column ``licence``."""

    config: str
    version: PublishedVersion
    table: str


@dataclass
class ReleasedConfig:
    """What became of a table: rows written by split and by licence, rows left out by licence and reason."""

    source: ReleasedTable
    rows: dict[str, int] = field(default_factory=dict)
    licences: Counter[str] = field(default_factory=Counter)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)

    def document(self) -> dict[str, object]:
        """As JSON, for statistics."""
        left_out = [{"licence": name, "reason": reason, "rows": rows} for (name, reason), rows in sorted(self.left_out.items())]
        return {"rows": self.rows, "licences": dict(sorted(self.licences.items())), "left_out": left_out}


def write_dataset_repository(
    folder: Path, tables: Sequence[ReleasedTable], settings: RepositorySettings, *, text: str, language: str, tags: Sequence[str] = ()
) -> list[ReleasedConfig]:
    """Write the repository.

    Args:
        folder: where; made here, must not exist.
        tables: its configs, the first one the default.
        settings: name, licence asked for, permissions.
        text: what the data is and how it was made, for the card.
        language: of the text, ISO 639-1.
        tags: of the card.

    Raises:
        ReleaseError: the folder exists, or a table has no licence column.
    """
    if folder.exists():
        raise ReleaseError(f"{folder} exists already; two repositories of one release need different names")
    folder.mkdir(parents=True)
    configs = [_write_config(folder / "data" / table.config, table, settings) for table in tables]
    reasons = [] if any(sum(config.rows.values()) for config in configs) else ["No row may be given on under its licence."]
    card = dataset_card(configs, settings, text=text, tags=tags, language=language, blocked=reasons)
    finish_repository(folder, card, reasons)
    return configs


def _write_config(folder: Path, table: ReleasedTable, settings: RepositorySettings) -> ReleasedConfig:
    config = ReleasedConfig(table)
    try:
        splits = table.version.manifest["tables"][table.table]["splits"]
    except KeyError as error:
        raise ReleaseError(f"{table.version} has no table {table.table!r}") from error
    for split in splits:
        config.rows[split] = _write_split(folder, split, table.version.table_files(table.table, split), settings, config)
    return config


def _write_split(folder: Path, split: str, sources: Sequence[Path], settings: RepositorySettings, config: ReleasedConfig) -> int:
    schema = pq.read_schema(sources[0])
    if "licence" not in schema.names:
        raise ReleaseError(f"{sources[0].name} of {config.source.version} has no column 'licence'; rows without one cannot be released")
    shards = _Shards(folder, split, schema)
    for source in sources:
        with pq.ParquetFile(source) as reader:
            for group in range(reader.num_row_groups):
                shards.write(_allowed(reader.read_row_group(group), settings, config))
    return shards.close()


def _allowed(rows: pa.Table, settings: RepositorySettings, config: ReleasedConfig) -> pa.Table:
    """The rows that may be given on; all are counted."""
    licences = rows.column("licence").to_pylist()
    flags = rows.column("redistributable").to_pylist() if "redistributable" in rows.column_names else [None] * len(licences)
    verdicts: Mapping[str | None, str | None] = {licence: settings.reason_to_keep_back(licence) for licence in set(licences)}
    keep = []
    for licence, flag in zip(licences, flags, strict=True):
        reason = verdicts[licence]
        if reason is None and flag is False and not settings.permits(licence):
            reason = "marked as not redistributable"
        keep.append(reason is None)
        if reason is None:
            config.licences[licence or NONE_STATED] += 1
        else:
            config.left_out[licence or NONE_STATED, reason] += 1
    return rows.filter(pa.array(keep, type=pa.bool_()))


class _Shards:
    """The Parquet shards of one split."""

    def __init__(self, folder: Path, split: str, schema: pa.Schema) -> None:
        self._folder, self._split, self._schema = folder, split, schema
        self._paths: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._bytes = 0
        self._rows = 0

    def write(self, rows: pa.Table) -> None:
        if rows.num_rows == 0:
            return
        if self._writer is None or self._bytes + rows.nbytes > SHARD_BYTES:
            self._open()
        if self._writer is not None:
            self._writer.write_table(rows, row_group_size=rows.num_rows)
        self._bytes += rows.nbytes
        self._rows += rows.num_rows

    def close(self) -> int:
        """Finish, name the shards by their number; returns the rows. A split without rows has no file."""
        if self._writer is not None:
            self._writer.close()
        for index, path in enumerate(self._paths):
            path.rename(self._folder / f"{self._split}-{index:05d}-of-{len(self._paths):05d}.parquet")
        return self._rows

    def _open(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._split}-{len(self._paths):05d}.part"
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", write_page_index=True, use_content_defined_chunking=True)
        self._paths.append(path)
        self._bytes = 0


def finish_repository(folder: Path, card: str, blocked: Sequence[str]) -> None:
    """Write the card, the mark of what must not be given on, and last the checksums of all files."""
    (folder / "README.md").write_text(card, encoding="utf-8")
    if blocked:
        lines = "\n".join(f"- {reason}" for reason in blocked)
        (folder / NOT_FOR_RELEASE).write_text(f"This repository must not be given on.\n\n{lines}\n", encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = "".join(f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    (folder / CHECKSUMS).write_text(sums, encoding="utf-8")


def changed_files(folder: Path) -> list[str]:
    """Files of a repository that its checksums do not confirm: changed, missing, or new.

    Raises:
        ReleaseError: it has no checksums.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        raise ReleaseError(f"{folder} has no {CHECKSUMS}; it is not a finished repository, materialize the release again")
    expected = {name: digest for digest, name in (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines())}
    present = {entry.relative_to(folder).as_posix() for entry in folder.rglob("*") if entry.is_file()} - {CHECKSUMS}
    wrong = [name for name in sorted(expected) if name not in present or file_sha256(folder / name) != expected[name]]
    return wrong + sorted(present - set(expected))
