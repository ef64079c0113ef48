"""Every task: official numbers of rows, answers that survive writing and reading, failures that stay failures, the optimum."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from corpus.evalita.answers.choice import ChoiceAnswer
from corpus.evalita.answers.entities import TYPES
from corpus.evalita.answers.labels import LabelSetAnswer
from corpus.evalita.answers.numbers import NumberAnswer, NumbersAnswer
from corpus.evalita.items import counts
from corpus.evalita.scoring import baseline_scores, evidence_of, parts_of, units_of
from corpus.evalita.task import Item, ParseFailure, Task, Wording
from corpus.evalita.tasks import TASKS, clinkart, nermud
from tests.corpus.evalita.sampled import REAL, sample_items

OFFICIAL = {
    "wic_ita": {"train": 2805, "dev": 500, "test": 1000},
    "wic_ita_ranking": {"train": 3820, "dev": 500, "test": 1000},
    "nermud": {"train": 10912 + 11423 + 5147, "dev": 2594 + 1051 + 1122, "test": 2088 + 1517 + 521},
    "sentipolc_polarity": {"train": 7410, "test": 2000},
    "sentipolc_subjectivity": {"train": 7410, "test": 2000},
    "sentipolc_irony": {"train": 7410, "test": 2000},
    "erte3": {"train": 800, "test": 800},
    "discotex_1": {"train": 8000, "test": 1600},
    "discotex_2": {"train": 864, "test": 200},
    "xcopa": {"train": 100, "test": 500},
}
SIX = tuple(name for name in REAL if name != "xcopa")
GARBAGE = (
    "", "   ", "boh", "forse sì forse no", "42", "[PER]", "$PER", "non lo so, mi dispiace", "&&NOENT&&&&NOREL&&", "sì no", "[BREL] x", "-", "1 2 3 4 5",
)  # fmt: skip
NAMED_BY_CAMPAIGN = {
    "emit_a", "emit_b", "emotivita", "politicit_gender", "politicit_binary", "politicit_multi", "geolingit_a", "geolingit_b", "langlearn", "haspeede3",
    "hodi_a", "hodi_b", "multifakedetective", "acti_a", "acti_b", "nermud", "clinkart", "wic_ita", "wic_ita_ranking", "discotex_1", "discotex_2",
}  # fmt: skip


def test_every_sub_task_of_the_campaign_is_declared() -> None:
    assert set(TASKS) == NAMED_BY_CAMPAIGN | {"sentipolc_polarity", "sentipolc_subjectivity", "sentipolc_irony", "erte3", "xcopa"}


@pytest.mark.parametrize("name", OFFICIAL)
def test_distributed_files_give_the_official_numbers_of_rows(name: str, real_items: Callable[[str], list[Item]]) -> None:
    assert counts(real_items(name)) == OFFICIAL[name]
    parts = counts(real_items(name), TASKS[name].subset)
    assert {part: parts[part] for part in TASKS[name].rows} == TASKS[name].rows


def test_the_case_reports_have_their_658_relations(real_items: Callable[[str], list[Item]]) -> None:
    items = real_items("clinkart")
    assert len({item.group_id for item in items}) == 83
    assert sum(len(item.label) for item in items) == 658
    assert len({item.group_id for item in items} - {item.group_id for item in items if item.label}) == 15


def test_real_label_distributions(real_items: Callable[[str], list[Item]]) -> None:
    train = Counter(item.label for item in real_items("wic_ita") if item.split == "train")
    assert (train[1], train[0]) == (1999, 806)
    for language in ("it", "it-en"):
        assert Counter(item.label for item in real_items("wic_ita") if item.split == "test" and item.fields["language"] == language) == {0: 250, 1: 250}
    assert Counter(item.label for item in real_items("erte3") if item.split == "train") == {"YES": 412, "NO": 80, "UNKNOWN": 308}
    assert Counter(item.label for item in real_items("erte3") if item.split == "test") == {"YES": 388, "NO": 70, "UNKNOWN": 342}
    scores = [item.label for item in real_items("discotex_2")]
    assert (min(scores), max(scores)) == (1.0, 5.0)


def test_ranking_scores_and_binary_labels_agree(real_items: Callable[[str], list[Item]]) -> None:
    binary = {item.group_id: item.label for item in real_items("wic_ita")}
    ranking = {item.group_id: item.label for item in real_items("wic_ita_ranking")}
    assert binary.keys() <= ranking.keys()
    assert all(ranking[group] >= 3 if label else ranking[group] <= 2 for group, label in binary.items())


def words_at(item: Item, label: Sequence[Sequence[Any]]) -> list[tuple[str, ...]]:
    """The words that places in a text hold, with their types; sorted, since a place that was mistaken changes the order."""
    text = item.fields["text"]
    if label and len(label[0]) == 3:
        return sorted((" ".join(text.split(" ")[start:end]), kind) for start, end, kind in label)
    return sorted(tuple(text[start:end] for start, end in zip(entry[::2], entry[1::2], strict=True)) for entry in label)


def kept(wording: Wording, item: Item) -> bool:
    """Whether a wording keeps what it says it keeps: the label, the number within its precision, or at least the words."""
    value = wording.answer.decode(item.fields, wording.answer.encode(item.fields, item.label))
    if wording.lossless or value == item.label:
        return bool(value == item.label)
    if isinstance(value, ParseFailure):
        return False
    if wording.precision is not None:
        return bool(np.all(np.abs(np.asarray(value) - np.asarray(item.label)) <= wording.precision + 1e-9))
    return words_at(item, value) == words_at(item, item.label)


def assert_round_trip(task: Task, items: Sequence[Item]) -> dict[str, int]:
    lossy = {}
    for wording in task.wordings:
        wrong = [item for item in items if not kept(wording, item)]
        assert wrong == [], (wording.name, wrong[:1])
        lossy[wording.name] = sum(not wording.keeps(item.fields, item.label) for item in items)
    assert any(wording.lossless for wording in task.wordings)
    return lossy


@pytest.mark.parametrize("name", TASKS)
def test_sample_answers_survive_writing_and_reading(name: str) -> None:
    assert {item.split for item in sample_items(name)} >= {"train", "test"}
    assert_round_trip(TASKS[name], sample_items(name))


LOSSY = {
    "clinkart": {"extremita": 4, "evalita-llm": 4},
    "discotex_2": {"own-rounded": 232},
    "nermud": {"extremita": 1, "extremita-corrected": 1, "evalita-llm": 1},
}


@pytest.mark.parametrize("name", REAL)
def test_real_answers_survive_writing_and_reading(name: str, real_items: Callable[[str], list[Item]]) -> None:
    lossy = assert_round_trip(TASKS[name], real_items(name))
    assert {wording: count for wording, count in lossy.items() if count} == LOSSY.get(name, {})


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("answer", GARBAGE)
def test_garbage_is_a_failure_and_never_a_class(name: str, answer: str) -> None:
    """Free text of a span or a mention is words that the text does not hold: read, and counted as wrong."""
    item = sample_items(name)[0]
    for wording in TASKS[name].wordings:
        value = wording.answer.decode(item.fields, answer)
        if name == "hodi_b" and answer.strip():
            assert all(span[0] == -1 for span in value), wording.name
        else:
            assert isinstance(value, ParseFailure), (wording.name, value)


@pytest.mark.parametrize("name", TASKS)
def test_gold_answers_reach_the_optimum_and_failures_do_not(name: str) -> None:
    check_ends(TASKS[name], [item for item in sample_items(name) if item.split == "test"])


@pytest.mark.parametrize("name", REAL)
def test_real_gold_answers_reach_the_optimum_and_failures_do_not(name: str, real_items: Callable[[str], list[Item]]) -> None:
    check_ends(TASKS[name], [item for item in real_items(name) if item.split == "test"])


def check_ends(task: Task, items: Sequence[Item]) -> None:
    wording = task.wordings[0]
    for part, places in parts_of(task, items):
        chosen = [items[place] for place in places]
        right = units_of(task, chosen, [wording.answer.decode(item.fields, wording.answer.encode(item.fields, item.label)) for item in chosen])
        failed = units_of(task, chosen, [None] * len(chosen))
        for metric in task.metrics:
            best, worst = metric.score(evidence_of(metric, right)), metric.score(evidence_of(metric, failed))
            assert best == pytest.approx(metric.optimum), (part, metric.name)
            assert worst <= 0.0 if metric.higher_is_better else worst > 100, (part, metric.name)


@pytest.mark.parametrize("name", TASKS)
def test_every_metric_has_baselines_between_failure_and_gold(name: str) -> None:
    task, items = TASKS[name], sample_items(name)
    training, test = ([item for item in items if item.split == split] for split in ("train", "test"))
    rows = baseline_scores(task, training, test)
    assert {row["baseline"] for row in rows} == {baseline.name for baseline in task.baselines}
    for row in rows:
        metric = next(metric for metric in task.metrics if row["metric"].partition("[")[0] == metric.name)
        assert row["score"] <= metric.optimum if metric.higher_is_better else row["score"] >= metric.optimum, row


MAJORITY_SCORES = {
    ("wic_ita", "macro_f1[it]"): 1 / 3,
    ("wic_ita", "macro_f1[it-en]"): 1 / 3,
    ("discotex_1", "accuracy"): 0.5,
    ("erte3", "accuracy"): 388 / 800,
}


def test_real_majority_baselines_are_what_the_label_counts_say(real_items: Callable[[str], list[Item]]) -> None:
    found = {}
    for name in ("wic_ita", "discotex_1", "erte3", "sentipolc_irony"):
        items = real_items(name)
        training, test = ([item for item in items if item.split == split] for split in ("train", "test"))
        found.update({(name, row["metric"]): row["score"] for row in baseline_scores(TASKS[name], training, test) if row["baseline"] == TASKS[name].baselines[0].name})
    assert {key: found[key] for key in MAJORITY_SCORES} == pytest.approx(MAJORITY_SCORES)
    literal = sum(item.label == 0 for item in real_items("sentipolc_irony") if item.split == "test")
    assert found["sentipolc_irony", "macro_f1"] == pytest.approx(literal / (literal + 2000))  # F1 of one class, halved


@pytest.mark.parametrize("name", TASKS)
def test_prompts_differ_and_their_hashes_too(name: str) -> None:
    wordings = TASKS[name].wordings
    assert len({(wording.instruction, wording.input) for wording in wordings}) == len(wordings)
    assert len({wording.sha256 for task in TASKS.values() for wording in task.wordings}) == sum(len({w.sha256 for w in task.wordings}) for task in TASKS.values())
    assert all(re.fullmatch(r"[a-z-]+/\d+", wording.parser) for wording in wordings)


@pytest.mark.parametrize("name", SIX)
def test_the_six_open_sets_have_three_sound_wordings(name: str) -> None:
    wordings = TASKS[name].wordings
    assert len([wording for wording in wordings if not wording.faults]) >= 3
    assert all(wording.source.startswith(("Transumanza", "ExtremITA", "Evalita-LLM")) for wording in wordings)


def words_of(wording: Wording) -> list[str]:
    answer = wording.answer
    if isinstance(answer, ChoiceAnswer):
        return list(answer.words.values())
    if isinstance(answer, LabelSetAnswer):
        return [*answer.words.values(), answer.none]
    if isinstance(answer, NumberAnswer):
        return [f"{answer.scale.low:g}", f"{answer.scale.high:g}"]
    if isinstance(answer, NumbersAnswer):
        return [part for name in answer.scales for part in (name,)] if answer.named else []
    empty = answer.encode({"text": "x"}, [])
    return [empty, *TYPES] if "mentions" in wording.parser else [empty]


@pytest.mark.parametrize("name", TASKS)
def test_texts_reach_the_prompt_whole(name: str) -> None:
    task = TASKS[name]
    for wording in task.wordings:
        for item in sample_items(name)[:20]:
            fields = {**item.fields, "text": item.fields["text"] + " x" * 5000} if "text" in item.fields else item.fields
            rendered = re.sub(r"\[(?:TGTS|BT\d)\] | \[(?:TGTE|ET\d)\]", "", "\n".join(task.prompt(wording, fields)))
            for text in task.texts(fields):
                assert text in rendered


def test_samples_share_no_sentence_with_the_real_sets(real_items: Callable[[str], list[Item]]) -> None:
    for name in REAL:
        texts = TASKS[name].texts
        real = {text for item in real_items(name) for text in texts(item.fields) if len(text.split()) > 5}
        assert not real & {text for item in sample_items(name) for text in texts(item.fields)}


def test_inside_tags_without_a_head_start_an_entity_and_heads_part_neighbours() -> None:
    found = nermud.entities(["I-PER", "I-PER", "B-PER", "I-LOC", "O|x", "I-LOC"], "x", 1)
    assert found == [[0, 2, "PER"], [2, 3, "PER"], [3, 4, "LOC"], [5, 6, "LOC"]]


def test_pieces_of_a_document_are_whole_sentences_and_lose_nothing(real_items: Callable[[str], list[Item]], shared_data: object) -> None:
    from pathlib import Path

    from corpus.evalita.formats.pubtator import documents

    path = Path(str(shared_data)) / clinkart.FILES["train"]
    for document in documents(path):
        spans = clinkart.pieces(document)
        covered = "".join(document.text[start:end] for start, end in spans)
        assert "".join(document.text.split()) == "".join(covered.split())
        assert all(any(start <= min(a, c) and max(b, d) <= end for start, end in spans) for (a, b), (c, d) in document.relations)


def test_a_relation_across_a_sentence_end_joins_the_pieces() -> None:
    from corpus.evalita.formats.pubtator import Document

    text = "Il valore di FE risulta basso. " * 12 + "Fine."
    assert len(clinkart.pieces(Document("1", text, 1))) > 1
    ends = [end for _, end in clinkart.pieces(Document("1", text, 1))]
    joined = clinkart.pieces(Document("1", text, 1, [((ends[0] - 6, ends[0] - 1), (ends[0] + 1, ends[0] + 3))]))
    assert joined[0][1] > ends[0] + 3
