"""The twelve bugs of the public reference implementation (ExtremITA), a test each."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.evalita.answers.choice import ChoiceAnswer
from corpus.evalita.errors import EvalitaError
from corpus.evalita.instructions import instruction_row, training_wordings
from corpus.evalita.items import SAMPLE_LICENCE
from corpus.evalita.settings import InstructionSettings
from corpus.evalita.splits import Candidate, assign
from corpus.evalita.task import Item, ParseFailure, Wording
from corpus.evalita.tasks import TASKS, discotex, nermud, politicit, wic_ita
from tests.corpus.evalita.sampled import copied_samples, items_in, sample_items
from tests.corpus.evalita.test_evalita_tasks import words_of

MARKER = re.compile(r"\[[A-Z]+\d?\]")


def sound(name: str) -> list[Wording]:
    return [wording for wording in TASKS[name].wordings if not wording.faults]


def check_marks(items: list[Item]) -> None:
    for item in items:
        for side in "12":
            sentence, start, end = item.fields[f"sentence{side}"], item.fields[f"start{side}"], item.fields[f"end{side}"]
            for opening, closing in (("[TGTS]", "[TGTE]"), (f"[BT{side}]", f"[ET{side}]")):
                marked = wic_ita.marked(sentence, start, end, opening, closing)
                assert marked.replace(f"{opening} ", "", 1).replace(f" {closing}", "", 1) == sentence
                found = re.search(rf"{re.escape(opening)} (.*) {re.escape(closing)}", marked, re.DOTALL)
                assert found is not None and found[1] == sentence[start:end]


def test_bug_1_markers_can_be_taken_out_again_byte_for_byte() -> None:
    check_marks(list(sample_items("wic_ita")))
    sentence = "Ha molte facce, queste"
    assert wic_ita.marked(sentence, 9, 14) == "Ha molte [TGTS] facce [TGTE], queste"


def test_bug_1_in_the_distributed_files(real_items: Callable[[str], list[Item]]) -> None:
    check_marks(real_items("wic_ita"))
    check_marks(real_items("wic_ita_ranking"))


@pytest.mark.parametrize("name", ["wic_ita", "wic_ita_ranking", "discotex_1", "langlearn"])
def test_bug_2_markers_named_in_the_prompt_are_those_of_the_input(name: str) -> None:
    for wording in sound(name):
        for item in sample_items(name):
            instruction, text = TASKS[name].prompt(wording, item.fields)
            assert set(MARKER.findall(instruction)) == set(MARKER.findall(text)), wording.name


def test_bug_2_a_wording_with_known_faults_is_used_only_where_it_is_named() -> None:
    published = TASKS["wic_ita"].wording("extremita")
    instruction, text = TASKS["wic_ita"].prompt(published, sample_items("wic_ita")[0].fields)
    assert published.faults and set(MARKER.findall(instruction)) != set(MARKER.findall(text))
    assert published not in training_wordings(TASKS["wic_ita"], InstructionSettings())
    assert training_wordings(TASKS["wic_ita"], InstructionSettings(wordings=("own", "wic_ita/extremita"))) == (published,)


@pytest.mark.parametrize("name", TASKS)
def test_bug_3_answers_named_in_the_prompt_are_those_written_and_read(name: str) -> None:
    for wording in sound(name):
        answer = wording.answer
        if isinstance(answer, ChoiceAnswer):
            labels = {str(item.label if isinstance(item.label, str | int) else tuple(item.label)) for item in sample_items(name)}
            assert labels <= {str(label) for label in answer.words}
            assert all(not isinstance(answer.decode({}, word), ParseFailure) for word in answer.words.values())
        for word in words_of(wording) if wording.names_labels else ():
            assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", wording.instruction), (wording.name, word)


@pytest.mark.parametrize(("first", "second"), [("acti_a", "acti_b"), ("emit_a", "emit_b"), ("hodi_a", "hodi_b"), ("geolingit_a", "geolingit_b"), ("politicit_gender", "politicit_multi")])
def test_bug_4_what_two_sub_tasks_share_is_one_group(first: str, second: str) -> None:
    one, other = ({item.fields["text"]: item.group_id for item in sample_items(name)} for name in (first, second))
    shared = one.keys() & other.keys()
    assert shared and all(one[text] == other[text] for text in shared)


def test_bug_4_pairs_their_reverses_and_their_essays_are_one_group() -> None:
    groups: dict[str, set[str]] = {}
    for item in sample_items("langlearn"):
        for essay in (item.fields["first"], item.fields["second"]):
            groups.setdefault(essay, set()).add(item.group_id)
    assert all(len(found) == 1 for found in groups.values())
    orders = Counter((item.group_id, item.label) for item in sample_items("langlearn") if item.split == "train")
    assert all(orders[group, 0] == orders[group, 1] for group, _ in orders)


def test_bug_4_no_group_of_any_task_is_torn_apart() -> None:
    items = {name: list(sample_items(name)) for name in TASKS}
    for seed in range(20):
        sides: dict[str, set[str]] = {}
        for split, rows in assign(items, TASKS, InstructionSettings(validation_share=0.3), seed).splits.items():
            for candidate in rows:
                sides.setdefault(candidate.item.group_id, set()).add(split)
        assert all(len(found) == 1 for found in sides.values())


@pytest.mark.parametrize("name", TASKS)
def test_bug_5_answers_of_another_task_are_failures_and_no_class(name: str) -> None:
    item = sample_items(name)[0]
    for wording in TASKS[name].wordings:
        for answer in ("Abbecedario di Borgobasso", "non_odio", "0", "UNK"):
            value = wording.answer.decode(item.fields, answer)
            assert isinstance(value, ParseFailure) or (name == "hodi_b" and value[0][0] == -1), (wording.name, answer, value)


def test_bug_6_no_tweet_of_a_cluster_is_lost() -> None:
    tweets = [" ".join(["parola"] * length) for length in (60, 60, 60, 200, 10, 140, 5)]
    found = politicit.chunks(tweets)
    assert [tweet for chunk in found for tweet in chunk] == tweets
    assert [sum(len(tweet.split()) for tweet in chunk) for chunk in found] == [120, 60, 200, 150, 5]
    items = [item for item in sample_items("politicit_gender") if item.split == "test"]
    path = Path(__file__).parents[3] / "samples" / politicit.FILES["test"]
    assert sorted(tweet for _, texts in politicit.clusters(path).values() for tweet in texts) == sorted(tweet for item in items for tweet in item.fields["text"].split("\n"))


def test_bug_6_chunks_vote_and_a_tie_goes_to_the_first_answer() -> None:
    assert politicit.vote(["left", "right", None, "right"]) == "right"
    assert politicit.vote(["right", "left", None]) == "right"
    assert politicit.vote([None, None]) is None


def test_bug_7_labels_outside_the_alphabet_are_refused() -> None:
    with pytest.raises(EvalitaError, match=r"x.tsv, line 8: label 'PER'"):
        nermud.entities(["O", "PER"], "x.tsv", 7)


def test_bug_7_files_of_the_corpus_that_the_task_is_made_of_are_refused(shared_data: Path, tmp_path: Path) -> None:
    copied_samples(tmp_path, "nermud")
    kind = (shared_data / "evalita/kind-nermud/dataset/wikinews_test.tsv").read_bytes()
    (tmp_path / nermud.FOLDER / "WN_test.tsv").write_bytes(kind)
    with pytest.raises(EvalitaError, match=r"WN_test.tsv, line \d+: label '(PER|LOC|ORG)', expected one of"):
        items_in(tmp_path, "nermud")


def test_bug_8_the_last_sentence_of_a_file_without_a_final_blank_line_is_read(real_items: Callable[[str], list[Item]]) -> None:
    test = Counter(item.fields["domain"] for item in real_items("nermud") if item.split == "test")
    assert test == {"WN": 2088, "FIC": 1517, "ADG": 521}


def test_bug_9_every_document_gives_rows() -> None:
    items = sample_items("clinkart")
    by_document: dict[str, int] = {}
    for item in items:
        by_document[item.group_id] = by_document.get(item.group_id, 0) + len(item.label)
    assert len(by_document) == 14 and sum(count == 0 for count in by_document.values()) == 3


def test_bug_10_scales_named_in_the_prompt_are_those_of_the_data() -> None:
    assert (discotex.LOW, discotex.HIGH) == (1, 5)
    for wording in sound("discotex_2"):
        assert re.findall(r"da (\d)\D* a (\d)", wording.instruction)[0] == ("1", "5"), wording.name
    assert TASKS["discotex_2"].wording("extremita").faults


def test_bug_11_training_and_test_rows_of_an_item_have_one_input() -> None:
    """Nothing is cut on either side, so that a long input is as long in training as it is in the test."""
    long = "Un testo lungo. " * 400
    for name in TASKS:
        item = sample_items(name)[0]
        fields = {**item.fields, **{key: value + long for key, value in item.fields.items() if key in ("text", "prompt", "first", "premise", "sentence1")}}
        rows = [
            instruction_row(Candidate(TASKS[name], Item(item.item_id, split, item.group_id, fields, item.label, SAMPLE_LICENCE), frozenset()), TASKS[name].wordings[0])
            for split in ("train", "test")
        ]
        assert rows[0]["input"] == rows[1]["input"] and long.strip() in rows[0]["input"], name


def test_bug_12_nothing_in_the_workshop_evaluates_text_as_code() -> None:
    for path in (Path(__file__).parents[3] / "corpus" / "evalita").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("eval", "exec", "__import__")), path
