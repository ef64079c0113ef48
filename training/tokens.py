"""Adaptation tokens: target-language documents and English replay, tokenized and packed.

Token ids lie in files that are mapped into memory, never in memory: of a document a few numbers are held, and of a corpus a few
million characters at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from foundation.store import TableSpec
from training.conversations import adds_bos, seeded_order
from training.errors import TrainingError
from training.mixing import Copy, ordered_copies
from training.packing import Row, pack_split
from training.settings import TokenSettings

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from transformers import PreTrainedTokenizerBase

Corpus = Literal["target", "replay"]
CHUNK = 2_000
"""Documents that are read first, and rows that are written at one time."""
READ_CHARACTERS = 200_000_000
"""Characters that are read at one time: each time the whole table is gone through, whose rows lie in another order."""


def tokens_table(name: str) -> TableSpec:
    """The packed rows; ``sequence`` counts over all splits, ``row`` within its split."""
    return TableSpec(
        name=name,
        schema=pa.schema(
            [
                pa.field("sequence", pa.int64(), nullable=False),
                pa.field("row", pa.int64(), nullable=False),
                pa.field("input_ids", pa.list_(pa.int32()), nullable=False),
                pa.field("document_lengths", pa.list_(pa.int32()), nullable=False),
            ]
        ),
        key=("sequence",),
        splits=("train", "validation"),
        description="Packed rows of token ids; document_lengths give the pieces of documents in a row, in order.",
        mixes_documents=True,
    )


DOCUMENTS = TableSpec(
    name="documents",
    schema=pa.schema(
        [
            pa.field("corpus", pa.string(), nullable=False),
            pa.field("document_id", pa.string(), nullable=False),
            pa.field("split", pa.string(), nullable=False),
            pa.field("tokens", pa.int64(), nullable=False),
            pa.field("tokens_used", pa.int64(), nullable=False),
            pa.field("words", pa.int64(), nullable=False),
            pa.field("tokens_per_word", pa.float64()),
        ]
    ),
    key=("corpus", "document_id"),
    decimals={"tokens_per_word": 4},
    description="Every document that was tokenized; tokens_used is less than tokens where the budget ended, and counts "
    "every time that the mix reads the document; words are whitespace-separated.",
)


@dataclass(frozen=True, slots=True)
class TokenizedDocument:
    """Where a document comes from, and its tokens with BOS and EOS as the settings say; ``used`` of them, where the budget ended.

    ``place`` is where its ids begin in the file of its split.
    """

    corpus: Corpus
    document_id: str
    split: str
    place: int
    used: int
    tokens: int
    words: int
    copy: Copy | None = None

    @property
    def key(self) -> str:
        """Names this reading among all that are packed together."""
        return f"{self.corpus}:{self.document_id if self.copy is None else self.copy.key}"

    def row(self) -> dict[str, object]:
        """The entry of the ``documents`` table."""
        ratio = self.tokens / self.words if self.words else None
        return {
            "corpus": self.corpus,
            "document_id": self.document_id,
            "split": self.split,
            "tokens": self.tokens,
            "tokens_used": self.used,
            "words": self.words,
            "tokens_per_word": ratio,
        }


class TokenFile:
    """Token ids in a file, four bytes each: first added to, then mapped into memory. A file of that name is begun anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("wb")
        self._count = 0

    def add(self, ids: Sequence[int]) -> int:
        """Append the ids of a document; where they begin."""
        import numpy as np

        place = self._count
        self._stream.write(np.asarray(ids, dtype=np.int32).tobytes())
        self._count += len(ids)
        return place

    def mapped(self) -> np.ndarray:
        """All ids, read from the file as they are asked for; nothing is added any more."""
        import numpy as np

        self._stream.close()
        return np.memmap(self._path, dtype=np.int32, mode="r") if self._count else np.empty(0, dtype=np.int32)


def tokenize_documents(
    documents: pl.LazyFrame,
    tokenizer: PreTrainedTokenizerBase,
    settings: TokenSettings,
    into: TokenFile,
    *,
    corpus: Corpus,
    split: str,
    budget: int | None,
    seed: int,
) -> Iterator[TokenizedDocument]:
    """Documents in seeded order, tokenized into a file until the budget is reached; the one that passes it is cut there.

    Further copies of a document share its place in the file.

    Args:
        documents: columns ``document_id`` and ``text``; ``snapshot`` and ``repetitions`` where they are to count (see ``mixing``).
        budget: tokens; ``None`` takes every document, 0 none.
    """
    if budget == 0:
        return
    opening = [tokenizer.bos_token_id] if _begins(tokenizer, settings) else []
    closing = [tokenizer.eos_token_id] if settings.end else []
    used = 0
    known: dict[str, TokenizedDocument] = {}
    copies = ordered_copies(documents, settings.weights, seed)
    several = {copy.document_id for copy in copies if copy.number}
    for copy, text in _texts(documents, copies):
        if earlier := known.get(copy.document_id):
            document = replace(earlier, copy=copy, used=earlier.tokens if budget is None else min(earlier.tokens, budget - used))
            yield document
            used += document.used
            if budget is not None and used >= budget:
                return
            continue
        # split_special_tokens: "<s>" inside a page is text, never a new document.
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        whole = [*opening, *ids, *closing]
        kept = whole if budget is None else whole[: budget - used]
        document = TokenizedDocument(corpus, copy.document_id, split, into.add(kept), len(kept), len(whole), len(text.split()), copy)
        if copy.document_id in several:
            known[copy.document_id] = document
        yield document
        used += len(kept)
        if budget is not None and used >= budget:
            return


def _texts(documents: pl.LazyFrame, order: Sequence[Copy]) -> Iterator[tuple[Copy, str]]:
    """Copies and their texts in order: few at first, then as many at a time as a few hundred million characters are."""
    import polars as pl

    start, characters = 0, 0
    while start < len(order):
        count = CHUNK if not characters else max(1, READ_CHARACTERS * start // characters)
        wanted = order[start : start + count]
        texts = dict(documents.filter(pl.col("document_id").is_in([copy.document_id for copy in wanted])).select("document_id", "text").collect().iter_rows())
        for copy in wanted:
            yield copy, texts[copy.document_id]
        characters += sum(map(len, texts.values()))
        start += len(wanted)


def _begins(tokenizer: PreTrainedTokenizerBase, settings: TokenSettings) -> bool:
    if settings.begin == "always" and tokenizer.bos_token_id is None:
        raise TrainingError("training.tokens.begin is always, and the tokenizer has no BOS token; set it to tokenizer or never")
    return settings.begin == "always" or (settings.begin == "tokenizer" and adds_bos(tokenizer))


class PackedDocuments:
    """Documents of a token file in rows of one length, made anew each time they are gone through."""

    def __init__(self, tokens: np.ndarray, documents: Sequence[TokenizedDocument], row_tokens: int) -> None:
        self._tokens, self._row_tokens = tokens, row_tokens
        self._documents = documents

    def __iter__(self) -> Iterator[Row]:
        import numpy as np

        ids = (self._tokens[document.place : document.place + document.used].tolist() for document in self._documents)
        for row in pack_split(ids, self._row_tokens):
            yield Row(np.asarray(row.input_ids, dtype=np.int32), np.asarray(row.document_lengths, dtype=np.int32))


@dataclass(frozen=True)
class AdaptationRows:
    """Packed rows by split and the documents in them, by corpus and id.

    ``mix``: by snapshot, the train documents read, copies of them, and tokens; empty where nothing
    weighs and every document is read once.
    """

    train: PackedDocuments
    validation: PackedDocuments
    documents: list[TokenizedDocument]
    mix: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def adaptation_rows(
    target: dict[str, pl.LazyFrame], replay: pl.LazyFrame, tokenizer: PreTrainedTokenizerBase, settings: TokenSettings, seed: int, folder: Path
) -> AdaptationRows:
    """Target documents and replay, mixed in seeded order and packed.

    ``token_budget`` is shared out by ``replay_share``; without a budget replay is measured by the target tokens there are.

    Args:
        target: the corpus by split, ``train`` and ``validation``.
        replay: English documents for the train split.
        folder: where the token files are made; rows are read from there as long as they are asked for.

    Raises:
        TrainingError: a split holds no tokens.
    """
    folder.mkdir(parents=True, exist_ok=True)
    share = settings.replay_share
    budget = settings.token_budget
    target_budget = None if budget is None else max(1, round(budget * (1 - share)))
    ids = TokenFile(folder / "train.ids")
    train = list(tokenize_documents(target["train"], tokenizer, settings, ids, corpus="target", split="train", budget=target_budget, seed=seed))
    found = sum(document.used for document in train)
    if not found:
        if settings.weights and not target["train"].limit(1).collect().is_empty():
            raise TrainingError(f"training.tokens.weights leave none of clean_corpus's train documents: {settings.weights}; raise a factor")
        raise TrainingError("clean_corpus holds no train documents; nothing to adapt to. Look at its ledger for the reasons of drops")
    mix = _mix_of(train, settings.weights)
    replay_budget = round(found * share / (1 - share))
    train += tokenize_documents(replay, tokenizer, settings, ids, corpus="replay", split="train", budget=replay_budget, seed=seed)
    by_key = {document.key: document for document in train}
    mixed = [by_key[key] for key in seeded_order(by_key, seed)]
    held = TokenFile(folder / "validation.ids")
    validation = list(
        tokenize_documents(
            target["validation"], tokenizer, settings, held, corpus="target", split="validation", budget=settings.validation_tokens, seed=seed
        )
    )
    if not validation:
        raise TrainingError("clean_corpus holds no validation documents; raise its validation share, the report needs held-out text")
    return AdaptationRows(
        train=PackedDocuments(ids.mapped(), mixed, settings.row_tokens),
        validation=PackedDocuments(held.mapped(), validation, settings.row_tokens),
        documents=sorted((*_once(mixed), *validation), key=lambda document: (document.corpus, document.document_id)),
        mix=mix,
    )


def _once(documents: Iterable[TokenizedDocument]) -> Iterable[TokenizedDocument]:
    """Each document once, with the tokens of all its copies."""
    found: dict[tuple[str, str], TokenizedDocument] = {}
    for document in documents:
        name = document.corpus, document.document_id
        found[name] = replace(found[name], used=found[name].used + document.used) if name in found else document
    return found.values()


def _mix_of(documents: Sequence[TokenizedDocument], weights: Mapping[str, float]) -> dict[str, dict[str, int]]:
    """Documents, copies and tokens that were read, by snapshot; nothing where neither weights nor repetitions say anything."""
    if not weights and not any(document.copy is not None and document.copy.number for document in documents):
        return {}
    read: dict[str, list[TokenizedDocument]] = {}
    for document in documents:
        read.setdefault((document.copy and document.copy.snapshot) or "unnamed", []).append(document)
    return {
        snapshot: {"documents": len({one.document_id for one in found}), "copies": len(found), "tokens_used": sum(one.used for one in found)}
        for snapshot, found in sorted(read.items())
    }


def table_batches(rows: Iterable[Row], first: int = 0) -> Iterator[list[dict[str, Any]]]:
    """Rows of one split in the form of ``tokens_table``, so many at a time; ``first`` is their first ``sequence``."""
    numbered = enumerate(rows)
    while batch := [
        {"sequence": first + index, "row": index, "input_ids": list(row.input_ids), "document_lengths": list(row.document_lengths)}
        for index, row in islice(numbered, CHUNK)
    ]:
        yield batch
