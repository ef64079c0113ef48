"""Erasure: taking URLs and domains out of a store for good.

Every version that holds them is found by its rows, and either rewritten without them or, where rows cannot be taken out (rows
that mix documents, releases), withdrawn. What was made of them without holding rows, models and reports, stays and is listed.

Order, so that whoever reads or kills at any moment meets whole versions, and running it again completes the work:

1. the list of erased addresses grows, under the store's lock held alone: from then on nothing that knows the addresses is published;
2. versions are rewritten, upstream first, and get build records; no reference names them yet;
3. under the lock held alone, downstream first: a tombstone for each version, its references move to the rewritten version (those of
   a withdrawn one go), its build records go, and one rename takes it out of every reader's sight;
4. without the lock: what was taken out is deleted.

Nobody may be reading what goes: a pin of a running build on it stops an erasure before anything but the list has changed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from foundation.store.builds import BuildRecord, now, replace_atomically, write_once
from foundation.store.collection import downstream_first, throw_away
from foundation.store.erased import ErasedAddresses, ErasureList, read_erased, write_erased
from foundation.store.errors import StoreError
from foundation.store.holding import Build, Holdings, Limits, read_holdings
from foundation.store.layout import MANIFEST, VersionKey, asset_folder
from foundation.store.locking import exclusive
from foundation.store.pins import Pin
from foundation.store.published import PublishedVersion
from foundation.store.references import write_reference
from foundation.store.rewriting import FileEraser, rewrite, rewritten_record
from foundation.store.searching import Hits, Search, names_documents
from foundation.store.store import Store

Way = Literal["rewritten", "withdrawn"]
MODEL_FILES = (".safetensors", ".gguf")
BESIDE_ROWS = "statistics and card"
"""What a version whose rows were pruned is said to hold where these still name an address."""
_PURPOSE = "store erase"
_ATTEMPTS = 5


@dataclass(frozen=True)
class Held:
    """A version that holds erased rows, how many by table or file, and what becomes of it."""

    key: VersionKey
    hits: Hits
    way: Way


@dataclass(frozen=True)
class Affected:
    """A version that holds no rows itself and was made of some that were erased. ``of``: what it read of them."""

    key: VersionKey
    of: tuple[VersionKey, ...]
    model: bool


@dataclass(frozen=True)
class Erasure:
    """What an erasure finds, upstream first.

    ``references``: those that name a held version, as ``name of version``; ``readers``: running builds that hold one, which stop it.
    """

    held: tuple[Held, ...]
    affected: tuple[Affected, ...]
    references: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[Affected, ...]:
        """The models that were trained on what was erased."""
        return tuple(one for one in self.affected if one.model)

    @property
    def rows(self) -> int:
        """Rows that go, over all versions."""
        return sum(held.hits.rows.total() for held in self.held)


@dataclass
class _Look:
    """A store searched: what it holds, and the files that were searched already."""

    store: Store
    mixed: Mapping[str, frozenset[str]]
    erasers: Mapping[str, FileEraser]
    holdings: Holdings | None = None
    _files: dict[tuple[str, bool], tuple[int, frozenset[str]]] = field(default_factory=dict)
    _addresses: ErasedAddresses | None = None
    _documents: frozenset[str] = frozenset()
    _own_files: dict[VersionKey, Mapping[str, int]] = field(default_factory=dict)

    def search(self, erased: ErasureList) -> tuple[Erasure, ErasureList]:
        """What the store holds of the addresses; and the list with the documents that belong to them."""
        self.holdings = holdings = self._read()
        versions = {key: version for key in holdings.versions if ((version := self.store.version(key)).path / MANIFEST).is_file()}
        if erased.addresses != self._addresses:
            self._files.clear()
            self._own_files.clear()
        documents = set(erased.documents)
        for version in versions.values():
            documents |= Search(erased.addresses, frozenset()).version(version, self._files, by_document=False, files=False).documents
        if documents != self._documents:
            self._files = {place: found for place, found in self._files.items() if not place[1]}
        self._addresses, self._documents = erased.addresses, frozenset(documents)
        search = Search(erased.addresses, self._documents)
        hits = {key: self._hits(version, search) for key, version in versions.items()}
        return self._erasure(holdings, versions, hits), erased.extended(erased.addresses, documents)

    def _hits(self, version: PublishedVersion, search: Search) -> Hits:
        eraser = self.erasers.get(version.asset)
        hits = search.version(version, self._files, by_document=True, files=eraser is None)
        if eraser is not None:
            if version.key not in self._own_files:
                self._own_files[version.key] = eraser(version.files, search.addresses, False)
            hits.rows.update(self._own_files[version.key])
        if version.pruned and search.is_named_beside_rows(version):
            hits.rows[BESIDE_ROWS] += 1
        return hits

    def _read(self) -> Holdings:
        return read_holdings(self.store, now=time.time(), limits=Limits(), known=self.holdings)

    def _erasure(self, holdings: Holdings, versions: Mapping[VersionKey, PublishedVersion], hits: Mapping[VersionKey, Hits]) -> Erasure:
        order = [key for key in upstream_first(holdings) if key in versions]
        held = tuple(Held(key, hits[key], self._way(key, hits[key])) for key in order if hits[key])
        touched, affected = {one.key for one in held}, []
        blind = {one.key for one in held if versions[one.key].pruned}  # which documents they held is not known: neither is what readers hold of them
        for key in order:
            read = {upstream.key for build in holdings.makers(key) for upstream in build.upstream}
            if key not in touched and read & touched and (read & blind or not names_documents(versions[key])):
                touched.add(key)
                blind |= {key} if read & blind else set()
                files = [entry["path"] for entry in versions[key].manifest["files"]]
                affected.append(Affected(key, tuple(sorted(read & touched, key=str)), any(path.endswith(MODEL_FILES) for path in files)))
        names = {one.key for one in held}
        references = sorted(f"{name} of {version}" for (_, _, name), (version, _) in holdings.references.items() if version in names)
        readers = sorted({pin.what for pin in holdings.pins if any(version in names for version, _ in pin.versions)})
        return Erasure(held, tuple(affected), tuple(references), tuple(readers))

    def _way(self, key: VersionKey, hits: Hits) -> Way:
        mixed = self.mixed.get(key.asset, frozenset()) & set(self.store.version(key).tables)
        return "withdrawn" if mixed or hits.files or self.store.version(key).pruned else "rewritten"


def plan_erasure(
    store: Store,
    urls: Sequence[str] = (),
    domains: Sequence[str] = (),
    *,
    mixed: Mapping[str, frozenset[str]] | None = None,
    erasers: Mapping[str, FileEraser] | None = None,
) -> Erasure:
    """What an erasure would find; nothing is changed.

    Args:
        store: which one.
        urls: to be erased, beside all that were before.
        domains: likewise, with everything below them.
        mixed: by asset the tables whose rows hold text of several documents.
        erasers: by asset what takes addresses out of its own files; a version whose files hold some is withdrawn where there is none.

    Raises:
        StoreError: a manifest, a record, a reference or the list of erased addresses is damaged.
    """
    look = _Look(store, mixed or {}, erasers or {})
    with store.undisturbed():
        erased = store.erasure_list
        return look.search(erased.extended(erased.addresses.with_addresses(urls, domains), ()))[0]


def erase(
    store: Store,
    urls: Sequence[str] = (),
    domains: Sequence[str] = (),
    *,
    mixed: Mapping[str, frozenset[str]] | None = None,
    erasers: Mapping[str, FileEraser] | None = None,
) -> Erasure:
    """Erase addresses; arguments as of ``plan_erasure``. Without any, what was erased before is searched for again. Returns what was done.

    Raises:
        StoreError: a running build reads a version that holds them, or something is damaged.
    """
    look = _Look(store, mixed or {}, erasers or {})
    with store.maintained(reading=True):
        return _erase(store, urls, domains, look)


def _erase(store: Store, urls: Sequence[str], domains: Sequence[str], look: _Look) -> Erasure:
    with exclusive(store.root):
        before = read_erased(store.root)
        write_erased(store.root, before.extended(before.addresses.with_addresses(urls, domains), ()))
    with store.pin(_PURPOSE) as pin:
        for _ in range(_ATTEMPTS):
            with store.undisturbed():
                erasure, erased = look.search(read_erased(store.root))
                pin.hold(store.version(held.key) for held in erasure.held)
            _refuse_while_read(erasure)
            search = Search(erased.addresses, erased.documents)
            replacements = _rewrite_all(store, look, erasure, search, pin)
            with exclusive(store.root):
                erased = read_erased(store.root).extended(read_erased(store.root).addresses, erased.documents)
                write_erased(store.root, erased)
                again, _ = look.search(erased)  # reads only what is new
                if {held.key for held in again.held} <= {held.key for held in erasure.held}:
                    _refuse_while_read(again)
                    thrown = list(_take_out(store, look, again, replacements))
                    break
        else:
            raise StoreError("builds go on publishing what was erased; wait until they are done, and run `transumanza store erase` again")
    for path in thrown:
        shutil.rmtree(path, ignore_errors=True)
    return erasure


def upstream_first(holdings: Holdings) -> list[VersionKey]:
    """All versions, each after those that its builds read; those without a build record last."""
    builds = reversed(downstream_first(holdings.builds.values(), holdings))
    order = dict.fromkeys(build.version for build in builds if build.version in holdings.versions)
    return list(order | dict.fromkeys(holdings.versions))


def _refuse_while_read(erasure: Erasure) -> None:
    readers = [what for what in erasure.readers if what != _PURPOSE]
    if readers:
        raise StoreError(
            f"running builds read what is to be erased: {', '.join(readers)}; the addresses are on the list already and cannot come back, "
            "but these versions stay until the builds are done or ended. Run `transumanza store erase` again then"
        )


def _rewrite_all(
    store: Store, look: _Look, erasure: Erasure, search: Search, pin: Pin
) -> dict[tuple[VersionKey, str], BuildRecord | None]:
    """Write what takes the place of versions; returns by version and fingerprint the record that takes a build's, ``None`` of what is withdrawn."""
    assert look.holdings is not None
    records: dict[tuple[VersionKey, str], BuildRecord | None] = {}
    named: dict[tuple[VersionKey, str], tuple[str, str]] = {}
    done = [store.version(held.key) for held in erasure.held]
    for held in erasure.held:
        version, makers = store.version(held.key), look.holdings.makers(held.key)
        if held.way == "withdrawn" or not makers:
            records |= {(held.key, build.key.fingerprint): None for build in makers}
            continue
        name = rewrite(store, version, held.hits, search, look.erasers.get(held.key.asset))
        done.append(store.version(VersionKey(held.key.asset, held.key.partition, name)))
        with store.undisturbed():
            pin.hold(done)
            for build in makers:
                before = store.build(build.key.asset, build.key.partition, build.key.fingerprint)
                assert before is not None
                record = rewritten_record(before, name, search, named)
                write_once(asset_folder(store.root, record.asset, record.partition).record(record.fingerprint), record.to_json())
                records[held.key, build.key.fingerprint] = record
                named[held.key, build.data_version] = record.version, record.data_version
    return records


def _take_out(
    store: Store, look: _Look, erasure: Erasure, replacements: Mapping[tuple[VersionKey, str], BuildRecord | None]
) -> Iterator[Path]:
    """Put every version that holds something out of sight, downstream first; gives the paths to delete."""
    holdings = look.holdings
    assert holdings is not None
    for held in reversed(erasure.held):
        folder = asset_folder(store.root, held.key.asset, held.key.partition)
        makers = holdings.makers(held.key)
        replaced = [record for build in makers if (record := replacements[held.key, build.key.fingerprint])]
        before = store.tombstones(held.key.asset, held.key.partition).get(held.key.version)  # of an erasure that was killed
        replace_atomically(folder.tombstone(held.key.version), _tombstone(held, makers, replaced[0] if replaced else None, before))
        for (asset, partition, name), (version, named) in holdings.references.items():
            if version == held.key:
                record = replacements.get((held.key, named.fingerprint))
                if record is None:
                    asset_folder(store.root, asset, partition).reference(name).unlink(missing_ok=True)
                else:
                    write_reference(asset_folder(store.root, asset, partition), name, record)
        for build in makers:
            folder.preview(build.key.fingerprint).unlink(missing_ok=True)
            folder.record(build.key.fingerprint).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            yield throw_away(folder, folder.version(held.key.version))


def _tombstone(held: Held, makers: Iterable[Build], replacement: BuildRecord | None, before: Mapping[str, Any] | None) -> str:
    builds = {build.key.fingerprint for build in makers} | set(before["builds"] if before else ())
    replaced_by = {"version": replacement.version, "data_version": replacement.data_version} if replacement else None
    document = {
        "version": held.key.version,
        "builds": sorted(builds),
        "way": held.way,
        "rows": dict(held.hits.rows),
        "replaced_by": replaced_by or (before["replaced_by"] if before else None),
        "erased_at": now(),
    }
    return json.dumps(document, indent=1) + "\n"
