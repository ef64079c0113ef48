"""robots.txt and tdmrep.json: what they say of crawlers for AI, whatever their spelling, and nothing else."""

from __future__ import annotations

import datetime
import gzip
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protego import Protego

from corpus.web.made.bundled import load_pages
from corpus.web.made.opt_outs import opt_outs
from corpus.web.made.sample import write_sample
from corpus.web.rights.ai_crawlers import ai_crawlers, training_tokens
from corpus.web.rights.robots import (
    MAX_BYTES,
    ROBOTS,
    RobotsTable,
    ai_groups,
    compact,
    disallowed_agents,
    host_key,
    latest_rows,
    reserved,
    robots_row,
    tdm_of,
    tdm_rules,
)
from corpus.web.settings import SampleSettings
from corpus.web.warc.reading import Response, read_records
from corpus.web.warc.writing import INDEX_SCHEMA, Capture, write_warc
from foundation.sources.data import SAMPLES_ROOT

AT = datetime.datetime(2026, 1, 10, tzinfo=datetime.UTC)
HOST = "https://www.a.example"


def _refused(text: str | bytes, path: str = "/x/y.html") -> list[str]:
    payload = text.encode() if isinstance(text, str) else text
    return disallowed_agents(compact(ai_groups(payload)), HOST + path)


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("User-agent: GPTBot\nDisallow: /", "/", ["GPTBot"]),
        ("USER-AGENT:gptbot\nDISALLOW:/", "/", ["GPTBot"]),
        ("\ufeffUser-agent: GPTBot # why\rDisallow: / # all\r", "/", ["GPTBot"]),
        ("User-agent: GPTBot/1.1\r\nDisallow: /\r\n", "/", ["GPTBot"]),
        ("User-agent: CCBot\n\nUser-agent: GPTBot\nDisallow: /", "/", ["CCBot", "GPTBot"]),  # an empty line ends no group
        ("User-agent: CCBot\nCrawl-delay: 9\nUser-agent: GPTBot\nDisallow: /", "/", ["CCBot", "GPTBot"]),  # nor another record
        ("User-agent: CCBot\nSitemap: /s\nDisallow: /", "/", ["CCBot"]),
        ("User-agent: CCBot\nDisallow:\nUser-agent: GPTBot\nDisallow: /", "/", ["GPTBot"]),
        ("User-agent: GPTBot\nDisallow: /a\nUser-agent: x\nDisallow: /\nUser-agent: GPTBot\nDisallow: /b", "/b", ["GPTBot"]),
        ("User-agent: GPTBot\nAllow: /\nDisallow: /", "/", []),  # of equal rules the one that allows
        ("User-agent: GPTBot\nDisallow: /\nAllow: /x/", "/x/y.html", []),
        ("User-agent: GPTBot\nAllow: /x/\nDisallow: /x/y", "/x/y.html", ["GPTBot"]),
        ("User-agent: GPTBot\nDisallow: /*.html$", "/x/y.html", ["GPTBot"]),
        ("User-agent: GPTBot\nDisallow: /*.html$", "/x/y.html?z", []),
        ("User-agent: GPTBot\nDisallow: /caff\u00e8", "/caff%C3%A8/", ["GPTBot"]),
        ("User-agent: GPTBot\nDisallow: /a%3cd", "/a%3Cd", ["GPTBot"]),
        ("User-agent: GPTBot\nDisallow: /a b", "/a%20b", ["GPTBot"]),
        ("User-agent: GPTBot\nDisallow: /X", "/x/y.html", []),  # paths have case
        ("User-agent: *\nDisallow: /", "/", []),  # is about no training
        ("User-agent: GPT\nDisallow: /", "/", []),
        ("User-agent: omgili\nDisallow:\nUser-agent: omgilibot\nDisallow: /", "/", ["omgilibot"]),
        ("User-agent: Kangaroo Bot\nDisallow: /", "/", ["Kangaroo Bot"]),
        ("User-agent: *\nContent-Signal: search=yes,ai-train=no\nAllow: /", "/", ["ai-train"]),
        ("User-agent: *\nContent-Usage: /x/ train-ai=n\nAllow: /", "/x/y.html", ["ai-train"]),
        ("User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /x/ train-ai=y\nAllow: /", "/x/y.html", []),
        ("User-agent: *\nContent-Usage: train-ai=y\nContent-Usage: train-ai=n", "/", ["ai-train"]),  # the most restrictive one
        ("Content-Signal: ai-train=no\nUser-agent: *\nAllow: /", "/", ["ai-train"]),  # before any group: for all
        ("User-agent: *\nContent-Signal: ai-train=no\nUser-agent: GPTBot\nContent-Signal: ai-train=yes\nAllow: /", "/", ["ai-train"]),
        ("User-agent: *\nContent-Signal: ai-train=no\n\nUser-agent: googlebot\nContent-Signal: ai-train=yes", "/", ["ai-train"]),
        ("User-agent: *\nAllow: /\nUser-agent: googlebot\nContent-Signal: ai-train=no\nAllow: /", "/", []),
        ("User-agent: GPTBot\nContent-Signal: ai-train=no\nAllow: /\nUser-agent: CCBot\nAllow: /", "/", ["GPTBot"]),
        ("User-agent: GPTBot\nUser-agent: *\nContent-Signal: ai-train=no\nAllow: /", "/", ["GPTBot", "ai-train"]),
        ("User-agent: GPTBot\nContent-Usage: /x/ train-ai=n\nAllow: /", "/y", []),
        ("User-agent: CCBot\nContent-Signal: search=yes\nUser-agent: GPTBot\nDisallow: /", "/", ["CCBot", "GPTBot"]),
        ("User-agent: GPTBot, CCBot\nDisallow: /", "/", ["CCBot", "GPTBot"]),
        ("User-agent: 'GPTBot', \"CCBot/2.0\"\nDisallow: /", "/", ["CCBot", "GPTBot"]),
        ('User-agent: "GPTBot"\nDisallow: /', "/", ["GPTBot"]),
        ("User-agent: GPTBot:\nDisallow: /", "/", ["GPTBot"]),
        ("User-agent: GPTBot*\nDisallow: /", "/", ["GPTBot"]),
        ("User-agent: *, GPTBot\nContent-Signal: ai-train=no", "/", ["GPTBot", "ai-train"]),
        ("User-agent: ai-train\nDisallow: /", "/", []),
        ("User-agent: ai-train:GPTBot\nDisallow: /", "/", []),
        ("<html><body>Not found: User-agent", "/", []),
        ("", "/", []),
    ],
)  # fmt: skip
def test_rules_for_a_page(text: str, path: str, expected: list[str]) -> None:
    assert _refused(text, path) == expected


def test_bytes_of_other_charsets_and_the_size_limit() -> None:
    assert _refused(b"User-agent: GPTBot\nDisallow: /caff\xe8", "/caff%E8") == ["GPTBot"]
    long = b"#" * (MAX_BYTES - 60) + b"\nUser-agent: GPTBot\nDisallow: /a\nUser-agent: CCBot\nDisallow: /very/long/path/to/one/page\n"
    groups = ai_groups(long)
    assert groups["GPTBot"] == {("Disallow", "/a")} and groups["CCBot"] == set()  # a rule cut in two is not read


PATHS = st.lists(st.sampled_from(["/", "a", "b", "*", "$", "%41", "é", "?"]), min_size=1, max_size=5).map(lambda parts: "/" + "".join(parts))
NAMES = st.sampled_from(["GPTBot", "CCBot", "googlebot", "*", "omgili", "omgilibot"])
GROUPS = st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), st.lists(st.tuples(st.sampled_from(["Allow", "Disallow"]), PATHS), min_size=1, max_size=4)), max_size=5)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(GROUPS, PATHS.map(lambda path: path.replace("*", "x")))
def test_the_compact_rules_say_what_the_file_says(groups: list[tuple[list[str], list[tuple[str, str]]]], path: str) -> None:
    """As protego reads the whole file; ``omgili`` stands for ``omgilibot`` there, where that has no group of its own."""
    text = "\n".join("\n".join([*(f"User-agent: {name}" for name in names), *(f"{verb}: {rule}" for verb, rule in rules)]) for names, rules in groups)
    named = {name for names, _ in groups for name in names} & {"GPTBot", "CCBot", "omgili", "omgilibot"}
    whole = Protego.parse(text)
    assert sorted(ai_groups(text.encode())) == sorted(named)
    assert _refused(text, path) == sorted(name for name in named if not whole.can_fetch(HOST + path, name))


def test_reservations_of_a_host() -> None:
    rules = tdm_rules(
        json.dumps(
            [
                {"location": "/directory-b/images/*.jpg", "tdm-reservation": 0, "tdm-policy": "https://x.example/ignored"},
                {"location": "/directory-b/", "tdm-reservation": 1, "tdm-policy": "https://x.example/policy.json"},
                {"location": "/exactly$", "tdm-reservation": "1"},
                {"location": "/wrong", "tdm-reservation": 2},
                {"tdm-reservation": 1},
                "nonsense",
            ]
        ).encode(),
        HOST,
    )
    assert len(rules) == 3
    assert tdm_of(rules, f"{HOST}/directory-b/images/a.jpg") == (False, None)  # the first match in sequence
    assert tdm_of(rules, f"{HOST}/directory-b/a.html") == (True, "https://x.example/policy.json")
    assert tdm_of(rules, f"{HOST}/exactly") == (True, None) and tdm_of(rules, f"{HOST}/exactly/not") == (None, None)
    assert tdm_of(rules, f"{HOST}/wrong") == (None, None)
    assert tdm_rules(b"<html>", HOST) == [] and tdm_rules(b"[" * 100_000, HOST) == []
    assert tdm_rules(b'{"location": "/", "tdm-reservation": 1}', HOST) == [{"location": "/", "reservation": True, "policy": None}]


@pytest.mark.parametrize(
    ("location", "path", "matches"),
    [
        ("/a#b", "/a", False), ("/a#b", "/a%23b", True),
        ("http://www.a.example/p/", "/p/1", True), ("https://WWW.a.example:443/p", "/p/1", True), ("http://www.a.example", "/q", True),
        ("https://www.a.example.org/p", "/p", False), ("https://b.example/p", "/p", False), ("https://www.a.example:8080/p", "/p", False),
        ("p/", "/p/1", True), ("*.pdf$", "/p/1.pdf", True),
    ],
)  # fmt: skip
def test_locations_of_a_reservation(location: str, path: str, matches: bool) -> None:
    rules = tdm_rules(json.dumps([{"location": location, "tdm-reservation": 1}]).encode(), HOST)
    assert tdm_of(rules, HOST + path)[0] is (True if matches else None)


def test_agents_of_a_row_are_crawlers(tmp_path: Path) -> None:
    text = b"User-agent: GPTBot\nContent-Signal: ai-train=no\nAllow: /\nUser-agent: *\nContent-Signal: ai-train=no\n"
    (row,) = _captured(tmp_path, ("/robots.txt", text, 200, 0))
    assert row["agents"] == ["GPTBot", "ai-train"] and RobotsTable([row]).of(f"{HOST}/x").disallowed_agents == ["GPTBot", "ai-train"]


def test_a_page_speaks_before_its_host() -> None:
    host = RobotsTable([]).of(HOST)
    said = host._replace(tdm_reservation=True, tdm_policy="p")
    assert reserved(None, None, said) == (True, "p") and reserved(False, None, said) == (False, None)
    assert reserved(True, "q", host) == (True, "q") and reserved(None, None, host) == (False, None)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("HTTPS://Www.A.Example:443/x", "https://www.a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://user@a.example:8080/x", "http://a.example:8080"),
        ("https://a.example./", "https://a.example"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]"),
        ("https://[2001", ""), ("https://a.example:99999/", ""), ("ftp://a.example/", ""), ("", ""),
    ],
)  # fmt: skip
def test_what_one_file_speaks_for(url: str, key: str) -> None:
    assert host_key(url) == key


def _captured(tmp_path: Path, *captures: tuple[str, bytes, int, int]) -> list[dict[str, Any]]:
    """Rows of real records: (path, payload, status, seconds after the first)."""
    place = "crawl-data/X/segments/1/robotstxt/X-00000.warc.gz"
    written = [Capture(HOST + path, AT + datetime.timedelta(seconds=later), payload, "", status=status) for path, payload, status, later in captures]
    write_warc(written, tmp_path, place)
    rows = [robots_row(record, place) for record in read_records(tmp_path / place) if isinstance(record, Response)]
    return [row for row in rows if row is not None]


GPT = b"User-agent: GPTBot\nDisallow: /"


def test_the_latest_capture_of_a_host_counts_in_any_order(tmp_path: Path) -> None:
    rows = _captured(
        tmp_path,
        ("/robots.txt", b"User-agent: CCBot\nDisallow: /", 200, 5),
        ("/robots.txt", GPT, 200, 9),
        ("/robots.txt", GPT, 404, 20),  # no evidence
        ("/robots.txt", b"User-agent: *\nDisallow: /", 200, 30),  # says nothing of AI
        ("/deep/robots.txt", GPT, 200, 40),
        ("/.well-known/tdmrep.json", b'[{"location": "/p", "tdm-reservation": 1}]', 200, 1),
    )
    assert len(rows) == 3
    merged = latest_rows(rows)
    assert merged == latest_rows(reversed(rows)) == latest_rows([*rows, *merged])
    assert len(merged) == 1 and merged[0]["agents"] == ["GPTBot"] and merged[0]["fetch_time"] == AT + datetime.timedelta(seconds=9)
    assert merged[0]["tdm_fetch_time"] == AT + datetime.timedelta(seconds=1) and merged[0]["tdm_warc_offset"] > merged[0]["warc_offset"]
    table = pa.Table.from_pylist(merged, schema=ROBOTS.schema)  # and back, as the store keeps it
    robots = RobotsTable(table.to_pylist())
    assert len(robots) == 1 and robots.of(f"{HOST}/p/1") == (["GPTBot"], True, None) and robots.of(f"{HOST}/q") == (["GPTBot"], None, None)
    assert robots.of("http://www.a.example/p/1") == ([], None, None)


def test_the_list_of_crawlers_holds_together() -> None:
    crawlers = ai_crawlers()
    assert {"ccbot", "gptbot", "google-extended", "claudebot", "applebot-extended", "bytespider", "ai-train"} <= training_tokens()
    assert crawlers["chatgpt-user"].purpose == "retrieval" and crawlers["img2dataset"].purpose == "images"
    for crawler in crawlers.values():
        named = _refused(f"User-agent: {crawler.token}\nDisallow: /")
        assert named == ([] if crawler.token == "ai-train" else [crawler.token])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Capture]]:
    root = tmp_path_factory.mktemp("crawl")
    pages = load_pages(SAMPLES_ROOT / "web" / "pages.yaml", "crawl")
    _, captures = write_sample("SAMPLE-2026-01", SampleSettings(warc_files=2, opt_out_share=0.2), {}, pages, root, seed=7)
    return root, captures


def test_a_made_crawl_says_what_its_hosts_allow(made: tuple[Path, list[Capture]]) -> None:
    root, captures = made
    path = next(root.glob("crawl-data/*/segments/*/robotstxt/*.warc.gz"))
    records = [record for record in read_records(path) if isinstance(record, Response)]
    hosts = {host_key(capture.url) for capture in captures}
    assert {host_key(record.url) for record in records} == hosts
    robots = RobotsTable([row for record in records if (row := robots_row(record, path.name))])
    answers = {capture.url: robots.of(capture.url) for capture in captures}
    out = Counter(capture.language for capture in captures if answers[capture.url].disallowed_agents or answers[capture.url].tdm_reservation)
    total = Counter(capture.language for capture in captures)
    assert 0 < out["ita"] <= 0.2 * total["ita"]
    assert {tuple(answer.disallowed_agents) for answer in answers.values()} == {(), ("CCBot", "GPTBot")}
    assert any(answer.tdm_reservation and answer.tdm_policy for answer in answers.values())


def test_a_made_crawl_has_the_lists_and_index_of_a_crawl(made: tuple[Path, list[Capture]]) -> None:
    root, _ = made
    for kind in ("warc", "robotstxt", "cc-index-table"):
        paths = gzip.decompress((root / f"crawl-data/SAMPLE-2026-01/{kind}.paths.gz").read_bytes()).decode().splitlines()
        assert paths and all((root / path).is_file() for path in paths)
        assert all(("/robotstxt/" in path) == (kind == "robotstxt") for path in paths)
    table = pq.read_table(root / "cc-index/table/cc-main/warc/crawl=SAMPLE-2026-01/subset=robotstxt/part-00000.parquet", partitioning=None)
    assert table.schema.equals(INDEX_SCHEMA) and set(table["fetch_status"].to_pylist()) == {200, 404}
    for row in table.to_pylist():
        content = (root / row["warc_filename"]).read_bytes()[row["warc_record_offset"] :][: row["warc_record_length"]]
        assert row["url"].encode() in gzip.decompress(content)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["ita", "deu"]), st.integers(0, 4), st.lists(st.sampled_from("ab"), max_size=3)), max_size=40),
    st.floats(0, 1),
)
def test_never_more_is_opted_out_than_asked(pages: list[tuple[str, int, list[str]]], share: float) -> None:
    captures = [
        Capture(f"https://h{host}.example/{'/'.join([*folders, f'{number}.html'])}", AT, b"", language)
        for number, (language, host, folders) in enumerate(pages)
    ]
    found = opt_outs(captures, share, lambda purpose, subject: zlib.crc32(f"{purpose} {subject}".encode()) / 2**32)
    total = Counter(capture.language for capture in captures)
    out: Counter[str] = Counter()
    for capture in captures:
        refusal = found.get(host_key(capture.url))
        out[capture.language] += refusal is not None and capture.url.removeprefix(host_key(capture.url)).startswith(refusal.prefix)
    assert all(out[language] <= share * total[language] for language in total)
    assert sum(refusal.pages for refusal in found.values()) == sum(out.values())
