"""Segmentation and protection: byte-for-byte identity, and nothing that is frame reaches an engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.language.sentences import SentenceSettings
from translation.protection import MARK_FORMS, MarkForm, mask
from translation.segmentation import list_items, prose, segment

RULES = SentenceSettings(abbreviations=("mr", "e.g"))

MARKDOWN = st.lists(
    st.sampled_from(
        [
            "# Title", "## A *b* c", "- item one", "  * nested item. Two.", "1. first", "2) second", "> quoted line", "```python",
            "```", "~~~", "    code = 1", "\tcode", "| a | b |", "|---|:-:|", "| `x|y` | two words |", "$$", "x^2", "\\[", "\\]",
            "**Bold**: text", "plain words. More words!", "see `a_b` and https://x.org/a_b?c=d.", "me@x.org", "{0} and [Name] <b>x</b>",
            "[link text](https://x.org)", "---", "===", "", "   ", "trailing  ", "tab\tin", "a | b", "snake_case_name stays", "**", "XQ0Z",
            "- [ ] task", "\u00a0nbsp", "\\begin{align}", "\\end{align}", "été — \u2028 separators", "`", "$5 and $6", "/usr/share/doc/x",
        ]
    ),
    max_size=14,
).map("\n".join)  # fmt: skip


def joined(text: str, limit: int = 600) -> str:
    return "".join(piece.text for piece in segment(text, RULES, limit))


def sent(text: str) -> list[str]:
    return [piece.text for piece in segment(text, RULES) if piece.sentence]


@given(MARKDOWN, st.integers(20, 600))
def test_pieces_join_to_the_text(text: str, limit: int) -> None:
    assert joined(text, limit) == text


@given(st.text(max_size=120))
def test_any_text_survives(text: str) -> None:
    assert joined(text) == text
    for form in MARK_FORMS:
        masked = mask(text, form)
        assert masked.restore(masked.text) == text


@given(MARKDOWN)
def test_sentences_are_whole_and_speak(text: str) -> None:
    for sentence in sent(text):
        assert sentence == sentence.strip()
        assert "\n" not in sentence
        assert any(character.isalpha() for character in sentence)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Look:\n```py\nprint('Hello. World')\n```\nDone.", ["Look:", "Done."]),
        ("| Day | City |\n|---|---|\n| 1 | Old Rome |", ["Day", "City", "Old Rome"]),
        ("1. Mix it.\n2. Bake it.", ["Mix it.", "Bake it."]),
        ("Formula:\n$$\na = b\n$$\nEnd", ["Formula:", "End"]),
        ("Text\n\n    indented code\n\nMore", ["Text", "More"]),
        ("- item\n\n    its second paragraph", ["item", "its second paragraph"]),
        ("### Opening hours", ["Opening hours"]),
        ("**Step one**: mix the flour", ["Step one", "mix the flour"]),
        ("https://example.org/a", []),
        ("`code` {0} 42", []),
        ("~~~\nnever closed. Still code", []),
        ("$$ never closed\nis text", ["$$ never closed", "is text"]),
    ],
)
def test_what_reaches_the_engine(text: str, expected: list[str]) -> None:
    assert sent(text) == expected


@pytest.mark.parametrize(
    "span",
    ["`rm -rf /tmp/x`", "https://example.org/a_b?x=1&y=2", "me.too@mail.example.org", "{name}", "[Your name]", "<br/>", "$C = 2 \\pi r$",
     "max_rows", "open()", "/home/anna/notes/", "**", "%s", "\\*"],
)  # fmt: skip
@pytest.mark.parametrize("form", MARK_FORMS, ids=["name", "brace"])
def test_spans_are_masked_and_restored(span: str, form: MarkForm) -> None:
    masked = mask(f"Please use {span} here", form)
    assert span in masked.spans
    assert span not in masked.text.replace(form.template.format(0), "")
    assert masked.restore(masked.text.replace("Please use", "Usa").replace("here", "qui")) == f"Usa {span} qui"


def test_a_lost_or_repeated_mark_is_never_patched() -> None:
    masked = mask("Run `a` then `b` now")
    first, second = (MARK_FORMS[0].template.format(number) for number in (0, 1))
    assert masked.restore(f"Esegui {second} poi {first} ora") == "Esegui `b` poi `a` ora"
    for broken in (f"Esegui {first} ora", f"{first} {first} {second}", f"{first} {second} XQ7Z", "niente"):
        assert masked.restore(broken) is None


def test_emphasis_inside_words_keeps_its_spacing() -> None:
    masked = mask("a **very** big (`x`) deal")
    assert masked.restore(masked.text.replace("very", "molto")) == "a **molto** big (`x`) deal"


def test_prose_and_list_items_ignore_code() -> None:
    text = "Intro `a_b` words\n```\n- not an item\n```\n- one\n- two"
    assert "not an item" not in prose(text)
    assert "a_b" not in prose(text)
    assert list_items(text) == 2


def test_real_rows_come_back_byte_for_byte(shared_data: Path) -> None:
    texts = []
    for path in sorted((shared_data / "dolly").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines()[:1500]:
            texts += [str(value) for value in json.loads(line).values()]
    for path in sorted((shared_data / "chat").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            texts += [message["content"] for message in json.loads(line)["messages"]]
    assert len(texts) > 3000
    assert [text for text in texts if joined(text) != text] == []
