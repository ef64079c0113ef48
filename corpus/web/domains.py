"""Hosts and registered domains, by the public suffix list that comes with tldextract; never fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit


def host_of(url: str) -> str:
    """The lower-case host of a URL; empty where it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:  # an unfinished IPv6 address
        return ""


def registered_domain(url: str) -> str:
    """The domain that somebody registered (``a.b.example.co.uk`` -> ``example.co.uk``).

    A host below no known suffix (reserved names such as ``.example``, bare addresses) gives its last two labels, or
    itself where it is an address.
    """
    return _registered(host_of(url))


@lru_cache(maxsize=100_000)
def _registered(host: str) -> str:
    found = _extractor()(host).top_domain_under_public_suffix
    if found:
        return found
    labels = host.split(".")
    return host if ":" in host or labels[-1].isdigit() else ".".join(labels[-2:])


@lru_cache(maxsize=1)
def _extractor():  # type: ignore[no-untyped-def]
    import tldextract

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def splits_of(domains: Iterable[str], validation_share: float, seed: int) -> dict[str, str]:
    """``validation`` for about this share of registered domains, ``train`` for the others.

    Chosen by hash: a domain's split does not depend on which other pages there are. Only where that leaves a split of
    few domains empty, the domain with the smallest (or largest) hash fills it; a single domain is train.
    """
    places = {domain: _place(domain, seed) for domain in sorted(set(domains))}
    splits = {domain: "validation" if place < validation_share else "train" for domain, place in places.items()}
    if len(splits) > 1:
        if "validation" not in splits.values():
            splits[min(places, key=lambda domain: places[domain])] = "validation"
        elif "train" not in splits.values():
            splits[max(places, key=lambda domain: places[domain])] = "train"
    return splits


def _place(domain: str, seed: int) -> float:
    digest = hashlib.sha256(f"split\x00{seed}\x00{domain}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
