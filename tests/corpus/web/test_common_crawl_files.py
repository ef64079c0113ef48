"""Genuine files: Common Crawl's WARC, WET and WAT, and one of wget. What fastwarc reads of the sound ones is the measure."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from corpus.web.decoding import decode
from corpus.web.warc.members import MAGIC
from corpus.web.warc.reading import Damage, OtherRecord, PlainText, Record, Response, read_buffer, read_records

FILES = {
    "cc-main-2020-34_resiliparse.warc.gz": {"response": 16, "request": 17, "metadata": 16, "warcinfo": 1},
    "cc_jwarc.warc.gz": {"response": 1},
    "wget_dolma-0000.warc.gz": {"response": 22},
    "whirlwind.warc.gz": {"response": 1, "request": 1, "metadata": 1, "warcinfo": 1},
    "whirlwind.warc.wet.gz": {"conversion": 1, "warcinfo": 1},
    "whirlwind.warc.wat.gz": {"metadata": 1, "warcinfo": 1},
}


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "web" / "common-crawl"


def kind_of(record: Record) -> str:
    return record.kind if isinstance(record, OtherRecord) else {Response: "response", PlainText: "conversion"}[type(record)]


@pytest.mark.parametrize("name", FILES)
def test_all_records_are_read(name: str, folder: Path) -> None:
    from fastwarc.warc import ArchiveIterator

    records = list(read_records(folder / name))
    assert not any(isinstance(record, Damage) for record in records)
    theirs = [
        (record.stream_pos, str(record.record_type).rsplit(".", maxsplit=1)[-1]) for record in ArchiveIterator(str(folder / name), parse_http=False)
    ]
    assert [(record.offset, kind_of(record)) for record in records] == theirs
    counts = {kind: sum(kind_of(record) == kind for record in records) for kind in FILES[name]}
    assert counts == FILES[name]
    ends = [record.offset + record.length for record in records]
    assert ends[:-1] == [record.offset for record in records][1:] and ends[-1] == (folder / name).stat().st_size


@pytest.mark.parametrize("name", [name for name in FILES if "response" in FILES[name]])
def test_responses_are_what_fastwarc_reads(name: str, folder: Path) -> None:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    ours = [record for record in read_records(folder / name) if isinstance(record, Response)]
    theirs = ArchiveIterator(str(folder / name), record_types=WarcRecordType.response, auto_decode="all")
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.payload == other.reader.read()
        assert mine.url == (other.headers.get("WARC-Target-URI") or "").strip("<>") and mine.url.startswith("http")
        assert mine.fetched_at == other.record_date
        assert mine.status == other.http_headers.status_code
        assert mine.content_type == (other.http_content_type or "").lower()
        assert mine.record_id == other.record_id.removeprefix("<urn:uuid:").removesuffix(">")
        assert set(mine.headers) == {key.lower() for key, _ in other.http_headers.to_tuples()}
        assert decode(mine.payload, mine.http_charset).undecodable_share < 0.01 or not mine.content_type.startswith("text")


@pytest.mark.parametrize("name", FILES)
def test_a_range_gives_the_same_record(name: str, folder: Path) -> None:
    content = (folder / name).read_bytes()
    for record in read_records(folder / name):
        piece = memoryview(content)[record.offset : record.offset + record.length]
        assert list(read_buffer(piece, record.offset)) == [record]


@pytest.mark.parametrize("name", FILES)
def test_plain_and_single_member_forms_hold_the_same(name: str, folder: Path, tmp_path: Path) -> None:
    content = gzip.decompress((folder / name).read_bytes())
    (tmp_path / "a.warc").write_bytes(content)
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(content))

    def held(path: Path) -> list[object]:
        return [
            (record.url, record.payload) if isinstance(record, Response) else record.text if isinstance(record, PlainText) else kind_of(record)
            for record in read_records(path)
        ]

    assert held(tmp_path / "a.warc") == held(tmp_path / "a.warc.gz") == held(folder / name)


def test_a_wet_record(folder: Path) -> None:
    (text,) = [record for record in read_records(folder / "whirlwind.warc.wet.gz") if isinstance(record, PlainText)]
    assert text.url == "https://an.wikipedia.org/wiki/Escopete" and text.languages == "spa"
    assert text.record_id == "ba729a40-ff84-4085-8d48-0a5b2ee0c42d" and text.payload_digest == "sha1:RDTSR52RUHWDA7QK4BK7OUHU3EXTXYUL"
    assert text.fetched_at is not None and text.fetched_at.isoformat() == "2024-05-18T01:58:10+00:00"
    assert text.text.startswith("Escopete - Biquipedia") and "Menú principal" in text.text and len(text.text.encode()) == 4456


def test_the_page_that_the_text_is_of(folder: Path) -> None:
    (page,) = [record for record in read_records(folder / "whirlwind.warc.gz") if isinstance(record, Response)]
    assert page.content_type == "text/html" and page.truncated is None and page.http_charset == "utf-8"
    assert page.payload_digest == "sha1:RY7PLBUFQNI2FFV5FTUQK72W6SNPXLQU"


@pytest.mark.parametrize("name", ["cc-main-2020-34_resiliparse.warc.gz", "wget_dolma-0000.warc.gz"])
def test_damage_to_genuine_files_costs_what_it_touches(name: str, folder: Path) -> None:
    content = (folder / name).read_bytes()
    whole = [record for record in read_buffer(content) if isinstance(record, Response)]
    for place in range(0, len(content) - 200, len(content) // 23):
        damaged = content[:place] + bytes(200) + content[place + 200 :]
        records = list(read_buffer(damaged))
        untouched = [record for record in whole if record.offset >= place + 200 or record.offset + record.length <= place]
        assert [record for record in records if isinstance(record, Response)] == untouched
        lost = [record for record in records if isinstance(record, Damage)]
        assert lost and sum(record.records for record in lost) >= len(whole) - len(untouched)
        assert all(record.reason == "damaged_member" for record in lost)


def test_cut_genuine_files_end_with_one_lost_record(folder: Path) -> None:
    content = (folder / "cc-main-2020-34_resiliparse.warc.gz").read_bytes()
    whole = list(read_buffer(content))
    for end in range(len(content) // 2, len(content), 4001):
        records = list(read_buffer(content[:end]))
        sound = [record for record in whole if record.offset + record.length <= end]
        assert records[: len(sound)] == sound
        assert [record.reason for record in records[len(sound) :] if isinstance(record, Damage)] == ["truncated_record"][: len(records) - len(sound)]
        assert len(records) == len(sound) + (sum(record.length for record in sound) < end)


def test_rubbish_between_genuine_members_costs_nothing(folder: Path) -> None:
    content = (folder / "cc-main-2020-34_resiliparse.warc.gz").read_bytes()
    whole = list(read_buffer(content))
    rubbish = [b"<html>502 Bad Gateway</html>", bytes(512), b"\r\n", MAGIC + b"\x00" * 40]
    parts = []
    for number, record in enumerate(whole):
        parts += [content[record.offset : record.offset + record.length], rubbish[number % len(rubbish)]]
    found = list(read_buffer(b"".join(parts)))
    pages = [record.payload for record in whole if isinstance(record, Response)]
    assert [record.payload for record in found if isinstance(record, Response)] == pages
    assert sum(isinstance(record, Damage) for record in found) == len(whole)
