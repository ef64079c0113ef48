"""Transumanza's side of the signals benchmark: all signals of a file of texts, then all rules, by one process.

Prints one JSON object: CPU seconds of measuring, of judging, and of the parts of measuring; writes by filter of the peer, and
for each document, the first rule that rejects it, or null.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from corpus.web.bad_words import BadWordFinder, read_word_list
from corpus.web.judging import columns_for, judge
from corpus.web.rules import RuleSet, load_rules
from corpus.web.settings import SignalSettings
from corpus.web.signals import SignalMeter, SignalRun, read_signals, signal_table
from corpus.web.vocabulary import Vocabulary
from foundation.language.settings import LanguageSettings
from foundation.language.words import WordTokenizer
from foundation.settings import PROFILES_ROOT

FILTERS = {
    "gopher_repetition": {
        "duplicate_lines": "dup_line_frac",
        **{f"top_{size}_gram": f"top_{size}_gram" for size in (2, 3, 4)},
        **{f"duplicated_{size}_gram": f"duplicated_{size}_n_grams" for size in range(5, 11)},
    },
    "fineweb_quality": {"ended_lines": "line_punct_ratio", "duplicate_characters": "char_dup_ratio", "line_ends": "list_ratio"},
    "gopher_quality": {
        "short_document": "gopher_short_doc",
        "long_document": "gopher_long_doc",
        "short_words": "gopher_below_avg_threshold",
        "long_words": "gopher_above_avg_threshold",
        "hash_signs": "gopher_too_many_hashes",
        "ellipses": "gopher_too_many_ellipsis",
        "bullet_lines": "gopher_too_many_bullets",
        "ellipsis_lines": "gopher_too_many_end_ellipsis",
        "alphabetic_words": "gopher_below_alpha_threshold",
        "stop_words": "gopher_enough_stop_words",
    },
    "c4_quality": {"placeholder_text": "lorem_ipsum", "brace_text": "curly_bracket", "few_sentences": "too_few_sentences"},
}
"""Our rules and the peer's reasons for them, by the peer's filters, in the order in which each looks."""


def main(texts_file: str, met: str, word_lists: str, results_file: str) -> None:
    """The first ``met`` texts are only met: what is measured comes after them, once with and once without having met them."""
    language = LanguageSettings(**yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8")))
    lists = {path.name: read_word_list(path) for path in map(Path, word_lists.split(","))} if word_lists else None
    run = SignalRun(SignalSettings(), language.words, language.phrases, lists)
    texts = [json.loads(line) for line in Path(texts_file).read_text(encoding="utf-8").splitlines()]
    others, texts = texts[: int(met)], texts[int(met) :]
    # Compiled loops and spaCy are fixed costs, left out on both sides.
    signal_table([("warm up", f"{run.phrases.placeholder[0]}: " * 20)], _meter(run))
    empty, _ = _measured(texts, _meter(run))
    meter = _meter(run)
    _measured(others, meter)
    seconds, table = _measured(texts, meter)
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    rules = {name: load_rules(PROFILES_ROOT / "rules" / f"{name}.yaml") for name in ("fineweb2_ita", "clean_mc4_it_code")}
    reasons = {
        name: _first(rows, rules["clean_mc4_it_code" if name == "c4_quality" else "fineweb2_ita"], order) for name, order in FILTERS.items()
    }
    Path(results_file).write_text(json.dumps(reasons), encoding="utf-8")
    judged = max(judging_seconds(table, found, Path(results_file).with_suffix(".parquet")) for found in rules.values())
    print(json.dumps({"cpu_seconds": seconds, "cpu_seconds_no_word_met": empty, "judging_seconds": judged, "documents": len(texts)}))


def _meter(run: SignalRun) -> SignalMeter:
    """A meter that has met no word yet."""
    bad_words = BadWordFinder(run.word_lists or {})
    return SignalMeter(run, bad_words, Vocabulary(WordTokenizer(run.words.tokenizer), run.words.stop_words, bad_words.runs))


def _measured(texts: list[str], meter: SignalMeter) -> tuple[float, pa.Table]:
    """CPU seconds of measuring texts, and their signals."""
    begun = time.process_time()
    table = signal_table(((str(place), text) for place, text in enumerate(texts)), meter)
    return time.process_time() - begun, table


def _first(rows: pl.DataFrame, rules: RuleSet, order: dict[str, str]) -> list[str | None]:
    failed = judge(rows, rules, "research").rows["failed_rules"].to_list()
    return [next((order[name] for name in order if name in found), None) for found in failed]


def judging_seconds(table: pa.Table, rules: RuleSet, path: Path, repeats: int = 20) -> float:
    """CPU seconds of reading the rows from Parquet and judging them once, from many times the rows: one time is too short."""
    pq.write_table(pa.concat_tables([table] * repeats), path, compression="zstd")
    wanted = [name for name in columns_for(rules, "research") if name in table.column_names]
    judge(read_signals([path], wanted).head(10), rules, "research")
    begun = time.process_time()
    judge(read_signals([path], wanted), rules, "research")
    return (time.process_time() - begun) / repeats


if __name__ == "__main__":
    main(*sys.argv[1:])
