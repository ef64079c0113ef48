"""Any server that speaks OpenAI's chat completions: a local vLLM or llama.cpp server, or a service.

One request for each sentence, many at a time: a server batches what waits. Large models write more than a translation, so that the
answer is taken as it is and the gates on rows judge it. What such a server gives is never taken for reproducible.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from translation.engines.engine import EngineChoice, Translation, in_slices
from translation.errors import EngineError
from translation.settings import OpenAISettings

if TYPE_CHECKING:
    import httpx

BATCH_SENTENCES = 256
"""Sentences that are kept together."""
RETRIES = 6
MAX_WAIT_S = 60.0
_FIRST_WAIT_S = 0.5
_SERVER_IS_BUSY = {408, 409, 425, 429, 500, 502, 503, 504}
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""What reasoning models say first, where the server does not take it out."""


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
        import httpx

        self._parameters: dict[str, Any] = {**dict(choice.parameters), **dict(choice.run_parameters)}
        self._url = choice.location.rstrip("/") + "/chat/completions"
        self._wait = wait
        key = os.environ.get(self._parameters["key_variable"])
        limits = httpx.Limits(max_connections=self._parameters["concurrency"], max_keepalive_connections=self._parameters["concurrency"])
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(headers=headers, timeout=self._parameters["timeout_s"], limits=limits)

    def batches(self, sentences: Sequence[str]) -> list[list[str]]:
        return in_slices(sentences, BATCH_SENTENCES)

    def lengths(self, sentences: Sequence[str]) -> list[int]:
        return [0] * len(sentences)

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
        answer = self._asked(request)
        try:
            chosen = answer["choices"][0]
            text = _THOUGHTS.sub("", chosen["message"]["content"] or "")
            probabilities = [float(token["logprob"]) for token in ((chosen.get("logprobs") or {}).get("content") or [])]
            truncated = chosen.get("finish_reason") == "length"
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EngineError(f"{self._url} gave an answer without choices[0].message.content ({error!r}): {str(answer)[:200]}") from error
        return Translation(" ".join(text.split()), sum(probabilities) / len(probabilities) if probabilities else None, truncated)

    def _asked(self, request: dict[str, Any]) -> Any:
        """The server's answer; what it is too busy for is asked again, later and later."""
        import httpx

        pause = _FIRST_WAIT_S
        for attempt in range(RETRIES + 1):
            try:
                response = self._client.post(self._url, json=request)
            except httpx.HTTPError as error:
                reason, asked = f"{type(error).__name__}: {error}", None
            else:
                if response.status_code == 200:
                    return self._json(response)
                if response.status_code == 400 and "logprobs" in request and "logprob" in response.text:
                    request = {name: value for name, value in request.items() if name != "logprobs"}  # not every server has them
                    continue
                reason, asked = f"status {response.status_code}: {response.text[:200]}", response.headers.get("retry-after")
                if response.status_code not in _SERVER_IS_BUSY:
                    raise EngineError(f"{self._url} refused the request, {reason}; {self._advice(response.status_code)}")
            if attempt < RETRIES:
                self._wait(min(float(asked) if asked and asked.isdigit() else pause, MAX_WAIT_S))
                pause *= 2
        raise EngineError(f"{self._url} gave no answer in {RETRIES + 1} tries, the last one {reason}; finished batches are kept, run again to go on")

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise EngineError(f"{self._url} answered with something that is not JSON: {response.text[:200]!r}; is it an OpenAI-compatible server?") from error

    def _advice(self, status: int) -> str:
        if status in (401, 403):
            return f"put a key into the environment variable {self._parameters['key_variable']}"
        return f"look at translation.engine.openai.url and model ({self._parameters['model']!r})"
