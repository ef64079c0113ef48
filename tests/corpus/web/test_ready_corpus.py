"""Ready corpora: the same rows from every format and place, damage counted, columns checked, nothing run."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.web.errors import WebCorpusError
from corpus.web.ready import files as ready_corpus
from corpus.web.ready.files import check_location, corpus_files, read_rows, ready_location
from corpus.web.ready.rows import BadRow, ReadyRow
from corpus.web.settings import ReadyCorpus
from foundation.sources import lines as compressed_lines
from foundation.sources.data import DataFolder
from foundation.sources.locations import AccessSettings, Location, LocationError
from tests.hub_server import hub_server
from tests.servers import ServerFault, folder_server

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".json.zst", ".jsonl.zst")
ACCESS = AccessSettings(attempts=1, requests_per_second=1000)
Rows = list[ReadyRow | BadRow]


def corpus(**columns: Any) -> ReadyCorpus:
    return ReadyCorpus(location="unused", **columns)


def rows_of(path: Path, **columns: Any) -> Rows:
    return list(read_rows(path.name, corpus(**columns), Location(str(path.parent), ACCESS)))


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def packed(data: bytes, ending: str) -> bytes:
    """The data as a file of such a name holds it, in two members or frames where it is compressed."""
    pack: Callable[[bytes], bytes] = gzip.compress if ending.endswith(".gz") else zstd if ending.endswith(".zst") else bytes
    half = len(data) // 2
    return pack(data[:half]) + pack(data[half:])


def c4_lines(rows: int) -> list[bytes]:
    """Lines as C4's files have them, of up to 3 kB, of words that hardly compress: blocks and row groups are passed."""
    lines = []
    for row in range(rows):
        words = random.Random(row)
        text = f"Pagina {row}: perché no?\n" + " ".join(f"{words.getrandbits(32):x}" for _ in range(row % 300))
        lines.append(json.dumps({"text": text, "timestamp": f"2020-02-{row % 28 + 1:02d}T22:24:31Z", "url": f"https://esempio{row}.it/"}, ensure_ascii=False).encode())
    return lines


def c4_rows(rows: int) -> Rows:
    items = [json.loads(line) for line in c4_lines(rows)]
    return [ReadyRow(row, item["url"], datetime(2020, 2, row % 28 + 1, 22, 24, 31, tzinfo=UTC), item["text"]) for row, item in enumerate(items)]


# -- every format gives the rows that went in ---------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60).filter(lambda text: not text.isspace())
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda time: time.replace(tzinfo=UTC))
ITEMS = st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.none() | TIMES), min_size=1, max_size=12)
PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def expected(items: list[tuple[str, str | None, datetime | None]]) -> Rows:
    return [ReadyRow(row, url, time, text) for row, (text, url, time) in enumerate(items)]


@PROPERTY
@given(items=ITEMS, ending=st.sampled_from(ENDINGS), escaped=st.booleans(), line_end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_json_lines_round_trip(tmp_path: Path, items: Any, ending: str, escaped: bool, line_end: str, last: bool) -> None:
    lines = [
        json.dumps({"id": 1, "text": text, "url": url, "timestamp": time and time.isoformat().replace("+00:00", "Z")}, ensure_ascii=escaped)
        for text, url, time in items
    ]
    file = tmp_path / f"rows{ending}"
    file.write_bytes(packed((line_end.join(lines) + (line_end if last else "")).encode(), ending))
    assert rows_of(file) == expected(items)


@PROPERTY
@given(
    items=ITEMS,
    group=st.integers(1, 5),
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]),
    time_kind=st.sampled_from([pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("us", "Europe/Rome"), pa.timestamp("ns", "UTC"), pa.string()]),
    dotted=st.booleans(),
)
def test_parquet_round_trip(tmp_path: Path, items: Any, group: int, kind: pa.DataType, time_kind: pa.DataType, dotted: bool) -> None:
    texts, urls, times = (list(column) for column in zip(*items, strict=True))
    if time_kind == pa.string():
        times = [time and time.isoformat() for time in times]
    table = pa.table(
        {
            "text": pa.array(texts, pa.string()).cast(kind),
            "meta": pa.array([None if url is None else {"other": 1, "url": url} for url in urls], pa.struct([("other", pa.int8()), ("url", pa.string())])),
            "url": pa.array(urls, pa.string()).cast(kind),
            "date": pa.array(times, time_kind),
            "score": pa.array([0.5] * len(items)),
        }
    )
    file = tmp_path / "rows.parquet"
    pq.write_table(table, file, row_group_size=group)
    assert rows_of(file, fetched="date", url="meta.url" if dotted else "url") == expected(items)


def test_names_with_dots_lead_into_objects(tmp_path: Path) -> None:
    file = tmp_path / "oscar.jsonl.zst"
    headers = {"warc-target-uri": "https://a.it/", "warc-date": "2022-11-27T12:30:00Z"}
    file.write_bytes(zstd(json.dumps({"content": "Testo", "warc_headers": headers}).encode() + b'\n{"content": "B", "warc_headers": null}\n'))
    found = rows_of(file, text="content", url="warc_headers.warc-target-uri", fetched="warc_headers.warc-date")
    assert found == [ReadyRow(0, "https://a.it/", datetime(2022, 11, 27, 12, 30, tzinfo=UTC), "Testo"), ReadyRow(1, None, None, "B")]
    file.write_bytes(zstd(b'{"content": "A", "a.b": "https://c.it/", "a": {"b": "no"}}\n'))
    assert rows_of(file, text="content", url="a.b", fetched=None) == [ReadyRow(0, "https://c.it/", None, "A")]


def test_the_first_rows_alone(tmp_path: Path) -> None:
    lines = tmp_path / "a.json.gz"
    lines.write_bytes(gzip.compress(b"\n".join(c4_lines(20))))
    table = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([json.loads(line) for line in c4_lines(20)]), table, row_group_size=8)
    for count in (1, 8, 13, 20, 50):
        assert rows_of(lines, max_rows=count) == rows_of(table, max_rows=count) == c4_rows(20)[:count]


# -- rows that cannot be used -------------------------------------------------------------------------------------------


def test_bad_lines_are_counted_and_the_rest_stays(tmp_path: Path) -> None:
    lines = [
        b"\xef\xbb\xbf" + b'{"text": "prima", "url": "", "timestamp": "2020-01-01"}',
        b"{truncated",
        b'["a", "list"]',
        b'{"text": "' + "perché".encode("latin-1") + b'"}',
        b"  \r",
        b'{"url": "https://a.it/"}',
        b'{"text": null}',
        b'{"text": 3}',
        b'{"text": " \\n\\u00a0"}',
        b'{"text": "buono", "url": 7, "timestamp": "ieri"}',
        b'{"text": "buono", "timestamp": 1582410271}',
        b'{"text": "mezza \\ud83d coppia, \\ud83d\\ude00 intera", "url": "https://\\udc00.it/"}',
        b"[" * 200_000,
        b'{"text": "ora", "timestamp": "2020-02-22 23:24:31+01:00"}',
        b'{"text": "fine", "timestamp": "0001-01-01T00:00:00+05:00"}',
    ]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join(lines))
    found = rows_of(file)
    assert [(item.row, item.reason) for item in found if isinstance(item, BadRow)] == [
        (1, "not_json"), (2, "not_json"), (3, "not_utf8"), (5, "no_text"), (6, "no_text"), (7, "no_text"), (8, "no_text"),
        (9, "bad_time"), (10, "bad_time"), (12, "not_json"), (14, "bad_time"),
    ]  # fmt: skip
    assert [item for item in found if isinstance(item, ReadyRow)] == [
        ReadyRow(0, None, datetime(2020, 1, 1, tzinfo=UTC), "prima"),
        ReadyRow(9, None, None, "buono"),
        ReadyRow(10, None, None, "buono"),
        ReadyRow(11, "https://\ufffd.it/", None, "mezza \ufffd coppia, \U0001f600 intera"),
        ReadyRow(13, None, datetime(2020, 2, 22, 22, 24, 31, tzinfo=UTC), "ora"),
        ReadyRow(14, None, None, "fine"),
    ]
    assert pa.array([item.text for item in found if isinstance(item, ReadyRow)]).to_pylist()  # every text can be stored


def test_bad_values_of_parquet(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 3, pa.array([b"buono", b"perch\xe9", b"bene"]).buffers())
    table = pa.table({"text": broken, "url": pa.nulls(3), "seconds": pa.array([0, 1, 10**14], pa.timestamp("s")), "day": pa.array([date(2020, 2, 22)] * 3)})
    file = tmp_path / "rows.parquet"
    pq.write_table(table, file)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert rows_of(file, fetched="seconds") == [
        ReadyRow(0, None, epoch, "buono"), BadRow(1, "not_utf8"), BadRow(2, "bad_time"), ReadyRow(2, None, None, "bene"),
    ]  # fmt: skip
    assert rows_of(file, fetched="day")[0] == ReadyRow(0, None, datetime(2020, 2, 22, tzinfo=UTC), "buono")
    pq.write_table(pa.table({"text": ["a", None, "", " "]}), file)
    assert [type(item) for item in rows_of(file, url=None, fetched=None)] == [ReadyRow, BadRow, BadRow, BadRow]


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "bomb.json.gz"
    stream = zlib.compressobj(wbits=31)
    text = stream.compress(b'{"text": "prima"}\n{"text": "')
    text += b"".join(stream.compress(b"a" * (1 << 20)) for _ in range(300)) + stream.compress(b'"}\n{"text": "dopo"}\n') + stream.flush()
    file.write_bytes(text)
    tracemalloc.start()
    found = rows_of(file, url=None, fetched=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [ReadyRow(0, None, None, "prima"), BadRow(1, "too_long"), ReadyRow(2, None, None, "dopo")]
    assert peak < 2.5 * compressed_lines.MAX_LINE_BYTES


# -- damaged files ------------------------------------------------------------------------------------------------------


def whole_lines_before(data: bytes) -> int:
    """Complete lines that a broken gzip file still gives: zlib, byte by byte, over one member after the other."""
    stream, text = zlib.decompressobj(31), b""
    try:
        for byte in data:
            if stream.eof:
                stream = zlib.decompressobj(31)
            text += stream.decompress(bytes([byte]))
    except zlib.error:
        pass
    return text.count(b"\n")


@PROPERTY
@given(share=st.floats(0, 0.9999), broken=st.sampled_from(["cut", "flip", "rubbish"]))
def test_a_broken_gzip_file_gives_every_line_before_the_break(tmp_path: Path, share: float, broken: str) -> None:
    whole = packed(b"\n".join(c4_lines(60)) + b"\n", ".gz")
    place = int(share * len(whole))
    data = {"cut": whole[:place], "flip": whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :], "rubbish": whole + b"rubbish"}[broken]
    file = tmp_path / "rows.json.gz"
    file.write_bytes(data)
    found = rows_of(file)
    lines = whole_lines_before(data)
    if broken == "flip":  # what a wrong bit changes before zlib sees it, nobody can know; no row more or less comes through
        assert {item.row for item in found if not (isinstance(item, BadRow) and item.reason == "damaged_file")} <= set(range(lines))
    elif lines < 60 or broken == "rubbish" or place != len(whole):
        assert found[:-1] == c4_rows(60)[:lines]
        clean_cut = broken == "cut" and place == len(gzip.compress(b""))
        assert clean_cut or found[-1] == BadRow(lines, "damaged_file")


def test_ends_of_gzip_files(tmp_path: Path) -> None:
    file = tmp_path / "rows.json.gz"
    whole = gzip.compress(b'{"text": "a"}\n{"text": "b"}\n')
    good: Rows = [ReadyRow(0, None, None, "a"), ReadyRow(1, None, None, "b")]
    cases = {
        whole: good,
        whole + b"\0" * 1000: good,
        whole + b"\0" * 10 + whole: [*good, ReadyRow(2, None, None, "a"), ReadyRow(3, None, None, "b")],
        whole[:-8] + b"\0" * 4 + whole[-4:]: [*good, BadRow(2, "damaged_file")],
        whole[:-2]: [*good, BadRow(2, "damaged_file")],
        b"": [BadRow(0, "damaged_file")],
        b'{"text": "not packed"}\n': [BadRow(0, "damaged_file")],
    }
    for data, rows in cases.items():
        file.write_bytes(data)
        assert rows_of(file, url=None, fetched=None) == rows


def test_a_broken_zstd_file_gives_what_its_blocks_give(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl.zst"
    lines = c4_lines(600)
    whole = packed(b"\n".join(lines) + b"\n", ".zst")
    for data in (whole[: len(whole) // 3], whole[:-1], whole + b"rubbish", b"", b"not packed"):
        file.write_bytes(data)
        *rows, last = rows_of(file)
        assert rows == c4_rows(600)[: len(rows)] and last == BadRow(len(rows), "damaged_file")
    file.write_bytes(whole[:-1])
    lost = sum(len(line) + 1 for line in lines[len(rows_of(file)) - 1 :])
    assert 0 <= lost <= 128 * 1024 + compressed_lines.ZSTD_BYTES  # a block of the format, and what was being given


def test_a_broken_row_group_loses_its_rows_alone(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([json.loads(line) for line in c4_lines(90)]), file, row_group_size=30, compression="zstd", write_page_checksum=True)
    chunk = pq.ParquetFile(file).metadata.row_group(1).column(0)
    whole = file.read_bytes()
    rows = c4_rows(90)
    lost: Rows = [BadRow(row, "damaged_file") for row in range(30, 60)]
    seen = Counter[bool]()
    for place in range(chunk.dictionary_page_offset, chunk.dictionary_page_offset + chunk.total_compressed_size, 23):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        found = rows_of(file)
        assert found in ([*rows[:30], *lost, *rows[60:]], rows)  # headers hold statistics too, which nobody reads here
        assert rows_of(file, max_rows=40) == found[:40]
        seen[found == rows] += 1
    assert seen[False] >= 10


def test_a_parquet_file_without_its_end(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a"]}), file)
    for data in (file.read_bytes()[:-3], b"", b"PAR1 and nothing else PAR1"):
        file.write_bytes(data)
        assert rows_of(file) == [BadRow(0, "damaged_file")]


# -- columns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl"])
@pytest.mark.parametrize("columns", [{}, {"text": "content"}, {"fetched": None, "url": "meta.uri"}, {"fetched": None, "url": "text.a"}])
def test_a_missing_column_is_told_with_those_that_are_there(tmp_path: Path, name: str, columns: dict[str, Any]) -> None:
    rows = [{"text": "a", "url": "https://a.it/", "date": "2020-01-01", "meta": {"source": "x"}}] * 200
    write_rows(tmp_path / name, rows)
    with pytest.raises(WebCorpusError) as error:
        rows_of(tmp_path / name, **columns)
    wanted = (set(columns.values()) - {None} or {"timestamp"}).pop()
    message = str(error.value)
    assert f"{name} has no column {wanted!r}" in message and "text, url, date, meta" in message and "set `" in message


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def test_a_column_that_only_some_rows_have_is_there(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"text": "a"}, {"text": "b", "url": "https://b.it/"}, {"url": "c"}])
    assert rows_of(tmp_path / "rows.jsonl", fetched=None) == [ReadyRow(0, None, None, "a"), ReadyRow(1, "https://b.it/", None, "b"), BadRow(2, "no_text")]


@pytest.mark.parametrize(("columns", "kind"), [({"text": "n"}, "int64"), ({"url": "n"}, "int64"), ({"fetched": "n"}, "int64"), ({"text": "time"}, "timestamp"), ({"url": "list"}, "list")])
def test_a_wrong_type_is_told(tmp_path: Path, columns: dict[str, Any], kind: str) -> None:
    table = pa.table({"text": ["a"], "url": ["b"], "n": [1], "time": pa.array([0], pa.timestamp("s")), "list": [["a"]]})
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(WebCorpusError, match=rf"rows.parquet: column '{next(iter(columns.values()))}', .* has the type {kind}.* is expected"):
        rows_of(tmp_path / "rows.parquet", **{"fetched": None, **columns})


# -- files and locations ------------------------------------------------------------------------------------------------


def test_files_of_rows_by_name(tmp_path: Path) -> None:
    names = ["b/x.parquet", "a.json.gz", "a.jsonl", "c.jsonl.zst", "dataset_infos.json", "README.md", ".cache/x.json", "b/state.json", "d.csv", "b/.x.json"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    location = Location(str(tmp_path), ACCESS)
    assert corpus_files(corpus(), location) == ["a.json.gz", "a.jsonl", "b/x.parquet", "c.jsonl.zst"]
    assert corpus_files(corpus(files="*.json*"), location) == ["a.json.gz", "a.jsonl", "c.jsonl.zst"]
    with pytest.raises(WebCorpusError, match="change `files`"):
        corpus_files(corpus(files="train-*"), location)
    with pytest.raises(WebCorpusError, match=r"d\.csv, and names must end in \.parquet"):
        corpus_files(corpus(files="*.csv"), location)


def test_a_loading_script_is_not_run(tmp_path: Path) -> None:
    script = tmp_path / "clean.py"
    script.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "README.md").write_text("# Data")
    with pytest.raises(WebCorpusError, match=r"only a loading script \(README\.md, clean\.py\), and scripts are never run"):
        corpus_files(corpus(), Location(str(tmp_path), ACCESS))
    assert not (tmp_path / "ran").exists()


def test_what_is_no_file_of_rows(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('\n [\n{"text": "a"},\n{"text": "b"}\n]')
    with pytest.raises(WebCorpusError, match=r"a\.json begins with '\['.*jq -c"):
        rows_of(tmp_path / "a.json")
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(b'[{"text": "' + b"a" * 1000 + b'"}]'))
    with pytest.raises(WebCorpusError, match=r"b\.json\.gz begins with"):
        rows_of(tmp_path / "b.json.gz")
    for name in ("c.parquet", "c.json.gz"):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
        with pytest.raises(WebCorpusError, match="Git LFS pointer"):
            rows_of(tmp_path / name)
    with pytest.raises(WebCorpusError, match=r"d\.csv: expected a name that ends in"):
        rows_of(tmp_path / "d.csv")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://huggingface.co/datasets/a/b/resolve/main", "cannot be listed"),
        ("hf://datasets/a/b", "40 hex digits"),
        ("hf://datasets/a/b@main/data", "40 hex digits"),
        (f"hf://datasets/a/b@{COMMIT[:12]}/data", "40 hex digits"),
        (f"hf://a/b@{COMMIT}", "hf://datasets/OWNER/NAME"),
    ],
)
def test_places_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(WebCorpusError, match=message):
        check_location(ReadyCorpus(location=url))
    with pytest.raises(WebCorpusError, match=message):
        ready_location(ReadyCorpus(location=url), DataFolder(None), ACCESS)


def test_places_that_can_be_used(tmp_path: Path) -> None:
    for url in (f"hf://datasets/a/b@{COMMIT}", f"hf://datasets/a/b@{COMMIT}/data/x", "s3://bucket/folder", "clean_mc4_it", "/data/c4"):
        check_location(ReadyCorpus(location=url))
    (tmp_path / "mc4").mkdir()
    (tmp_path / "mc4" / "a.jsonl").write_text('{"text": "a"}\n')
    for name in ("mc4", str(tmp_path / "mc4")):
        location = ready_location(ReadyCorpus(location=name), DataFolder(tmp_path), ACCESS)
        assert location.is_local and corpus_files(ReadyCorpus(location=name), location) == ["a.jsonl"]
    with pytest.raises(WebCorpusError, match=r"no folder .*nowhere"):
        ready_location(ReadyCorpus(location="nowhere"), DataFolder(tmp_path), ACCESS)
    with pytest.raises(WebCorpusError, match=r"is a file; name its folder, and a\.jsonl as `files`"):
        ready_location(ReadyCorpus(location="mc4/a.jsonl"), DataFolder(tmp_path), ACCESS)


# -- over a network -----------------------------------------------------------------------------------------------------


def network_files(folder: Path) -> None:
    """Whole and broken files of every kind, larger than the blocks they are read in."""
    text = b"\n".join(c4_lines(700)) + b"\n"
    (folder / "a.jsonl").write_bytes(text)
    (folder / "a.json.gz").write_bytes(packed(text, ".gz"))
    (folder / "cut.json.gz").write_bytes(packed(text, ".gz")[:-1000])
    (folder / "cut.jsonl.zst").write_bytes(packed(text, ".zst")[:-1000])
    table = pa.Table.from_pylist([json.loads(line) for line in c4_lines(700)])
    pq.write_table(table, folder / "a.parquet", row_group_size=50)
    wide = table.append_column("vector", pa.array([os.urandom(20_000) for _ in range(700)]))
    pq.write_table(wide, folder / "wide.parquet", row_group_size=50)


@pytest.mark.parametrize("ahead", [70_000, ready_corpus.AHEAD_BYTES])
def test_a_network_gives_the_rows_that_a_folder_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    monkeypatch.setattr(ready_corpus, "AHEAD_BYTES", ahead)
    network_files(tmp_path)
    with folder_server(tmp_path) as server:
        for path in sorted(tmp_path.iterdir()):
            sent, asked = server.bytes_sent, len(server.requests)
            remote = list(read_rows(path.name, corpus(), Location(server.url, ACCESS)))
            assert remote == rows_of(path)
            assert len([row for row in remote if isinstance(row, ReadyRow)]) > 300
            whole, sent, asked = path.stat().st_size, server.bytes_sent - sent, len(server.requests) - asked
            assert whole > 4 * 65_536
            if path.name == "wide.parquet":
                assert sent < whole / 5, "columns that are not mapped stay where they are"
            else:
                assert sent < 1.1 * whole + 2 * 65_536 and asked <= 4 + 1.1 * whole / ahead


@pytest.mark.parametrize("name", ["a.jsonl", "a.json.gz", "cut.json.gz", "cut.jsonl.zst", "a.parquet"])
@pytest.mark.parametrize("good", [1, 2, 4])
def test_a_fault_of_the_network_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, good: int) -> None:
    monkeypatch.setattr(ready_corpus, "AHEAD_BYTES", 70_000)
    monkeypatch.setattr(compressed_lines, "BLOCK_BYTES", 70_000)
    network_files(tmp_path)
    with folder_server(tmp_path) as server:
        location = Location(server.url, ACCESS)
        server.fail(ServerFault(), times=good)  # none: these requests are answered
        server.fail(ServerFault(status=404), times=50)
        found: Rows = []
        with pytest.raises(LocationError, match=name):
            found += read_rows(name, corpus(), location)
        assert not [row for row in found if isinstance(row, BadRow)]


HUB_SCRIPT = """
import json, sys
from collections import Counter
from corpus.web.ready.files import corpus_files, read_rows, ready_location
from corpus.web.settings import ReadyCorpus
from foundation.errors import TransumanzaError
from foundation.sources.data import DataFolder
from foundation.sources.locations import AccessSettings

for given in json.loads(sys.stdin.read()):
    corpus = ReadyCorpus.model_validate(given)
    try:
        location = ready_location(corpus, DataFolder(None), AccessSettings(attempts=3, max_backoff_s=0.1, requests_per_second=1000))
        files = corpus_files(corpus, location)
        rows = [[path, row.row, getattr(row, "reason", None) or [row.url, row.fetched_at.isoformat(), row.text]] for path in files for row in read_rows(path, corpus, location)]
        print(json.dumps({"files": files, "rows": rows}))
    except TransumanzaError as error:
        print(json.dumps({"error": str(error)}))
"""


def read_from_hub(endpoint: str, home: Path, corpora: list[dict[str, Any]], **environment: str) -> list[dict[str, Any]]:
    """What a process of its own reads: huggingface_hub looks at its environment when it is imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
    variables = {**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    run = subprocess.run([sys.executable, "-c", HUB_SCRIPT], input=json.dumps(corpora), env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_the_hub_by_commit(tmp_path: Path) -> None:
    dataset = tmp_path / "hub" / "owner" / "name" / COMMIT
    (dataset / "data" / "train set").mkdir(parents=True)
    (dataset / "README.md").write_text("# Card")
    (dataset / "data" / "a.json.gz").write_bytes(packed(b"\n".join(c4_lines(30)), ".gz"))
    pq.write_table(pa.Table.from_pylist([json.loads(line) for line in c4_lines(300)]), dataset / "data" / "train set" / "b.parquet", row_group_size=50)
    whole = {"location": f"hf://datasets/owner/name@{COMMIT}/data"}
    gone = {"location": f"hf://datasets/owner/name@{COMMIT[::-1]}/data"}
    nobody = {"location": f"hf://datasets/owner/nobody@{COMMIT}/data"}
    empty = {"location": f"hf://datasets/owner/name@{COMMIT}/other"}
    with hub_server(tmp_path / "hub") as hub:
        hub.page_entries = 2
        hub.faults = [503, 429]
        read, *errors = read_from_hub(hub.endpoint, tmp_path, [whole, gone, nobody, empty])
        assert read["files"] == ["a.json.gz", "train set/b.parquet"]
        expected_rows = [
            [name, row.row, [row.url, row.fetched_at.isoformat(), row.text]]
            for name, count in (("a.json.gz", 30), ("train set/b.parquet", 300))
            for row in c4_rows(count)
            if isinstance(row, ReadyRow) and row.fetched_at
        ]
        assert read["rows"] == expected_rows
        assert hub.faults == [] and hub.tokens == {""}
        ranges = [wanted for _, path, wanted in hub.requests if path.startswith("/store/")]
        assert ranges and all(ranges), "contents come by ranges"
        assert not [path for _, path, _ in hub.requests if path.endswith(".md")]
    assert [set(error) for error in errors] == [{"error"}] * 3
    assert all("hf://datasets/owner" in error["error"] for error in errors)


def test_a_token_comes_from_the_environment(tmp_path: Path) -> None:
    dataset = tmp_path / "hub" / "owner" / "gated" / COMMIT
    dataset.mkdir(parents=True)
    (dataset / "a.jsonl").write_bytes(b"\n".join(c4_lines(3)))
    gated = [{"location": f"hf://datasets/owner/gated@{COMMIT}"}]
    with hub_server(tmp_path / "hub") as hub:
        hub.token = "hf_right"
        (read,) = read_from_hub(hub.endpoint, tmp_path, gated, HF_TOKEN="hf_right")
        assert Counter(path for path, *_ in read["rows"]) == {"a.jsonl": 3}
        (refused,) = read_from_hub(hub.endpoint, tmp_path, gated, HF_TOKEN="hf_wrong")
        assert "HF_TOKEN" in refused["error"] and "hf_wrong" not in refused["error"]


def test_a_token_of_the_machine_is_not_sent(tmp_path: Path) -> None:
    dataset = tmp_path / "hub" / "owner" / "gated" / COMMIT
    dataset.mkdir(parents=True)
    (dataset / "a.jsonl").write_bytes(b"\n".join(c4_lines(3)))
    gated = [{"location": f"hf://datasets/owner/gated@{COMMIT}"}]
    with hub_server(tmp_path / "hub") as hub:
        hub.token = "hf_right"
        (tmp_path / "token").write_text("hf_right")  # left by `hf auth login`: what is read would depend on the machine
        (refused,) = read_from_hub(hub.endpoint, tmp_path, gated)
        assert "error" in refused and hub.tokens == {""}
