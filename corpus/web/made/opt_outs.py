"""What the hosts of a made crawl say to crawlers: a robots.txt each, and a few opt-outs, as crawls have them."""

from __future__ import annotations

import datetime
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from corpus.web.rights.robots import ROBOTS_PATH, TDMREP_PATH, host_key
from corpus.web.warc.writing import Capture

HOSTS_PER_LANGUAGE = 3
SILENT_SHARE = 0.2
"""Share of hosts without opt-out that have no robots.txt; the answer to the request for it is captured all the same."""
AGENTS = ("CCBot", "GPTBot")
_PLAIN = "User-agent: *\nDisallow: /cgi-bin/\n"
_NOT_FOUND = b"<html><body><h1>404</h1></body></html>"

Chance = Callable[[str, str], float]
"""A number in [0, 1) for a purpose and a subject, as ``sample.Draw.of`` draws it."""


@dataclass(frozen=True, slots=True)
class OptOut:
    """One host's refusal for the paths below a prefix, by robots.txt or by ``tdmrep.json``."""

    prefix: str
    pages: int
    by_tdmrep: bool


def opt_outs(captures: Sequence[Capture], share: float, chance: Chance) -> dict[str, OptOut]:
    """Refusals by host, such that at most ``share`` of the pages of each language are opted out.

    Up to three hosts of a language refuse, for the broadest path that a third of that many pages allows; where more than
    one does, the first says it by ``tdmrep.json``. Hosts of several languages never refuse.
    """
    paths: dict[str, list[str]] = defaultdict(list)
    languages: dict[str, set[str]] = defaultdict(set)
    pages: Counter[str] = Counter()
    for capture in captures:
        host = host_key(capture.url)
        languages[host].add(capture.language)
        if capture.status == 200:
            paths[host].append(capture.url.removeprefix(host))
            pages[capture.language] += 1
    found: dict[str, OptOut] = {}
    for language in sorted(pages):
        left = int(share * pages[language])
        most = max(1, left // HOSTS_PER_LANGUAGE)
        chosen: list[tuple[str, str, int]] = []
        hosts = [host for host in paths if languages[host] == {language}]
        for host in sorted(hosts, key=lambda host: chance("opt out", host)):
            if left and len(chosen) < HOSTS_PER_LANGUAGE and (best := _broadest(paths[host], min(most, left))):
                chosen.append((host, *best))
                left -= best[1]
        for number, (host, prefix, count) in enumerate(chosen):
            found[host] = OptOut(prefix, count, by_tdmrep=number == 0 and len(chosen) > 1)
    return found


def _broadest(paths: Sequence[str], most: int) -> tuple[str, int] | None:
    """The folder of most pages, at most ``most`` (of equal ones the outermost); a page where no folder is that small."""
    counts: Counter[str] = Counter()
    for path in paths:
        parts = path.split("/")
        counts.update({"/".join(parts[:depth]) + "/" for depth in range(1, len(parts))})
    if min(counts.values(), default=0) > most:
        counts = Counter({path: sum(other.startswith(path) for other in paths) for path in paths})
    fitting = [(-count, len(prefix), prefix) for prefix, count in counts.items() if count <= most and not set(prefix) & set("*$#")]
    if not fitting:
        return None
    count, _, prefix = min(fitting)
    return prefix, -count


def host_captures(captures: Sequence[Capture], refusals: Mapping[str, OptOut], at: datetime.datetime, chance: Chance) -> list[Capture]:
    """Captures of the robots.txt of every host, by host, and of the ``tdmrep.json`` of those that have one."""
    found = []
    for host in sorted({host_key(capture.url) for capture in captures}):
        refusal = refusals.get(host)
        if refusal and refusal.by_tdmrep:
            rules = [{"location": refusal.prefix, "tdm-reservation": 1, "tdm-policy": f"{host}/tdm-policy.json"}]
            body = json.dumps(rules).encode()
            found.append(Capture(f"{host}{TDMREP_PATH}", at, body, "", content_type="application/json", kind="tdmrep"))
        text = _PLAIN
        if refusal and not refusal.by_tdmrep:
            text += "\n" + "".join(f"User-agent: {agent}\n" for agent in AGENTS) + f"Disallow: {refusal.prefix}\n"
        elif chance("robots", host) < SILENT_SHARE:
            found.append(Capture(f"{host}{ROBOTS_PATH}", at, _NOT_FOUND, "", status=404, kind="robots"))
            continue
        found.append(Capture(f"{host}{ROBOTS_PATH}", at, text.encode(), "", content_type="text/plain; charset=utf-8", kind="robots"))
    return found
