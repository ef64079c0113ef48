"""What a page says about its use: licence, text-and-data-mining reservation, refusal of machine learning.

Read from HTTP headers and HTML; recorded as columns. Whether a reservation drops a page is decided in decisions.py.
HTML is scanned, not parsed: tags are found one after the other as HTML's tokenizer finds them, comments and scripts are
passed over, and work is bounded on pages of any size and shape.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from corpus.web.rights.ai_crawlers import ai_crawlers, training_tokens

WINDOW_CHARACTERS = 100_000
"""Read at either end of a page: statements stand in the head and the foot. Shorter pages than two of these are read whole."""
MAX_ADDRESS = 200
MAX_JSON_CHARACTERS = 100_000
MAX_HEADER_CHARACTERS = 4_000

_TAG = r"(?:[^>\"'=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+|[\"'])*+>?"
"""To the end of a tag; a quote opens a value only after ``=``. Possessive throughout: no input makes it look back."""
_PASSED_OVER = r"(?P<comment>!--)|(?P<raw>script|style|textarea|title|template|xmp)(?=[\s/>])"
_META = re.compile(rf"<(?=[!mstx])(?:{_PASSED_OVER}|(?P<name>meta)(?=[\s/])(?P<tag>{_TAG}))", re.IGNORECASE)
_META_OR_LINK = re.compile(rf"<(?=[!almstx])(?:{_PASSED_OVER}|(?P<name>meta|link|a)(?=[\s/])(?P<tag>{_TAG}))", re.IGNORECASE)
_COMMENT_END = re.compile(r"--!?>")
_RAW_TAG = re.compile(_TAG)
_RAW_END = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in ("script", "style", "textarea", "title", "template", "xmp")
}
_LICENCE_WORDS = tuple(form for word in ("license", "creativecommons.org") for form in (word, word.upper(), word.capitalize()))
_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"']++[^\s>]*+)))?")
_MAYBE_FOOT = re.compile(rf"<(?:(?P<footer>footer)|div|section|td|table|p|ul)(?=[\s>])(?P<tag>{_TAG})", re.IGNORECASE)
_FOOT_WORDS = ("footer", "contentinfo")
_BLOCK_BEGIN = re.compile(r"<(?:footer|section|div|address|aside|center|dd|li|nav|p|td|th)(?:\s[^<>]*+)?>", re.IGNORECASE)
_ANCHOR_END = re.compile(r"</a\s*+>", re.IGNORECASE)
_BUTTON = re.compile(r"<img\s[^<>]*?(?:creativecommons\.org|licensebuttons\.net)/", re.IGNORECASE)
_AROUND = (500, 2_000)
"""Characters before and after an anchor that are looked at."""
_HEADER_LINK = re.compile(r"<([^<>]*+)>([^<]*+)")
_HEADER_LICENCE = re.compile(r";\s*+rel\s*+=\s*+(?:\"[^\"]*\blicense\b[^\"]*\"|license\b)", re.IGNORECASE)
_CREATIVE_COMMONS = re.compile(
    r"(?:https?:)?//(?:www\.|web\.)?creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)(?:/(\d\.\d))?(?:/(scotland|[a-z]{2,3})(?![a-z.]))?",
    re.IGNORECASE,
)
_SPDX = re.compile(r"(?:https?:)?//(?:www\.)?spdx\.org/licenses/([A-Za-z0-9.+-]+?)(?:\.html|\.json)?/?$")
_HTML_LANG = re.compile(r"<html\b[^<>]*?\blang\s*+=\s*+[\"']?([A-Za-z-]{2,20})", re.IGNORECASE)
_LICENCE_RELATIONS = {"license", "cc:license", "dct:license", "dcterms:license"}
_LICENCE_METAS = {"dc.rights", "dcterms.rights", "dc.rights.license", "dcterms.license", "dc.license", "license"}
_NOT_THE_PAGE = re.compile(r"Object$|^(?:Dataset|Photograph|Map|SoftwareApplication|SoftwareSourceCode|Product)$")
"""JSON-LD types whose licence is that of a part: pictures (ImageObject carries most licences found), media, data."""

REFUSALS = frozenset({"noai", "noml"})
"""Robots directives against learning from a page: ``noai`` (DeviantArt, November 2022) and ``noml`` (noml.info, Mojeek)."""
RECORDED_DIRECTIVES = REFUSALS | {"noimageai", "noarchive", "nocache", "nosnippet", "noindex", "none"}
"""Directives kept in ``directives``. Microsoft does not train on ``noarchive`` pages (Bing webmaster blog, September 2023), but
the directive is a decade older than such training and says nothing of it, so that it is recorded only; so are the others."""
_VALUED_DIRECTIVES = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
_AGENT = re.compile(r"[a-z][a-z0-9_.*-]*")
_ROBOT_NAME = re.compile(r"(?:bot|crawler|slurp|spider)(?:[-_][a-z]+)*$")
"""Names of ``meta`` elements that are a robot's, among those of all kinds: googlebot, googlebot-news, baiduspider …"""
_USAGE_REFUSED = re.compile(r"(?:^|[,;\s])(ai-train\s*=\s*no|train-ai\s*=\s*n)(?=$|[,;\s])", re.IGNORECASE)
"""Cloudflare's Content-Signal (contentsignals.org) and the IETF's Content-Usage (draft-ietf-aipref-attach)."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Licence as an SPDX id where it is known, else the address that the page links; and the page's reservations.

    Attributes:
        licence: null where the page states none, or states several, or one at a relative address without its own being known.
        tdm_reservation: rights are reserved by the TDM Reservation Protocol (final community group report of 10 May 2024,
            https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240510/): ``meta`` before header, as its section
            on processing priority has it.
        tdm_policy: address of the policy that comes with a reservation.
        noai: the page refuses learning: ``noai`` or ``noml`` for any robot, in header or ``meta``, ``noindex`` or ``none`` for a crawler that
            gathers training data by name, or a usage header without training.
        noimageai: the same for its images; says nothing of the text.
        directives: robots directives that bear on such use, ``agent:directive`` where they are for one robot; sorted.
        tdm_stated: what the page itself says; null where it says nothing, and its host's ``tdmrep.json`` decides.
    """

    licence: str | None
    tdm_reservation: bool
    noai: bool
    noimageai: bool = False
    tdm_policy: str | None = None
    directives: tuple[str, ...] = ()
    tdm_stated: bool | None = None


@dataclass
class _Page:
    """Statements found in a page, by kind, in page order."""

    metas: dict[str, list[str]] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)
    plain: list[tuple[int, int, str]] = field(default_factory=list)
    structured: list[str] = field(default_factory=list)


def rights_of(html: str, headers: Mapping[str, str], url: str = "") -> Rights:
    """Rights of a page.

    Args:
        html: the page.
        headers: by lower-case name; values of a repeated one joined by commas, of X-Robots-Tag by line ends.
        url: its address, which relative ones of licences are resolved by (``<base>`` is not read).
    """
    windows = _windows(html)
    page = _Page()
    for window in windows:
        _scan(window, page)
    stated = _reservation(page.metas.get("tdm-reservation", ()))
    if stated is None:
        stated = _reservation(headers.get("tdm-reservation", "")[:MAX_HEADER_CHARACTERS].split(","))
    policies = (*page.metas.get("tdm-policy", ()), headers.get("tdm-policy", ""))
    policy = next((text.strip()[:MAX_ADDRESS] for text in policies if text.strip()), None)
    directives = _directives(page.metas, headers)
    return Rights(
        licence=_licence(page, windows[-1], headers, url),
        tdm_reservation=stated is True,
        noai=any(map(_refuses, directives)),
        noimageai=any(directive.rpartition(":")[2] == "noimageai" for directive in directives),
        tdm_policy=policy if stated else None,
        directives=tuple(sorted(directives)),
        tdm_stated=stated,
    )


def html_language(html: str) -> str | None:
    """The ``lang`` attribute of the page, lower case."""
    match = _HTML_LANG.search(html[:10_000])
    return match[1].lower() if match else None


def _windows(html: str) -> tuple[str, ...]:
    """A page whole, or its two ends. An end that begins within a comment or script loses the rest of it."""
    if len(html) <= 2 * WINDOW_CHARACTERS:
        return (html,)
    tail = html[-WINDOW_CHARACTERS:]
    for opening, closing in (("<!--", "-->"), ("<script", "</script")):
        closed, opened = tail.find(closing), tail.find(opening)
        if closed >= 0 and (opened < 0 or closed < opened):
            tail = tail[closed + len(closing) :]
    return html[:WINDOW_CHARACTERS], tail


def _scan(window: str, page: _Page) -> None:
    """Add a window's statements to the page's; unmarked links count from the last window only, which has the foot."""
    page.plain.clear()
    pattern = _META_OR_LINK if any(word in window for word in _LICENCE_WORDS) else _META  # most pages: a third of the time
    match = pattern.search(window)
    while match is not None:
        end = match.end()
        if match["name"]:
            if match["name"].lower() == "meta":
                _read_meta(_attributes(match["tag"]), page)
            else:
                _read_link(match["name"].lower(), match["tag"], match.span(), page)
        elif match["comment"]:
            closing = _COMMENT_END.search(window, end - 2)  # <!--> is a whole comment
            end = closing.end() if closing else len(window)
        else:
            end = _pass_raw(window, match["raw"].lower(), end, page)
        match = pattern.search(window, end)


def _pass_raw(window: str, name: str, start: int, page: _Page) -> int:
    """The end of an element whose content is no HTML of the page; JSON-LD is read on the way."""
    tag = _RAW_TAG.match(window, start)
    start = tag.end() if tag else start
    closing = _RAW_END[name].search(window, start)
    end = closing.start() if closing else len(window)
    if name == "script" and tag and "ld+json" in tag[0].lower():
        page.structured.extend(_structured_licences(window[start:end]))
    return end


def _read_meta(attributes: Mapping[str, str], page: _Page) -> None:
    """``property`` and ``http-equiv`` are taken for ``name``: they are common mistakes, and their meaning is plain."""
    key = attributes.get("name") or attributes.get("property") or attributes.get("http-equiv") or ""
    if key:
        page.metas.setdefault(key.strip().lower().replace("tdm:", "tdm-"), []).append(attributes.get("content", ""))


def _read_link(name: str, tag: str, place: tuple[int, int], page: _Page) -> None:
    lower = tag.lower()
    commons = "creativecommons.org" in lower
    if not commons and "license" not in lower:
        return
    attributes = _attributes(tag)
    address = attributes.get("href", "").strip()
    if not address or address.startswith("#") or address.lower().startswith("javascript:"):
        return
    if _LICENCE_RELATIONS & set(attributes.get("rel", "").lower().split()):
        (page.links if name == "link" else page.anchors).append(address)
    elif commons and name == "a":
        page.plain.append((*place, address))


def _licence(page: _Page, window: str, headers: Mapping[str, str], url: str) -> str | None:
    """The licence of the first source that states one; a source that states several says nothing certain.

    A link to a licence that is not marked ``rel=license`` may belong to a picture, or to what the text is about: it counts
    only in the page's foot, where the whole page is licensed (as in the Common Crawl Creative Commons Corpus, which
    trusts head and foot), where no words lead to it, and where nothing else was stated.
    """
    metas = [value for name in _LICENCE_METAS for value in page.metas.get(name, ()) if "://" in value]
    foot = [] if page.links or page.anchors or metas or page.structured or not page.plain else _in_foot(page.plain, window)
    for addresses in (_linked(headers.get("link", "")), page.links, page.anchors, metas, page.structured, foot):
        if addresses:
            named = {_spdx(_absolute(address, url)) for address in addresses}
            return named.pop() or None if len(named) == 1 else None
    return None


def _linked(header: str) -> list[str]:
    return [match[1].strip() for match in _HEADER_LINK.finditer(header[:MAX_HEADER_CHARACTERS]) if _HEADER_LICENCE.search(match[2])]


def _absolute(address: str, url: str) -> str:
    """An address resolved by the page's; empty where that is not known, or cannot be read."""
    if re.match(r"https?://", address, re.IGNORECASE):
        return address
    try:
        joined = urljoin(url, address)
    except ValueError:
        return ""
    return joined if re.match(r"(?:https?:)?//", joined, re.IGNORECASE) else ""


def _in_foot(plain: Iterable[tuple[int, int, str]], window: str) -> list[str]:
    """Creative Commons licences that the foot links, where at least one of the links is the page's own."""
    begin = max((match.start() for match in _MAYBE_FOOT.finditer(window) if match["footer"] or _is_foot(match["tag"])), default=len(window))
    end = window.lower().find("</footer", begin)
    found = [
        (first, last, address) for first, last, address in plain
        if begin < first and (end < 0 or first < end) and _CREATIVE_COMMONS.match(address)
    ]  # fmt: skip
    return [address for _, _, address in found] if any(_is_own(window, first, last) for first, last, _ in found) else []


def _is_foot(tag: str) -> bool:
    if not any(word in tag.lower() for word in _FOOT_WORDS):
        return False
    attributes = _attributes(tag)
    return any(word in attributes.get(name, "").lower() for name in ("id", "class", "role") for word in _FOOT_WORDS)


def _is_own(window: str, first: int, last: int) -> bool:
    """Whether a link to a licence is about the page: the first thing of a block that holds nothing else, or that begins with a
    button of Creative Commons. After words it may be about anything, as in *photos by … under CC BY*, and what words
    say depends on the language: such a link says nothing, even where they speak of the page.
    """
    before = window[max(0, first - _AROUND[0]) : first].rstrip()
    after = window[last : last + _AROUND[1]]
    closing = _ANCHOR_END.search(after)
    if closing is None or not _BLOCK_BEGIN.fullmatch(before[before.rfind("<") :]):
        return False
    return after[closing.end() :].lstrip().startswith("</") or _BUTTON.search(after, 0, closing.start()) is not None


def _structured_licences(body: str) -> Iterator[str]:
    """Addresses under ``license`` of the things that a JSON-LD block is about, not of pictures and other parts in them."""
    if len(body) > MAX_JSON_CHARACTERS or "license" not in body:
        return
    try:
        found: Any = json.loads(body.strip().removeprefix("<!--").removesuffix("-->"))
    except (ValueError, RecursionError):
        return
    roots = found if isinstance(found, list) else [found]
    nodes = [node for root in roots if isinstance(root, dict) for node in (root, *_listed(root.get("@graph")))]
    for node in nodes:
        if not isinstance(node, dict) or any(_NOT_THE_PAGE.search(str(kind)) for kind in _listed(node.get("@type"))):
            continue
        for value in _listed(node.get("license")):
            address = value.get("@id") or value.get("url") if isinstance(value, dict) else value
            if isinstance(address, str) and re.match(r"(?:https?:)?//", address.strip()):
                yield address.strip()


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _spdx(address: str) -> str:
    commons = _CREATIVE_COMMONS.match(address)
    if commons:
        kind, name, version = commons[1].lower(), commons[2].lower(), commons[3] or "1.0"
        if kind == "publicdomain" and name in ("zero", "mark"):
            return f"CC0-{version}" if name == "zero" else f"CC-PDM-{version}"
        parts = name.split("-")
        if kind == "licenses" and name == "publicdomain":
            return "CC-PDDC"
        if kind == "licenses" and commons[3] and set(parts) <= {"by", "nc", "nd", "sa"}:
            ordered = "-".join(part for part in ("by", "nc", "nd", "sa") if part in parts)  # version 1.0 has by-nd-nc
            ported = commons[4] and not version.startswith("4")  # 4.0 has translations and no ports
            return f"CC-{ordered.upper()}-{version}" + (f"-{commons[4].upper()}" if ported else "")
    known = _SPDX.match(address)
    return known[1] if known else address[:MAX_ADDRESS]


def _reservation(values: Iterable[str]) -> bool | None:
    """Whether any valid value reserves; any other than 1 and 0 is a protocol error and leaves the reservation unset."""
    known = [value.strip() == "1" for value in values if value.strip() in ("0", "1")]
    return (True in known) if known else None


def _directives(metas: Mapping[str, list[str]], headers: Mapping[str, str]) -> set[str]:
    """Recorded directives; those of a named robot with its name before them."""
    found: set[str] = set()
    for line in headers.get("x-robots-tag", "")[:MAX_HEADER_CHARACTERS].splitlines():
        found.update(_of_header(line.lower()))
    for name, contents in metas.items():
        agent = "" if name in ("robots", "x-robots-tag") else name
        if agent and agent not in ai_crawlers() and not _ROBOT_NAME.search(agent):
            continue
        for directive in re.split(r"[,\s;]+", ",".join(contents).lower()):
            if directive in RECORDED_DIRECTIVES:
                found.add(f"{agent}:{directive}" if agent else directive)
    for name in ("content-usage", "content-signal"):
        found.update(re.sub(r"\s", "", match[1].lower()) for match in _USAGE_REFUSED.finditer(headers.get(name, "")[:MAX_HEADER_CHARACTERS]))
    return found


def _of_header(line: str) -> Iterator[str]:
    """X-Robots-Tag: directives between commas; ``name:`` before one makes it and the following ones of the line that robot's.

    Semicolons and blanks are taken for commas: they are common mistakes.
    """
    agent = ""
    for part in re.split("[,;]", line):
        name, colon, directives = part.partition(":")
        name = name.strip()
        if colon and name not in _VALUED_DIRECTIVES and (name == "*" or name in ai_crawlers() or _AGENT.fullmatch(name)):
            agent = name.strip("*")
        else:
            directives = part
        for directive in re.split(r"[\s:]+", directives):
            if directive in RECORDED_DIRECTIVES:
                yield f"{agent}:{directive}" if agent else directive


def _refuses(directive: str) -> bool:
    agent, _, name = directive.rpartition(":")
    return name in REFUSALS or "=" in name or (name in ("noindex", "none") and agent in training_tokens())


def _attributes(tag: str) -> dict[str, str]:
    """Attributes of a tag, names in lower case, entities decoded; of equal names the first counts, as in browsers."""
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(tag):
        found.setdefault(name.lower(), html.unescape(double or single or bare))
    return found
