"""The selection: which records of a crawl are fetched, by its columnar index; a published table.

One shard is one index file: its matching rows go into sorted runs, and all runs are merged range by range of the key.
No step holds more than a fixed number of rows, or one name for each WARC file or host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.web.crawl.index_reading import Condition, IndexFile
from corpus.web.crawl.layout import Subset, draw
from corpus.web.crawl.selection_runs import (
    RUN_ROWS,
    SELECTION,
    SortedRuns,
    counts_of,
    merged_parts,
    run_files,
    write_counts,
)
from corpus.web.domains import registered_domain
from corpus.web.errors import WebCorpusError
from corpus.web.settings import SelectionSettings
from foundation.sources.locations import AccessSettings, Location
from foundation.store.erased import NOTHING_ERASED, ErasedAddresses

__all__ = ["SELECTION", "SelectionRun", "counts_of", "merged_parts", "origins", "page_conditions", "read_domains",
           "select_part", "select_robots", "write_hosts"]  # fmt: skip

_SURT_END = ";"  # the character after ":", the last of those that may follow a host in a SURT key: ")" "," ":"


@dataclass(frozen=True)
class SelectionRun:
    """What a shard of selection needs besides the path of its index file; picklable.

    ``sharers``: processes among which ``access.requests_per_second`` is divided. ``erased``: addresses that are left out.
    """

    location_url: str
    access: AccessSettings
    sharers: int
    crawl: str
    settings: SelectionSettings
    erased: ErasedAddresses = NOTHING_ERASED

    def location(self) -> Location:
        """The place that the crawl is read from."""
        return Location(self.location_url, self.access, self.sharers)


def select_part(index_path: str, output: Path, run: SelectionRun) -> None:
    """Select pages by one index file, into the folder ``output``: sorted ``rows-*.parquet`` and ``counts.json``.

    Counts: rows and row groups read and passed over; ``matched`` rows, of them ``not_drawn`` and ``repeated``;
    ``selected`` rows and their bytes; under ``traffic`` what the network did, which is not the same in every run.

    Raises:
        WebCorpusError: the settings select nothing, or the crawl's index has no languages.
    """
    conditions, bounds = page_conditions(run.settings)
    location = run.location()
    runs = SortedRuns(output)
    not_drawn = 0
    with IndexFile(location, index_path, "warc") as index:
        conditions = _present(conditions, index, run.crawl)
        for table in index.matches(conditions, bounds):
            drawn = _drawn(table, run.settings.share)
            not_drawn += table.num_rows - drawn.num_rows
            runs.add(_not_erased(drawn, run.erased))
    runs.close()
    lacking = [] if "content_truncated" in index.columns or run.settings.truncated else ["content_truncated"]
    index.counts.columns_lacking = lacking
    _write_counts(output, "warc", index, {"not_drawn": not_drawn, **runs.counts()}, location)


def select_robots(index_path: str, output: Path, run: SelectionRun, hosts_file: Path) -> None:
    """Select the robots.txt captures of the selected pages' hosts by one index file of the subset ``robotstxt``; results as ``select_part``.

    All captures of a host: which of them counts is decided where they are read, alike for index and scan.

    Args:
        hosts_file: written by ``write_hosts``.
    """
    hosts = pq.read_table(hosts_file).column("host").combine_chunks()
    conditions = (
        Condition("fetch_status", lambda status: pc.equal(status, 200), ((200, 200),)),
        Condition("url", lambda urls: pc.and_(_is_robots(urls), pc.is_in(origins(urls), value_set=hosts))),
    )
    location = run.location()
    runs = SortedRuns(output)
    with IndexFile(location, index_path, "robotstxt") as index:
        for table in index.matches(conditions):
            runs.add(_not_erased(table, run.erased))
    runs.close()
    _write_counts(output, "robotstxt", index, runs.counts(), location)


def page_conditions(settings: SelectionSettings) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """What the index's columns must be for a page to be selected, and bounds that only row groups are held against.

    Raises:
        WebCorpusError: no language, a code that is none of ISO 639-3, or an unusable list of domains.
    """
    codes = settings.languages
    wrong = [code for code in codes if not re.fullmatch(r"[a-z]{3}", code)]
    if not codes or wrong:
        raise WebCorpusError(
            f"corpus.web.snapshot.selection.languages: {wrong or 'no language'}; name codes of ISO 639-3 in lower case, as the "
            "columnar index has them in content_languages"
        )
    either = "|".join(codes)
    pattern = f"^({either})(,|$)" if settings.primary_language else f"(^|,)({either})(,|$)"
    # A primary language begins the value: "xxx" or "xxx,…"; "-" is the character after ",".
    spans = tuple((code, f"{code}-") for code in codes) if settings.primary_language else None
    mimes = pa.array(settings.mime_types, pa.string())
    conditions = [
        Condition("content_languages", lambda values: pc.match_substring_regex(values, pattern), spans),
        Condition("fetch_status", lambda values: pc.equal(values, 200), ((200, 200),)),
        Condition("content_mime_detected", lambda values: pc.is_in(values, value_set=mimes), tuple((mime, mime) for mime in settings.mime_types)),
    ]
    if not settings.truncated:
        conditions.append(Condition("content_truncated", lambda values: pc.equal(values, ""), null_passes=True))
    domains, bounds = _domain_conditions(settings)
    return (*conditions, *domains), bounds


def _domain_conditions(settings: SelectionSettings) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """Conditions of the lists of domains, and bounds on the address keys that row groups are sorted by."""
    column = "url_host_registered_domain"
    without = read_domains(settings.without_domains) if settings.without_domains else frozenset()
    if settings.only_domains is not None:
        only = read_domains(settings.only_domains) - without
        if not only:
            raise WebCorpusError(f"{settings.only_domains}: no domain is left of it; name one a line, and check selection.without_domains")
        names = pa.array(sorted(only), pa.string())
        keys = sorted(",".join(reversed(domain.split("."))) for domain in only)
        bound = Condition("url_surtkey", pc.is_valid, tuple((key, key + _SURT_END) for key in keys))
        return (Condition(column, lambda values: pc.is_in(values, value_set=names)),), (bound,)
    if without:
        others = pa.array(sorted(without), pa.string())
        return (Condition(column, lambda values: pc.invert(pc.is_in(values, value_set=others)), null_passes=True),), ()
    return (), ()


def read_domains(path: Path) -> frozenset[str]:
    """Registered domains of a file: one a line, ``#`` begins a comment; names as people write them or in punycode.

    Raises:
        WebCorpusError: a line is no registered domain.
    """
    domains = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        name = line.partition("#")[0].strip().lower().removesuffix(".")
        if not name:
            continue
        try:
            domain = name if name.isascii() else name.encode("idna").decode()
        except UnicodeError:
            domain = ""
        owner = registered_domain(f"http://{domain}/") if re.fullmatch(r"[a-z0-9._-]+", domain) else ""
        if owner != domain or not domain:
            hint = f"; its registered domain is {owner!r}" if owner else ""
            raise WebCorpusError(f"{path}, line {number}: {name!r} is no registered domain{hint}; name one a line, without scheme or path")
        domains.add(domain)
    return frozenset(domains)


def origins(urls: pa.Array) -> pa.Array:
    """Scheme and authority of URLs, lower case, without user and default port; null where there are none (``robots.host_key``
    for whole columns).

    This is what a robots.txt speaks for (RFC 9309, section 2.3: scheme, host and port).
    """
    if pa.types.is_dictionary(urls.type):
        urls = urls.cast(urls.type.value_type)
    found = pc.extract_regex(urls, r"^(?P<scheme>[hH][tT][tT][pP][sS]?)://(?:[^/?#@]*@)?(?P<host>[^/?#@]+)")
    scheme, host = pc.utf8_lower(pc.struct_field(found, "scheme")), pc.utf8_lower(pc.struct_field(found, "host"))
    origin = pc.replace_substring_regex(pc.binary_join_element_wise(scheme, host, "://"), r"\.+(:\d*)?$", r"\1")
    return pc.replace_substring_regex(origin, r"^(http://.*):(?:80)?$|^(https://.*):(?:443)?$", r"\1\2")


def write_hosts(outputs: Sequence[Path], path: Path) -> int:
    """Write the hosts of selected pages (``origins``), each once, sorted; returns their number.

    Memory holds each host's name once: some 100 MB for a million hosts.
    """
    hosts = pa.array([], pa.string())
    for file in run_files(outputs):
        for batch in pq.ParquetFile(file).iter_batches(RUN_ROWS, columns=["url"]):
            new = pc.unique(origins(batch.column("url"))).drop_null()
            hosts = pc.unique(pa.chunked_array([hosts, new.cast(pa.string())]))
    hosts = hosts.take(pc.sort_indices(hosts))
    part = path.with_name(f"{path.name}.part")
    pq.write_table(pa.table({"host": hosts}), part, compression="zstd")
    part.rename(path)
    return len(hosts)


def _present(conditions: Iterable[Condition], index: IndexFile, crawl: str) -> tuple[Condition, ...]:
    """The conditions whose columns the crawl's index has; of the others only truncation may be lacking."""
    present = []
    for condition in conditions:
        if condition.column in index.columns:
            present.append(condition)
        elif condition.column == "content_languages":
            raise WebCorpusError(
                f"{index.path}: the index of {crawl} has no content_languages (Common Crawl's have since CC-MAIN-2018-39), so that it "
                "cannot select a language; set corpus.web.snapshot.selection.way: scan"
            )
        elif condition.column != "content_truncated":
            raise WebCorpusError(f"{index.path}: the index of {crawl} has no column {condition.column}; set corpus.web.snapshot.selection.way: scan")
    return tuple(present)


def _drawn(table: pa.Table, share: float) -> pa.Table:
    """Rows whose address is drawn: the same address is drawn alike in every crawl."""
    if share >= 1:
        return table
    return table.filter(pa.array([draw(url) < share for url in table.column("url").to_pylist()], pa.bool_()))


def _not_erased(table: pa.Table, erased: ErasedAddresses) -> pa.Table:
    """Rows whose address was not erased; how many were is told nowhere, for the rows are those of others."""
    return table.filter(pa.array([not erased.holds(url) for url in table.column("url").to_pylist()], pa.bool_())) if erased else table


def _is_robots(urls: pa.Array) -> pa.Array:
    return pc.match_substring_regex(urls, r"^[^/]*://[^/?#]+/robots\.txt$")


def _write_counts(output: Path, subset: Subset, index: IndexFile, counts: dict[str, int], location: Location) -> None:
    traffic = asdict(location.traffic)
    write_counts(output, {"subset": subset, "index_path": index.path, **asdict(index.counts), **counts, "traffic": traffic})
