"""What can be evaluated: a checkpoint folder, a model of the Hub at a commit, a model behind an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.sources.chat_completions import ChatServer, ServerError
from foundation.sources.downloads import Downloads
from training.checkpoints import check_checkpoint
from training.errors import CheckpointError, TrainingError
from training.generation import Answer
from training.hub import commit_of, hub_checkpoint

_NO_KEY = (401, 403)
NOT_OF_A_SERVER = "a server gives answers and no logits; give the model's folder or its name on the Hub"
"""Why bits per byte of a served model are not measured."""


@dataclass(frozen=True)
class LocalModel:
    """A checkpoint on disk. ``source`` says whence: a folder's name, or repository and commit."""

    name: str
    source: str
    folder: Path


@dataclass(frozen=True)
class ServedModel:
    """A model behind a server, by its name there; ``threads`` requests at a time."""

    name: str
    server: ChatServer
    threads: int = 8

    @property
    def source(self) -> str:
        """The server's address."""
        return self.server.address

    def answers(self, prompts: Sequence[str], max_tokens: int, advance: Callable[[], object] = lambda: None) -> list[Answer]:
        """Greedy answers, each to one message, in the order of the prompts; the server lays its chat template around them.

        Raises:
            TrainingError: the server refuses or does not answer.
        """

        def one(prompt: str) -> Answer:
            request: dict[str, Any] = {
                "model": self.name, "messages": [{"role": "user", "content": prompt}], "temperature": 0.0, "max_tokens": max_tokens,
            }  # fmt: skip
            answer = self.server.answer(request)
            text, choice = self.server.choice_of(answer)
            advance()
            tokens = (answer.get("usage") or {}).get("completion_tokens")
            return Answer(text.strip(), tokens if isinstance(tokens, int) else None, choice.get("finish_reason") == "stop")

        with ThreadPoolExecutor(self.threads) as pool:
            try:
                return list(pool.map(one, prompts))
            except ServerError as error:
                pool.shutdown(cancel_futures=True)
                advice = "put the key into the environment variable that --key-variable names" if error.status in _NO_KEY else "look at the address and the model's name"
                raise TrainingError(f"{error}; {advice}") from error


def local_model(named: str, downloads: Downloads) -> LocalModel:
    """A folder, or else ``OWNER/NAME`` of the Hub, with ``@REVISION`` where it is not ``main``; always pinned to a commit.

    Raises:
        CheckpointError: it is neither, or what is there is no checkpoint that may be loaded.
        NotStaged: it is not in the cache, and there is no network.
    """
    if Path(named).is_dir():
        folder = Path(named).resolve()
        check_checkpoint(folder)
        return LocalModel(folder.name, f"folder {folder.name}", folder)
    repository, _, revision = named.partition("@")
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise CheckpointError(f"{named!r} is no folder, and not a model of the Hub (OWNER/NAME, OWNER/NAME@REVISION); name one that holds config.json and safetensors")
    commit = commit_of(repository, revision or "main")
    folder = hub_checkpoint(repository, commit, downloads)
    check_checkpoint(folder)
    return LocalModel(repository, f"{repository}@{commit} of the Hugging Face Hub", folder)
