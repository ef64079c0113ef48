"""Splits: no group and no text on two sides, of the samples, of the real sets, and of items made to collide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.evalita.errors import EvalitaError
from corpus.evalita.instructions import evaluation_wordings, instruction_row, training_wordings, wordings_for
from corpus.evalita.items import with_test_groups
from corpus.evalita.settings import ALL_TASKS, InstructionSettings
from corpus.evalita.splits import SPLITS, Assignment, assign, on_two_sides
from corpus.evalita.task import Item
from corpus.evalita.tasks import TASKS
from corpus.evalita.texts import normalised, text_keys
from tests.corpus.evalita.sampled import REAL, sample_items


def tweet(number: int, split: str, text: str, group: str | None = None) -> Item:
    return Item(f"sentipolc_irony/{number}", split, group or f"tweet/{number}", {"text": text}, 0, "none stated")  # type: ignore[arg-type]


def check_sides(items: Mapping[str, Sequence[Item]], settings: InstructionSettings, seed: int = 7) -> Assignment:
    assignment = assign(items, TASKS, settings, seed)
    rows = [(split, candidate) for split, found in assignment.splits.items() for candidate in found]
    assert on_two_sides((split, [candidate.item.group_id]) for split, candidate in rows) == 0
    assert on_two_sides((split, candidate.keys) for split, candidate in rows) == 0
    ids = [candidate.id for _, candidate in rows]
    assert len(ids) == len(set(ids))
    return assignment


def test_no_group_and_no_text_on_two_sides_of_the_samples() -> None:
    check_sides({name: sample_items(name) for name in TASKS}, InstructionSettings(tasks=ALL_TASKS, validation_share=0.3))


def test_no_group_and_no_text_on_two_sides_of_the_real_sets(real_items: Callable[[str], list[Item]]) -> None:
    items = {name: real_items(name) for name in REAL}
    assignment = check_sides(items, InstructionSettings())
    assert assignment.left_out["erte3"]["group_in_test"] == 38
    assert sum(candidate.task.name == "xcopa" for candidate in assignment.splits["train"]) == 0
    talks = [{candidate.item.group_id for candidate in rows if candidate.task.name.startswith("discotex")} for rows in assignment.splits.values()]
    assert talks[1] and not talks[0] & talks[1]
    test = [candidate.item.item_id for candidate in assignment.splits["test"]]
    assert sorted(test) == sorted(item.item_id for rows in items.values() for item in rows if item.split == "test")


WORDS = st.sampled_from(["Il gatto dorme sul divano rosso", "Oggi piove su tutta la valle", "@x il gatto dorme sul DIVANO rosso!", "ciao", "https://a.it ciao", "😀"])
ITEMS = st.lists(st.tuples(st.sampled_from(["train", "dev", "test"]), WORDS, st.integers(0, 5)), min_size=1, max_size=20)


@given(rows=ITEMS, seed=st.integers(0, 99))
def test_whatever_collides_ends_on_one_side_and_test_items_stay(rows: list[tuple[str, str, int]], seed: int) -> None:
    items = [tweet(index, split, text, f"tweet/{group}") for index, (split, text, group) in enumerate(rows)]
    sets = {"sentipolc_irony": items, "haspeede3": [replace(item, item_id=f"haspeede3/{index}", fields={**item.fields, "domain": "political"}) for index, item in enumerate(items)]}
    check_sides(sets, InstructionSettings(validation_share=0.5), seed)
    test = assign(sets, TASKS, InstructionSettings(), seed).splits["test"]
    assert len(test) == 2 * sum(item.split == "test" for item in items)


def test_a_tweet_that_one_set_tests_is_trained_on_by_no_other() -> None:
    """IronITA took tweets of SENTIPOLC's gold test into its training file; both have the tweet's id as group."""
    sets = {"sentipolc_irony": [tweet(1, "test", "uno"), tweet(2, "train", "due")], "haspeede3": [tweet(11, "train", "tre", "tweet/1"), tweet(12, "train", "quattro")]}
    sets["haspeede3"] = [replace(item, fields={**item.fields, "domain": "political"}) for item in sets["haspeede3"]]
    assignment = assign(sets, TASKS, InstructionSettings(validation_share=0), 1)
    assert {candidate.item.group_id for candidate in assignment.splits["train"]} == {"tweet/2", "tweet/12"}
    assert assignment.left_out["haspeede3"] == {"group_in_test": 1}


def test_test_items_of_a_task_that_is_not_asked_for_are_not_trained_on_either() -> None:
    sets = {"sentipolc_irony": [tweet(1, "test", "uno due tre quattro cinque")], "acti_a": [tweet(2, "train", "Uno, due, tre: quattro cinque!", "acti/x")]}
    assignment = assign(sets, TASKS, InstructionSettings(tasks=("acti_a",), evaluation_tasks=("acti_a",), validation_share=0), 1)
    assert assignment.splits["train"] == [] and assignment.left_out["acti_a"] == {"text_in_test": 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [("Che BELLO!", "che bello"), ("@tizio guarda https://t.co/x", "guarda"), ("natu\u00adra", "natura"), ("ﬁne", "fine"), ("e\u0300 così", "è così")],
)
def test_copies_are_found_however_they_are_spelt(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_texts_without_words_are_copies_only_if_they_are_equal() -> None:
    assert normalised("😀😀") != normalised("😢") and normalised("😀  😀") == normalised("😀 😀")


def test_a_pair_the_other_way_round_is_the_same_text() -> None:
    assert text_keys(("Il gatto dorme.", "Piove.")) == text_keys(("Piove.", "Il gatto dorme."))
    assert text_keys(("Il gatto dorme.", "Piove.")) != text_keys(("Il gatto dorme.", "Nevica."))


def test_sub_tasks_of_one_tweet_validate_together() -> None:
    items = {name: sample_items(name) for name in ("sentipolc_polarity", "sentipolc_subjectivity", "sentipolc_irony")}
    tasks_by_group: dict[str, set[str]] = {}
    for candidate in assign(items, TASKS, InstructionSettings(validation_share=0.3), seed=1).splits["validation"]:
        tasks_by_group.setdefault(candidate.item.group_id, set()).add(candidate.task.name)
    assert tasks_by_group and all(len(found) == 3 for found in tasks_by_group.values())


def test_test_groups_of_this_project_depend_on_nothing_but_the_groups() -> None:
    items = [tweet(index, "train", f"testo {index}", f"tweet/{index // 3}") for index in range(60)]
    chosen = {item.group_id for item in with_test_groups(items, 0.2) if item.split == "test"}
    assert len(chosen) == 4
    assert chosen == {item.group_id for item in with_test_groups(items[::-1], 0.2) if item.split == "test"}
    assert {item.split for item in with_test_groups(items[:3], 0.9)} == {"train"}
    assert len({item.group_id for item in with_test_groups(items[:6], 0.01) if item.split == "test"}) == 1


def test_training_wordings_vary_and_test_wordings_do_not() -> None:
    settings = InstructionSettings()
    splits = assign({"wic_ita": sample_items("wic_ita")}, TASKS, settings, seed=3).splits
    drawn = {wording.name for candidate in splits["train"] for wording in wordings_for(candidate, "train", settings, 3)}
    assert drawn == {"own", "extremita-corrected", "evalita-llm"}
    assert {wordings_for(candidate, "train", settings, 3) == wordings_for(candidate, "train", settings, 4) for candidate in splits["train"]} == {True, False}
    for split in ("validation", "test"):
        assert all(wordings_for(candidate, split, settings, 3) == TASKS["wic_ita"].wordings[:1] for candidate in splits[split])


def test_wordings_are_fixed_by_name_and_names_for_one_task_come_first() -> None:
    settings = InstructionSettings(wordings=("own", "nermud/evalita-llm"), test_wordings=("evalita-llm", "own"))
    assert [wording.name for wording in training_wordings(TASKS["wic_ita"], settings)] == ["own"]
    assert [wording.name for wording in training_wordings(TASKS["nermud"], settings)] == ["evalita-llm"]
    assert [wording.name for wording in evaluation_wordings(TASKS["nermud"], settings)] == ["evalita-llm", "own"]
    with pytest.raises(EvalitaError, match=r"wordings is \['evalita-llm'\], and task xcopa has \['own'\]; add one of them as xcopa/own"):
        training_wordings(TASKS["xcopa"], InstructionSettings(wordings=("evalita-llm",)))


def test_a_held_out_wording_is_tested_and_never_trained_on() -> None:
    settings = InstructionSettings(held_out_wordings=("evalita-llm", "wic_ita_ranking/own"))
    assert [wording.name for wording in training_wordings(TASKS["wic_ita"], settings)] == ["own", "extremita-corrected"]
    assert [wording.name for wording in evaluation_wordings(TASKS["wic_ita"], settings)] == ["own", "evalita-llm"]
    candidate = assign({"wic_ita_ranking": sample_items("wic_ita_ranking")}, TASKS, settings, 1).splits["validation"][0]
    assert wordings_for(candidate, "validation", settings, 1)[0].name == "own-markers"
    with pytest.raises(EvalitaError, match="so that task xcopa has no wording to train on"):
        training_wordings(TASKS["xcopa"], InstructionSettings(held_out_wordings=("own",)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ("wicita",)}, "no task 'wicita'"),
        ({"tasks": ("erte3/x",)}, "'erte3/x': task 'erte3' has no parts"),
        ({"wordings": ("mine",)}, "no task has a wording 'mine'"),
        ({"wordings": ("own",), "held_out_wordings": ("own",)}, "wordings and held_out_wordings both name 'own'"),
    ],
)
def test_names_that_do_not_exist_are_refused_with_the_profile(changes: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InstructionSettings(**changes)  # type: ignore[arg-type]


def test_a_part_of_a_task_may_be_trained_on_alone() -> None:
    """NERMuD's domain-specific track."""
    splits = assign({"nermud": sample_items("nermud")}, TASKS, InstructionSettings(tasks=("nermud/WN",), evaluation_tasks=("nermud",)), 1).splits
    assert {candidate.item.fields["domain"] for candidate in splits["train"]} == {"WN"}
    assert {candidate.item.fields["domain"] for candidate in splits["test"]} == {"WN", "FIC", "ADG"}
    with pytest.raises(EvalitaError, match=r"names 'nermud/XX'; the parts of nermud are \['nermud/ADG', 'nermud/FIC', 'nermud/WN'\]"):
        assign({"nermud": sample_items("nermud")}, TASKS, InstructionSettings(tasks=("nermud/XX",)), 1)


def test_mirrored_pairs_swap_sentences_and_keep_group_and_label() -> None:
    items = {"wic_ita": sample_items("wic_ita")}
    rows = assign(items, TASKS, InstructionSettings(), seed=3).splits["train"]
    by_id = {candidate.id: candidate.item for candidate in rows}
    mirrored = [name for name in by_id if name.endswith("~mirrored")]
    assert len(mirrored) * 2 == len(rows)
    for name in mirrored:
        original, swapped = by_id[name.removesuffix("~mirrored")], by_id[name]
        assert (original.fields["sentence1"], original.fields["start1"], original.fields["lemma1"]) == (swapped.fields["sentence2"], swapped.fields["start2"], swapped.fields["lemma2"])
        assert (original.group_id, original.label) == (swapped.group_id, swapped.label)
    assert len(assign(items, TASKS, InstructionSettings(mirrored_pairs=False), seed=3).splits["train"]) == len(rows) // 2


def test_rows_hold_the_words_their_hash_and_their_parser() -> None:
    candidate = assign({"wic_ita": sample_items("wic_ita")}, TASKS, InstructionSettings(), 1).splits["train"][0]
    row = instruction_row(candidate, TASKS["wic_ita"].wording("own"))
    assert row["template_id"] == "wic_ita/own" and len(row["template_sha256"]) == 64 and row["parser"] == "choice/1"
    assert candidate.item.fields["sentence1"] in row["input"] and row["output"] in ("sì", "no")
    assert set(SPLITS) == {"train", "validation", "test"}
