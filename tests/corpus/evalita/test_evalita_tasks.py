"""Every task: official formats, answers that survive writing and reading, failures that stay failures, official scores."""

from __future__ import annotations

import ast
import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.evalita.answers import ChoiceAnswer
from corpus.evalita.entities import TYPES, NumberedMentions, SeparatedMentions, TaggedMentions
from corpus.evalita.items import counts, locate, read_items, status
from corpus.evalita.task import EvalitaError, Item, ParseFailure, Task
from corpus.evalita.tasks import TASKS, wic_ita
from corpus.evalita.tasks.nermud import entities, token_counts, token_types
from foundation.sources.data import SAMPLES_ROOT, DataFolder

SAMPLED = ("wic_ita", "nermud", "sentipolc_polarity", "sentipolc_subjectivity", "sentipolc_irony")
OFFICIAL = {
    "wic_ita": {"train": 2805, "dev": 500, "test": 500},
    "nermud": {"train": 10912 + 11423 + 5147, "dev": 2594 + 1051 + 1122, "test": 2088 + 1517 + 521},
    "sentipolc_polarity": {"train": 7410, "test": 2000},
    "erte3": {"train": 800, "test": 800},
    "discotex": {"train": 8000, "test": 1600},
    "xcopa": {"train": 100, "test": 500},
}
GARBAGE = ("", "   ", "boh", "forse sì forse no", "sì no", "42", "[PER]", "$PER", "non lo so, mi dispiace", "PER Roma", "&&NOREL&&")


def items_of(name: str, root: Path | None = None) -> list[Item]:
    return read_items(locate(TASKS[name], DataFolder(root)))


def entity_lists(item: Item) -> list[str]:
    return sorted(" ".join(item.fields["text"].split(" ")[a:b]) + kind for a, b, kind in item.label)


@pytest.fixture(scope="module")
def real_items(shared_data: Path) -> Callable[[str], list[Item]]:
    found: dict[str, list[Item]] = {}

    def items(name: str) -> list[Item]:
        if name not in found:
            found[name] = items_of(name, shared_data)
        return found[name]

    return items


@pytest.mark.parametrize("name", OFFICIAL)
def test_distributed_files_give_the_official_numbers_of_rows(name: str, real_items: Callable[[str], list[Item]]) -> None:
    assert counts(real_items(name)) == OFFICIAL[name]


def test_sentences_by_domain_include_the_last_one_of_files_without_a_final_blank_line(real_items: Callable[[str], list[Item]]) -> None:
    test = [item for item in real_items("nermud") if item.split == "test"]
    assert {domain: sum(item.fields["domain"] == domain for item in test) for domain in ("WN", "FIC", "ADG")} == {"WN": 2088, "FIC": 1517, "ADG": 521}


def test_real_label_distributions(real_items: Callable[[str], list[Item]]) -> None:
    train = [item.label for item in real_items("wic_ita") if item.split == "train"]
    assert (train.count(1), train.count(0)) == (1999, 806)
    gold = [item.label for item in real_items("wic_ita") if item.split == "test"]
    assert (gold.count(1), gold.count(0)) == (250, 250)
    entailment = [item.label for item in real_items("erte3") if item.split == "train"]
    assert [entailment.count(label) for label in ("YES", "NO", "UNKNOWN")] == [412, 80, 308]


def assert_round_trip(task: Task, items: list[Item]) -> None:
    for wording in task.wordings:
        for item in items:
            value = wording.answer.decode(item.fields, wording.answer.encode(item.fields, item.label))
            if wording.lossless:
                assert value == item.label, (wording.name, item)
            else:
                assert not isinstance(value, ParseFailure), (wording.name, item)
                assert sorted(kind for _, _, kind in value) == sorted(kind for _, _, kind in item.label)


@pytest.mark.parametrize("name", TASKS)
def test_real_answers_survive_writing_and_reading(name: str, real_items: Callable[[str], list[Item]]) -> None:
    assert_round_trip(TASKS[name], real_items(name))


@pytest.mark.parametrize("name", SAMPLED)
def test_sample_answers_survive_writing_and_reading(name: str) -> None:
    items = items_of(name)
    assert len({item.split for item in items}) >= 2
    assert_round_trip(TASKS[name], items)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("answer", GARBAGE)
def test_garbage_is_a_failure_and_never_a_class(name: str, answer: str) -> None:
    fields = {"text": "Anna vive a Roma"}
    for wording in TASKS[name].wordings:
        assert isinstance(wording.answer.decode(fields, answer), ParseFailure), wording.name


@pytest.mark.parametrize("name", TASKS)
def test_gold_answers_reach_the_optimum_and_failures_the_bottom(name: str, real_items: Callable[[str], list[Item]]) -> None:
    task = TASKS[name]
    items = [item for item in real_items(name) if item.split == "test"]
    wording = task.wordings[0]
    gold = [task.metric.count(item.fields, item.label, wording.answer.decode(item.fields, wording.answer.encode(item.fields, item.label))) for item in items]
    assert task.metric.value(np.sum(gold, axis=0)) == 1.0
    failed = [task.metric.count(item.fields, item.label, None) for item in items]
    assert task.metric.value(np.sum(failed, axis=0)) == 0.0


@pytest.mark.parametrize("name", ["wic_ita", "sentipolc_irony"])
def test_mean_f1_is_that_of_scikit_learn(name: str) -> None:
    from sklearn.metrics import f1_score

    items = items_of(name)
    generator = np.random.default_rng(0)
    given_answers = [None if value == 2 else int(value) for value in generator.integers(0, 3, len(items))]
    task = TASKS[name]
    score = task.metric.value(np.sum([task.metric.count(item.fields, item.label, answer) for item, answer in zip(items, given_answers, strict=True)], axis=0))
    gold = [item.label for item in items]
    expected = f1_score(gold, [-1 if answer is None else answer for answer in given_answers], labels=[0, 1], average="macro")
    assert score == pytest.approx(expected)


def test_polarity_is_the_mean_over_both_fields() -> None:
    from sklearn.metrics import f1_score

    from corpus.evalita.tasks.sentipolc import VALUES

    items = items_of("sentipolc_polarity")
    answers = [list(VALUES)[index] for index in np.random.default_rng(1).integers(0, 4, len(items))]
    task = TASKS["sentipolc_polarity"]
    score = task.metric.value(np.sum([task.metric.count(item.fields, item.label, answer) for item, answer in zip(items, answers, strict=True)], axis=0))
    parts = [f1_score([VALUES[item.label][place] for item in items], [VALUES[answer][place] for answer in answers], average="macro") for place in (0, 1)]
    assert score == pytest.approx(np.mean(parts))


def test_token_f1_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    items = items_of("nermud")
    moved = [[[max(start - 1, 0), end, kind] for start, end, kind in item.label[:1]] for item in items]
    gold, answered = [], []
    for item, prediction in zip(items, moved, strict=True):
        tokens = len(item.fields["text"].split(" "))
        gold += [kind or "O" for kind in token_types(tokens, item.label)]
        answered += [kind or "O" for kind in token_types(tokens, prediction)]
    total = np.sum([token_counts(item.fields, item.label, prediction) for item, prediction in zip(items, moved, strict=True)], axis=0)
    assert TASKS["nermud"].metric.value(total) == pytest.approx(f1_score(gold, answered, labels=list(TYPES), average="macro"))


def test_a_mention_that_the_text_lacks_costs_precision() -> None:
    fields = {"text": "Anna vive a Roma"}
    answer = NumberedMentions().decode(fields, "PER: Anna\nORG: Banca d' Italia\nLOC: Roma [2]")
    assert answer == [[0, 1, "PER"], [-1, 3, "ORG"], [-1, 1, "LOC"]]
    tally = token_counts(fields, [[0, 1, "PER"], [3, 4, "LOC"]], answer)
    assert tally.tolist() == [[1, 0, 0], [0, 1, 1], [0, 3, 0]]


TOKENS = st.lists(st.sampled_from(["Roma", "di", ",", "[2]", "$PER", "[LOC]", "nessuna", "PER:", "Anna", "."]), min_size=1, max_size=12)


@given(tokens=TOKENS, data=st.data())
def test_numbered_mentions_keep_any_entities(tokens: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(tokens)), max_size=6)))
    label = [[start, end, data.draw(st.sampled_from(TYPES))] for start, end in itertools.pairwise(cuts) if data.draw(st.booleans())]
    fields = {"text": " ".join(tokens)}
    answer = NumberedMentions()
    assert answer.decode(fields, answer.encode(fields, label)) == label


@given(answer=st.text(alphabet="PERLOCG: []$,\n1Roma&", max_size=40))
@pytest.mark.parametrize("code", [NumberedMentions(), TaggedMentions(), SeparatedMentions()])
def test_any_answer_is_a_value_or_a_failure(code: Any, answer: str) -> None:
    value = code.decode({"text": "Roma e Roma"}, answer)
    assert isinstance(value, ParseFailure) or all(kind in TYPES and end > 0 for _, end, kind in value)


def test_equal_mentions_get_different_places_in_text_order() -> None:
    fields = {"text": "Roma ama Roma"}
    label = [[0, 1, "ORG"], [2, 3, "LOC"]]
    for code in (TaggedMentions(), SeparatedMentions(), NumberedMentions()):
        assert code.decode(fields, code.encode(fields, label)) == label


def test_markers_can_be_taken_out_again_byte_for_byte(real_items: Callable[[str], list[Item]]) -> None:
    for item in real_items("wic_ita"):
        for side in "12":
            sentence, start, end = item.fields[f"sentence{side}"], item.fields[f"start{side}"], item.fields[f"end{side}"]
            marked = wic_ita.marked(sentence, start, end)
            assert marked.replace("[TGTS] ", "", 1).replace(" [TGTE]", "", 1) == sentence
            assert re.search(r"\[TGTS\] (.*) \[TGTE\]", marked, re.DOTALL)[1] == sentence[start:end]  # type: ignore[index]


@pytest.mark.parametrize("name", ["wic_ita"])
def test_markers_named_in_the_prompt_are_those_of_the_input(name: str) -> None:
    task = TASKS[name]
    for wording in task.wordings:
        for item in items_of(name):
            instruction, text = task.prompt(wording, item.fields)
            assert set(re.findall(r"\[[A-Z0-9]+\]", instruction)) == set(re.findall(r"\[[A-Z0-9]+\]", text))


@pytest.mark.parametrize("name", TASKS)
def test_answers_named_in_the_prompt_are_those_written_and_read(name: str) -> None:
    task = TASKS[name]
    for wording in task.wordings:
        if isinstance(wording.answer, ChoiceAnswer):
            assert {wording.answer.decode({}, word) for word in wording.answer.words.values()} == set(wording.answer.words)
            words = wording.answer.words.values()
        else:
            words = [wording.answer.encode({"text": "x"}, []), *TYPES]
        if wording.names_labels:
            for word in words:
                assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", wording.instruction), (wording.name, word)


@pytest.mark.parametrize("name", SAMPLED)
def test_texts_reach_the_prompt_whole(name: str) -> None:
    task = TASKS[name]
    for wording in task.wordings:
        for item in items_of(name)[:20]:
            long = {**item.fields, "text": item.fields.get("text", "") + " x" * 5000}
            fields = long if "text" in item.fields else item.fields
            rendered = "\n".join(task.prompt(wording, fields)).replace("[TGTS] ", "").replace(" [TGTE]", "")
            for text in task.texts(fields):
                assert text in rendered


def test_labels_outside_the_alphabet_are_refused() -> None:
    with pytest.raises(EvalitaError, match=r"x.tsv, line 8: label 'PER'"):
        entities(["O", "PER"], "x.tsv", 7)


def test_inside_tags_without_a_head_start_an_entity_and_heads_part_neighbours() -> None:
    assert entities(["I-PER", "I-PER", "B-PER", "I-LOC", "O|x", "I-LOC"], "x", 1) == [[0, 2, "PER"], [2, 3, "PER"], [3, 4, "LOC"], [5, 6, "LOC"]]


def test_nothing_in_the_workshop_evaluates_text_as_code() -> None:
    for path in (Path(__file__).parents[3] / "corpus" / "evalita").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("eval", "exec", "__import__")), path


def rewrite(change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda path: path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def cut_in_the_middle(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff\xfe")


DAMAGE = [
    ("wic_ita", "wic-ita/binary/train.jsonl", rewrite(lambda text: text.replace('"lemma"', '"lemme"', 1)), r"train.jsonl, line 1: no column 'lemma'"),
    ("wic_ita", "wic-ita/binary/dev.jsonl", rewrite(lambda text: text + '{"id": "x"'), r"dev.jsonl, line 17: not JSON"),
    ("wic_ita", "wic-ita/binary/dev.jsonl", rewrite(lambda text: re.sub(r'"end1": \d+', '"end1": 9999', text, count=1)), r"line 1: start1 \d+ and end1 9999"),
    ("wic_ita", "wic-ita/binary/dev.jsonl", rewrite(lambda text: re.sub(r'"label": \d', '"label": 2', text, count=1)), r"line 1: column 'label' is 2"),
    ("wic_ita", "wic-ita/gold_truth/binary/test.jsonl", rewrite(lambda text: text.split("\n", 1)[1]), r"has no label in"),
    ("wic_ita", "wic-ita/binary/train.jsonl", cut_in_the_middle, r"train.jsonl: not UTF-8"),
    ("wic_ita", "wic-ita/binary/train.jsonl", rewrite(lambda text: text + text), r"two items have the id"),
    ("nermud", "kind-nermud/evalita-2023/WN_dev.tsv", rewrite(lambda text: text.replace("\tO", " O", 1)), r"WN_dev.tsv, line \d+: expected token and label"),
    ("nermud", "kind-nermud/evalita-2023/WN_dev.tsv", rewrite(lambda text: text.replace("B-LOC", "LOC", 1)), r"WN_dev.tsv, line 1: label 'LOC'"),
    ("sentipolc_irony", "sentipolc-2016/sentipolc16_officialdistrib_train.csv", rewrite(lambda text: text.replace('"iro"', '"irony"', 1)), r"row 1: no column 'iro'"),
    ("sentipolc_irony", "sentipolc-2016/sentipolc16_officialdistrib_train.csv", rewrite(lambda text: text.replace(",0,", ",7,", 1)), r"row 2: column 'subj' is '7'"),
    ("sentipolc_irony", "sentipolc-2016/sentipolc16_gold2000_text.csv", rewrite(lambda text: text.replace('","', '";"', 1)), r"row 1: expected eight quoted numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "damage", "message"), DAMAGE)
def test_damaged_files_give_one_clear_error(name: str, file: str, damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES_ROOT / "evalita", tmp_path / "evalita")
    assert items_of(name, tmp_path)
    damage(tmp_path / "evalita" / file)
    with pytest.raises(EvalitaError, match=message):
        items_of(name, tmp_path)


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0b"])
def test_a_tweet_may_hold_what_python_takes_for_the_end_of_a_line(sign: str, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES_ROOT / "evalita", tmp_path / "evalita")
    before = items_of("sentipolc_irony", tmp_path)
    path = tmp_path / "evalita/sentipolc-2016/sentipolc16_gold2000_text.csv"
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    path.write_bytes(f'{first[:-1]}{sign}fine"\r\n{rest}'.encode())
    after = items_of("sentipolc_irony", tmp_path)
    assert len(after) == len(before)
    assert any(item.fields["text"].endswith(f"{sign}fine") for item in after)


def test_a_partly_copied_set_is_an_error_and_an_absent_one_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "evalita" / "wic-ita" / "binary"
    folder.mkdir(parents=True)
    assert not locate(TASKS["nermud"], DataFolder(tmp_path)).present
    shutil.copy(SAMPLES_ROOT / "evalita/wic-ita/binary/train.jsonl", folder)
    with pytest.raises(EvalitaError, match=r"lacks evalita/wic-ita/binary/dev.jsonl"):
        locate(TASKS["wic_ita"], DataFolder(tmp_path))


def test_status_says_where_to_ask_and_where_to_put() -> None:
    rows = {row.task: row for row in status(DataFolder(None))}
    assert set(rows) == set(TASKS)
    assert rows["wic_ita"].present and rows["wic_ita"].origin == "samples"
    assert not rows["wic_ita"].redistributable and rows["erte3"].redistributable
    assert not rows["erte3"].present and rows["erte3"].put[0].startswith("evalita/e-rte-3-it/")
    assert all(row.where.startswith("https://") for row in rows.values())


def test_samples_share_no_sentence_with_the_real_sets(real_items: Callable[[str], list[Item]]) -> None:
    for name in ("wic_ita", "nermud", "sentipolc_polarity"):
        task = TASKS[name]
        real = {text for item in real_items(name) for text in task.texts(item.fields) if len(text.split()) > 5}
        own = {text for item in items_of(name) for text in task.texts(item.fields)}
        assert not real & own


def test_erte3_needs_its_malformed_declaration_cut_off(tmp_path: Path) -> None:
    folder = tmp_path / "evalita/e-rte-3-it/e-RTE-3-it"
    folder.mkdir(parents=True)
    pair = '<entailment-corpus><pair id="1" entailment="{}"><t> Piove. </t><h> Fa bel tempo. </h></pair></entailment-corpus>'
    (folder / "DEV.xml").write_text("<?xml version='1.0'encoding='utf-8'?>\n" + pair.format("NO"), encoding="utf-8")
    (folder / "TEST.xml").write_text(pair.format("UNKNOWN"), encoding="utf-8")
    items = items_of("erte3", tmp_path)
    assert [(item.split, item.label, item.fields["text"]) for item in items] == [("test", "UNKNOWN", "Piove."), ("train", "NO", "Piove.")]
    assert len({item.group_id for item in items}) == 1
    (folder / "TEST.xml").write_text(pair.format("BOH"), encoding="utf-8")
    with pytest.raises(EvalitaError, match=r"TEST.xml: pair id='1' needs entailment"):
        items_of("erte3", tmp_path)
    (folder / "TEST.xml").write_text("<entailment-corpus>", encoding="utf-8")
    with pytest.raises(EvalitaError, match="not well-formed"):
        items_of("erte3", tmp_path)


def test_multi_line_fields_of_discotex_stay_one_row(tmp_path: Path) -> None:
    for name in TASKS["discotex"].files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'ID\tPROMPT\tTARGET\tCLASS\n{path.stem}#1\t"Uno.\nDue ""due"".\n"\tTre.\t1\n', encoding="utf-8")
    items = items_of("discotex", tmp_path)
    assert len(items) == 3 and items[0].fields["prompt"] == 'Uno.\nDue "due".\n'
