"""Any server that speaks OpenAI's chat completions: a local vLLM or llama.cpp server, or a service.

Belongs here: one request and its answer, asked again while the server is busy. What is asked, and what an answer is worth,
is the caller's.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from foundation.errors import TransumanzaError

if TYPE_CHECKING:
    import httpx

RETRIES = 6
MAX_WAIT_S = 60.0
_FIRST_WAIT_S = 0.5
_SERVER_IS_BUSY = {408, 409, 425, 429, 500, 502, 503, 504}
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""What reasoning models say first, where the server does not take it out."""


class ServerError(TransumanzaError):
    """A server that refuses, cannot be reached, or is none of this kind. ``status`` is that of a refusal, else 0."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ChatServer:
    """A server at a base address (``http://127.0.0.1:8000/v1``); many threads may ask at a time.

    The key, if there is one, comes from the environment variable ``key_variable`` alone, and is never printed.
    """

    def __init__(self, url: str, *, key_variable: str, concurrency: int, timeout_s: float, wait: Callable[[float], None] = time.sleep) -> None:
        import httpx

        self.address = url.rstrip("/") + "/chat/completions"
        self._wait = wait
        self._has_logprobs = True  # until it says otherwise
        key = os.environ.get(key_variable)
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._client = httpx.Client(headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=timeout_s, limits=limits)

    def choice(self, request: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The text of the first choice, without spoken thoughts, and the choice itself.

        Raises:
            ServerError: the server refuses, cannot be reached after several tries, or its answer has no text.
        """
        return self.choice_of(self.answer(request))

    def choice_of(self, answer: Any) -> tuple[str, Mapping[str, Any]]:
        """The same of an answer that is there.

        Raises:
            ServerError: it has no text.
        """
        try:
            chosen = answer["choices"][0]
            return _THOUGHTS.sub("", chosen["message"]["content"] or ""), chosen
        except (KeyError, IndexError, TypeError) as error:
            raise ServerError(f"{self.address} gave an answer without choices[0].message.content ({error!r}): {str(answer)[:200]}") from error

    def answer(self, request: Mapping[str, Any]) -> Any:
        """The server's answer; what it is too busy for is asked again, later and later.

        Raises:
            ServerError: the server refuses, or cannot be reached after several tries.
        """
        import httpx

        pause = _FIRST_WAIT_S
        if not self._has_logprobs:
            request = _without_logprobs(request)
        for attempt in range(RETRIES + 1):
            try:
                response = self._client.post(self.address, json=request)
            except httpx.HTTPError as error:
                reason, asked = f"{type(error).__name__}: {error}", None
            else:
                if response.status_code == 200:
                    return self._json(response)
                if response.status_code == 400 and "logprobs" in request and "logprob" in response.text:
                    self._has_logprobs, request = False, _without_logprobs(request)  # not every server has them
                    continue
                reason, asked = f"status {response.status_code}: {response.text[:200]}", response.headers.get("retry-after")
                if response.status_code not in _SERVER_IS_BUSY:
                    raise ServerError(f"{self.address} refused the request, {reason}", response.status_code)
            if attempt < RETRIES:
                self._wait(min(float(asked) if asked and asked.isdigit() else pause, MAX_WAIT_S))
                pause *= 2
        raise ServerError(f"{self.address} gave no answer in {RETRIES + 1} tries, the last one {reason}")

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise ServerError(f"{self.address} answered with something that is not JSON: {response.text[:200]!r}; is it an OpenAI-compatible server?") from error


def _without_logprobs(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in request.items() if name != "logprobs"}


def without_credentials(url: str) -> str:
    """An address as it is.

    Raises:
        ValueError: it holds a name or a password.
    """
    if "@" in url.split("://", 1)[-1].split("/", 1)[0]:
        raise ValueError("a server's address must not hold a name or a password; put a key into an environment variable")
    return url
