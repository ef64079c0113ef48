"""The words in which a model is asked: an instruction in the language file's form, or as a message of a chat.

Belongs here: what training, answering and the exports to other programs have to write in the same way. Chat templates are
the models' own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from foundation.errors import TransumanzaError
from foundation.language.settings import TemplateSettings

PromptForm = Literal["instruction", "chat"]
"""``instruction``: the language file's template, which instruction and EVALITA models are trained on. ``chat``: one message of
a user, around which the model or its server lays a chat template."""


class PromptError(TransumanzaError):
    """A prompt template of the language file that cannot be used."""


def render_instruction(templates: TemplateSettings, instruction: str, input_text: str | None) -> str:
    """The prompt of one instruction, up to where the answer begins.

    Raises:
        PromptError: the language file's template lacks a placeholder.
    """
    values = {"instruction": instruction.strip(), "input": (input_text or "").strip()}
    name = "instruction_with_input" if values["input"] else "instruction_without_input"
    template = getattr(templates, name)
    for placeholder in ("instruction", "input") if values["input"] else ("instruction",):
        if f"{{{placeholder}}}" not in template:
            raise PromptError(f"language file, templates.{name}: placeholder {{{placeholder}}} is missing")
    # One pass: braces inside the inserted texts stay what they are.
    return re.sub(r"\{(instruction|input)\}", lambda match: values[match.group(1)], template)


def user_message(instruction: str, input_text: str | None) -> str:
    """The same as the message of a chat: the instruction, an empty line, the input."""
    return "\n\n".join(text for text in (instruction.strip(), (input_text or "").strip()) if text)


def up_to_stop(text: str, stop: Sequence[str]) -> str:
    """A generated text up to the first of some stop texts, without outer blanks."""
    ends = [place for place in (text.find(end) for end in stop if end) if place >= 0]
    return text[: min(ends, default=len(text))].strip()
