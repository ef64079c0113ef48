"""Erased addresses: the store-wide list of URLs and domains that were erased and must not come back, hashed.

The list is ``<store>/.erased.json``. It holds no address: of each a keyed hash, HMAC-SHA256 under a random key that is made with the
list and never leaves it. So neither the list's digest, which counts in fingerprints, nor a copy of single hashes lets anybody test
a guessed domain; whoever can read the whole list can, as he can read the store. Beside the addresses it holds the ids of the documents
that were found to belong to them: themselves hashes, by which tables without addresses are searched.

A URL matches whatever its scheme, the case of its host, its default port and its fragment; a domain matches itself and all
below it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from foundation.store.builds import now, replace_atomically
from foundation.store.errors import StoreError
from foundation.store.layout import ERASED

_HEX = 32
"""Hex digits that are kept of a hash: 128 bits."""
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_DOMAIN = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))+")
_KNOWN_HOSTS = 100_000


@dataclass(frozen=True)
class ErasedAddresses:
    """Hashed URLs and domains; tells of an address whether it was erased. Picklable, and false where nothing was erased."""

    key: str = ""
    urls: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    _hosts: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.urls or self.domains)

    @property
    def digest(self) -> str:
        """What stands for the list in fingerprints; empty where nothing was erased."""
        text = json.dumps([sorted(self.urls), sorted(self.domains)], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_HEX] if self else ""

    def holds(self, url: str | None) -> bool:
        """Whether a URL was erased, or its host lies in an erased domain."""
        if not url or not self:
            return False
        return self.holds_host(host_of(url)) or (bool(self.urls) and self._hash("url", normal_url(url)) in self.urls)

    def holds_host(self, host: str) -> bool:
        """Whether a host name is an erased domain or lies below one."""
        if not self.domains or not host:
            return False
        known = self._hosts.get(host)
        if known is None:
            if len(self._hosts) >= _KNOWN_HOSTS:
                self._hosts.clear()
            labels = host.rstrip(".").lower().split(".")
            known = any(self._hash("domain", ".".join(labels[start:])) in self.domains for start in range(len(labels)))
            self._hosts[host] = known
        return known

    def with_addresses(self, urls: Iterable[str], domains: Iterable[str]) -> ErasedAddresses:
        """The list with more addresses in it."""
        key = self.key or os.urandom(32).hex()
        keyed = ErasedAddresses(key, self.urls, self.domains)
        return ErasedAddresses(
            key,
            self.urls | {keyed._hash("url", normal_url(url)) for url in urls},
            self.domains | {keyed._hash("domain", domain) for domain in domains},
        )

    def _hash(self, kind: str, text: str) -> str:
        return hmac.digest(bytes.fromhex(self.key), f"{kind}\x00{text}".encode("utf-8", "surrogatepass"), "sha256").hex()[:_HEX]


NOTHING_ERASED = ErasedAddresses()


@dataclass(frozen=True)
class ErasureList:
    """The list as it is kept: addresses, ids of their documents, and when how many were added."""

    addresses: ErasedAddresses = NOTHING_ERASED
    documents: frozenset[str] = frozenset()
    history: tuple[dict[str, Any], ...] = ()

    def extended(self, addresses: ErasedAddresses, documents: Iterable[str]) -> ErasureList:
        """The list with what an erasure adds; unchanged where that is nothing."""
        added = {
            "urls": len(addresses.urls) - len(self.addresses.urls),
            "domains": len(addresses.domains) - len(self.addresses.domains),
        }
        history = self.history if not any(added.values()) else (*self.history, {"at": now(), **added})
        return ErasureList(addresses, self.documents | set(documents), history)


def read_erased(root: Path) -> ErasureList:
    """The list of a store; empty where there is none.

    Raises:
        StoreError: the file is damaged. Nothing may be built then, since what was erased could come back.
    """
    path = root / ERASED
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ErasureList()
    try:
        values = json.loads(text)
        addresses = ErasedAddresses(values["key"], frozenset(values["urls"]), frozenset(values["domains"]))
        bytes.fromhex(addresses.key)
        return ErasureList(addresses, frozenset(values["documents"]), tuple(values["history"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is not a list of erased addresses ({error}); restore it from a copy: without it they would come back") from error


def write_erased(root: Path, erased: ErasureList) -> None:
    """Replace the list; to be done while the store's lock is held alone."""
    addresses = erased.addresses
    document = {
        "about": "hashed addresses that were erased from this store, and ids of their documents; never delete it, or they may come back",
        "key": addresses.key,
        "urls": sorted(addresses.urls),
        "domains": sorted(addresses.domains),
        "documents": sorted(erased.documents),
        "history": list(erased.history),
    }
    replace_atomically(root / ERASED, json.dumps(document, indent=1) + "\n")


def host_of(url: str) -> str:
    """The lower-case host of a URL; empty where it has none."""
    try:
        return (urlsplit(url.strip()).hostname or "").rstrip(".")
    except ValueError:  # an unfinished IPv6 address
        return ""


def normal_url(url: str) -> str:
    """A URL without what does not make it another page: scheme, case of the host, default port, fragment."""
    text = url.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return text
    host = (parts.hostname or "").rstrip(".")
    address = f"{host}:{port}" if port not in (None, 80, 443) else host
    path = _ESCAPE.sub(lambda found: found[0].upper(), parts.path or "/")
    return f"{address}{path}{f'?{parts.query}' if parts.query else ''}"


def read_urls(path: Path) -> list[str]:
    """URLs of a file, one a line; a line that begins with ``#`` is a comment.

    Raises:
        StoreError: a line is no http or https URL.
    """
    return [_checked_url(path, number, line) for number, line in _lines(path)]


def read_domains(path: Path) -> list[str]:
    """Domains of a file, one a line, as people write them or in punycode; a line that begins with ``#`` is a comment.

    Raises:
        StoreError: a line is no domain, or a top-level one.
    """
    return [_checked_domain(path, number, line) for number, line in _lines(path)]


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read ({error}); name a UTF-8 text file with one address a line") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    found = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not found:
        raise StoreError(f"{path} names nothing; write one address a line")
    return found


def _checked_url(path: Path, number: int, line: str) -> str:
    if not line.lower().startswith(("http://", "https://")) or not host_of(line):
        raise StoreError(f"{path}, line {number}: {line!r} is no URL; write it whole, with http:// or https://")
    return line


def _checked_domain(path: Path, number: int, line: str) -> str:
    name = line.lower().removesuffix(".")
    try:
        domain = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        domain = ""
    if not _DOMAIN.fullmatch(domain):
        raise StoreError(f"{path}, line {number}: {line!r} is no domain; write a name such as example.it, without scheme or path, and no top-level one")
    return domain
