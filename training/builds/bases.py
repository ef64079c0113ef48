"""Builds of the base models and of the adaptation tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from foundation.stages import StageContext, StageReport, StageSetup
from training.base import fetch_base, origin_of, publish_base
from training.builds.inputs import mixed_frame, text_frame
from training.checkpoints import WANTED, check_length, load_tokenizer
from training.linking import link_tree
from training.packing import Row
from training.recipes import load_parameter_count
from training.settings import FolderBase, TokenSettings
from training.tokens import CHUNK, DOCUMENTS, AdaptationRows, adaptation_rows, table_batches, tokens_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def build_base(context: StageContext) -> StageReport:
    """``base_model`` and, where it is another one, ``chat_base_model``."""
    settings = next(iter(context.settings.values()))
    origin = publish_base(cast(Any, settings), context.staging.files, context.downloads)
    return _base_report(context, origin)


def link_base(context: StageContext) -> StageReport:
    """``chat_base_model`` where both lines start from one model: the same files, linked."""
    source = context.input("base_model")
    link_tree(source.files, context.staging.files)
    return _base_report(context, origin_of(source.files))


def _base_report(context: StageContext, origin: Any) -> StageReport:
    folder = context.staging.files
    parameters = load_parameter_count(folder)
    lines = "\n".join(f"- {key}: {value}" for key, value in sorted(origin.items()))
    context.staging.card(f"# {context.asset}\n\n{origin['name']}, {parameters:,} parameters.\n\n{lines}", license=_spdx(origin["licence"]))
    told = {key: origin[key] for key in ("name", "licence", "weights_sha256")}
    return StageReport(statistics={"parameters": parameters, **told})


def _spdx(licence: str) -> str:
    """The Hub writes licence identifiers in lower case."""
    return licence.lower().replace(" ", "-")


def base_files(section: str) -> Any:
    """The files of a local base folder, which count in the fingerprint."""

    def files(setup: StageSetup) -> Sequence[Path]:
        settings = setup.settings[section]
        if not isinstance(settings, FolderBase):
            return ()
        return sorted({path for pattern in WANTED for path in settings.path.glob(pattern)})

    return files


def base_downloads(section: str) -> Any:
    """Brings what a base model downloads into the cache."""

    def fetch(setup: StageSetup) -> None:
        fetch_base(cast(Any, setup.settings[section]), setup.downloads)

    return fetch


def build_tokens(context: StageContext) -> StageReport:
    """``adaptation_tokens``."""
    settings = cast(TokenSettings, context.settings["training.tokens"])
    corpus = context.input("clean_corpus")
    target = {"train": mixed_frame(corpus, "text", "train", weighted=bool(settings.weights)), "validation": text_frame(corpus, "text", "validation")}
    replay = text_frame(context.input("replay_text"), "text", "train")
    for asset in ("base_model", "chat_base_model"):
        if asset in context.inputs:
            check_length(context.input(asset).files, settings.row_tokens, "training.tokens.row_tokens")
    base = load_tokenizer(context.input("base_model").files)
    tokenizers = {"tokens": base}
    if "chat_base_model" in context.inputs:
        chat = load_tokenizer(context.input("chat_base_model").files)
        if _identity(chat) != _identity(base):
            tokenizers["chat_tokens"] = chat
    counts: dict[str, dict[str, dict[str, int]]] = {}
    with context.progress(len(tokenizers), "tokenizing and packing", "tokenizer") as bar:
        for name, tokenizer in tokenizers.items():
            rows = adaptation_rows(target, replay, tokenizer, settings, context.seed, context.work / name)
            counts[name] = _write_rows(context, name, rows)
            if name == "tokens":
                _write_documents(context, rows)
                documents, first = _document_statistics(rows), next(iter(rows.train))
            bar.update()
    context.staging.card(f"# {context.asset}\n\nPacked token rows for the adaptation of a base model; see the `documents` table for what is in them.")
    return StageReport(
        statistics={"row_tokens": settings.row_tokens, **counts["tokens"], **documents},
        previews={"First row": _preview(base, first, settings)},
    )


def _write_rows(context: StageContext, name: str, rows: AdaptationRows) -> dict[str, dict[str, int]]:
    """Write the packed rows of one tokenizer; rows, tokens and pieces of documents by split."""
    counts: dict[str, dict[str, int]] = {}
    written = 0
    with context.staging.table(tokens_table(name)) as table:
        for split, packed in (("train", rows.train), ("validation", rows.validation)):
            found: Counter[str] = Counter()
            for batch in table_batches(packed, written):
                table.write(batch, split)
                found.update(rows=len(batch), tokens=sum(len(row["input_ids"]) for row in batch), pieces=sum(len(row["document_lengths"]) for row in batch))
                written += len(batch)
            counts[split] = dict(found)
    return counts


def _write_documents(context: StageContext, rows: AdaptationRows) -> None:
    with context.staging.table(DOCUMENTS) as table:
        for start in range(0, len(rows.documents), CHUNK):
            table.write([document.row() for document in rows.documents[start : start + CHUNK]])


def _identity(tokenizer: PreTrainedTokenizerBase) -> tuple[str, int | None, int | None]:
    return tokenizer.backend_tokenizer.to_str(), tokenizer.bos_token_id, tokenizer.eos_token_id


def _document_statistics(rows: AdaptationRows) -> dict[str, Any]:
    statistics: dict[str, Any] = {}
    for corpus in ("target", "replay"):
        documents = [document for document in rows.documents if document.corpus == corpus]
        words, tokens = sum(document.words for document in documents), sum(document.tokens for document in documents)
        statistics[corpus] = {
            "documents": len(documents),
            "tokens_used": sum(document.used for document in documents),
            "tokens_per_word": round(tokens / words, 4) if words else None,
        }
    if rows.mix:
        statistics["mix"] = {snapshot: dict(counts) for snapshot, counts in rows.mix.items()}
    return statistics


def _preview(tokenizer: PreTrainedTokenizerBase, row: Row, settings: TokenSettings) -> str:
    start, parts = 0, []
    for length in row.document_lengths:
        text = tokenizer.decode(list(row.input_ids[start : start + min(length, 60)]))
        parts.append(f"- {length} tokens: `{text!r}`")
        start += length
    return f"{row.tokens} of {settings.row_tokens} tokens\n\n" + "\n".join(parts[:6])


