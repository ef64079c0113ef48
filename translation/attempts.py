"""Attempts: how a sentence gets through an engine with everything in it that is protected.

Its spans become marks; where a mark is lost, another form of mark is tried; then the parts around the spans are translated by themselves,
which costs grammar and never a span. What comes back from none of these has no translation, and the caller keeps the source.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from translation.batches import SentenceTranslator
from translation.engines.engine import Translation
from translation.protection import MARK_FORMS, Masked, joined, mask, unprotected
from translation.segmentation import Piece, cut


@dataclass(frozen=True, slots=True)
class Attempt:
    """A translation that kept every span; ``in_parts`` where it was put together from the parts around them."""

    translation: Translation
    in_parts: bool = False


def attempts(sentences: Iterable[Piece], engine: SentenceTranslator) -> dict[Piece, Attempt]:
    """Translations by sentence; those that lost a span in every attempt, or came back empty, are missing.

    Raises:
        EngineError: the engine failed, or broke its contract.
    """
    done: dict[Piece, Attempt] = {}
    waiting = _sorted(set(sentences))
    for number, form in enumerate(MARK_FORMS):
        asked = [piece for piece in waiting if piece.spans or not number]
        masks = {piece: mask(piece.text, form, piece.spans) for piece in asked}
        translations = engine.translated(sorted({masked.text for masked in masks.values()})) if masks else {}
        for piece, masked in masks.items():
            translation = _restored(masked, translations[masked.text])
            if translation is not None:
                done[piece] = Attempt(translation)
        waiting = [piece for piece in waiting if piece not in done]
    done.update(_in_parts([piece for piece in waiting if piece.spans], engine))
    return done


@dataclass(frozen=True)
class Fitted:
    """Sentences that are longer than an engine should get: ``shorter`` has the pieces that each is cut into; ``too_long`` cannot be cut."""

    shorter: Mapping[Piece, Sequence[Piece]]
    too_long: frozenset[Piece]


def fitted(sentences: Iterable[Piece], engine: SentenceTranslator, max_tokens: int) -> Fitted:
    """Cut the sentences that have more tokens than an engine should get, at clauses, until all parts fit that can be cut."""
    # No token is less than a byte, so that few sentences need to be counted.
    waiting = [piece for piece in set(sentences) if len(piece.text.encode("utf-8", "surrogatepass")) > max_tokens]
    long = _too_long(waiting, engine, max_tokens)
    hopeless: set[Piece] = set()
    shorter = {piece: list(_cut(piece, engine, max_tokens, hopeless)) for piece in _sorted(long)}
    return Fitted(shorter, frozenset(hopeless))


def _too_long(pieces: Collection[Piece], engine: SentenceTranslator, max_tokens: int) -> list[Piece]:
    lengths = engine.lengths([mask(piece.text, spans=piece.spans).text for piece in pieces]) if pieces else []
    return [piece for piece, length in zip(pieces, lengths, strict=True) if length > max_tokens]


def _cut(piece: Piece, engine: SentenceTranslator, max_tokens: int, hopeless: set[Piece]) -> Iterator[Piece]:
    parts = cut(piece, max(len(piece.text) // 2, 1))
    if parts == [piece]:
        hopeless.add(piece)
        yield piece
        return
    long = set(_too_long([part for part in parts if part.sentence], engine, max_tokens))
    for part in parts:
        if part in long:
            yield from _cut(part, engine, max_tokens, hopeless)
        else:
            yield part


def _restored(masked: Masked, translation: Translation) -> Translation | None:
    restored = masked.restore(translation.text)
    if restored is None or not restored.strip():
        return None
    # Marks are words that no engine knows.
    return replace(translation, text=restored, unknown_words=max(translation.unknown_words - len(masked.spans), 0))


def _in_parts(pieces: Collection[Piece], engine: SentenceTranslator) -> dict[Piece, Attempt]:
    parts = {piece: _parts(piece) for piece in pieces}
    texts = sorted({text for found in parts.values() for text, speaks in found if speaks})
    translations = engine.translated(texts) if texts else {}
    done = {}
    for piece, found in parts.items():
        spoken = [translations[text] for text, speaks in found if speaks]
        if all(part.text and not _holds_mark(part.text) for part in spoken):
            text = "".join(translations[text].text if speaks else text for text, speaks in found)
            scores = [part.score for part in spoken if part.score is not None]
            score = sum(scores) / len(scores) if scores else None
            done[piece] = Attempt(Translation(text, score, any(part.truncated for part in spoken), sum(part.unknown_words for part in spoken)), in_parts=True)
    return done


def _parts(piece: Piece) -> list[tuple[str, bool]]:
    """The parts of a sentence in order, with whether they are translated: what lies between its spans, without the white space around it."""
    found: list[tuple[str, bool]] = []
    position = 0
    for start, end in unprotected(piece.text, joined(piece.text, piece.spans)):
        part = piece.text[start:end]
        inner = part.strip()
        first = start + len(part) - len(part.lstrip())
        if any(character.isalpha() for character in inner):
            found += [(piece.text[position:first], False), (inner, True)]
            position = first + len(inner)
    return [*found, (piece.text[position:], False)]


def _holds_mark(text: str) -> bool:
    return any(form.pattern.search(text) for form in MARK_FORMS)


def _sorted(pieces: Collection[Piece]) -> list[Piece]:
    return sorted(pieces, key=lambda piece: (piece.text, piece.spans))

