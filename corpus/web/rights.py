"""What a page says about its use: licence, text-and-data-mining reservation, refusal of machine learning.

Read from HTTP headers and HTML; recorded as columns, never a reason to drop by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_META = re.compile(r"<meta\b[^>]*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([a-zA-Z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))")
_REL_LICENCE = re.compile(r"<(?:a|link)\b(?=[^>]*\brel\s*=\s*[\"']?[^\"'>]*\blicense\b)[^>]*>", re.IGNORECASE)
_HEADER_LICENCE = re.compile(r"<([^>]+)>\s*;[^,]*\brel=\"?license\"?", re.IGNORECASE)
_CREATIVE_COMMONS = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/(\d\.\d)(?:/(scotland|[a-z]{2,3})(?![a-z.]))?", re.IGNORECASE)
_SPDX = re.compile(r"spdx\.org/licenses/([A-Za-z0-9.+-]+?)(?:\.html)?$")
_HTML_LANG = re.compile(r"<html\b[^>]*?\blang\s*=\s*[\"']?([A-Za-z-]{2,20})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rights:
    """Licence as an SPDX id where it is known, else the address that the page links; and the page's reservations.

    ``tdm_reservation`` follows the TDM Reservation Protocol (W3C community group report, header and meta forms);
    ``noai`` stands for ``noai`` or ``noimageai`` among robots directives.
    """

    licence: str | None
    tdm_reservation: bool
    noai: bool


def rights_of(html: str, headers: Mapping[str, str]) -> Rights:
    """Rights of a page from its HTML and lower-case HTTP headers."""
    metas: dict[str, list[str]] = {}
    for tag in _META.findall(html[:200_000]):
        attributes = _attributes(tag)
        metas.setdefault(attributes.get("name", "").lower(), []).append(attributes.get("content", ""))
    robots = ",".join((headers.get("x-robots-tag", ""), *metas.get("robots", ()))).lower()
    directives = {part.strip() for part in re.split(r"[,:]", robots)}
    reservation = headers.get("tdm-reservation", metas.get("tdm-reservation", [""])[0]).strip()
    return Rights(_licence(html, headers), reservation == "1", bool(directives & {"noai", "noimageai"}))


def html_language(html: str) -> str | None:
    """The ``lang`` attribute of the page, lower case."""
    match = _HTML_LANG.search(html[:10_000])
    return match[1].lower() if match else None


def _licence(html: str, headers: Mapping[str, str]) -> str | None:
    match = _HEADER_LICENCE.search(headers.get("link", ""))
    if match:
        return _spdx(match[1])
    for tag in _REL_LICENCE.findall(html):
        address = _attributes(tag).get("href", "")
        if address:
            return _spdx(address)
    return None


def _spdx(address: str) -> str:
    commons = _CREATIVE_COMMONS.search(address)
    if commons:
        kind, name, version = commons[1].lower(), commons[2].lower(), commons[3]
        if kind == "publicdomain":
            return f"CC0-{version}" if name == "zero" else f"CC-PDM-{version}"
        ported = commons[4] and not version.startswith("4")  # 4.0 has translations and no ports
        return f"CC-{name.upper()}-{version}" + (f"-{commons[4].upper()}" if ported else "")
    known = _SPDX.search(address)
    return known[1] if known else address[:200]


def _attributes(tag: str) -> dict[str, str]:
    return {name.lower(): double or single or bare for name, double, single, bare in _ATTRIBUTE.findall(tag)}
