"""The published filters written down plainly, one text at a time: what the rule files must give. Slow, and for tests alone.

FineWeb-2: datatrove 0.10.1 (GopherRepetitionFilter, FineWebQualityFilter, GopherQualityFilter) with configs/ita_Latn.yml of
huggingface/fineweb-2, every rule looked at instead of the first. clean_mc4_it: its dataset card, and the code of the fork.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from corpus.web.punctuation import PUNCTUATION, TERMINAL
from foundation.language.sentences import sentence_spans
from foundation.language.settings import LanguageSettings

CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")


class Verdict(NamedTuple):
    """Failing rules in no order, lines removed, and characters left (clean_mc4_it)."""

    failed: set[str]
    removed: list[int]
    left: int


def fineweb2(text: str, words: Sequence[str], stop_words: Sequence[str]) -> set[str]:
    """Rules of FineWeb-2 that a text of these words fails, but for its language score."""
    real = [word for word in words if any(char not in PUNCTUATION for char in word)]
    total = max(len(words), 1)
    lines = [line for line in text.split("\n") if line.strip()]
    seen_lines = text.splitlines()
    split = re.split(r"\n+", text)
    repeated, _ = _duplicates(split)
    _, characters = _duplicates(lines)
    mean = sum(map(len, real)) / max(len(real), 1)
    failed = {
        "duplicate_lines": repeated / len(split) > 0.246,
        "ended_lines": sum(line.endswith(tuple(TERMINAL)) for line in lines) / max(len(lines), 1) < 0.025,
        "duplicate_characters": characters / max(len(text.replace("\n", "")), 1) > 0.1,
        "line_ends": text.count("\n") / total > 0.2,
        "short_document": len(real) < 50,
        "long_document": len(real) > 100_000,
        "short_words": mean < 3,
        "long_words": mean > 21,
        "hash_signs": text.count("#") / total > 0.1,
        "ellipses": (text.count("...") + text.count("…")) / total > 0.1,
        "bullet_lines": sum(line.lstrip().startswith(("•", "-")) for line in seen_lines) / max(len(seen_lines), 1) > 0.9,
        "ellipsis_lines": sum(line.rstrip().endswith(("...", "…")) for line in seen_lines) / max(len(seen_lines), 1) > 0.3,
        "alphabetic_words": sum(any(char.isalpha() for char in word) for word in words) / total < 0.807,
        "stop_words": len(set(stop_words) & set(words)) < 2,
    }
    for size, share in ((2, 0.198), (3, 0.156), (4, 0.133)):
        failed[f"top_{size}_gram"] = _top(words, size) / max(len(text), 1) > share
    for size, share in ((5, 0.144), (6, 0.136), (7, 0.127), (8, 0.118), (9, 0.109), (10, 0.1)):
        failed[f"duplicated_{size}_gram"] = _duplicated(words, size) / max(len(text), 1) > share
    return {rule for rule, fails in failed.items() if fails}


def _duplicates(elements: Sequence[str]) -> tuple[int, int]:
    seen: set[str] = set()
    repeated = characters = 0
    for element in elements:
        repeated += element in seen
        characters += len(element) if element in seen else 0
        seen.add(element)
    return repeated, characters


def _top(words: Sequence[str], size: int) -> int:
    grams = Counter(" ".join(words[start : start + size]) for start in range(len(words) - size + 1))
    gram, count = grams.most_common(1)[0] if grams else ("", 0)
    return len(gram) * count


def _duplicated(words: Sequence[str], size: int) -> int:
    seen: set[str] = set()
    characters = start = 0
    while start < len(words) - size + 1:
        gram = "".join(words[start : start + size])
        characters += len(gram) if gram in seen else 0
        start += size if gram in seen else 1
        seen.add(gram)
    return characters


def clean_mc4_it(text: str, bad_words: Sequence[str], language: LanguageSettings, *, code: bool) -> Verdict:
    """clean_mc4_it by its card, or by the published code: a document of the target language is taken for granted."""
    failed: set[str] = set()
    pattern = re.compile(rf"(?:\W|^)({'|'.join(map(re.escape, bad_words))})(?:\W|$)")
    if pattern.search(text.lower()):
        failed.add("bad_words")
    removed, left, sentences = [], [], 0
    for index, raw in enumerate(text.split("\n")):
        line = raw.strip()
        fate = _fate(line, language, code=code)
        if fate == "remove":
            removed.append(index)
            continue
        if fate is not None:
            failed.add(fate)
        left.append(CITATION.sub("", line).strip())
        sentences += len(sentence_spans(CITATION.sub("", line), language.phrases.sentences))
    characters = len("\n".join(line for line in left if line))
    tests: dict[str, Callable[[], bool]] = {
        "few_sentences": lambda: sentences < 5,
        "short_document": lambda: characters < 500,
        "long_document": lambda: characters > 50_000,
    }
    failed |= {rule for rule, fails in tests.items() if fails()}
    return Verdict(failed, removed, characters)


def _fate(line: str, language: LanguageSettings, *, code: bool) -> str | None:
    """``remove``; a rule of the code that drops the document; or None for a line that stays."""
    if any(len(word) > (250 if code else 1000) for word in line.split()):
        return "remove"
    line = CITATION.sub("", line)
    if not line.endswith((".", "?", "!", '"')) or line.endswith("...") or len(line.split()) < 3:
        return "remove"
    lowered = line.lower()
    if "lorem ipsum" in lowered:
        return "placeholder_text" if code else "remove"
    if "javascript" in lowered:
        return "remove"
    if "{" in line:
        return "brace_text" if code else "remove"
    if any(phrase in lowered for phrases in language.phrases.policy.values() for phrase in phrases):
        return "remove"
    return None
