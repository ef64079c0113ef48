"""Chat templates in Jinja, and the instruction form (``foundation.language.prompts``) as one of them.

The same template renders training text and prompts, and travels in the tokenizer of the published model, so that
whoever uses the model asks in the form it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from foundation.language.settings import TemplateSettings
from training.errors import TemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]

CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""ChatML as SmolLM2's own template, without the English system prompt that one slips in."""

_LLAMA2 = (
    "{{%- set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}}"
    "{{%- for message in messages if message['role'] != 'system' %}}"
    "{{%- if message['role'] == 'user' %}}"
    "{{{{- bos_token + '{open}' + ('<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' if loop.first and system else '') "
    "+ message['content'] + '{close}' }}}}"
    "{{%- else %}}{{{{- ' ' + message['content'] + ' ' + eos_token{between} }}}}{{%- endif %}}"
    "{{%- endfor %}}"
)

CHAT_TEMPLATES: Mapping[str, str] = {
    "chatml": CHATML,
    # Meta's form: "<s>[INST] <<SYS>>…", each turn its own <s> … </s>.
    "llama2": _LLAMA2.format(open="[INST] ", close=" [/INST]", between=""),
    # README of LLaMAntino-2-chat (7B, 13B): " [INST]<<SYS>>" without inner spaces; its tokenizer adds the first BOS.
    "llamantino": _LLAMA2.format(open=" [INST]", close="[/INST]", between=" + ('' if loop.last else ' ')"),
}
"""Chat templates by the name that ``training.chat.template`` gives. All emit BOS themselves: tokenize their text
without special tokens, as ``apply_chat_template`` does."""


def instruction_chat_template(templates: TemplateSettings) -> str:
    """The instruction form as a chat template: the last message is the instruction, earlier ones are not looked at."""
    before, _, after = templates.instruction_without_input.partition("{instruction}")
    return f"{{{{- {_literal(before)} + messages[-1]['content'] + {_literal(after)} }}}}"


def chat_template(name: str, system_prompt: str = "") -> str:
    """A chat template; with a system prompt, conversations that bring none open with that one.

    Raises:
        TemplateError: no template has this name.
    """
    if name not in CHAT_TEMPLATES:
        raise TemplateError(f"training.chat.template is {name!r}; known are {sorted(CHAT_TEMPLATES)}")
    if not system_prompt:
        return CHAT_TEMPLATES[name]
    default = (
        "{%- if messages[0]['role'] != 'system' %}"
        f"{{%- set messages = [{{'role': 'system', 'content': {_literal(system_prompt)}}}] + messages %}}"
        "{%- endif %}"
    )
    return default + CHAT_TEMPLATES[name]


def _literal(text: str) -> str:
    """A Jinja string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def render_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, prompt: bool) -> str:
    """A conversation in the tokenizer's chat template; with ``prompt``, up to where the next answer begins."""
    plain = [{"role": message["role"], "content": message["content"]} for message in messages]
    return str(tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt))


def answer_spans(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
    """The rendered conversation and the character spans of its answers, each with its end token.

    Raises:
        TemplateError: the template renders a beginning otherwise than the whole, so that answers cannot be located.
    """
    text = render_chat(tokenizer, messages, prompt=False)
    end = tokenizer.eos_token
    spans = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = render_chat(tokenizer, messages[:index], prompt=True)
        stop = text.find(end, len(before) + len(message["content"]))
        if not text.startswith(before) or message["content"] not in text[len(before) : stop] or stop < 0:
            raise TemplateError(f"the chat template does not show answer {index} followed by {end!r}; use one of {sorted(CHAT_TEMPLATES)}")
        spans.append((len(before), stop + len(end)))
    return text, spans
