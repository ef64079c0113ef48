"""A crawl in Common Crawl's layout and proportions, for benchmarks of access: many captures, few in the target language.

As Common Crawl's: a request, a response and a metadata record for each capture; captures of a host spread over all WARC
files; languages by their published shares; an index of several files and row groups, sorted by address, with the columns
of the flat schema; path lists; robots.txt captures. Sizes of records are drawn from a log-normal distribution. Pages carry
text of the bundled samples and noise up to their size: what they say plays no part in the figures.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import json
import math
import random
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.crawl.costs import sizes
from corpus.web.made.bundled import bundled_file, load_pages
from foundation.sources.data import DataFolder

NAME = "CC-MAIN-2024-22"
SEGMENT = f"crawl-data/{NAME}/segments/1715971057216.39"
_BEGIN = datetime.datetime(2024, 5, 18, tzinfo=datetime.UTC)
_TEXTS = ("url_surtkey", "url", "url_host_name", "url_host_tld", "url_host_2nd_last_part", "url_host_3rd_last_part")
_MORE = (
    "url_host_registry_suffix", "url_host_registered_domain", "url_host_private_suffix", "url_host_private_domain",
    "url_host_name_reversed", "url_protocol", "url_path", "url_query", "fetch_redirect", "content_digest", "content_mime_type",
    "content_mime_detected", "content_charset", "content_languages", "content_truncated", "warc_filename", "warc_segment",
)  # fmt: skip
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in (*_TEXTS, *_MORE)]
    + [("fetch_time", pa.timestamp("ms", tz="UTC")), ("fetch_status", pa.int16()), ("warc_record_offset", pa.int32()), ("warc_record_length", pa.int32())]
)


@dataclass(frozen=True)
class CrawlPlan:
    """What a made crawl holds.

    ``record_bytes`` is the mean compressed size of a response, ``spread`` the standard deviation of its logarithm.
    """

    captures: int = 7_000
    warc_files: int = 8
    language: str = "ita"
    share: float = 0.025
    record_bytes: int = 17_000
    spread: float = 0.9
    pages_per_host: int = 20
    index_files: int = 2
    row_group: int = 2_500
    seed: int = 1


@dataclass(frozen=True)
class MadeCrawl:
    """A made crawl: its root, captures, those in the language, and the bytes of its WARC, robotstxt and index files."""

    root: Path
    captures: int
    in_language: int
    warc_bytes: int
    robots_bytes: int
    index_bytes: int


def made_crawl(root: Path, plan: CrawlPlan) -> MadeCrawl:
    """The crawl of a plan below ``root``: made, or found where the same plan made it before.

    Raises:
        FileExistsError: the folder holds something else.
    """
    mark = root / "made.json"
    if mark.is_file():
        found = json.loads(mark.read_text())
        if found["plan"] == asdict(plan):
            return MadeCrawl(root, **found["holds"])
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty and holds no crawl of this plan; name another folder")
    holds = _make(root, plan)
    mark.write_text(json.dumps({"plan": asdict(plan), "holds": holds}))
    return MadeCrawl(root, **holds)


def _make(root: Path, plan: CrawlPlan) -> dict[str, int]:
    chance = random.Random(plan.seed)
    hosts = _hosts(plan, chance)
    pages = [_page(number, hosts[number // plan.pages_per_host], plan, chance) for number in range(plan.captures)]
    chance.shuffle(pages)  # Common Crawl spreads a host over its segments
    rows: list[dict[str, Any]] = []
    paths = [f"{SEGMENT}/warc/CC-MAIN-20240518000000-20240518030000-{number:05d}.warc.gz" for number in range(plan.warc_files)]
    for number, path in enumerate(paths):
        rows += _write_warc(root, path, pages[number :: plan.warc_files])
    robots = [_robots(host, turn, chance) for host, _ in hosts for turn in range(3)]
    robots_path = f"{SEGMENT}/robotstxt/CC-MAIN-20240518000000-20240518030000-00000.warc.gz"
    robots_rows = _write_warc(root, robots_path, robots)
    tables = [*_write_index(root, rows, "warc", plan.index_files, plan.row_group), *_write_index(root, robots_rows, "robotstxt", 1, plan.row_group)]
    for name, listed in (("warc", paths), ("robotstxt", [robots_path]), ("cc-index-table", tables)):
        (root / f"crawl-data/{NAME}/{name}.paths.gz").write_bytes(gzip.compress("".join(f"{path}\n" for path in listed).encode(), mtime=0))
    return {
        "captures": len(rows),
        "in_language": sum((row["content_languages"] or "").split(",")[0] == plan.language for row in rows),
        "warc_bytes": sum((root / path).stat().st_size for path in paths),
        "robots_bytes": (root / robots_path).stat().st_size,
        "index_bytes": sum((root / path).stat().st_size for path in tables),
    }


def _hosts(plan: CrawlPlan, chance: random.Random) -> list[tuple[str, str]]:
    """Hosts with the language that most of their pages are in, the target one as often as planned."""
    shares: dict[str, float] = {code: share for code, share in sizes()["language_shares"].items() if code != plan.language}
    count = -(-plan.captures // plan.pages_per_host)
    languages = chance.choices(list(shares), list(shares.values()), k=count)
    for number in chance.sample(range(count), max(1, round(plan.share * count))):
        languages[number] = plan.language
    return [(f"www.{chance.randbytes(5).hex()}.example", language) for language in languages]


def _page(number: int, host: tuple[str, str], plan: CrawlPlan, chance: random.Random) -> dict[str, Any]:
    name, language = host
    kind = chance.random()
    size = int(chance.lognormvariate(math.log(plan.record_bytes) - plan.spread**2 / 2, plan.spread))
    path = "/".join(chance.randbytes(chance.randrange(3, 9)).hex() for _ in range(chance.randrange(1, 4)))
    return {
        "url": f"https://{name}/{path}.html",
        "body": _body(number, language, size, chance),
        "fetched": _BEGIN + datetime.timedelta(seconds=chance.randrange(10**6)),
        "mime": "application/pdf" if kind < 0.01 else "text/html",
        "languages": None if kind < 0.02 else f"{language},eng" if kind < 0.3 and language != "eng" else language,
        "truncated": "length" if kind > 0.99 else None,
    }


def _robots(host: str, turn: int, chance: random.Random) -> dict[str, Any]:
    rules = "".join(f"Disallow: /{chance.randbytes(4).hex()}/\n" for _ in range(chance.randrange(1, 40)))
    return {
        "url": f"https://{host}/robots.txt",
        "body": f"User-agent: *\n{rules}".encode(),
        "fetched": _BEGIN + datetime.timedelta(seconds=turn * 10**5),
        "mime": "text/plain",
        "languages": None,
        "truncated": None,
    }


def _body(number: int, language: str, size: int, chance: random.Random) -> bytes:
    texts = _texts()
    text = texts.get(language, texts["eng"])
    head = f'<html lang="{language}"><head><title>{number}</title></head><body><p>{text[number % len(text)]}</p><!-- '.encode()
    return head + base64.b64encode(chance.randbytes(max(0, size - len(head) // 2 - 500))) + b" --></body></html>"


def _texts() -> dict[str, list[str]]:
    if not _CACHED:
        for page in load_pages(bundled_file(DataFolder(None)), "crawl"):
            _CACHED.setdefault(page.language, []).extend(page.paragraphs)
    return _CACHED


_CACHED: dict[str, list[str]] = {}


def _write_warc(root: Path, path: str, pages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    with target.open("wb") as stream:
        stream.write(_member("warcinfo", path, _BEGIN, f"isPartOf: {NAME}\r\n".encode()))
        for page in pages:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {page['mime']}\r\nContent-Length: {len(page['body'])}\r\n\r\n".encode()
            request = f"GET / HTTP/1.1\r\nUser-Agent: CCBot/2.0\r\nHost: {page['url'].split('/')[2]}\r\n\r\n".encode()
            stream.write(_member("request", page["url"], page["fetched"], request))
            offset = stream.tell()
            stream.write(_member("response", page["url"], page["fetched"], head + page["body"], page["body"]))
            rows.append(_index_row(page, path, offset, stream.tell() - offset))
            detected = json.dumps({"reliable": True, "languages": [{"code-iso-639-3": page["languages"], "score": 1154.0}]})
            metadata = f"fetchTimeMs: 337\r\ncharset-detected: UTF-8\r\nlanguages-cld2: {detected}\r\n".encode()
            stream.write(_member("metadata", page["url"], page["fetched"], metadata))
    return rows


def _member(kind: str, url: str, at: datetime.datetime, block: bytes, payload: bytes | None = None) -> bytes:
    media = {"warcinfo": "application/warc-fields", "metadata": "application/warc-fields"}.get(kind, f"application/http; msgtype={kind}")
    digest = "" if payload is None else f"WARC-Payload-Digest: sha1:{_sha1(payload)}\r\n"
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: {at:%Y-%m-%dT%H:%M:%SZ}\r\nWARC-Record-ID: <urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, kind + url)}>\r\n"
        f"Content-Length: {len(block)}\r\nContent-Type: {media}\r\nWARC-Target-URI: {url}\r\n{digest}\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n", compresslevel=1, mtime=0)


def _sha1(content: bytes) -> str:
    return base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


def _index_row(page: dict[str, Any], path: str, offset: int, length: int) -> dict[str, Any]:
    host, _, rest = page["url"].removeprefix("https://").partition("/")
    labels = host.split(".")
    html = page["mime"] == "text/html"
    return {
        "url_surtkey": f"{','.join(reversed(host.removeprefix('www.').split('.')))})/{rest}",
        "url": page["url"],
        "url_host_name": host,
        "url_host_tld": labels[-1],
        "url_host_2nd_last_part": labels[-2],
        "url_host_3rd_last_part": labels[-3],
        "url_host_registry_suffix": labels[-1],
        "url_host_registered_domain": ".".join(labels[-2:]),
        "url_host_private_suffix": labels[-1],
        "url_host_private_domain": ".".join(labels[-2:]),
        "url_host_name_reversed": ".".join(reversed(labels)),
        "url_protocol": "https",
        "url_path": f"/{rest}",
        "fetch_time": page["fetched"],
        "fetch_status": 200,
        "content_digest": _sha1(page["body"]),
        "content_mime_type": page["mime"],
        "content_mime_detected": page["mime"],
        "content_charset": "UTF-8" if html else None,
        "content_languages": page["languages"] if html else None,
        "content_truncated": page["truncated"],
        "warc_filename": path,
        "warc_record_offset": offset,
        "warc_record_length": length,
        "warc_segment": SEGMENT.rsplit("/", maxsplit=1)[-1],
    }


def _write_index(root: Path, rows: list[dict[str, Any]], subset: str, files: int, row_group: int) -> list[str]:
    rows.sort(key=lambda row: (row["url_surtkey"], row["fetch_time"]))
    size = -(-len(rows) // files)
    paths = []
    for number in range(files):
        path = f"cc-index/table/cc-main/warc/crawl={NAME}/subset={subset}/part-{number:05d}.c000.zstd.parquet"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows[number * size : (number + 1) * size], schema=_SCHEMA)
        pq.write_table(table, root / path, row_group_size=row_group, compression="zstd", compression_level=19)
        paths.append(path)
    return paths
