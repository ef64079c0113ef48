"""Licences: what each allows, what several together ask for, and whether a row may be given on.

Belongs here: a registry of facts that releases act on. It is no legal advice, and an unknown or missing licence always
means that a row is not given on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from foundation.errors import TransumanzaError

Family = Literal["public", "permissive", "cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nc-sa", "cc-nd", "copyleft", "data", "model-terms", "none"]
NONE_STATED = "none stated"


class LicenceError(TransumanzaError):
    """A licence that was asked for is not known."""


@dataclass(frozen=True)
class Licence:
    """One licence. ``hub`` is its name in a card's YAML; ``notice`` is what a model's release has to say, ``prefix`` what its name begins with."""

    name: str
    family: Family
    redistributable: bool = True
    share_alike: bool = False
    non_commercial: bool = False
    attribution: bool = True
    url: str = ""
    hub: str = "other"
    notice: str = ""
    prefix: str = ""


def _creative_commons(kind: str, version: str, country: str = "") -> Licence:
    name = f"CC-{kind}-{version}{f'-{country}' if country else ''}"
    family: Family = "cc-nd" if "ND" in kind else f"cc-{kind.lower()}"  # type: ignore[assignment]
    place = f"/{country.lower()}" if country else ""
    known_to_hub = {"CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-2.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-2.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0"}  # fmt: skip
    return Licence(
        name,
        family,
        redistributable="ND" not in kind,  # rows here are always adapted: extracted, cut, translated
        share_alike="SA" in kind,
        non_commercial="NC" in kind,
        url=f"https://creativecommons.org/licenses/{kind.lower()}/{version}{place}/",
        hub=name.lower() if name in known_to_hub else "other",
    )


_CC_VERSIONS = ("2.0", "2.5", "3.0", "4.0")
_REGISTRY: tuple[Licence, ...] = (
    Licence("CC0-1.0", "public", attribution=False, url="https://creativecommons.org/publicdomain/zero/1.0/", hub="cc0-1.0"),
    Licence("public domain", "public", attribution=False),
    *(_creative_commons(kind, version) for kind in ("BY", "BY-SA", "BY-NC", "BY-NC-SA", "BY-ND", "BY-NC-ND") for version in _CC_VERSIONS),
    _creative_commons("BY", "2.0", "FR"),
    *(_creative_commons(kind, version, "IT") for kind in ("BY", "BY-SA", "BY-NC", "BY-NC-SA", "BY-ND", "BY-NC-ND") for version in ("2.5", "3.0")),
    Licence("MIT", "permissive", url="https://opensource.org/license/mit", hub="mit"),
    Licence("Apache-2.0", "permissive", url="https://www.apache.org/licenses/LICENSE-2.0", hub="apache-2.0"),
    Licence("BSD-2-Clause", "permissive", url="https://opensource.org/license/bsd-2-clause", hub="bsd-2-clause"),
    Licence("BSD-3-Clause", "permissive", url="https://opensource.org/license/bsd-3-clause", hub="bsd-3-clause"),
    Licence("ODC-BY-1.0", "data", url="https://opendatacommons.org/licenses/by/1-0/", hub="odc-by"),
    *(
        Licence(name, "copyleft", share_alike=True, url=url, hub=hub)
        for name, url, hub in (
            ("MPL-2.0", "https://www.mozilla.org/MPL/2.0/", "mpl-2.0"),
            ("GFDL-1.2", "https://www.gnu.org/licenses/old-licenses/fdl-1.2.html", "gfdl"),
            ("GFDL-1.3", "https://www.gnu.org/licenses/fdl-1.3.html", "gfdl"),
            ("GPL-2.0", "https://www.gnu.org/licenses/old-licenses/gpl-2.0.html", "gpl-2.0"),
            ("GPL-3.0", "https://www.gnu.org/licenses/gpl-3.0.html", "gpl-3.0"),
            ("LGPL-2.1", "https://www.gnu.org/licenses/old-licenses/lgpl-2.1.html", "lgpl-2.1"),
            ("LGPL-3.0", "https://www.gnu.org/licenses/lgpl-3.0.html", "lgpl-3.0"),
            ("ODbL-1.0", "https://opendatacommons.org/licenses/odbl/1-0/", "odbl"),
        )
    ),
    *(
        Licence(name, "model-terms", url=url, hub=hub, notice=notice, prefix=prefix)
        for name, url, hub, notice, prefix in (
            (
                "Llama-2",
                "https://ai.meta.com/llama/license/",
                "llama2",
                "Llama 2 is licensed under the LLAMA 2 Community License, Copyright (c) Meta Platforms, Inc. All Rights Reserved. Its acceptable use policy applies.",
                "",  # its licence asks for the notice, not for a name
            ),
            *(
                (
                    f"Llama-{version}",
                    f"https://www.llama.com/llama{version.replace('.', '_')}/license/",
                    f"llama{version}",
                    f"Built with {built}. {maker} {version} is licensed under the {terms} Community License, Copyright © Meta Platforms, Inc. All Rights "
                    f"Reserved. Its acceptable use policy applies. The model's name must begin with «{prefix}».",
                    prefix,
                )
                for version, built, maker, terms, prefix in (
                    ("3", "Meta Llama 3", "Meta Llama", "Meta Llama 3", "Llama 3"),
                    ("3.1", "Llama", "Llama", "Llama 3.1", "Llama"),
                    ("3.2", "Llama", "Llama", "Llama 3.2", "Llama"),
                    ("3.3", "Llama", "Llama", "Llama 3.3", "Llama"),
                )
            ),
        )
    ),
    Licence(NONE_STATED, "none", redistributable=False),
)
_SUFFIXES = re.compile(r"(-OR-LATER|-ONLY|\+)$")


def _key(name: str) -> str:
    """A licence's name without case, blanks, and the habits of writers (``CC BY-SA 4.0``, ``cc-by-sa-4.0``, ``LGPL-3+``)."""
    key = re.sub(r"[\s_-]+", "-", name.strip()).upper().removesuffix("-LICENSE").removesuffix("-LICENCE")
    key = _SUFFIXES.sub("", key)
    return re.sub(r"^(CC-.*|(?:L?GPL|GFDL|MPL|APACHE|ODC-BY|ODBL)-)V?(\d)(?=-|$)", r"\1\2.0", key)


LICENCES: dict[str, Licence] = {_key(licence.name): licence for licence in _REGISTRY}
"""Known licences by the key of their name."""
LICENCES |= {_key(licence.hub): licence for licence in _REGISTRY if licence.hub != "other" and _key(licence.hub) not in LICENCES}
LICENCES |= {
    "CC0": LICENCES["CC0-1.0"],
    "CC-0": LICENCES["CC0-1.0"],
    "PUBLIC-DOMAIN": LICENCES[_key("public domain")],
    "APACHE": LICENCES["APACHE-2.0"],
    "GFDL": LICENCES["GFDL-1.3"],
    "LLAMA-2-COMMUNITY": LICENCES["LLAMA-2"],
    "": LICENCES[_key(NONE_STATED)],
    "NONE": LICENCES[_key(NONE_STATED)],
    "UNKNOWN": LICENCES[_key(NONE_STATED)],
}


def _from_url(text: str) -> Licence | None:
    match = re.search(r"creativecommons\.org/(?:licenses|licences)/([a-z-]+)/(\d\.\d)(?:/([a-z]{2})(?:/|$))?", text.lower())
    if match:
        country = f"-{match[3]}" if match[3] and match[3] not in ("de", "en") else ""  # a deed's language is no jurisdiction
        key = _key(f"CC-{match[1]}-{match[2]}")
        return LICENCES.get(_key(f"CC-{match[1]}-{match[2]}{country}"), LICENCES.get(key))
    return LICENCES["CC0-1.0"] if "creativecommons.org/publicdomain/zero" in text.lower() else None


def licence_of(text: str | None) -> Licence:
    """The licence that a row or a card names; one that is not known is not redistributable and keeps its name.

    ``A AND B`` asks for both: the result is the stricter of each property. ``None`` and an empty text are "none stated".
    """
    parts = re.split(r"\s+AND\s+", (text or "").strip())
    if len(parts) > 1:
        return _both(text or "", [licence_of(part) for part in parts])
    found = _from_url(parts[0]) or LICENCES.get(_key(parts[0]))
    return found or Licence(parts[0], "none", redistributable=False)


def _both(name: str, parts: list[Licence]) -> Licence:
    strictest = next((part for part in parts if part.share_alike), parts[0])
    return Licence(
        name,
        strictest.family,
        redistributable=all(part.redistributable for part in parts),
        share_alike=any(part.share_alike for part in parts),
        non_commercial=any(part.non_commercial for part in parts),
        attribution=any(part.attribution for part in parts),
        notice=" ".join(part.notice for part in parts if part.notice),
    )


@dataclass(frozen=True)
class Terms:
    """What several licences ask for together."""

    licences: tuple[Licence, ...]

    @property
    def redistributable(self) -> bool:
        return all(licence.redistributable for licence in self.licences)

    @property
    def non_commercial(self) -> bool:
        return any(licence.non_commercial for licence in self.licences)

    @property
    def attribution(self) -> bool:
        return any(licence.attribution for licence in self.licences)

    @property
    def share_alike(self) -> tuple[str, ...]:
        """Names of the licences that must be kept."""
        return tuple(licence.name for licence in self.licences if licence.share_alike)

    @property
    def not_stated(self) -> tuple[str, ...]:
        """Names that give no right to pass anything on."""
        return tuple(licence.name for licence in self.licences if not licence.redistributable)

    @property
    def notices(self) -> tuple[str, ...]:
        return tuple(licence.notice for licence in self.licences if licence.notice)

    @property
    def card_name(self) -> str:
        """The licence of a card: the only one there is, else "other" (each row keeps its own)."""
        return self.licences[0].hub if len(self.licences) == 1 else "other"


def combine(names: Iterable[str | None]) -> Terms:
    """The terms of several licences, each once, in order of their names."""
    found = {licence.name: licence for licence in map(licence_of, names)}
    return Terms(tuple(found[name] for name in sorted(found)))


def reason_to_keep_back(row: str | None, asked: str = "other", permissions: Iterable[str] = ()) -> str | None:
    """Why a row of one licence may not be released under another; ``None`` when it may.

    Args:
        row: the row's licence.
        asked: the release's licence, or "other" for a collection whose rows keep their own licences.
        permissions: licences that the releaser has the right to pass on although they do not say so.

    Raises:
        LicenceError: ``asked`` is not a known licence.
    """
    licence = licence_of(row)
    if licence.name in {licence_of(name).name for name in permissions}:
        return None
    if not licence.redistributable:
        return "no licence is stated" if licence.name == NONE_STATED else "the licence does not allow it, or is not known"
    if asked == "other":
        return None
    target = licence_of(asked)
    if target.family == "none":
        raise LicenceError(f"release licence {asked!r} is not known; name one of {sorted(entry.name for entry in LICENCES.values())} or 'other'")
    if licence.non_commercial and not target.non_commercial:
        return f"{licence.name} is non-commercial, {target.name} is not"
    if licence.share_alike and (licence.family != target.family or _base(licence.name) != _base(target.name)):
        return f"{licence.name} must stay under its own terms, not {target.name}"
    if licence.share_alike and _version(target.name) < _version(licence.name):
        return f"{licence.name} must stay under its own version or a later one, not {target.name}"
    return None


def _base(name: str) -> str:
    """A licence's name up to its version: GPL and MPL are both copyleft, and neither may become the other."""
    return re.split(r"-\d", name)[0]


def _version(name: str) -> tuple[int, ...]:
    match = re.search(r"\d+(?:\.\d+)*", name)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
