"""Any server that speaks OpenAI's chat completions: a local vLLM or llama.cpp server, or a service.

One request for each sentence, many at a time: a server batches what waits. Large models write more than a translation, so that the
answer is taken as it is and the gates on rows judge it. What such a server gives is never taken for reproducible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from foundation.sources.chat_completions import ChatServer, ServerError
from translation.engines.engine import EngineChoice, Translation, in_slices
from translation.errors import EngineError
from translation.settings import OpenAISettings

BATCH_SENTENCES = 256
"""Sentences that are kept together."""


def choice_of(settings: OpenAISettings) -> EngineChoice:
    """The choice of a server's model; where the server is does not count, the model's name and the prompt do.

    Raises:
        EngineError: no model is named.
    """
    if settings.model is None:
        raise EngineError("translation.engine.engine is openai and translation.engine.openai.model is not set; name a model of the server")
    return EngineChoice(
        kind="openai",
        package=f"{settings.model}" + (f"@{settings.revision}" if settings.revision else ""),
        parameters=(
            ("max_output_tokens", settings.max_output_tokens),
            ("model", settings.model),
            ("seed", settings.seed),
            ("system_prompt", settings.system_prompt),
            ("temperature", settings.temperature),
        ),
        deterministic=False,
        location=settings.url,
        run_parameters=(("concurrency", settings.concurrency), ("key_variable", settings.key_variable), ("timeout_s", settings.timeout_s)),
    )


class OpenAIEngine:
    """A server's model."""

    def __init__(self, choice: EngineChoice, wait: Callable[[float], None] = time.sleep) -> None:
        self._parameters: dict[str, Any] = {**dict(choice.parameters), **dict(choice.run_parameters)}
        run = {name: self._parameters[name] for name in ("key_variable", "concurrency", "timeout_s")}
        self._server = ChatServer(choice.location, wait=wait, **run)

    def batches(self, sentences: Sequence[str]) -> list[list[str]]:
        return in_slices(sentences, BATCH_SENTENCES)

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        """Translate a batch.

        Raises:
            EngineError: the server refuses, or cannot be reached after several tries.
        """
        with ThreadPoolExecutor(self._parameters["concurrency"]) as pool:
            return list(pool.map(self._one, sentences))

    def _one(self, sentence: str) -> Translation:
        parameters = self._parameters
        request = {
            "model": parameters["model"],
            "messages": [{"role": "system", "content": parameters["system_prompt"]}, {"role": "user", "content": sentence}],
            "temperature": parameters["temperature"],
            "seed": parameters["seed"],
            "max_tokens": parameters["max_output_tokens"],
            "logprobs": True,
        }
        try:
            text, chosen = self._server.choice(request)
        except ServerError as error:
            raise EngineError(f"{error}; {self._advice(error.status)}") from error
        try:
            probabilities = [float(token["logprob"]) for token in ((chosen.get("logprobs") or {}).get("content") or [])]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EngineError(f"{self._server.address} gave log probabilities in a form that is not OpenAI's ({error!r}): {str(chosen)[:200]}") from error
        truncated = chosen.get("finish_reason") == "length"
        return Translation(" ".join(text.split()), sum(probabilities) / len(probabilities) if probabilities else None, truncated)

    def _advice(self, status: int) -> str:
        if status in (401, 403):
            return f"put a key into the environment variable {self._parameters['key_variable']}"
        if not status:
            return "finished batches are kept, run again to go on"
        return f"look at translation.engine.openai.url and model ({self._parameters['model']!r})"
