"""The selection by the columnar index: the same rows as a plain filter, in canonical order, whatever the row groups."""

from __future__ import annotations

import datetime
import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import corpus_index, made_crawl, range_server
from corpus.web.crawl import selection_runs
from corpus.web.crawl.index_reading import IndexFile
from corpus.web.crawl.layout import crawl_files, drawn_files, index_files, is_crawl_name
from corpus.web.crawl.selection import (
    SELECTION,
    SelectionRun,
    counts_of,
    merged_parts,
    origins,
    page_conditions,
    read_domains,
    select_part,
    select_robots,
    write_hosts,
)
from corpus.web.errors import WebCorpusError
from corpus.web.rights.robots import host_key
from corpus.web.settings import SelectionSettings
from corpus.web.warc.writing import INDEX_SCHEMA, Capture, write_index, write_warc
from foundation.sources.locations import AccessSettings, Location
from foundation.store.writing import TableWriter

CRAWL = "CC-MAIN-2024-22"
AT = datetime.datetime(2024, 5, 18, tzinfo=datetime.UTC)
INDEX = f"cc-index/table/cc-main/warc/crawl={CRAWL}/subset=warc/part-00000.parquet"
ROBOTS = INDEX.replace("subset=warc", "subset=robotstxt")


def index_row(number: int, **changes: Any) -> dict[str, Any]:
    domain = changes.pop("domain", f"sito{number % 7}.example")
    row = {
        "url_surtkey": f"{','.join(reversed(domain.split('.')))})/{number:05d}",
        "url": f"https://www.{domain}/{number:05d}",
        "url_host_name": f"www.{domain}",
        "url_host_tld": "example",
        "url_host_registered_domain": domain,
        "fetch_time": AT + datetime.timedelta(seconds=number),
        "fetch_status": 200,
        "content_digest": f"DIGEST{number}",
        "content_mime_type": "text/html",
        "content_mime_detected": "text/html",
        "content_charset": "UTF-8",
        "content_languages": "ita",
        "content_truncated": None,
        "warc_filename": f"crawl-data/{CRAWL}/segments/1/warc/{number % 3:05d}.warc.gz",
        "warc_record_offset": 1_000 * number,
        "warc_record_length": 900,
        "warc_segment": "1",
    }
    return {**row, **changes}


def write(rows: Sequence[dict[str, Any]], root: Path, path: str = INDEX, group: int = 4, without: Sequence[str] = ()) -> None:
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["url_surtkey"]), schema=INDEX_SCHEMA).drop_columns(list(without))
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target, row_group_size=group, compression="zstd")


def run_of(root: Path, **changes: Any) -> SelectionRun:
    return SelectionRun(str(root), AccessSettings(), 1, CRAWL, SelectionSettings(**{"languages": ("ita",), **changes}))


def selected(root: Path, run: SelectionRun, output: Path, path: str = INDEX) -> list[dict[str, Any]]:
    select_part(path, output, run)
    return [row for table in merged_parts([output]) for row in table.to_pylist()]


rows_strategy = st.lists(
    st.fixed_dictionaries(
        {
            "content_languages": st.sampled_from(["ita", "ita,eng", "eng,ita", "eng", "itax", "it", None, "deu,eng,ita"]),
            "fetch_status": st.sampled_from([200, 200, 200, 404]),
            "content_mime_detected": st.sampled_from(["text/html", "application/xhtml+xml", "application/pdf", None]),
            "content_truncated": st.sampled_from([None, None, None, "length", ""]),
            "domain": st.sampled_from(["a.example", "b.example", "b.co.uk"]),
        }
    ),
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(rows=rows_strategy, group=st.integers(1, 50), primary=st.booleans(), truncated=st.booleans(), share=st.sampled_from([1.0, 0.5]))
def test_selects_what_a_plain_filter_selects(
    rows: list[dict[str, Any]], group: int, primary: bool, truncated: bool, share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("crawl")
    made = [index_row(number, **row) for number, row in enumerate(rows)]
    write(made, root, group=group)

    def wanted(row: dict[str, Any]) -> bool:
        languages = (row["content_languages"] or "").split(",")
        return (
            (languages[0] == "ita" if primary else "ita" in languages)
            and row["fetch_status"] == 200
            and row["content_mime_detected"] in ("text/html", "application/xhtml+xml")
            and (truncated or not row["content_truncated"])
        )

    matching = {(row["warc_filename"], row["warc_record_offset"]) for row in made if wanted(row)}
    run = run_of(root, primary_language=primary, truncated=truncated, share=share)
    found = selected(root, run, root / "part")
    keys = [(row["warc_path"], row["warc_offset"]) for row in found]
    assert keys == sorted(keys)
    counts = counts_of(root / "part")
    assert counts["rows"] == len(made) and counts["matched"] == len(matching)
    assert counts["selected"] == len(keys) == counts["matched"] - counts["not_drawn"]
    assert set(keys) == matching if share == 1 else set(keys) <= matching
    assert counts["selected_bytes"] == 900 * len(keys)


def test_rows_are_a_table_of_the_store(tmp_path: Path) -> None:
    write([index_row(number) for number in range(20)], tmp_path)
    select_part(INDEX, tmp_path / "part", run_of(tmp_path))
    with TableWriter(SELECTION, tmp_path / "table") as writer:
        for table in merged_parts([tmp_path / "part"], rows=5):
            writer.write(table)
    assert writer.document is not None and writer.document["rows"] == 20
    first = next(iter(merged_parts([tmp_path / "part"]))).to_pylist()[0]
    assert first == {
        "subset": "warc",
        "warc_path": f"crawl-data/{CRAWL}/segments/1/warc/00000.warc.gz",
        "warc_offset": 0,
        "warc_length": 900,
        "url": "https://www.sito0.example/00000",
        "registered_domain": "sito0.example",
        "fetch_time": AT,
        "content_digest": "DIGEST0",
        "content_languages": "ita",
        "content_charset": "UTF-8",
    }


def test_row_groups_without_a_match_cost_only_their_small_columns(tmp_path: Path) -> None:
    languages = ["eng"] * 8 + ["deu", "jpn"] * 2 + ["ita"] * 4 + [None] * 4  # groups: past, past, read in vain, hit, past
    made = [index_row(number, domain="a.example", content_languages=language) for number, language in enumerate(languages)]
    write(made, tmp_path)
    select_part(INDEX, tmp_path / "part", run_of(tmp_path))
    counts = counts_of(tmp_path / "part")
    assert (counts["row_groups"], counts["row_groups_passed_over"], counts["row_groups_without_match"]) == (5, 3, 1)
    assert counts["selected"] == 4


def test_wide_columns_are_not_fetched_without_a_match(tmp_path: Path) -> None:
    """Bytes that are read of a row group without a match are those of the deciding columns."""
    noise = random.Random(1)
    made = [
        index_row(number, domain="a.example", content_languages=noise.choice(["deu", "jpn"]), url=f"https://a.example/{noise.randbytes(200).hex()}")
        for number in range(2_000)
    ]
    write(made, tmp_path, group=2_000)
    read: list[int] = []

    class Watched:
        def __init__(self, stream: Any) -> None:
            self._stream = stream
            self.closed = False

        def __getattr__(self, name: str) -> Any:
            return getattr(self._stream, name)

        def read(self, size: int = -1) -> bytes:
            data = self._stream.read(size)
            read.append(len(data))
            return data

    class Place:
        url = str(tmp_path)

        def open(self, path: str) -> Watched:
            return Watched((tmp_path / path).open("rb"))

    conditions, _ = page_conditions(SelectionSettings(languages=("ita",)))
    with IndexFile(Place(), INDEX, "warc") as index:  # type: ignore[arg-type]
        footer = sum(read)
        assert list(index.matches(conditions)) == []
    assert index.counts.row_groups_without_match == 1
    assert sum(read) - footer < (tmp_path / INDEX).stat().st_size / 20


def test_merged_parts_do_not_depend_on_parts_runs_or_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [index_row(number) for number in range(300)]
    random.Random(3).shuffle(made)
    repeated = [*made, made[0], made[1]]  # once inside the first part, once over two parts
    write([*repeated[:150], made[0]], tmp_path, INDEX)
    write(repeated[150:], tmp_path, INDEX.replace("00000", "00001"))
    write(made, tmp_path, INDEX.replace("00000", "00002"))

    def merged(name: str, paths: Sequence[str], rows: int) -> pa.Table:
        outputs = [tmp_path / name / str(number) for number in range(len(paths))]
        for path, output in zip(paths, outputs, strict=True):
            select_part(path, output, run_of(tmp_path))
        tables = list(merged_parts(outputs[::-1], rows))
        assert all(0 < table.num_rows <= max(rows, 100) for table in tables)  # a WARC file's 100 rows stay together
        return pa.concat_tables(tables)

    paths = [INDEX, INDEX.replace("00000", "00001")]
    whole = merged("whole", [INDEX.replace("00000", "00002")], 1_000_000)
    assert whole.num_rows == 300
    assert merged("two", paths, 1_000_000).equals(whole)
    assert counts_of(tmp_path / "two" / "0")["repeated"] == 1
    monkeypatch.setattr(selection_runs, "RUN_ROWS", 7)
    monkeypatch.setattr(selection_runs, "_GROUP_ROWS", 3)
    for rows in (1, 110, 250):
        assert merged(f"runs{rows}", paths, rows).equals(whole)
    assert len(list((tmp_path / "runs1" / "0").glob("rows-*.parquet"))) > 1


def test_share_is_drawn_by_address_and_smaller_shares_lie_in_larger(tmp_path: Path) -> None:
    write([index_row(number) for number in range(2_000)], tmp_path, group=500)
    half = {row["url"] for row in selected(tmp_path, run_of(tmp_path, share=0.5), tmp_path / "half")}
    tenth = {row["url"] for row in selected(tmp_path, run_of(tmp_path, share=0.1), tmp_path / "tenth")}
    assert tenth < half and 900 < len(half) < 1_100 and 130 < len(tenth) < 270


def test_domain_lists(tmp_path: Path) -> None:
    names = ["a.example", "aa.example", "b.example", "bücher.example"]
    made = [index_row(number, domain=names[number % 4].encode("idna").decode()) for number in range(40)]
    made.append(index_row(99, url_host_registered_domain=None, url="https://192.0.2.7/", url_surtkey="192.0.2.7)/"))
    write(made, tmp_path, group=5)
    (tmp_path / "only.txt").write_text("# lists\na.example  # the first\n\nBücher.example\nb.example\n")
    (tmp_path / "without.txt").write_text("b.example\n")
    only = {"only_domains": tmp_path / "only.txt"}
    without = {"without_domains": tmp_path / "without.txt"}
    domains = {row["registered_domain"] for row in selected(tmp_path, run_of(tmp_path, **only, **without), tmp_path / "1")}
    assert domains == {"a.example", "xn--bcher-kva.example"}
    assert counts_of(tmp_path / "1")["row_groups_passed_over"] > 0  # by the sorted address keys
    rest = {row["registered_domain"] for row in selected(tmp_path, run_of(tmp_path, **without), tmp_path / "2")}
    assert rest == {"a.example", "aa.example", "xn--bcher-kva.example", "192.0.2.7"}
    with pytest.raises(WebCorpusError, match="no domain is left"):
        page_conditions(SelectionSettings(languages=("ita",), only_domains=tmp_path / "without.txt", without_domains=tmp_path / "without.txt"))


@pytest.mark.parametrize("line", ["www.a.example", "https://a.example", "a.example/b", "a b.example", ".."])
def test_lines_that_are_no_registered_domain_are_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "domains.txt"
    path.write_text(f"b.example\n{line}\n")
    with pytest.raises(WebCorpusError, match=r"domains\.txt, line 2"):
        read_domains(path)


def test_older_crawls(tmp_path: Path) -> None:
    write([index_row(0), index_row(1, content_truncated="length")], tmp_path, without=["content_truncated"])
    assert len(selected(tmp_path, run_of(tmp_path), tmp_path / "2019")) == 2
    assert counts_of(tmp_path / "2019")["columns_lacking"] == ["content_truncated"]
    write([index_row(0)], tmp_path, without=["content_truncated", "content_languages", "content_charset"])
    with pytest.raises(WebCorpusError, match="way: scan"):
        select_part(INDEX, tmp_path / "2017", run_of(tmp_path))
    write([index_row(0)], tmp_path, without=["warc_filename"])
    with pytest.raises(WebCorpusError, match=r"lacks \['warc_filename'\]"):
        select_part(INDEX, tmp_path / "other", run_of(tmp_path))
    (tmp_path / INDEX).write_bytes(b"<html>404</html>" * 9)
    with pytest.raises(WebCorpusError, match="no Parquet file"):
        select_part(INDEX, tmp_path / "html", run_of(tmp_path))


@pytest.mark.parametrize("languages", [(), ("it",), ("ita", "ITA")])
def test_languages_are_checked(languages: tuple[str, ...]) -> None:
    with pytest.raises(WebCorpusError, match="ISO 639-3"):
        page_conditions(SelectionSettings(languages=languages))


def test_origins() -> None:
    urls = ["HTTPS://User@A.Example:443/x?y", "http://a.example:80", "http://a.example:8080/", "https://a.example?q", "ftp://a.example/", "x", None]
    expected = ["https://a.example", "http://a.example", "http://a.example:8080", "https://a.example", None, None, None]
    assert origins(pa.array(urls, pa.string())).to_pylist() == expected


@given(
    scheme=st.sampled_from(["http", "https", "HTTP", "ftp"]),
    host=st.sampled_from(["a.example", "A.Example.", "user@a.example", "[::1]", "192.0.2.7", "bücher.example"]),
    port=st.sampled_from(["", ":", ":80", ":443", ":8080"]),
    rest=st.sampled_from(["", "/", "/a@b:80", "?q=http://b.example", "#x"]),
)
def test_origins_are_the_hosts_of_the_robots_table(scheme: str, host: str, port: str, rest: str) -> None:
    url = f"{scheme}://{host}{port}{rest}"
    assert (origins(pa.array([url]))[0].as_py() or "") == host_key(url)


def test_robots_of_the_selected_hosts_all_captures_of_each(tmp_path: Path) -> None:
    write([index_row(number) for number in range(3)], tmp_path)
    select_part(INDEX, tmp_path / "pages", run_of(tmp_path))
    assert write_hosts([tmp_path / "pages"], tmp_path / "hosts.parquet") == 3

    def robots(number: int, url: str, seconds: int, **changes: Any) -> dict[str, Any]:
        later = AT + datetime.timedelta(seconds=seconds)
        return index_row(number, url=url, fetch_time=later, content_languages=None, content_mime_detected="text/plain", **changes)

    site = "https://www.sito{}.example/robots.txt"
    first = [
        robots(10, site.format(0), 1),
        robots(11, site.format(0), 9),
        robots(12, site.format(0), 9),
        robots(13, site.format(1), 1),
        robots(14, site.format(1), 5, fetch_status=404),
        robots(15, site.format(6), 1),
        robots(16, "http://www.sito0.example/robots.txt", 20),
        robots(17, "https://www.sito2.example/a/robots.txt", 20),
    ]
    second = [robots(21, site.format(1), 3), robots(22, site.format(2), 1)]
    write(first, tmp_path, ROBOTS)
    write(second, tmp_path, ROBOTS.replace("00000", "00001"))
    outputs = [tmp_path / "robots0", tmp_path / "robots1"]
    for number, output in enumerate(outputs):
        select_robots(ROBOTS.replace("00000", f"0000{number}"), output, run_of(tmp_path), tmp_path / "hosts.parquet")
    found = pa.concat_tables(merged_parts([tmp_path / "pages", *outputs])).to_pylist()
    assert [row["subset"] for row in found] == ["robotstxt"] * 6 + ["warc"] * 3
    hosts = [row["url"] for row in found[:6]]
    assert [hosts.count(site.format(number)) for number in range(3)] == [3, 2, 1]
    assert sum(counts_of(output)["selected"] for output in outputs) == 6


def test_no_robots_is_no_error(tmp_path: Path) -> None:
    write([index_row(0)], tmp_path)
    write([], tmp_path, ROBOTS)
    select_part(INDEX, tmp_path / "pages", run_of(tmp_path))
    write_hosts([tmp_path / "pages"], tmp_path / "hosts.parquet")
    select_robots(ROBOTS, tmp_path / "robots", run_of(tmp_path), tmp_path / "hosts.parquet")
    assert sum(table.num_rows for table in merged_parts([tmp_path / "pages", tmp_path / "robots"])) == 1


def test_the_made_crawls_index_is_read(tmp_path: Path) -> None:
    pages = [Capture(f"https://www.a{n}.example/p", AT, b"<p>x</p>", "ita" if n % 2 else "eng") for n in range(6)]
    pages.append(Capture("https://www.a9.example/i", AT, b"\x89PNG", "ita", content_type="image/png"))
    warc = write_warc(pages, tmp_path, f"crawl-data/{CRAWL}/segments/1/warc/0.warc.gz")
    write_index([warc], tmp_path, CRAWL)
    location = Location(str(tmp_path), AccessSettings())
    paths = index_files(location, CRAWL, "warc")
    found = selected(tmp_path, run_of(tmp_path), tmp_path / "part", paths[0])
    content = (tmp_path / warc.path).read_bytes()
    assert len(found) == 3
    for row in found:
        record = gzip.decompress(content[row["warc_offset"] : row["warc_offset"] + row["warc_length"]])
        assert f"WARC-Target-URI: {row['url']}\r\n".encode() in record


def test_lists_of_a_crawl(tmp_path: Path) -> None:
    location = Location(str(tmp_path), AccessSettings())
    with pytest.raises(WebCorpusError, match=r"warc\.paths\.gz is empty or lacking"):
        crawl_files(location, CRAWL, "warc")
    names = [f"crawl-data/{CRAWL}/segments/1/warc/{number}.warc.gz" for number in range(40)]
    for name in names[:3]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert crawl_files(location, CRAWL, "warc") == names[:3]  # a mirror without lists
    listed = tmp_path / f"crawl-data/{CRAWL}/warc.paths.gz"
    listed.write_bytes(gzip.compress("\n".join(reversed(names)).encode()))
    assert crawl_files(location, CRAWL, "warc") == sorted(names)
    listed.write_bytes(listed.read_bytes()[:40])
    with pytest.raises(WebCorpusError, match="no list of paths"):
        crawl_files(location, CRAWL, "warc")
    with pytest.raises(WebCorpusError, match="CC-MAIN-YYYY-WW"):
        crawl_files(location, "SAMPLE-2026-01", "warc")
    listed = tmp_path / f"crawl-data/{CRAWL}/cc-index-table.paths.gz"
    listed.write_bytes(gzip.compress(f"{INDEX}\n{ROBOTS}\n".encode()))
    assert index_files(location, CRAWL, "warc") == [INDEX] and index_files(location, CRAWL, "robotstxt") == [ROBOTS]


def test_crawl_names() -> None:
    assert is_crawl_name("CC-MAIN-2024-22") and not any(map(is_crawl_name, ("CC-MAIN-2012", "CC-MAIN-2009-2010", "CC-MAIN-2024-60", "SAMPLE-2026-01")))


def test_files_are_drawn_alike_and_nested() -> None:
    paths = [f"crawl-data/x/{number}.warc.gz" for number in range(400)]
    tenth, half = drawn_files(paths, 0.1), drawn_files(paths[::-1], 0.5)
    assert set(tenth) < set(half) < set(paths) and half == sorted(half) and 20 < len(tenth) < 60
    assert set(drawn_files(paths, max_files=3)) < set(drawn_files(paths, max_files=9)) < set(half)
    assert drawn_files(paths) == sorted(paths)
    with pytest.raises(WebCorpusError, match="leaves none"):
        drawn_files(paths[:1], 1e-9)


@pytest.mark.services
def test_the_benchmark_selects_and_fetches_over_http_what_a_folder_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--json", "--captures", "300", "--density", "0.2", "--refuse-every", "7", "--folder", str(tmp_path)]
    assert corpus_index.main(arguments) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["wrong_records"] == 0 and figures["server_bytes_unaccounted"] == 0
    assert figures["documents"] > 20 and figures["robots"] >= 3 and figures["retries"] > 0
    assert 1 <= figures["overhead"] <= 1.2 and figures["saving"] > 1

    root = tmp_path / "crawl"
    location = Location(str(root), AccessSettings())
    settings_ = SelectionSettings(languages=("ita",))
    paths = index_files(location, made_crawl.NAME, "warc")

    def merged(url: str, name: str) -> pa.Table:
        access = AccessSettings(requests_per_second=500, max_backoff_s=0.2)
        run = SelectionRun(url, access, 2, made_crawl.NAME, settings_)
        for number, path in enumerate(paths):
            select_part(path, tmp_path / name / str(number), run)
        return pa.concat_tables(merged_parts(sorted((tmp_path / name).iterdir())))

    with range_server.serving(root, refuse_every=2) as served:
        assert merged(served.url, "http").equals(merged(str(root), "folder"))
        assert served.refused > 0
    pages = merged(str(root), "again")
    assert pages.num_rows == figures["documents"]
