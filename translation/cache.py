"""The translation cache: what an engine has translated is not asked of it again, in this run, after a kill, or in another build.

One SQLite file for each engine, package and set of decoding parameters, below the cache folder; safe for several processes, and safe
to delete. Whole batches are written at a time. Where a translation depends on the sentences beside it in the batch (any compute type
but float32, Apertium), the batch is part of the key, so that a sentence is found only in the batch that it was translated in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from translation.engines.engine import EngineChoice, Translation
from translation.errors import EngineError

FORMAT = 1
"""Changes whenever entries mean something else; it is part of the file's name."""
_BUSY_S = 120.0
"""How long a process waits for another one's commit."""
_AT_ONCE = 900
"""Keys of one query; SQLite has a limit on variables, 999 in old releases."""
_TABLE = "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, text TEXT NOT NULL, score REAL, truncated INTEGER NOT NULL, unknown_words INTEGER NOT NULL) WITHOUT ROWID"


def engine_key(choice: EngineChoice) -> str:
    """What names an engine's cache: everything that shapes its translations."""
    document = [FORMAT, choice.kind, choice.package, sorted(choice.parameters)]
    return hashlib.sha256(json.dumps(document, ensure_ascii=False).encode()).hexdigest()[:32]


class TranslationCache:
    """The translations of one engine; open it in the process that uses it."""

    def __init__(self, folder: Path, choice: EngineChoice) -> None:
        self._path = folder / "translations" / f"{choice.kind}-{engine_key(choice)}.sqlite"
        self._independent = choice.independent
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            # No write-ahead log: it needs memory that the machines of a cluster do not share.
            self._connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            self._connection.execute(_TABLE)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def find(self, batch: Sequence[str]) -> dict[str, Translation]:
        """What is known of a batch: each sentence for itself where translations are independent, else all of it or nothing.

        Raises:
            EngineError: the file is damaged.
        """
        keys = self._keys(batch)
        found: dict[str, Translation] = {}
        with self._explained():
            for start in range(0, len(batch), _AT_ONCE):
                part = {keys[sentence]: sentence for sentence in batch[start : start + _AT_ONCE]}
                marks = ",".join("?" * len(part))
                query = f"SELECT key, text, score, truncated, unknown_words FROM translations WHERE key IN ({marks})"
                for key, text, score, truncated, unknown_words in self._connection.execute(query, list(part)):
                    found[part[key]] = Translation(text, score, bool(truncated), unknown_words)
        return found if self._independent or len(found) == len(set(batch)) else {}

    def keep(self, batch: Sequence[str], translations: Mapping[str, Translation]) -> None:
        """Keep the translations of a batch, all in one transaction.

        Raises:
            EngineError: the file is damaged, or no space is left.
        """
        keys = self._keys(batch)
        rows = [
            (keys[sentence], entry.text, entry.score, int(entry.truncated), entry.unknown_words)
            for sentence, entry in sorted(translations.items(), key=lambda item: keys[item[0]])
        ]
        with self._explained(), self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO translations VALUES (?, ?, ?, ?, ?)", rows)

    def _keys(self, batch: Iterable[str]) -> dict[str, bytes]:
        sentences = list(batch)
        beside = b"" if self._independent else hashlib.sha256("\0".join(sentences).encode("utf-8", "surrogatepass")).digest()
        return {sentence: hashlib.sha256(beside + sentence.encode("utf-8", "surrogatepass")).digest()[:16] for sentence in sentences}

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise EngineError(f"the translation cache {self._path} cannot be used ({error}); look at the disk, or delete the file and run again") from error
        except sqlite3.DatabaseError as error:
            raise EngineError(f"the translation cache {self._path} is damaged ({error}); delete the file and run again") from error
