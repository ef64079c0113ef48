"""A corpus written by hand: published versions of two snapshots whose figures can be counted on fingers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import yaml

from corpus.web.clean import LEDGER, TEXT
from corpus.web.decisions import DECISIONS
from corpus.web.documents import DOCUMENTS, SKIPPED
from corpus.web.report import CorpusVersions, ReportSettings
from corpus.web.settings import DecisionSettings, PersonalDataSettings
from corpus.web.signals import SIGNALS
from foundation.language.identification import IdentificationSettings
from foundation.language.settings import MentionNames, MentionSettings
from foundation.store import PublishedVersion, Store, TableSpec

FIRST, SECOND = "CC-MAIN-2024-10", "CC-MAIN-2024-22"
SECRET_TEXT = "Scrivi a mario.rossi@posta.example.it\ntel. 06 69812345"
SECRET_URL = "https://beta.it/utente?mail=mario.rossi@posta.example.it"
RULES = {
    "name": "fingers",
    "documents": [
        {"id": "short", "signal": "words", "comparison": "at_least", "threshold": 50, "source": "test", "why": "short"},
        {"id": "ends", "signal": "ended_line_share", "comparison": "at_least", "threshold": 0.5, "source": "test", "why": "menus"},
        {"id": "bad", "signal": "bad_words", "comparison": "at_most", "threshold": 3, "source": "test", "why": "obscene"},
        {"id": "mojibake", "signal": "mojibake", "comparison": "at_most", "threshold": 0, "source": "test", "why": "charset"},
    ],
}


class Page(NamedTuple):
    """One document and what became of it; characters are six for each word."""

    key: str
    domain: str
    words: int
    ended: float
    reason: str | None
    failed: tuple[str, ...] = ()
    noai: bool = False
    hits: Mapping[str, int] = {}
    text: str = "un testo"
    url: str | None = None
    split: str = "train"


PAGES: dict[str, tuple[Page, ...]] = {
    FIRST: (
        Page("01", "alfa.it", 100, 0.9, None, hits={"pesce": 1}, text="Roma e New York"),
        Page("02", "alfa.it", 10, 0.1, "short", ("short", "ends"), text="Milano, Milano"),
        Page("03", "beta.it", 20, 0.8, "short", ("short",), text=SECRET_TEXT, url=SECRET_URL),
        Page("04", "gamma.com", 60, 0.2, "ends", ("ends",), hits={"pesce": 1, "fava": 2}),
        Page("05", "gamma.com", 70, 0.7, "duplicate"),
        Page("06", "gamma.com", 80, 0.9, None, split="validation"),
    ),
    SECOND: (
        Page("11", "delta.org", 200, 0.9, None, text="A Reggio nell’Emilia"),
        Page("12", "alfa.it", 30, 0.0, "rights_noai", ("rights_noai", "short", "ends"), noai=True),
    ),
}


def publish(store: Store, asset: str, partition: str | None, tables: Mapping[str, Sequence[Any]], statistics: Mapping[str, Any] = {}) -> PublishedVersion:
    """Publish tables: by name, the spec and rows by split; columns that rows leave out are null, lists empty."""
    with store.stage(asset, partition) as staging:
        for spec, by_split in tables.values():
            with staging.table(spec) as table:
                for split, rows in by_split.items():
                    table.write(pa.Table.from_pylist([filled(spec, row) for row in rows], schema=spec.schema), split)
        version = staging.complete(statistics)
        return PublishedVersion(asset, partition, version, version, store.place(staging, version))


def filled(spec: TableSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: row.get(field.name, [] if pa.types.is_list(field.type) else None) for field in spec.schema}


def documents(store: Store, snapshot: str, pages: Sequence[Page]) -> PublishedVersion:
    rows = [
        {
            "document_id": page.key, "snapshot": snapshot, "url": page.url or f"https://{page.domain}/{page.key}", "registered_domain": page.domain,
            "language": "it", "language_score": 0.9, "noai": page.noai, "text": page.text, "characters": 6 * page.words,
        }
        for page in pages
    ]  # fmt: skip
    characters = sum(6 * page.words for page in pages)
    statistics = {"records": len(pages) + 10, "skipped": {"other_language": 7, "http_status": 3}, "documents": len(pages), "characters": characters}
    return publish(store, "documents", snapshot, {"documents": (DOCUMENTS, {"train": rows}), "skipped": (SKIPPED, {"train": []})}, statistics)


def signals(store: Store, snapshot: str, pages: Sequence[Page], *, listed: bool = True) -> PublishedVersion:
    rows = [
        {
            "document_id": page.key, "characters": 6 * page.words, "words": page.words, "ended_line_share": page.ended, "mojibake": 0,
            "bad_words": sum(page.hits.values()) if listed else None,
            "bad_word_hits": [{"list": "ita", "word": word, "hits": hits} for word, hits in page.hits.items()] if listed else [],
        }
        for page in pages
    ]  # fmt: skip
    return publish(store, "signals", snapshot, {"signals": (SIGNALS, {"train": rows})})


def decisions(store: Store, snapshot: str, pages: Sequence[Page]) -> PublishedVersion:
    rows = [
        {
            "document_id": page.key, "passes_rules": not page.failed, "first_failed": next(iter(page.failed), None),
            "failed_rules": list(page.failed), "kept_characters": 6 * page.words,
        }
        for page in pages
    ]  # fmt: skip
    return publish(store, "decisions", snapshot, {"decisions": (DECISIONS, {"train": rows})})


def clean(store: Store, corpus: Mapping[str, Sequence[Page]]) -> PublishedVersion:
    """The clean corpus; of each kept text one character is gone, and of its words every other one is a punctuation mark more."""
    every = sorted(((snapshot, page) for snapshot, pages in corpus.items() for page in pages), key=lambda entry: entry[1].key)
    ledger = [
        {
            "document_id": page.key, "snapshot": snapshot, "url": f"https://{page.domain}/{page.key}", "registered_domain": page.domain,
            "kept": page.reason is None, "reason": page.reason, "failed_rules": list(page.failed), "cluster_id": page.key,
            "cluster_size": 2 if page.reason == "duplicate" else 1, "characters": 6 * page.words, "kept_characters": 0,
        }
        for snapshot, page in every
    ]  # fmt: skip
    text = {
        split: [
            {"document_id": page.key, "snapshot": snapshot, "text": page.text, "characters": 6 * page.words - 1, "words": 2 * page.words}
            for snapshot, page in every
            if page.reason is None and page.split == split
        ]
        for split in TEXT.splits
    }
    return publish(store, "clean_corpus", None, {"ledger": (LEDGER, {"train": ledger}), "text": (TEXT, text)})


def versions(folder: Path, corpus: Mapping[str, Sequence[Page]] = PAGES, *, listed: bool = True) -> CorpusVersions:
    """Everything published of a corpus."""
    store = Store(folder)
    return CorpusVersions(
        tuple(corpus),
        {name: documents(store, name, pages) for name, pages in corpus.items()},
        {name: signals(store, name, pages, listed=listed) for name, pages in corpus.items()},
        {name: decisions(store, name, pages) for name, pages in corpus.items()},
        clean(store, corpus),
    )


def settings(folder: Path, **values: Any) -> ReportSettings:
    """The rules above, placeholders of one kind only, and a few names."""
    path = folder / "fingers.yaml"
    path.write_text(yaml.safe_dump(RULES), encoding="utf-8")
    names = MentionSettings(
        target=MentionNames(places=("Roma", "Milano", "Reggio nell'Emilia", "Emilia"), institutions=("Banca d'Italia",)),
        foreign=MentionNames(places=("New York", "York"), institutions=("BBC",)),
    )
    fixed: dict[str, Any] = {
        "profile": "fingers", "language": "Italian", "decisions": DecisionSettings(rules=path), "identification": IdentificationSettings(label="it"),
        "personal_data": PersonalDataSettings(kinds=("iban",), phone_region="IT", phone_words=("tel",)), "mentions": names, "seed": 7,
    }  # fmt: skip
    return ReportSettings(**{**fixed, **values})
