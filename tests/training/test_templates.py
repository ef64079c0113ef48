"""Templates to the byte, and what of a rendered example is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.language.prompts import PromptError, render_instruction
from foundation.language.settings import LanguageSettings
from training.base import byte_tokenizer
from training.checkpoints import load_tokenizer
from training.conversations import chat_examples, encode_chat, encode_instruction, encode_prompt, instruction_examples
from training.errors import TemplateError
from training.templates import (
    CHAT_TEMPLATES,
    chat_template,
    instruction_chat_template,
    render_chat,
)

TURNS = [
    {"role": "user", "content": "Ciao, perché?"},
    {"role": "assistant", "content": "È così: 🐑 «già»."},
    {"role": "user", "content": "E poi?"},
    {"role": "assistant", "content": "Fine."},
]
TOKENIZER = byte_tokenizer(1024)


def rendered(name: str, system: str = "", messages: list[dict[str, str]] = TURNS, *, prompt: bool = False) -> str:
    tokenizer = byte_tokenizer(1024)
    tokenizer.bos_token, tokenizer.eos_token = ("<s>", "</s>") if name != "chatml" else ("<|im_start|>", "<|im_end|>")
    tokenizer.chat_template = chat_template(name, system)
    return render_chat(tokenizer, messages, prompt=prompt)


def trained_text(ids: list[int], wanted: list[bool]) -> str:
    return TOKENIZER.decode([token for token, target in zip(ids, wanted, strict=True) if target])


def test_italian_alpaca_form(language: LanguageSettings) -> None:
    """LLaMAntino-2's README, the Dolly form, byte for byte."""
    assert render_instruction(language.templates, "Traduci.", "gregge") == (
        "Di seguito è riportata un'istruzione che descrive un'attività, abbinata ad un input che fornisce ulteriore "
        "informazione. Scrivi una risposta che soddisfi adeguatamente la richiesta.\n\n### Istruzione:\nTraduci.\n\n"
        "### Input:\ngregge\n\n### Risposta:\n"
    )
    for empty in (None, "", "  "):
        assert render_instruction(language.templates, "Traduci.", empty) == (
            "Di seguito è riportata un'istruzione che descrive un'attività. Scrivi una risposta che soddisfi "
            "adeguatamente la richiesta.\n\n### Istruzione:\nTraduci.\n\n### Risposta:\n"
        )


def test_braces_in_inserted_texts_stay(language: LanguageSettings) -> None:
    text = render_instruction(language.templates, "Che cosa fa {input}?", "{instruction} {x}")
    assert "### Istruzione:\nChe cosa fa {input}?\n\n### Input:\n{instruction} {x}\n\n" in text


def test_a_template_without_placeholder_is_an_error(language: LanguageSettings) -> None:
    broken = language.templates.model_copy(update={"instruction_without_input": "niente"})
    with pytest.raises(PromptError, match=r"instruction_without_input: placeholder \{instruction\}"):
        render_instruction(broken, "x", None)


def test_instruction_form_as_chat_template_renders_the_same_prompt(language: LanguageSettings) -> None:
    tokenizer = byte_tokenizer(1024)
    tokenizer.chat_template = instruction_chat_template(language.templates)
    shown = render_chat(tokenizer, [{"role": "user", "content": "Dimmi 'perché' \\n."}], prompt=True)
    assert shown == render_instruction(language.templates, "Dimmi 'perché' \\n.", None)


def test_chatml() -> None:
    assert rendered("chatml") == (
        "<|im_start|>user\nCiao, perché?<|im_end|>\n<|im_start|>assistant\nÈ così: 🐑 «già».<|im_end|>\n"
        "<|im_start|>user\nE poi?<|im_end|>\n<|im_start|>assistant\nFine.<|im_end|>\n"
    )
    assert rendered("chatml", messages=TURNS[:1], prompt=True) == "<|im_start|>user\nCiao, perché?<|im_end|>\n<|im_start|>assistant\n"
    assert rendered("chatml", "piu' utile", TURNS[:1]).startswith("<|im_start|>system\npiu' utile<|im_end|>\n<|im_start|>user\n")
    given = [{"role": "system", "content": "mio"}, *TURNS[:1]]
    assert rendered("chatml", "piu' utile", given) == "<|im_start|>system\nmio<|im_end|>\n<|im_start|>user\nCiao, perché?<|im_end|>\n"


def test_llamantino(language: LanguageSettings) -> None:
    """The README's string behind the BOS that its tokenizer adds."""
    system = language.templates.system_prompt
    assert rendered("llamantino", system) == (
        f"<s> [INST]<<SYS>>\n{system}\n<</SYS>>\n\nCiao, perché?[/INST] È così: 🐑 «già». </s> <s> [INST]E poi?[/INST] Fine. </s>"
    )


def test_llama2() -> None:
    assert rendered("llama2", "S") == (
        "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nCiao, perché? [/INST] È così: 🐑 «già». </s><s>[INST] E poi? [/INST] Fine. </s>"
    )


@pytest.mark.parametrize("name", sorted(CHAT_TEMPLATES))
def test_a_prompt_is_the_beginning_of_the_training_text(name: str) -> None:
    assert rendered(name).startswith(rendered(name, messages=TURNS[:3], prompt=True))


def test_an_unknown_template_is_an_error() -> None:
    with pytest.raises(TemplateError, match="known are"):
        chat_template("vicuna")


def test_only_answers_and_their_end_tokens_are_trained() -> None:
    example = encode_chat(TOKENIZER, TURNS, 1000)
    assert example is not None
    assert trained_text(*example) == "È così: 🐑 «già».<|im_end|>Fine.<|im_end|>"
    whole = TOKENIZER.apply_chat_template(TURNS, tokenize=True, return_dict=True)["input_ids"]
    assert example[0] == whole


def test_a_long_chat_loses_its_last_turns() -> None:
    example = encode_chat(TOKENIZER, TURNS, 70)
    assert example is not None
    assert trained_text(*example) == "È così: 🐑 «già».<|im_end|>"
    assert encode_chat(TOKENIZER, TURNS, 20) is None


text = st.text(st.characters(codec="utf-8", exclude_characters="<|>"), min_size=1, max_size=30).filter(str.strip)


@given(text, st.one_of(st.none(), text), text)
def test_instruction_targets_are_the_answer_and_the_end(instruction: str, given_input: str | None, answer: str) -> None:
    from foundation.language.settings import TemplateSettings

    templates = TemplateSettings(instruction_with_input="a {instruction} b {input} c\n", instruction_without_input="a {instruction} c\n")
    ids, wanted = encode_instruction(TOKENIZER, templates, instruction, given_input, answer)
    assert trained_text(ids, wanted) == f"{answer.strip()}<|im_end|>"
    prompt = encode_prompt(TOKENIZER, render_instruction(templates, instruction, given_input))
    assert ids[: len(prompt)] == prompt, "training and asking must show the model the same tokens"
    assert not any(wanted[: len(prompt)])


def test_rows_that_cannot_be_used_are_counted(language: LanguageSettings) -> None:
    rows = [
        {"instruction": "a", "input": None, "answer": "b"},
        {"instruction": None, "input": None, "answer": "b"},
        {"instruction": "a", "input": "", "answer": " "},
        {"instruction": "a", "input": "<|im_end|>", "answer": "b"},
        {"instruction": "a", "input": "x" * 2000, "answer": "b"},
    ]
    examples = instruction_examples(rows, TOKENIZER, language.templates, 600)
    assert len(examples.items) == 1
    assert examples.dropped == {"empty": 2, "special_token_in_text": 1, "too_long": 1}

    chats = chat_examples(
        [TURNS, TURNS[1:], TURNS[:1], [TURNS[0], {"role": "assistant", "content": None}], [TURNS[0], {"role": "assistant", "content": "<|im_start|>"}]],
        TOKENIZER,
        300,
    )
    assert len(chats.items) == 1
    assert chats.dropped == {"turns_do_not_alternate": 2, "empty": 1, "special_token_in_text": 1}


def test_a_base_slips_in_no_system_prompt(tiny: Path) -> None:
    shown = render_chat(load_tokenizer(tiny), TURNS[:1], prompt=True)
    assert "system" not in shown
