"""Rows of one file of a ready corpus, JSON lines or Parquet, by its column map; what cannot be used is told, never fatal."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from corpus.web.errors import WebCorpusError
from corpus.web.settings import ReadyCorpus
from foundation.sources.lines import Compression, DamagedFile, SourceFile, TooLong, read_lines

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BadReason = Literal["damaged_file", "not_json", "not_utf8", "too_long", "no_text", "bad_time"]

ROWS_TO_SEE_COLUMNS = 100
"""JSON lines have no schema: a column counts as missing where none of a file's first objects has it."""
BATCH_ROWS = 256
"""Rows of Parquet decoded at a time; web pages have some 3 kB of text on average (FineWeb-2)."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MISSING = object()
_NOT_UTF8 = object()


@dataclass(frozen=True, slots=True)
class ReadyRow:
    """A row with text.

    ``row`` is its place in the file from 0: of the row in Parquet, of the line in JSON lines. ``fetched_at`` is in UTC, and
    None where the corpus has no time or it cannot be read.
    """

    row: int
    url: str | None
    fetched_at: datetime | None
    text: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """Something that is counted and gives no row, or gives one without a time.

    ``damaged_file``: the file cannot be read from this row on (JSON lines), or this row is lost (Parquet, whose row groups
    are read each by itself). ``not_json``: the line is no JSON object. ``not_utf8``: line or text is not UTF-8.
    ``too_long``: a line of more than 64 MiB. ``no_text``: the text is missing, null, no string, or blank. ``bad_time``: the
    time cannot be read; the row follows, with ``fetched_at`` None.
    """

    row: int
    reason: BadReason


def column_map(corpus: ReadyCorpus) -> dict[str, str]:
    """The columns that are read, by the setting that names each."""
    named = {"text": corpus.text, "url": corpus.url, "fetched": corpus.fetched}
    return {setting: column for setting, column in named.items() if column is not None}


def _rows_of(row: int, text: Any, url: Any, fetched: Any) -> Iterator[ReadyRow | BadRow]:
    if not isinstance(text, str) or not text or text.isspace():
        yield BadRow(row, "no_text")
        return
    time = fetched if fetched is None or isinstance(fetched, datetime) else _time(fetched)
    if fetched is not None and time is None:
        yield BadRow(row, "bad_time")
    yield ReadyRow(row, url if url and isinstance(url, str) else None, time, text)


def _time(value: Any) -> datetime | None:
    """A time in ISO 8601 as UTC, which it is in where it names no zone; None where it cannot be read."""
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _no_column(path: str, setting: str, column: str, there: list[str]) -> WebCorpusError:
    advice = "" if setting == "text" else ", or to null where the corpus has none"
    return WebCorpusError(
        f"{path} has no column {column!r}, which `{setting}` of its entry in corpus.web.snapshot.corpora names; there are "
        f"{', '.join(there) or 'none'}; set `{setting}` to one of them{advice}"
    )


# -- JSON lines ---------------------------------------------------------------------------------------------------------


def json_rows(source: SourceFile, compression: Compression, path: str, corpus: ReadyCorpus) -> Iterator[ReadyRow | BadRow]:
    """Rows of a file of JSON lines.

    Raises:
        WebCorpusError: a column is missing from the first objects, or the file is one JSON array.
    """
    columns = column_map(corpus)
    values = {setting: _value_reader(column) for setting, column in columns.items()}
    objects = _json_objects(source, compression, path, corpus.max_rows)
    head = list(itertools.islice(objects, ROWS_TO_SEE_COLUMNS))
    seen = [item for _, item in head if isinstance(item, dict)]
    for setting, read in values.items():
        if seen and all(read(item, _MISSING) is _MISSING for item in seen):
            raise _no_column(path, setting, columns[setting], list(dict.fromkeys(name for item in seen for name in item)))
    text, url, fetched = (values.get(setting, _absent) for setting in ("text", "url", "fetched"))
    for row, item in itertools.chain(head, objects):
        if isinstance(item, dict):
            yield from _rows_of(row, text(item, None), url(item, None), fetched(item, None))
        else:
            yield BadRow(row, item)


def _json_objects(
    source: SourceFile, compression: Compression, path: str, max_rows: int | None
) -> Iterator[tuple[int, dict[str, Any] | BadReason]]:
    """Place and object of each line that is not blank; where there is no object, the reason in its place."""
    row, first = 0, True
    try:
        for line in read_lines(source, compression):
            if row == max_rows:
                return
            item = _json_object(line, first)
            if first and item in ("not_json", "too_long"):
                _refuse_array(line, path)
            if item is not None:
                first = False
                yield row, item
            row += 1
    except DamagedFile:
        yield row, "damaged_file"


def _json_object(line: bytes | TooLong, first: bool) -> dict[str, Any] | BadReason | None:
    """The object of a line, why it is none, or None for a blank line."""
    if isinstance(line, TooLong):
        return "too_long"
    if not line or line.isspace():
        return None
    try:
        item = json.loads(line.decode("utf-8-sig" if first else "utf-8"))
    except UnicodeDecodeError:
        return "not_utf8"
    except (ValueError, RecursionError):
        return "not_json"
    if not isinstance(item, dict):
        return "not_json"
    return _encodable(item) if b"\\ud" in line or b"\\uD" in line else item


def _encodable(item: dict[str, Any]) -> dict[str, Any]:
    """The object with U+FFFD for halves of surrogate pairs, which JSON can escape and UTF-8 cannot hold (RFC 8259, 8.2)."""
    text = json.dumps(item, ensure_ascii=False)
    return json.loads(_SURROGATE.sub("\ufffd", text)) if _SURROGATE.search(text) else item


def _refuse_array(line: bytes | TooLong, path: str) -> None:
    head = line.head if isinstance(line, TooLong) else line
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        raise WebCorpusError(
            f"{path} begins with '[': it is a JSON array, and JSON lines are expected, one object a line; convert it, for example with "
            f"jq -c '.[]' FILE.json > FILE.jsonl"
        )


def _value_reader(column: str) -> Callable[[dict[str, Any], Any], Any]:
    """How to take a column out of an object: by its name, else by the names between dots."""
    names = column.split(".")

    def nested(item: dict[str, Any], missing: Any) -> Any:
        if column in item:
            return item[column]
        value: Any = item
        for name in names:
            if not isinstance(value, dict) or name not in value:
                return missing
            value = value[name]
        return value

    return nested if len(names) > 1 else lambda item, missing: item.get(column, missing)


def _absent(item: dict[str, Any], missing: Any) -> Any:
    return missing


# -- Parquet ------------------------------------------------------------------------------------------------------------


def parquet_rows(source: SourceFile, path: str, corpus: ReadyCorpus, *, ahead: int = 0) -> Iterator[ReadyRow | BadRow]:
    """Rows of a Parquet file: the mapped columns alone, one row group after the other.

    Args:
        source: the file.
        path: its name in messages.
        corpus: the column map.
        ahead: over a network, the bytes that one request may take; 0 for a file at hand.

    Raises:
        WebCorpusError: a column is missing or has a type that cannot be used.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # A network is asked for the columns of a row group at once, a disk for a little at a time.
        file = pq.ParquetFile(pa.PythonFile(source, "r"), pre_buffer=ahead > 0, buffer_size=0 if ahead else 1 << 20, page_checksum_verification=True)
        groups = [file.metadata.row_group(index).num_rows for index in range(file.metadata.num_row_groups)]
        schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        _raise_fault(source, error)
        yield BadRow(0, "damaged_file")
        return
    columns = {setting: _parquet_column(schema, path, setting, column) for setting, column in column_map(corpus).items()}
    source.ahead = ahead if _mapped_share(file.metadata, columns) >= 0.5 else 0
    last = sum(groups) if corpus.max_rows is None else min(corpus.max_rows, sum(groups))
    begin = 0
    for group, rows in enumerate(groups):
        if begin >= last:
            return
        yield from _group_rows(source, file, group, columns, range(begin, min(begin + rows, last)))
        begin += rows


def _group_rows(
    source: SourceFile, file: pq.ParquetFile, group: int, columns: dict[str, tuple[str, ...]], places: range
) -> Iterator[ReadyRow | BadRow]:
    """The rows of one row group, at these places of the file; those that cannot be decoded are told one by one."""
    import pyarrow as pa

    row = places.start
    try:
        for text, url, fetched in itertools.islice(itertools.chain.from_iterable(_batches(file, group, columns)), len(places)):
            if text is _NOT_UTF8:
                yield BadRow(row, "not_utf8")
            else:
                yield from _rows_of(row, text, url, fetched)
            row += 1
    except (pa.ArrowException, OSError) as error:
        _raise_fault(source, error)
    for lost in range(row, places.stop):
        yield BadRow(lost, "damaged_file")


def _mapped_share(metadata: pq.FileMetaData, columns: dict[str, tuple[str, ...]]) -> float:
    """Share of the file's first row group that the mapped columns take up; 1 where there is none."""
    if metadata.num_row_groups == 0:
        return 1.0
    group = metadata.row_group(0)
    chunks = [group.column(index) for index in range(group.num_columns)]
    mapped = {".".join(way) for way in columns.values()}
    total = sum(chunk.total_compressed_size for chunk in chunks)
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in mapped) / max(total, 1)


def _raise_fault(source: SourceFile, error: BaseException) -> None:
    """Raise what reaching the file raised; nothing where the file itself is damaged."""
    if source.fault is not None and source.fault is not error:
        raise source.fault from error
    if source.fault is not None:
        raise error


def _parquet_column(schema: pa.Schema, path: str, setting: str, column: str) -> tuple[str, ...]:
    """The way to a column, checked: its name, or the names between dots that lead into structs."""
    import pyarrow as pa

    way = (column,) if column in schema.names else tuple(column.split("."))
    kind: pa.DataType = pa.struct(list(schema))
    for name in way:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            raise _no_column(path, setting, column, _column_names(schema))
        kind = kind.field(name).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain)
    time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    if text or (setting == "fetched" and time) or (setting != "text" and pa.types.is_null(kind)):
        return way
    expected = "a string (ISO 8601), a timestamp or a date" if setting == "fetched" else "a string"
    raise WebCorpusError(
        f"{path}: column {column!r}, which `{setting}` of its entry in corpus.web.snapshot.corpora names, has the type {kind}, and {expected} "
        f"is expected; there are {', '.join(_column_names(schema))}"
    )


def _column_names(schema: pa.Schema) -> list[str]:
    import pyarrow as pa

    names = []
    for field in schema:
        names += [f"{field.name}.{inner.name}" for inner in field.type] if pa.types.is_struct(field.type) else [field.name]
    return names


def _batches(file: pq.ParquetFile, group: int, columns: dict[str, tuple[str, ...]]) -> Iterator[Iterator[tuple[Any, Any, Any]]]:
    """Text, address and time of the rows of a row group, batch by batch."""
    names = [".".join(way) for way in columns.values()]
    for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=names, use_threads=False):
        values = {setting: _values(batch, way, setting) for setting, way in columns.items()}
        nothing = [None] * batch.num_rows
        yield zip(values["text"], values.get("url", nothing), values.get("fetched", nothing), strict=True)


def _values(batch: pa.RecordBatch, way: tuple[str, ...], setting: str) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = batch.column(way[0])
    for name in way[1:]:
        array = pc.struct_field(array, name)
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        return _times(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        return array.to_pylist()
    except UnicodeDecodeError:  # Parquet does not check that strings are UTF-8
        broken = _NOT_UTF8 if setting == "text" else None
        return [_decoded(value, broken) for value in array.cast(pa.large_binary()).to_pylist()]


def _decoded(value: bytes | None, broken: object) -> Any:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return broken


def _times(array: pa.Array) -> list[Any]:
    """Times of a timestamp or date column as UTC; where Python has no such year, the number, which is no time."""
    import pyarrow as pa

    if pa.types.is_date32(array.type):
        unit, numbers = timedelta(days=1), array.cast(pa.int32()).to_pylist()
    else:
        name = "ms" if pa.types.is_date64(array.type) else array.type.unit
        numbers = array.cast(pa.int64()).to_pylist()
        if name == "ns":  # as finely as the store keeps times
            name, numbers = "us", [value if value is None else value // 1000 for value in numbers]
        unit = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1), "us": timedelta(microseconds=1)}[name]
    return [value if value is None else _since_epoch(value, unit) for value in numbers]


def _since_epoch(number: int, unit: timedelta) -> datetime | int:
    try:
        return _EPOCH + number * unit
    except OverflowError:
        return number
