"""Files of rows: JSON lines, a JSON array, Parquet, plain or compressed, one row at a time with its place for messages.

Read as a stream, wherever the file lies. Unlike a web corpus, a set of conversations is published to be read to its last row: what
cannot be read is an error that names file and line, never a row less.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from foundation.sources.lines import Compression, DamagedFile, SourceFile, TooLong, read_blocks, split_lines
from translation.errors import SourceError
from translation.sources.json_array import BrokenArray, array_objects

Placed = tuple[str, Mapping[str, Any]]
"""Where a row stands, for messages, and its values by column."""

PARQUET = ".parquet"
JSON: dict[str, Compression] = {"": "none", ".gz": "gzip", ".zst": "zstd"}
ENDINGS = (PARQUET, *(f"{kind}{packed}" for kind in (".jsonl", ".json") for packed in JSON))
"""Endings of names of files of rows."""
METADATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
"""Files that the ``datasets`` library writes beside rows; they hold none."""
BATCH_ROWS = 64
"""Rows of Parquet decoded at a time: a chat of UltraChat has some 6 kB, and Python objects take several times that."""
AHEAD_BYTES = 8 << 20
"""Bytes that one request takes of a file that is read from its start to its end."""
_USED = frozenset({"id", "prompt_id", "data", "messages", "conversations", "instruction", "context", "input", "response", "output", "category", "prompt", "answer"})
"""Columns that some form reads; of Parquet, others are not decoded."""
_GIT_LFS = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER = 1024  # bytes: git-lfs/docs/spec.md


def holds_rows(path: str) -> bool:
    """Whether a file's name says that it holds rows."""
    name = PurePosixPath(path).name
    return name.endswith(ENDINGS) and name not in METADATA and not any(part.startswith(".") for part in PurePosixPath(path).parts)


def rows_of(file: BinaryIO, name: str, *, remote: bool = False) -> Iterator[Placed]:
    """The rows of a file in its order.

    Args:
        file: what is read; it must be able to seek.
        name: its name in messages; the ending says what it holds.
        remote: whether each read is a request over a network.

    Raises:
        SourceError: the name says no known format, or the file cannot be read to its end; names file and line or row.
        LocationError: as the file raises it.
    """
    if not name.endswith(ENDINGS):
        raise SourceError(f"{name}: a name that ends in {', '.join(ENDINGS)} is expected")
    source = SourceFile(file, AHEAD_BYTES if remote and not name.endswith(PARQUET) else 0)
    if source.seek(0, 2) <= _LARGEST_POINTER:
        source.seek(0)
        if source.read(len(_GIT_LFS)) == _GIT_LFS:
            raise SourceError(f"{name} is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder")
    source.seek(0)
    if name.endswith(PARQUET):
        yield from _parquet_rows(source, name, remote=remote)
        return
    stem, ending = next((name.removesuffix(packed), packed) for packed in (".gz", ".zst", "") if name.endswith(packed))
    yield from _json_rows(read_blocks(source, JSON[ending]), name, may_be_array=stem.endswith(".json"))


def _json_rows(blocks: Iterator[bytes], name: str, *, may_be_array: bool) -> Iterator[Placed]:
    head: list[bytes] = []
    number = 0
    try:
        for block in blocks:
            head.append(block)
            if block.removeprefix(b"\xef\xbb\xbf").strip():
                break
        whole = itertools.chain(head, blocks)
        if may_be_array and b"".join(head).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
            for number, row in array_objects(whole):
                yield f"{name}, line {number}", row
        else:
            for number, line in enumerate(split_lines(whole), start=1):
                if line:
                    yield from _row_of(line, f"{name}, line {number}", first=number == 1)
    except BrokenArray as error:
        raise SourceError(f"{name}, line {error.line}: {error}") from error
    except DamagedFile as error:
        raise SourceError(f"{name} cannot be read after line {number} ({error}); a whole file is expected, fetch it again") from error


def _row_of(line: bytes | TooLong, place: str, *, first: bool) -> Iterator[Placed]:
    """The row of a line; none where it is blank."""
    if isinstance(line, TooLong):
        raise SourceError(f"{place} is longer than 64 MiB; one object per line is expected")
    if line.isspace():
        return
    try:
        row = json.loads(line.decode("utf-8-sig" if first else "utf-8"))
    except UnicodeDecodeError as error:
        raise SourceError(f"{place} is not UTF-8 ({error.reason} at byte {error.start}); UTF-8 is expected") from error
    except json.JSONDecodeError as error:
        raise SourceError(f"{place} is not JSON ({error.msg}, column {error.colno}); one object per line is expected, and a whole file") from error
    except RecursionError as error:
        raise SourceError(f"{place} nests too deep for a row of texts") from error
    if not isinstance(row, dict):
        raise SourceError(f"{place}: a JSON object is expected, not {type(row).__name__}")
    yield place, row


def _parquet_rows(source: SourceFile, name: str, *, remote: bool) -> Iterator[Placed]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    try:
        # A network is asked for the columns of a row group at once, a disk for a little at a time.
        file = pq.ParquetFile(pa.PythonFile(source, "r"), pre_buffer=remote, buffer_size=0 if remote else 1 << 20, page_checksum_verification=True)
        columns = [column for column in file.schema_arrow.names if column in _USED]
        if not columns:
            raise SourceError(f"{name}: none of its columns {file.schema_arrow.names[:20]} is one of a chat or an instruction: {sorted(_USED)}")
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            for values in batch.to_pylist():
                yield f"{name}, row {row}", values
                row += 1
    except UnicodeDecodeError as error:
        raise SourceError(f"{name}, rows {row} to {row + BATCH_ROWS - 1}: a text is not UTF-8 ({error.reason}); UTF-8 is expected") from error
    except (pa.ArrowException, OSError) as error:
        if source.fault is not None:  # pyarrow raises OSError for damage and for faults of access alike
            raise source.fault from None
        raise SourceError(f"{name} is not a whole Parquet file: it cannot be read from row {row} on ({error}); fetch it again") from error
