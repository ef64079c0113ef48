"""Metrics equal an independent computation on random predictions; failures are the worst there is; intervals behave."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score
from sklearn.metrics.pairwise import haversine_distances

from corpus.evalita.answers.entities import TYPES, NumberedMentions
from corpus.evalita.metrics.classification import accuracy
from corpus.evalita.metrics.correlation import pearson, spearman
from corpus.evalita.metrics.metric import Metric, interval
from corpus.evalita.task import Task
from corpus.evalita.tasks import TASKS
from corpus.evalita.tasks.clinkart import relation_counts
from corpus.evalita.tasks.geolingit import EARTH_RADIUS_KM, LATITUDE, LONGITUDE
from corpus.evalita.tasks.nermud import token_counts, token_types
from corpus.evalita.tasks.sentipolc import VALUES

SEEDS = st.integers(0, 2**32 - 1)


def value_of(metric: Metric, gold: list[Any], given_: list[Any], fields: dict[str, Any] | None = None) -> float:
    return metric.score(np.stack([metric.evidence(fields or {}, right, answer) for right, answer in zip(gold, given_, strict=True)]))


def classes_of(task: Task) -> list[Any]:
    return list(task.wordings[0].answer.words)  # type: ignore[attr-defined]


def random_labels(labels: list[Any], seed: int, size: int, failed: bool) -> tuple[list[Any], list[Any]]:
    generator = np.random.default_rng(seed)
    gold = [labels[place] for place in generator.integers(0, len(labels), size)]
    places = generator.integers(0, len(labels) + failed, size)
    return gold, [labels[place] if place < len(labels) else None for place in places]


MACRO = ["wic_ita", "sentipolc_irony", "sentipolc_subjectivity", "acti_a", "acti_b", "haspeede3", "hodi_a", "geolingit_a", "politicit_gender", "politicit_binary", "politicit_multi"]


@pytest.mark.parametrize("name", MACRO)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, size=st.integers(1, 40))
def test_macro_f1_is_that_of_scikit_learn(name: str, seed: int, size: int) -> None:
    task = TASKS[name]
    labels = classes_of(task)
    gold, answers = random_labels(labels, seed, size, failed=True)
    codes = {label: place for place, label in enumerate(labels)}
    right, given_ = [codes[label] for label in gold], [-1 if label is None else codes[label] for label in answers]
    # A failed answer is a prediction of no class: wrong for gold's class, and no class of its own in the mean.
    occurring = sorted({*right, *given_} - {-1})
    assert value_of(task.metrics[0], gold, answers) == pytest.approx(f1_score(right, given_, labels=occurring, average="macro", zero_division=0))


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, size=st.integers(1, 40))
def test_weighted_f1_and_accuracy_are_those_of_scikit_learn(seed: int, size: int) -> None:
    gold, answers = random_labels([0, 1, 2, 3], seed, size, failed=False)
    assert value_of(TASKS["multifakedetective"].metrics[0], gold, answers) == pytest.approx(f1_score(gold, answers, average="weighted", zero_division=0))
    for name in ("discotex_1", "erte3", "xcopa", "langlearn"):
        assert value_of(TASKS[name].metrics[0], gold, answers) == pytest.approx(accuracy_score(gold, answers))


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, size=st.integers(1, 40))
def test_polarity_is_the_mean_over_both_fields(seed: int, size: int) -> None:
    gold, answers = random_labels(list(VALUES), seed, size, failed=False)
    parts = [f1_score([VALUES[label][place] for label in gold], [VALUES[label][place] for label in answers], average="macro", zero_division=0) for place in (0, 1)]
    assert value_of(TASKS["sentipolc_polarity"].metrics[0], gold, answers) == pytest.approx(np.mean(parts))


@pytest.mark.parametrize("name", ["emit_a", "emit_b"])
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, size=st.integers(1, 40))
def test_macro_f1_over_labels_is_that_of_scikit_learn(name: str, seed: int, size: int) -> None:
    columns = ["Direction", "Topic"] if name == "emit_b" else list(TASKS["emit_a"].wordings[0].answer.words)  # type: ignore[attr-defined]
    generator = np.random.default_rng(seed)
    right, given_ = (generator.random((size, len(columns))) < 0.4 for _ in range(2))
    gold, answers = ([[column for column, there in zip(columns, row, strict=True) if there] for row in matrix] for matrix in (right, given_))
    occurring = np.flatnonzero(right.any(axis=0) | given_.any(axis=0))
    expected = f1_score(right[:, occurring], given_[:, occurring], average="macro", zero_division=0) if len(occurring) else 0.0
    assert value_of(TASKS[name].metrics[0], gold, answers) == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=st.integers(3, 60), steps=st.integers(2, 40))
def test_correlations_are_those_of_scipy(seed: int, size: int, steps: int) -> None:
    generator = np.random.default_rng(seed)
    gold, answers = (1 + 4 * generator.integers(0, steps, size) / steps for _ in range(2))
    if len(set(gold)) < 2 or len(set(answers)) < 2:
        return
    for metric, expected in ((pearson(1, 5), stats.pearsonr), (spearman(1, 5), stats.spearmanr)):
        assert value_of(metric, list(gold), list(answers)) == pytest.approx(expected(gold, answers).statistic, abs=1e-9)
        evidence = np.column_stack([gold, answers])
        weights = generator.integers(0, 4, (5, size))
        weights[:, 0] += 1
        for sample, value in zip(weights, metric.value(evidence, weights.astype(float)), strict=True):
            repeated = np.repeat(evidence, sample, axis=0)
            if len(set(repeated[:, 0])) > 1 and len(set(repeated[:, 1])) > 1:
                assert value == pytest.approx(expected(repeated[:, 0], repeated[:, 1]).statistic, abs=1e-9)


def test_each_dimension_of_emotivita_is_correlated_by_itself() -> None:
    generator = np.random.default_rng(3)
    gold, answers = (1 + 4 * generator.random((30, 3)) for _ in range(2))
    for place, metric in enumerate(TASKS["emotivita"].metrics):
        assert value_of(metric, gold.tolist(), answers.tolist()) == pytest.approx(stats.pearsonr(gold[:, place], answers[:, place]).statistic)


def test_a_constant_correlates_with_nothing() -> None:
    for metric in (pearson(1, 5), spearman(1, 5)):
        assert value_of(metric, [1.0, 2.0, 3.0], [3.44, 3.44, 3.44]) == 0.0


def test_a_failed_number_is_the_farther_end_of_the_scale() -> None:
    metric = pearson(1, 5)
    assert metric.evidence({}, 1.5, None).tolist() == [1.5, 5.0] and metric.evidence({}, 4.0, None).tolist() == [4.0, 1.0]
    assert value_of(metric, [1.0, 2.0, 4.0, 5.0], [None] * 4) < -0.9


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_distances_are_those_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    gold, answers = (np.column_stack([generator.uniform(LATITUDE.low, LATITUDE.high, 8), generator.uniform(LONGITUDE.low, LONGITUDE.high, 8)]) for _ in range(2))
    expected = np.diag(haversine_distances(np.radians(gold), np.radians(answers))) * EARTH_RADIUS_KM
    metric = TASKS["geolingit_b"].metrics[0]
    assert value_of(metric, gold.tolist(), answers.tolist()) == pytest.approx(expected.mean())
    assert value_of(metric, gold.tolist(), [None] * 8) >= value_of(metric, gold.tolist(), answers.tolist())


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_token_f1_is_that_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)

    def entities() -> list[list[Any]]:
        cuts = sorted(set(generator.integers(0, 12, 6).tolist()))
        return [[start, end, str(generator.choice(TYPES))] for start, end in zip(cuts[::2], cuts[1::2], strict=False)]

    sentences = [(entities(), entities()) for _ in range(6)]
    fields = {"text": " ".join("abcdefghijkl")}
    gold = [kind or "O" for right, _ in sentences for kind in token_types(12, right)]
    answered = [kind or "O" for _, given_ in sentences for kind in token_types(12, given_)]
    occurring = sorted({*gold, *answered} - {"O"})
    expected = f1_score(gold, answered, labels=occurring, average="macro", zero_division=0) if occurring else 0.0
    assert value_of(TASKS["nermud"].metrics[0], [right for right, _ in sentences], [given_ for _, given_ in sentences], fields) == pytest.approx(expected)


def test_a_mention_that_the_text_lacks_costs_precision() -> None:
    fields = {"text": "Anna vive a Roma"}
    answer = NumberedMentions().decode(fields, "PER: Anna\nORG: Banca d' Italia\nLOC: Roma [2]")
    assert answer == [[0, 1, "PER"], [-1, 3, "ORG"], [-1, 1, "LOC"]]
    assert token_counts(fields, [[0, 1, "PER"], [3, 4, "LOC"]], answer).tolist() == [[1, 0, 0], [0, 1, 1], [0, 3, 0]]


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_relation_f1_is_that_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    candidates = [[start, start + 1, other, other + 1] for start in range(4) for other in range(4)]
    right, given_ = (generator.random((5, 16)) < 0.3 for _ in range(2))
    gold, answers = ([[entry for entry, there in zip(candidates, row, strict=True) if there] for row in matrix] for matrix in (right, given_))
    f1, precision, recall = TASKS["clinkart"].metrics
    flat = right.ravel(), given_.ravel()
    assert value_of(f1, gold, answers) == pytest.approx(f1_score(*flat, zero_division=0))
    true = int((right & given_).sum())
    assert value_of(precision, gold, answers) == pytest.approx(true / max(given_.sum(), 1))
    assert value_of(recall, gold, answers) == pytest.approx(true / max(right.sum(), 1))


def test_a_relation_given_twice_counts_once_and_an_unknown_one_each_time() -> None:
    right = [3, 6, 0, 2]
    assert relation_counts({}, [right], [right, right, [-1] * 4, [-1] * 4]).tolist() == [[1, 2, 0]]
    assert relation_counts({}, [right], None).tolist() == [[0, 0, 1]]


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_character_f1_is_the_mean_of_scikit_learns_over_posts(seed: int) -> None:
    generator = np.random.default_rng(seed)
    right, given_ = (generator.random((6, 15)) < generator.random() for _ in range(2))
    gold, answers = ([[[place, place + 1] for place in np.flatnonzero(row)] for row in matrix] for matrix in (right, given_))
    posts = [f1_score(one, other, zero_division=0) if one.any() or other.any() else 1.0 for one, other in zip(right, given_, strict=True)]
    metric = TASKS["hodi_b"].metrics[0]
    assert value_of(metric, gold, answers) == pytest.approx(np.mean(posts))
    assert value_of(metric, [[]], [None]) == 0.0 and value_of(metric, [[]], [[]]) == 1.0 and value_of(metric, [[[0, 4]]], [[[0, 4], [-1, 4]]]) == pytest.approx(8 / 12)


def test_intervals_hold_the_score_and_shrink_with_items() -> None:
    metric = accuracy()

    def width(items: int) -> float:
        evidence = np.stack([metric.evidence({}, 1, int(index % 4 != 0)) for index in range(items)])
        found = interval(metric, evidence, [str(index) for index in range(items)], resamples=500, confidence=0.95, seed=1)
        assert found.low <= found.score <= found.high and found.score == pytest.approx(0.75, abs=0.01)
        return found.high - found.low

    assert width(40) > 2 * width(400) > 0
    assert width(400) == pytest.approx(2 * 1.96 * math.sqrt(0.75 * 0.25 / 400), rel=0.15)


def test_items_of_one_group_are_drawn_together() -> None:
    metric = accuracy()
    evidence = np.stack([metric.evidence({}, 1, int(index < 20)) for index in range(40)])
    apart = interval(metric, evidence, [str(index) for index in range(40)], resamples=500, confidence=0.95, seed=1)
    together = interval(metric, evidence, [str(index // 10) for index in range(40)], resamples=500, confidence=0.95, seed=1)
    assert together.high - together.low > 2 * (apart.high - apart.low)
