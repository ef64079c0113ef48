"""Segmentation and protection: byte-for-byte identity, and nothing that is frame reaches an engine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.language.identification import LanguageIdentifier
from foundation.language.sentences import SentenceSettings
from tests.translation.markdown_texts import LINES, MARKDOWN, MEGABYTE, UNITS
from translation.blocks import blocks
from translation.engines.identity import IDENTITY
from translation.gates import failed_gates
from translation.outline import outline
from translation.protection import MARK_FORMS, MarkForm, mask
from translation.segmentation import LINE_ENDS, Piece, cut, segment
from translation.settings import GateSettings
from translation.signals import measure
from translation.spans import inline_spans
from translation.translate import TranslatedText, Translator, translate_texts

RULES = SentenceSettings(abbreviations=("mr", "e.g"))


def joined(text: str, limit: int = 600) -> str:
    return "".join(piece.text for piece in segment(text, RULES, limit))


def sentences(text: str) -> list[Piece]:
    return [piece for piece in segment(text, RULES) if piece.sentence]


def sent(text: str) -> list[str]:
    return [piece.text for piece in sentences(text)]


@given(MARKDOWN, st.integers(20, 600))
def test_pieces_join_to_the_text(text: str, limit: int) -> None:
    assert joined(text, limit) == text
    found = blocks(text)
    assert [block.start for block in found] == [0, *(block.end for block in found)][:-1] or not text
    assert "".join(text[block.start : block.end] for block in found) == text


@given(st.text(st.characters(codec=None), max_size=120))
def test_any_text_survives(text: str) -> None:
    assert joined(text) == text
    for form in MARK_FORMS:
        masked = mask(text, form)
        assert masked.restore(masked.text) == text


@given(MARKDOWN)
def test_sentences_are_whole_and_speak(text: str) -> None:
    for piece in sentences(text):
        assert piece.text == piece.text.strip()
        assert not set(piece.text) & set(LINE_ENDS)
        for form in MARK_FORMS:
            masked = mask(piece.text, form, piece.spans)
            assert masked.restore(masked.text) == piece.text
            assert any(character.isalpha() for character in form.pattern.sub(" ", masked.text))
            assert not any("\ud800" <= character <= "\udfff" or (character < " " and character != "\t") for character in masked.text)


@given(MARKDOWN, st.integers(5, 80))
def test_a_sentence_is_cut_without_loss(text: str, limit: int) -> None:
    for piece in sentences(text):
        parts = cut(piece, limit)
        assert "".join(part.text for part in parts) == piece.text
        for part in parts:
            masked = mask(part.text, spans=part.spans)
            assert masked.restore(masked.text) == part.text
            assert len(part.text) <= limit or not part.sentence or not any(character.isspace() for character in masked.text.replace(" XQ", "XQ").replace("Z ", "Z"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Look:\n```py\nprint('Hello. World')\n```\nDone.", ["Look:", "Done."]),
        ("````md\n```py\ninner\n```\nstill code\n````\nDone.", ["Done."]),
        ("- item\n  ```sh\n  ls\n  ```\n- next", ["item", "next"]),
        ("> ```\n> code\n> ```\n> Prose.", ["Prose."]),
        ("| Day | City |\n|---|---|\n| 1 | Old Rome |", ["Day", "City", "Old Rome"]),
        ("City | Day\n--- | ---\nOld Rome | `a|b` Monday\n\nAfter.", ["City", "Day", "Old Rome", "`a|b` Monday", "After."]),
        ("not | a table\nas no rule follows", ["not | a table", "as no rule follows"]),
        ("1. Mix it.\n2. Bake it.", ["Mix it.", "Bake it."]),
        ("Steps:\n3. Mix it.\n* Bake it.", ["Steps:", "Mix it.", "Bake it."]),
        ("Formula:\n$$\na = b\n\nc = d\n$$\nEnd", ["Formula:", "End"]),
        ("Text\n\\[\n- x\n\\]\nMore", ["Text", "More"]),
        ("\\begin{align*}\na &= b\n\\end{align*}", []),
        ("Let $x_1 = 2$ hold", ["Let $x_1 = 2$ hold"]),
        ("```\n$$\n```\nProse between.\n```\n$$\n```", ["Prose between."]),
        ("Text\n\n    indented code\n\nMore", ["Text", "More"]),
        ("- item\n\n    its second paragraph", ["item", "its second paragraph"]),
        ("### Opening hours ###", ["Opening hours"]),
        ("Opening hours\n=====\nAll day", ["Opening hours", "All day"]),
        ("**Step one**: mix the flour", ["Step one", "mix the flour"]),
        ("It is **bold.** Then more.", ["It is **bold.**", "Then more."]),
        ("Use `a\nb` twice", ["Use", "twice"]),
        ("<p>Prose in HTML.</p>", ["<p>Prose in HTML.</p>"]),
        ("<script>\nvar a = 'words here';\n</script>\n\nDone", ["Done"]),
        ("<!-- a comment\nof two lines -->\nDone", ["Done"]),
        ("one\rtwo\r\nthree\x0bfour\u2028five\x85six", ["one", "two", "three", "four", "five", "six"]),
        ("https://example.org/a", []),
        ("`code` {0} 42", []),
        ("~~~\nnever closed. Still code", []),
        ("$$ never closed\nis text", ["$$ never closed", "is text"]),
        ("\\[ never closed\nis text", ["\\[ never closed", "is text"]),
        ("x" * 200 + " has a key", ["x" * 200 + " has a key"]),
        ("(We) know that.\nno) is a word.", ["(We) know that.", "no) is a word."]),
        ("(iii) item one\nb) item two\n12) item three", ["item one", "item two", "item three"]),
    ],
)
def test_what_reaches_the_engine(text: str, expected: list[str]) -> None:
    assert sent(text) == expected
    assert joined(text) == text


@pytest.mark.parametrize(
    "span",
    ["`rm -rf /tmp/x`", "``a ` b``", "https://example.org/a_b?x=1&y=2", "www.example.org", "me.too@mail.example.org", "{name}", "{{ user.name }}", "${HOME}", "<name>", "[Your name]",
     "<br/>", "<a href=\"x\">", "&nbsp;", "$C = 2 \\pi r$", "$n$", "\\(x > 1\\)", "$$a+b$$", "max_rows", "open()", "os.path.join()", "/home/anna/notes/", "**", "_", "%s", "%(name)s",
     "\\*", "\\alpha", "5 km", "20%", "-3.5 °C", "$1,200.50", "US$5", "€30", "16 GB", "120 km/h", "5 m²", "XQ3Z", "y" * 130, "\x07", "\ud83d"],
)  # fmt: skip
@pytest.mark.parametrize("form", MARK_FORMS, ids=["name", "brace"])
def test_spans_are_masked_and_restored(span: str, form: MarkForm) -> None:
    masked = mask(f"Please use {span} here", form)
    assert span in masked.spans
    assert span not in masked.text.replace(form.template.format(0), "")
    assert masked.restore(masked.text.replace("Please use", "Usa").replace("here", "qui")) == f"Usa {span} qui"


@pytest.mark.parametrize("text", ["It costs $5 and $6 more", "from 5 to 9 men", "a < b and c > d", "AT&T said so", "I and O", "it's 5 m", "and/or more", "the end. Then 3 books", "3 Gs", "a `quote' here"])
def test_prose_is_not_protected(text: str) -> None:
    assert [text[span.start : span.end] for span in inline_spans(text) if span.kind != "quantity"] == []


def test_a_lost_or_repeated_mark_is_never_patched() -> None:
    masked = mask("Run `a` then `b` now")
    first, second = (MARK_FORMS[0].template.format(number) for number in (0, 1))
    assert masked.restore(f"Esegui {second} poi {first} ora") == "Esegui `b` poi `a` ora"
    for broken in (f"Esegui {first} ora", f"{first} {first} {second}", f"{first} {second} XQ7Z", "niente"):
        assert masked.restore(broken) is None
    assert mask("Run it now").restore(f"Esegui {first} ora") is None, "a mark is invented"


def test_emphasis_inside_words_keeps_its_spacing() -> None:
    masked = mask("a **very** big (`x`) deal")
    assert masked.restore(masked.text.replace("very", "molto")) == "a **molto** big (`x`) deal"


def test_the_outline_ignores_code() -> None:
    text = "Intro `a_b` words\n```\n- not an item\n```\n- one https://x.org\n- two\n\n[Name] ends"
    found = outline(text)
    assert "not an item" not in found.prose
    assert "a_b" not in found.prose
    assert "https" not in found.prose
    assert (found.list_items, found.paragraphs, found.lines) == (2, 2, 7)
    assert found.spans == {("code", "`a_b`"): 1, ("code", "```\n- not an item\n```"): 1, ("url", "https://x.org"): 1, ("placeholder", "[Name]"): 1}


def real_texts(data: Path) -> Iterator[str]:
    for path in sorted((data / "dolly").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from (str(value) for value in json.loads(line).values())
    for path in sorted((data / "chat").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from (message["content"] for message in json.loads(line)["messages"])


def test_all_real_rows_come_back_byte_for_byte(shared_data: Path) -> None:
    count = 0
    for text in real_texts(shared_data):
        count += 1
        pieces = segment(text, RULES)
        assert "".join(piece.text for piece in pieces) == text
        for piece in pieces:
            masked = mask(piece.text, spans=piece.spans)
            assert masked.restore(masked.text) == piece.text or not piece.sentence
    assert count > 15_000


@given(st.lists(MARKDOWN, max_size=3))
def test_the_identity_engine_gives_every_text_back(texts: list[str]) -> None:
    for tokens in (180, 16):
        found = translate_texts(texts, Translator(IDENTITY, RULES, max_sentence_tokens=tokens))
        assert [entry.text for entry in found] == texts
        assert not any(entry.spans_lost or entry.in_parts or entry.truncated for entry in found)


@given(text=MARKDOWN)
def test_what_is_the_same_fails_no_gate_on_structure(identifier: LanguageIdentifier, text: str) -> None:
    signals = measure(text, TranslatedText(text), identifier, "it", GateSettings())
    assert set(failed_gates(signals, GateSettings(), translating=False)) <= {"compression"}


def least_seconds(text: str) -> float:
    """CPU seconds of the fastest of three: garbage collection and a busy machine make single ones far slower."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        assert joined(text) == text
        seconds.append(time.process_time() - began)
    return min(seconds)


def test_lines_of_a_megabyte_take_bounded_time() -> None:
    """By the ratio of two sizes: what is quadratic takes sixteen times as long for four times the text. A whole megabyte of each is in the services tests."""
    small, large = 5_000, 20_000
    slow = []
    for unit in UNITS:
        seconds = []
        for size in (small, large):
            text = "x " + (unit * (size // len(unit) + 1))[:size] + " $"
            seconds.append(least_seconds(text))
        if seconds[1] > max(10 * seconds[0], 0.2):
            slow.append((unit, seconds))
    assert slow == []


@pytest.mark.services
@pytest.mark.parametrize("unit", UNITS)
def test_a_whole_megabyte(unit: str) -> None:
    text = "x " + unit * (MEGABYTE // len(unit)) + " $"
    began = time.process_time()
    assert joined(text) == text
    assert time.process_time() - began < 60


@pytest.mark.parametrize("line", sorted(set(LINES)))
def test_many_lines_take_bounded_time(line: str) -> None:
    text = (line + "\n") * 400
    assert least_seconds(text * 4) < max(10 * least_seconds(text), 0.5)
