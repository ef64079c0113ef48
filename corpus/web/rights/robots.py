"""What a host says to crawlers for AI: its robots.txt, as far as it names them, and its ``tdmrep.json``.

One row for each host keeps the evidence; from the row alone follows what is said of any of its URLs. Lines are read as RFC
9309 has it (groups, merging, product tokens, line ends, size limit); matching a URL is protego's (longest match, ``*`` and
``$``, percent-encoding). The crawl rules of the ``*`` group are not kept: they speak to crawlers at large, search engines
first, and say nothing of training; Common Crawl obeyed them where it fetched a page at all.

Usage lines (``Content-Signal``, ``Content-Usage``) do speak of training, and hold for the group they stand in: one in the
``*`` group, or before any group, decides for all; one in the group of a crawler for AI adds that crawler; those of other
crawlers' groups are not kept. Where lines of one group contradict each other on a path, the refusal counts, since these
preferences combine to the most restrictive one (draft-ietf-aipref-vocab).
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

import pyarrow as pa

from corpus.web.rights.ai_crawlers import ai_crawlers
from corpus.web.warc.reading import Response
from foundation.store import TableSpec

if TYPE_CHECKING:
    from protego import Protego

ROBOTS_PATH = "/robots.txt"
TDMREP_PATH = "/.well-known/tdmrep.json"
MAX_BYTES = 500 * 1024
"""RFC 9309, section 2.5: at least 500 KiB must be parsed; the rest of a longer file is not read."""
MAX_TDM_RULES = 1_000
USAGE_SIGNAL = "ai-train"
"""Stands among the crawlers for a usage line that reserves training; see ai_crawlers.yaml. ``ai-train:GPTBot`` is a group of
the compact rules that holds the usage lines of that crawler's own group, apart from its crawl rules."""

TDM_RULES = pa.list_(pa.struct([("location", pa.string()), ("reservation", pa.bool_()), ("policy", pa.string())]))
ROBOTS = TableSpec(
    "robots",
    pa.schema(
        [
            ("host", pa.string()),
            ("fetch_time", pa.timestamp("us", tz="UTC")),
            ("warc_path", pa.string()),
            ("warc_offset", pa.int64()),
            ("agents", pa.list_(pa.string())),
            ("rules", pa.string()),
            ("tdm_fetch_time", pa.timestamp("us", tz="UTC")),
            ("tdm_warc_path", pa.string()),
            ("tdm_warc_offset", pa.int64()),
            ("tdm_rules", TDM_RULES),
        ]
    ),
    key=("host",),
    description="Hosts (scheme and authority) whose robots.txt names crawlers for AI or reserves training, or that have a "
    "tdmrep.json: the latest capture of each. `rules` is a robots.txt of those groups alone; `tdm_rules` are in file order, "
    "where the first match counts.",
)

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_AGENT_FIELDS = {"user-agent", "useragent", "user agent"}
_DISALLOW_FIELDS = {"disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"}
"""Spellings that Google's parser (google/robotstxt, robots.cc) and protego take for the same."""
_USAGE_FIELDS = {"content-signal", "content-usage"}
_USAGE = re.compile(r"(?:^|[,;\s])(?:ai-train\s*=\s*(no|yes)|train-ai\s*=\s*([ny]))(?=$|[,;\s])", re.IGNORECASE)
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F))).replace("#", "")
"""Without ``#``, which begins a comment in a robots.txt, and a fragment, which is never asked for, in an address."""
_ROUND_NAMES = " \t\"'`:;\u2018\u2019\u201c\u201d"
_ORIGIN = re.compile(r"https?://[^/?#]*+", re.IGNORECASE)

Rule = tuple[str, str]
"""``Allow`` or ``Disallow``, and the path pattern."""


class HostRights(NamedTuple):
    """What a host says of one URL; null where its ``tdmrep.json`` says nothing of it."""

    disallowed_agents: list[str]
    tdm_reservation: bool | None
    tdm_policy: str | None


NOTHING_SAID = HostRights([], None, None)


def robots_row(record: Response, warc_path: str) -> dict[str, Any] | None:
    """The row of a capture of robots.txt or ``tdmrep.json``; None for other captures and those that say nothing here.

    Only status 200 is evidence. A redirect is not followed: where it leads has its own capture, for its own host.
    """
    if record.status != 200 or not (host := host_key(record.url)):
        return None
    row = dict.fromkeys(ROBOTS.schema.names) | {"host": host, "agents": [], "tdm_rules": []}
    place = (record.fetched_at, warc_path, record.offset)
    path = urlsplit(record.url).path
    if path == ROBOTS_PATH:
        groups = ai_groups(record.payload)
        row |= dict(zip(("fetch_time", "warc_path", "warc_offset"), place, strict=True))
        return row | {"agents": sorted(set(map(_crawler, groups))), "rules": compact(groups)} if groups else None
    if path == TDMREP_PATH:
        rules = tdm_rules(record.payload, host)
        row |= dict(zip(("tdm_fetch_time", "tdm_warc_path", "tdm_warc_offset"), place, strict=True))
        return row | {"tdm_rules": rules} if rules else None
    return None


def latest_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each host, by host: its latest robots.txt and its latest ``tdmrep.json``; ties by WARC path and offset.

    A later capture that names no crawler for AI gives no row, and so lifts no earlier reservation of the same snapshot.
    """
    parts = (("fetch_time", "warc_path", "warc_offset", "agents", "rules"), ("tdm_fetch_time", "tdm_warc_path", "tdm_warc_offset", "tdm_rules"))
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        known = found.setdefault(row["host"], dict.fromkeys(ROBOTS.schema.names) | {"host": row["host"], "agents": [], "tdm_rules": []})
        for names in parts:
            if row[names[1]] is not None and (known[names[1]] is None or _age(row, names) > _age(known, names)):
                known.update({name: row[name] for name in names})
    return [found[host] for host in sorted(found)]


def _age(row: Mapping[str, Any], names: tuple[str, ...]) -> tuple[datetime.datetime, str, int]:
    never = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    return row[names[0]] or never, row[names[1]], row[names[2]]


def host_key(url: str) -> str:
    """Scheme and authority in lower case, without a default port: what one robots.txt speaks for; empty for other URLs."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not name:
        return ""
    name = f"[{name}]" if ":" in name else name.rstrip(".")
    return f"{parts.scheme}://{name}" + (f":{port}" if port not in (None, 80 if parts.scheme == "http" else 443) else "")


def ai_groups(payload: bytes) -> dict[str, set[Rule]]:
    """The rules of each AI crawler that a robots.txt names, by token; those of several groups together (RFC 9309, 2.2.1).

    Usage lines stand under ``USAGE_SIGNAL`` where they are for all, under ``ai-train:TOKEN`` where they are for one crawler.
    """
    text = payload[:MAX_BYTES].decode("utf-8", errors="surrogateescape")
    if len(payload) > MAX_BYTES:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]  # a cut rule would say something else
    groups: dict[str, set[Rule]] = {}
    current: set[str] = set()
    addressed = {USAGE_SIGNAL}  # whom a usage line is for; for those who know such lines, they are rules and end the agents
    in_rules, used = False, True
    for name, value in _fields(text.removeprefix("\ufeff")):
        if name in _AGENT_FIELDS:
            current, in_rules = (set() if in_rules else current), False
            addressed, used = (set() if used else addressed), False
            for token in _tokens_of(value):
                if token == "*":
                    addressed.add(USAGE_SIGNAL)
                    continue
                current.add(token)
                addressed.add(f"{USAGE_SIGNAL}:{token}")
                groups.setdefault(token, set())
        elif name == "allow" or name in _DISALLOW_FIELDS:
            in_rules = used = True  # other records end no group (RFC 9309, 2.2.4)
            rule = ("Allow" if name == "allow" else "Disallow", _quoted(value))
            for token in current if value else ():
                groups[token].add(rule)
        elif name in _USAGE_FIELDS:
            used = True
            for key, rule in itertools.product(addressed, _usage_rules(value)):
                groups.setdefault(key, set()).add(rule)
    return {key: _restrictive(rules) if key.startswith(USAGE_SIGNAL) else rules for key, rules in groups.items()}


def _restrictive(rules: set[Rule]) -> set[Rule]:
    """Rules without those that allow a path which another one refuses."""
    return {(verb, path) for verb, path in rules if verb == "Disallow" or ("Disallow", path) not in rules}


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in _LINE_ENDS.split(text):
        name, colon, value = line.partition("#")[0].partition(":")
        if colon:
            yield name.strip().lower(), value.strip()


@lru_cache(maxsize=4_096)
def _tokens_of(value: str) -> tuple[str, ...]:
    """The AI crawlers that a ``User-agent`` value names, and ``*``: product tokens before any version, without case.

    One name is what RFC 9309 allows; several with commas between, quotes round a name and a colon behind it are slips whose
    meaning is plain.
    """
    known = ai_crawlers()
    tokens = []
    for part in value.lower().split(","):
        named = part.strip(_ROUND_NAMES)
        if named == "*":
            tokens.append(named)
            continue
        named = named.replace("*", "").strip(_ROUND_NAMES)
        crawler = known.get(named) or known.get(re.split(r"[/\s;:(\"']", named, maxsplit=1)[0])
        if crawler and crawler.token != USAGE_SIGNAL:
            tokens.append(crawler.token)
    return tuple(tokens)


def _crawler(key: str) -> str:
    """The crawler that a group of the compact rules is of."""
    return key.removeprefix(f"{USAGE_SIGNAL}:")


def _usage_rules(value: str) -> Iterator[Rule]:
    """``Content-Signal: ai-train=no`` or ``Content-Usage: [path] train-ai=n`` as a rule for its path."""
    path = value.split(maxsplit=1)[0] if value.startswith("/") else "/"
    for content_signal, content_usage in _USAGE.findall(value):
        refused = (content_signal or content_usage).lower() in ("no", "n")
        yield "Disallow" if refused else "Allow", _quoted(path)


def _quoted(value: str) -> str:
    """A path in ASCII: other bytes percent-encoded as they stand."""
    return quote(value.encode("utf-8", errors="surrogateescape"), safe=_PRINTABLE)


def compact(groups: Mapping[str, set[Rule]]) -> str:
    """A robots.txt of these groups: tokens of equal rules together, all in canonical order."""
    tokens: dict[tuple[Rule, ...], list[str]] = {}
    for token in sorted(groups):
        tokens.setdefault(tuple(sorted(groups[token])), []).append(token)
    blocks = []
    for rules, names in tokens.items():
        lines = [f"User-agent: {name}" for name in names]
        lines += [f"{verb}: {path}" for verb, path in rules] or ["Disallow:"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def disallowed_agents(rules: str, url: str) -> list[str]:
    """Tokens whose own rules or usage lines keep them from a URL, sorted; ``rules`` is a row's compact text."""
    parsed, groups = _parsed(rules)
    return sorted({_crawler(token) for tokens in groups if not parsed.can_fetch(url, tokens[0]) for token in tokens})


@lru_cache(maxsize=4_096)
def _parsed(rules: str) -> tuple[Protego, list[list[str]]]:
    from protego import Protego

    tokens = [
        [line.partition(":")[2].strip() for line in block.split("\n") if line.startswith("User-agent:")]
        for block in rules.split("\n\n")
    ]
    return Protego.parse(rules), [names for names in tokens if names]


def tdm_rules(payload: bytes, host: str) -> list[dict[str, Any]]:
    """The valid rules of a ``tdmrep.json``, in file order; others are protocol errors and count as unset.

    An absolute location counts where it is of this host, by whichever of http and https; others say nothing here.

    Source: TDM Reservation Protocol, final community group report of 10 May 2024, section on the file at the origin.
    """
    try:
        found = json.loads(payload[:MAX_BYTES].removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return []
    rules = []
    for entry in found if isinstance(found, list) else [found]:  # the brackets are mandatory, and forgotten
        if not isinstance(entry, dict):
            continue
        location, reservation, policy = (entry.get(name) for name in ("location", "tdm-reservation", "tdm-policy"))
        if isinstance(location, str) and location.strip() and str(reservation) in ("0", "1", "False", "True"):
            location = location.strip()
            if origin := _ORIGIN.match(location):
                if host_key(origin[0]).partition("://")[2] != host.partition("://")[2]:
                    continue
                location = location[origin.end() :]
            path = location if location.startswith(("/", "*")) else f"/{location}"
            policy = policy.strip()[:200] if isinstance(policy, str) and policy.strip() else None
            rules.append({"location": _quoted(path), "reservation": str(reservation) in ("1", "True"), "policy": policy})
    return rules[:MAX_TDM_RULES]


def tdm_of(rules: Iterable[Mapping[str, Any]], url: str) -> tuple[bool | None, str | None]:
    """Reservation and policy of the first rule that matches a URL; a policy counts with a reservation alone."""
    for rule in rules:
        parsed, _ = _parsed(f"User-agent: *\nDisallow: {rule['location']}\n")
        if not parsed.can_fetch(url, "*"):
            return rule["reservation"], rule["policy"] if rule["reservation"] else None
    return None, None


class RobotsTable:
    """Rows by host, to ask what is said of a URL."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._hosts = {row["host"]: (row["rules"], row["tdm_rules"] or []) for row in latest_rows(rows)}

    def __len__(self) -> int:
        return len(self._hosts)

    def of(self, url: str) -> HostRights:
        """What the URL's host says of it."""
        rules, reservations = self._hosts.get(host_key(url), (None, ()))
        if not rules and not reservations:
            return NOTHING_SAID
        return HostRights(disallowed_agents(rules, url) if rules else [], *tdm_of(reservations, url))


def reserved(stated: bool | None, policy: str | None, host: HostRights) -> tuple[bool, str | None]:
    """A page's reservation and policy: what it says itself, else what its host says (the protocol's processing priority)."""
    if stated is not None:
        return stated, policy if stated else None
    return host.tdm_reservation is True, host.tdm_policy
