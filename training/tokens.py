"""Adaptation tokens: target-language documents and English replay, tokenized and packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from foundation.store import TableSpec
from training.conversations import adds_bos, seeded_order
from training.errors import TrainingError
from training.packing import Row, pack_split
from training.settings import TokenSettings

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from transformers import PreTrainedTokenizerBase

Corpus = Literal["target", "replay"]
CHUNK = 2_000
"""Documents read and tokenized, or rows written, at one time."""


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
    description="Every document that was tokenized; tokens_used is less than tokens where the budget ended; words are "
    "whitespace-separated.",
)


@dataclass(frozen=True)
class TokenizedDocument:
    """A document's token ids with BOS and EOS as the settings say, cut where the budget ended, and where it comes from.

    ``tokens`` counts the whole document.
    """

    corpus: Corpus
    document_id: str
    split: str
    ids: np.ndarray
    tokens: int
    words: int

    def row(self) -> dict[str, object]:
        """The entry of the ``documents`` table."""
        ratio = self.tokens / self.words if self.words else None
        return {
            "corpus": self.corpus,
            "document_id": self.document_id,
            "split": self.split,
            "tokens": self.tokens,
            "tokens_used": len(self.ids),
            "words": self.words,
            "tokens_per_word": ratio,
        }


def tokenize_documents(
    documents: pl.LazyFrame,
    tokenizer: PreTrainedTokenizerBase,
    settings: TokenSettings,
    *,
    corpus: Corpus,
    split: str,
    budget: int | None,
    seed: int,
) -> Iterator[TokenizedDocument]:
    """Documents in seeded order, tokenized until the budget is reached; the one that passes it is cut there.

    Args:
        documents: columns ``document_id`` and ``text``.
        budget: tokens; ``None`` takes every document, 0 none.
    """
    import numpy as np
    import polars as pl

    if budget == 0:
        return
    opening = [tokenizer.bos_token_id] if _begins(tokenizer, settings) else []
    closing = [tokenizer.eos_token_id] if settings.end else []
    order = seeded_order(documents.select("document_id").collect()["document_id"], seed)
    used = 0
    for start in range(0, len(order), CHUNK):
        wanted = order[start : start + CHUNK]
        chunk = documents.filter(pl.col("document_id").is_in(wanted)).select("document_id", "text").collect()
        texts = dict(chunk.iter_rows())
        for document_id in wanted:
            text = texts[document_id]
            # split_special_tokens: "<s>" inside a page is text, never a new document.
            ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
            whole = [*opening, *ids, *closing]
            kept = whole if budget is None else whole[: budget - used]
            yield TokenizedDocument(corpus, document_id, split, np.asarray(kept, dtype=np.int32), len(whole), len(text.split()))
            used += len(kept)
            if budget is not None and used >= budget:
                return


def _begins(tokenizer: PreTrainedTokenizerBase, settings: TokenSettings) -> bool:
    if settings.begin == "always" and tokenizer.bos_token_id is None:
        raise TrainingError("training.tokens.begin is always, and the tokenizer has no BOS token; set it to tokenizer or never")
    return settings.begin == "always" or (settings.begin == "tokenizer" and adds_bos(tokenizer))


@dataclass(frozen=True)
class AdaptationRows:
    """Packed rows by split and the documents in them."""

    train: list[Row]
    validation: list[Row]
    documents: list[TokenizedDocument]


def adaptation_rows(
    target: dict[str, pl.LazyFrame], replay: pl.LazyFrame, tokenizer: PreTrainedTokenizerBase, settings: TokenSettings, seed: int
) -> AdaptationRows:
    """Target documents and replay, mixed in seeded order and packed.

    ``token_budget`` is shared out by ``replay_share``; without a budget replay is measured by the target tokens there are.

    Args:
        target: the corpus by split, ``train`` and ``validation``.
        replay: English documents for the train split.

    Raises:
        TrainingError: a split holds no tokens.
    """
    share = settings.replay_share
    budget = settings.token_budget
    target_budget = None if budget is None else max(1, round(budget * (1 - share)))
    train = list(tokenize_documents(target["train"], tokenizer, settings, corpus="target", split="train", budget=target_budget, seed=seed))
    found = sum(len(document.ids) for document in train)
    if not found:
        raise TrainingError("clean_corpus holds no train documents; nothing to adapt to. Look at its ledger for the reasons of drops")
    replay_budget = round(found * share / (1 - share))
    train += tokenize_documents(replay, tokenizer, settings, corpus="replay", split="train", budget=replay_budget, seed=seed)
    by_key = {f"{document.corpus}:{document.document_id}": document for document in train}
    mixed = [by_key[key] for key in seeded_order(by_key, seed)]
    validation = list(
        tokenize_documents(
            target["validation"], tokenizer, settings, corpus="target", split="validation", budget=settings.validation_tokens, seed=seed
        )
    )
    if not validation:
        raise TrainingError("clean_corpus holds no validation documents; raise its validation share, the report needs held-out text")
    return AdaptationRows(
        train=_packed(mixed, settings.row_tokens),
        validation=_packed(validation, settings.row_tokens),
        documents=sorted((*mixed, *validation), key=lambda document: (document.corpus, document.document_id)),
    )


def _packed(documents: Iterable[TokenizedDocument], row_tokens: int) -> list[Row]:
    """Packed rows, four bytes a token: lists of Python's integers would be nine times as large."""
    import numpy as np

    rows = pack_split((document.ids.tolist() for document in documents), row_tokens)
    return [Row(np.asarray(row.input_ids, dtype=np.int32), np.asarray(row.document_lengths, dtype=np.int32)) for row in rows]


def table_batches(rows: Sequence[Row], first: int = 0) -> Iterator[list[dict[str, object]]]:
    """``table_rows`` of so many rows at a time."""
    for start in range(0, len(rows), CHUNK):
        yield [{**row, "row": start + index} for index, row in enumerate(table_rows(rows[start : start + CHUNK], first + start))]


def table_rows(rows: Sequence[Row], first: int = 0) -> list[dict[str, object]]:
    """Rows of one split in the form of ``tokens_table``; ``first`` is their first ``sequence``."""
    return [
        {
            "sequence": first + index,
            "row": index,
            "input_ids": list(row.input_ids),
            "document_lengths": list(row.document_lengths),
        }
        for index, row in enumerate(rows)
    ]


def read_rows(frame: pl.LazyFrame) -> list[Row]:
    """Rows out of a table, in its order."""
    return [Row(row["input_ids"], row["document_lengths"]) for row in frame.collect().iter_rows(named=True)]
