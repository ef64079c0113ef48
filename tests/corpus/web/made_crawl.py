"""A crawl in Common Crawl's layout, of the bundled pages: WARC files, robots.txt captures, index, path lists."""

from __future__ import annotations

import datetime
import gzip
import uuid
from pathlib import Path

from corpus.web.made.bundled import html_of, load_pages
from corpus.web.warc.writing import Capture, write_index, write_path_list, write_warc
from foundation.sources.data import SAMPLES_ROOT

CRAWL = "CC-MAIN-2026-05"
AT = datetime.datetime(2026, 2, 3, 12, tzinfo=datetime.UTC)
OPTED_OUT = "https://www.sentieri-alti.example"


def write_crawl(root: Path, warc_files: int = 3) -> Path:
    """Write the crawl below ``root``; one host's robots.txt shuts out CCBot."""
    pages = load_pages(SAMPLES_ROOT / "web" / "pages.yaml", "crawl")
    captures = [Capture(page.url, AT + datetime.timedelta(seconds=place), html_of(page), page.language, "CC0-1.0") for place, page in enumerate(pages)]
    captures.append(captures[0])  # an exact copy
    segment = f"crawl-data/{CRAWL}/segments/1700000000.00"
    size = -(-len(captures) // warc_files)
    warcs = [
        write_warc(captures[place : place + size], root, f"{segment}/warc/{CRAWL}-{number:05d}.warc.gz")
        for number, place in enumerate(range(0, len(captures), size))
    ]
    rules = b"User-agent: CCBot\nDisallow: /\n"
    robots = write_warc(
        [Capture(f"{OPTED_OUT}/robots.txt", AT, rules, "", content_type="text/plain")], root, f"{segment}/robotstxt/{CRAWL}-00000.warc.gz"
    )
    tables = [write_index(warcs, root, CRAWL), write_index([robots], root, CRAWL, subset="robotstxt")]
    write_path_list([warc.path for warc in warcs], root, CRAWL, "warc")
    write_path_list([robots.path], root, CRAWL, "robotstxt")
    write_path_list([path.relative_to(root).as_posix() for path in tables], root, CRAWL, "cc-index-table")
    return root


def write_wet(root: Path) -> None:
    """Write the crawl's text as Common Crawl extracts it: one WET file of ``conversion`` records, and its path list."""
    relative = f"crawl-data/{CRAWL}/segments/1700000000.00/wet/{CRAWL}-00000.warc.wet.gz"
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    members = []
    for page in load_pages(SAMPLES_ROOT / "web" / "pages.yaml", "crawl"):
        text = "\n".join((page.title, *page.paragraphs)).encode()
        head = (
            f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: {page.url}\r\nWARC-Date: 2026-02-03T12:00:00Z\r\n"
            f"WARC-Record-ID: <urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, page.url)}>\r\nWARC-Identified-Content-Language: {page.language}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        members.append(gzip.compress(head.encode() + text + b"\r\n\r\n", mtime=0))
    path.write_bytes(b"".join(members))
    write_path_list([relative], root, CRAWL, "wet")
