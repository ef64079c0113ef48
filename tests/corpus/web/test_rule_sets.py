"""The published rule sets: every boundary by hand, and equality with a plain reference on real pages."""

from __future__ import annotations

import math
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.decisions import without_lines
from corpus.web.judging import columns_for, judge
from corpus.web.lines import FLAG_BITS, LINE_FIELDS
from corpus.web.rules import LEFT, DocumentRule, LineRule, RuleSet, load_rules
from corpus.web.settings import SignalSettings
from corpus.web.signals import COUNTS, FLAGS, LINE_TYPE, SHARES, SignalMeter, SignalRun, make_meter, signal_table
from foundation.language.settings import LanguageSettings
from foundation.language.words import WordTokenizer, load_tokenizer
from foundation.settings import PROFILES_ROOT
from tests.corpus.web.plain_rules import clean_mc4_it, fineweb2

BAD_WORDS = ("pesce", "sega", "nave scuola", "g-spot", "a|b", "☠")
"""A small list of the same kinds as LDNOOBW's: everyday words, two words, signs that a pattern must escape, no letter at all."""
NAMES = ("fineweb2_ita", "clean_mc4_it", "clean_mc4_it_code", "transumanza")


def rule_set(name: str) -> RuleSet:
    return load_rules(PROFILES_ROOT / "rules" / f"{name}.yaml")


@pytest.fixture(scope="module")
def meter(language: LanguageSettings) -> SignalMeter:
    return make_meter(SignalRun(SignalSettings(), language.words, language.phrases, {"it": BAD_WORDS}))


Judge = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def judged(meter: SignalMeter) -> Judge:
    """The verdict on one text of the target language."""

    def verdict(text: str, rules: str, identification: str = "lid176", score: float = 0.9) -> dict[str, Any]:
        return frame_of([text], meter, rules, identification, score).row(0, named=True)

    return verdict


def frame_of(texts: list[str], meter: SignalMeter, rules: str, identification: str = "lid176", score: float = 0.9) -> pl.DataFrame:
    rows = pl.from_arrow(signal_table(((f"{place:05d}", text) for place, text in enumerate(texts)), meter))
    assert isinstance(rows, pl.DataFrame)
    rows = rows.with_columns(language_score=pl.lit(score), target_language=pl.lit(value=True))
    return judge(rows.select(columns_for(rule_set(rules), "research")), rule_set(rules), "research", identification).rows


# -- thresholds, one by one


def _row(**values: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys([*COUNTS, *SHARES, *FLAGS], 0)
    line = dict.fromkeys(LINE_FIELDS, 0)
    return {**row, "document_id": "d", "language_score": 0.0, "target_language": True, "line_signals": [line], "bad_word_hits": [], **values}


def _frame(*rows: Mapping[str, Any]) -> pl.DataFrame:
    hits = pl.List(pl.Struct({"list": pl.String, "word": pl.String, "hits": pl.Int32}))
    lines = pl.List(pl.Struct(dict.fromkeys(LINE_FIELDS, pl.Int32)))
    return pl.DataFrame(rows, schema_overrides={"bad_word_hits": hits, "line_signals": lines}, infer_schema_length=None)


def _both_sides(rule: DocumentRule | LineRule) -> tuple[float, float]:
    """The threshold, and the next value that fails: of counts the next whole number."""
    whole = float(rule.threshold).is_integer() and not rule.signal.endswith(("share", "length", "per_word"))
    step = 1.0 if whole else math.ulp(rule.threshold)
    return rule.threshold, rule.threshold + (step if rule.comparison == "at_most" else -step)


@pytest.mark.parametrize(("name", "rule"), [(name, rule) for name in NAMES for rule in rule_set(name).documents], ids=lambda value: getattr(value, "id", value))
def test_a_document_on_the_threshold_passes_and_the_next_value_fails(name: str, rule: DocumentRule) -> None:
    excused = {condition.signal: condition.threshold for condition in rule.only_where}
    rows = []
    for value in _both_sides(rule):
        values = {rule.signal: value, **excused}
        if rule.signal in LEFT:
            values = {"line_signals": _lines_with(rule.signal, int(value)), "characters": value}
        rows.append(_row(**values))
    alone = RuleSet(name=name, documents=(rule,))
    found = judge(_frame(*rows), alone, "research", rule.requires.get("identification")).rows["failed_rules"].to_list()
    assert found == [[], [rule.id]]


def _lines_with(signal: str, value: int) -> list[dict[str, int]]:
    line = dict.fromkeys(LINE_FIELDS, 0)
    return [{**line, signal.removeprefix("kept_"): value}]


@pytest.mark.parametrize(("name", "rule"), [(name, rule) for name in NAMES for rule in rule_set(name).lines], ids=lambda value: getattr(value, "id", value))
def test_a_line_on_the_threshold_stays_and_the_next_value_does_not(name: str, rule: LineRule) -> None:
    alone = RuleSet(name=name, documents=(), lines=(rule,))
    lines = []
    for value in _both_sides(rule):
        line = dict.fromkeys(LINE_FIELDS, 0)
        if rule.signal in FLAG_BITS:
            line["flags"] = FLAG_BITS[rule.signal] if value else 0
        else:
            line[rule.signal] = int(value)
        lines.append(line)
    found = judge(_frame(_row(line_signals=lines)), alone, "research").rows.row(0, named=True)
    dropped = rule.effect == "drop_document"
    assert found["removed_lines"] == ([] if dropped else [1]) and found["failed_rules"] == ([rule.id] if dropped else [])


def test_thresholds_are_those_of_the_published_file(shared_data: Path) -> None:
    """fineweb2_ita against the configuration file itself."""
    import yaml

    path = shared_data / "wordlists" / "fineweb2" / "configs_ita_Latn.yml"
    if not path.is_file():
        pytest.skip("needs FineWeb-2's configs/ita_Latn.yml in shared/data/wordlists/fineweb2")
    published = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = {rule.id: rule.threshold for rule in rule_set("fineweb2_ita").documents}
    assert found["language_score"] == published["language_score"] and found["duplicate_lines"] == published["dup_line_frac"]
    assert found["ended_lines"] == published["line_punct_thr"] and found["line_ends"] == published["new_line_ratio"]
    assert (found["short_words"], found["long_words"]) == (published["min_avg_word_length"], published["max_avg_word_length"])
    assert found["alphabetic_words"] == published["max_non_alpha_words_ratio"]
    assert [[size, found[f"top_{size}_gram"]] for size in (2, 3, 4)] == published["top_n_grams"]
    assert [[size, found[f"duplicated_{size}_gram"]] for size in range(5, 11)] == published["dup_n_grams"]


# -- texts on the boundaries of FineWeb-2

WORDS = [f"{first}{second}sso" for first in "bcdfglmnprstvz" for second in ("ala", "ebe", "ici", "odo", "ufu", "aga", "epe", "ilo")]
"""Different words of one kind, none a stop word."""


def prose(words: int, tail: str = " di che.") -> str:
    """So many different words and two stop words, on one line."""
    return " ".join(WORDS[: words - 2]) + tail


@pytest.mark.parametrize(
    ("passes", "fails", "rule"),
    [
        (prose(50), prose(49), "short_document"),
        (prose(60), prose(60, " di Che."), "stop_words"),
        (prose(60), prose(60, " di L’."), "stop_words"),
        (prose(53) + " #" * 6, prose(53) + " #" * 7, "hash_signs"),  # 54 tokens with the full stop
        (prose(53) + " …" * 6, prose(53) + " …" * 7, "ellipses"),
        (prose(53) + " ..." * 6, prose(53) + " ..." * 7, "ellipses"),
        ("\n".join([prose(60), *["- a"] * 9]), "\n".join([prose(60), *["- a"] * 10]), "bullet_lines"),
        ("\n".join([prose(60), "", *["- a"] * 10]), "\n".join([prose(60), *["• a"] * 10]), "bullet_lines"),
        ("\n".join([*WORDS[:7], *(f"{word} …" for word in WORDS[7:10])]), "\n".join([*WORDS[:6], *(f"{word} …" for word in WORDS[6:9])]), "ellipsis_lines"),
        ("\n".join(["uno."] + ["due"] * 39), "\n".join(["uno."] + ["due"] * 40), "ended_lines"),
        ("\n".join(["uno."] + ["due"] * 39), "\n".join(["uno»"] + ["due"] * 39), "ended_lines"),
        ("\n".join(f"{a} b c d e" for a in WORDS[:20]) + "\n", "\n".join(f"{a} b c d e" for a in WORDS[:20]) + "\n\n", "line_ends"),
        (" ".join(["abc"] * 60), " ".join(["abc"] * 59 + ["ab"]), "short_words"),
        (" ".join(["a" * 21] * 60), " ".join(["a" * 21] * 59 + ["a" * 22]), "long_words"),
        (" ".join(["a"] * 807 + ["1"] * 193), " ".join(["a"] * 806 + ["1"] * 194), "alphabetic_words"),
        ("\n".join(["123456789"] * 2 + ["x" * 72]), "\n".join(["123456789"] * 2 + ["x" * 71]), "duplicate_characters"),
        ("\n".join(map(str, [*range(377), *range(123)])), "\n".join(map(str, [*range(376), *range(124)])), "duplicate_lines"),
    ],
)
def test_texts_on_the_boundaries_of_fineweb2(judged: Judge, language: LanguageSettings, passes: str, fails: str, rule: str) -> None:
    for text, expected in ((passes, False), (fails, True)):
        found = judged(text, "fineweb2_ita")["failed_rules"]
        assert (rule in found) is expected, (rule, found)
        assert set(found) == fineweb2(text, load_tokenizer("it")(text), language.words.stop_words)


def test_the_language_score_counts_only_for_its_model(judged: Judge) -> None:
    assert "language_score" not in judged(prose(60), "fineweb2_ita", "lid176", 0.1)["failed_rules"]
    assert "language_score" in judged(prose(60), "fineweb2_ita", "glotlid", 0.816)["failed_rules"]
    assert "language_score" not in judged(prose(60), "fineweb2_ita", "glotlid", 0.817)["failed_rules"]
    assert rule_set("fineweb2_ita").inapplicable("glotlid") == {}
    assert list(rule_set("fineweb2_ita").inapplicable(None)) == ["language_score"]


# -- texts on the boundaries of clean_mc4_it

LINE = "Il maestro apre il libro e legge a voce alta. Poi tace."
"""Two sentences, 55 characters."""


def page(*lines: str, base: int = 10) -> str:
    return "\n".join([LINE] * base + list(lines))


@pytest.mark.parametrize(
    ("line", "card", "code"),
    [
        ("Tre parole sole.", "stays", "stays"),
        ("Due parole.", "removed", "removed"),
        ("Due parole[1] .", "stays", "stays"),
        ("[1] due parole.", "removed", "removed"),
        ("Una riga citata.[12]", "stays", "stays"),
        ("Una riga citata. [12]", "removed", "removed"),
        ("Una riga citata[edit].", "stays", "stays"),
        (f"La parola {'a' * 250} basta.", "stays", "stays"),
        (f"La parola {'a' * 251} basta.", "stays", "removed"),
        (f"La parola {'a' * 1000} basta.", "stays", "removed"),
        (f"La parola {'a' * 1001} basta.", "removed", "removed"),
        ("Una riga senza segno", "removed", "removed"),
        ("Una riga con domanda?", "stays", "stays"),
        ("Una riga che grida!", "stays", "stays"),
        ('Una riga «detta "bene"', "stays", "stays"),
        ("Una riga detta bene»", "removed", "removed"),
        ("Una riga detta bene”", "removed", "removed"),
        ("Una riga che si perde…", "removed", "removed"),
        ("Una riga che si perde...", "removed", "removed"),
        ("Una riga con due punti:", "removed", "removed"),
        ("Qui un Lorem Ipsum di prova.", "removed", "placeholder_text"),
        ("Qui un Lorem Ipsum di prova", "removed", "removed"),
        ("Attiva JavaScript per continuare.", "removed", "removed"),
        ("Qui una { graffa aperta.", "removed", "brace_text"),
        ("Qui una { graffa aperta", "removed", "removed"),
        ("Qui } solo una graffa chiusa.", "stays", "stays"),
        ("Con javascript anche una { graffa.", "removed", "removed"),
        ("Read our privacy policy and our { terms.", "removed", "brace_text"),
        ("Read our Privacy Policy with care.", "removed", "removed"),
        ("Leggi l'informativa sulla privacy del sito.", "removed", "removed"),
        ("", "removed", "removed"),
    ],
)
def test_lines_on_the_boundaries_of_clean_mc4_it(judged: Judge, language: LanguageSettings, line: str, card: str, code: str) -> None:
    text = page(line)
    for rules, expected in (("clean_mc4_it", card), ("clean_mc4_it_code", code)):
        found = judged(text, rules)
        assert found["removed_lines"] == ([10] if expected == "removed" else [])
        assert found["failed_rules"] == ([] if expected in ("removed", "stays") else [expected])
        plain = clean_mc4_it(text, BAD_WORDS, language, code=rules.endswith("code"))
        assert (set(found["failed_rules"]), found["removed_lines"], found["kept_plain_characters"]) == plain


def test_how_much_must_be_left_by_clean_mc4_it(judged: Judge) -> None:
    for rules in ("clean_mc4_it", "clean_mc4_it_code"):
        exact = f"{LINE}\n{LINE}\nUna riga di {'x' * 200} {'y' * 150}."
        text = exact + " Bene " + "z" * (500 - len(exact) - 7) + "."
        assert len(text) == 500 and judged(text, rules)["failed_rules"] == []  # 2 + 2 + 2 sentences
        assert judged(text.replace("z", "", 1), rules)["failed_rules"] == ["short_document"]
        assert judged(f"{text}\nMenu", rules)["kept_plain_characters"] == 500
        assert judged(page(f"Una riga {'di ' * 200}testo.", base=2), rules)["failed_rules"] == []
        assert judged(page(f"Una riga {'di ' * 200}testo lungo", base=2), rules)["failed_rules"] == ["few_sentences", "short_document"]
        four = f"{LINE}\nUna riga {'di ' * 200}testo. Fine."
        assert judged(four, rules)["failed_rules"] == ["few_sentences"]
        long = page(base=893)  # 893 lines of 55 characters, and 892 line ends
        assert judged(long, rules)["kept_plain_characters"] == 893 * 56 - 1 == 50_007
        assert judged(long, rules)["failed_rules"] == ["long_document"]
        assert judged(long[7:], rules)["failed_rules"] == [] and judged(long[6:], rules)["failed_rules"] == ["long_document"]


@pytest.mark.parametrize(
    ("words", "hit"),
    [("un PESCE rosso", True), ("pesce-spada", True), ("(pesce)", True), ("pesce", True), ("pesce_", False), ("pesci", False), ("ripesce", False), ("la nave scuola", True),
     ("la nave  scuola", False), ("g-spot", True), ("gxspot", False), ("a|b", True), ("a", False), ("☠", True), ("x☠x", False), ("pésce", False)],
)  # fmt: skip
def test_one_word_of_the_list_kills_a_page_of_clean_mc4_it(judged: Judge, language: LanguageSettings, words: str, hit: bool) -> None:
    text = page(f"Ecco qui: {words} di casa.")
    for rules in ("clean_mc4_it", "clean_mc4_it_code"):
        assert judged(text, rules)["failed_rules"] == (["bad_words"] if hit else [])
        assert ("bad_words" in clean_mc4_it(text, BAD_WORDS, language, code=False).failed) is hit


def test_without_word_lists_the_rule_is_said_to_have_nothing_to_judge(language: LanguageSettings) -> None:
    plain = make_meter(SignalRun(SignalSettings(), language.words, language.phrases))
    rows = pl.from_arrow(signal_table([("d", page("un pesce rosso qui."))], plain))
    assert isinstance(rows, pl.DataFrame)
    found = judge(rows, rule_set("clean_mc4_it"), "research")
    assert found.unmeasured == {"bad_words": 1, "not_italian": 1} and found.rows["failed_rules"].to_list() == [[]]


# -- the corrected rules

DIALOGUE = "«Chi va là?» chiese il guardiano della valle, che non vedeva bene»\n“Siamo noi, con la neve e con le pecore della sera”\nE poi tutti tacquero…"


def test_dialogue_keeps_its_lines_under_the_corrected_rules(judged: Judge) -> None:
    assert judged("\n".join([DIALOGUE] * 3), "clean_mc4_it")["removed_lines"] == list(range(9))
    assert judged("\n".join([DIALOGUE] * 3), "transumanza")["removed_lines"] == []


# -- against the plain reference


def _mdn_texts(shared_data: Path, count: int) -> list[str]:
    archive = shared_data / "web" / "mdn" / "mdn_retired_it.tar.gz"
    if not archive.is_file():
        pytest.skip("needs shared/data/web/mdn/mdn_retired_it.tar.gz")
    from resiliparse.extract.html2text import extract_plain_text

    texts = []
    with tarfile.open(archive) as tar:
        members = [member for member in tar.getmembers() if member.isfile() and member.name.endswith((".html", ".md"))]
        for member in members[:: max(len(members) // count, 1)][:count]:
            stream = tar.extractfile(member)
            assert stream is not None
            html = stream.read().decode("utf-8", "replace")
            texts.append(extract_plain_text(html, preserve_formatting=len(texts) % 2 == 0))
    return texts


def test_real_pages_are_judged_as_the_plain_reference_says(shared_data: Path, meter: SignalMeter, language: LanguageSettings) -> None:
    texts = _mdn_texts(shared_data, 160)
    tokenizer = WordTokenizer("it")
    found = frame_of(texts, meter, "fineweb2_ita")["failed_rules"].to_list()
    expected = [fineweb2(text, tokenizer(text), language.words.stop_words) for text in texts]
    assert [set(rules) for rules in found] == expected
    assert expected.count(set()) > 5 and len(set.union(*expected)) > 8  # the pages say something: some pass, many rules fail
    for name in ("clean_mc4_it", "clean_mc4_it_code"):
        rows = frame_of(texts, meter, name).select("failed_rules", "removed_lines", "kept_plain_characters").rows()
        plain = [clean_mc4_it(text, BAD_WORDS, language, code=name.endswith("code")) for text in texts]
        assert [(set(rules), removed, left) for rules, removed, left in rows] == [tuple(verdict) for verdict in plain]
        assert len({rule for verdict in plain for rule in verdict.failed}) >= 3


PIECES = st.sampled_from(["di", "e", "che", " ", "\n", "\n\n", ".", "...", "…", "- ", "• ", "{", "[1]", "javascript", "Lorem ipsum", "parola", "#", "»", "a" * 251, "privacy policy", "\u2028", "\r", "é", "pesce", "1"])


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(PIECES, max_size=60))
def test_any_text_is_judged_as_the_plain_reference_says(pieces: list[str], meter: SignalMeter, language: LanguageSettings) -> None:
    text = "".join(pieces)
    found = frame_of([text], meter, "fineweb2_ita").row(0, named=True)
    assert set(found["failed_rules"]) == fineweb2(text, load_tokenizer("it")(text), language.words.stop_words)
    assert found["kept_characters"] == len(text)
    for name in ("clean_mc4_it", "clean_mc4_it_code"):
        row = frame_of([text], meter, name).row(0, named=True)
        plain = clean_mc4_it(text, BAD_WORDS, language, code=name.endswith("code"))
        assert (set(row["failed_rules"]), row["removed_lines"], row["kept_plain_characters"]) == tuple(plain)
        assert row["kept_characters"] == len(without_lines(text, row["removed_lines"]))


def test_judging_many_documents_at_once_is_judging_each(shared_data: Path, meter: SignalMeter) -> None:
    texts = _mdn_texts(shared_data, 40)
    for name in NAMES:
        together = frame_of(texts, meter, name)
        for place, text in enumerate(texts):
            alone = frame_of([text], meter, name)
            assert alone.drop("document_id").equals(together.slice(place, 1).drop("document_id"), null_equal=True)
        lefts = [len(without_lines(text, removed)) for text, removed in zip(texts, together["removed_lines"].to_list(), strict=True)]
        assert together["kept_characters"].to_list() == lefts


@pytest.mark.parametrize("name", NAMES)
def test_no_documents_at_all_are_judged_too(name: str, meter: SignalMeter) -> None:
    assert frame_of([], meter, name).height == 0


def test_the_kernel_marks_lines_as_declared() -> None:
    from corpus.web import line_kernels as kernel

    bits = {"ended": kernel.ENDED_BIT, "terminal": kernel.TERMINAL_BIT, "c4_ended": kernel.C4_BIT, "brace": kernel.BRACE_BIT}
    bits |= {"bullet": kernel.BULLET_BIT, "blank": kernel.BLANK_BIT}
    assert bits == {name: FLAG_BITS[name] for name in bits}


def test_the_struct_of_a_line_is_declared_as_it_is_filled() -> None:
    assert tuple(field.name for field in LINE_TYPE.value_type) == LINE_FIELDS and LINE_TYPE.value_type.field(0).type == pa.int32()
