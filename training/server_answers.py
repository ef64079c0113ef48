"""Answers of a server's model to the rows of ``evalita_instructions``: one message each, greedy, many at a time.

The server lays its model's chat template around a message. Likelihoods of given answers are not part of chat completions,
so that labels are generated too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from foundation.language.prompts import up_to_stop, user_message
from foundation.sources.chat_completions import ChatServer, ServerError
from training.answers import Answered, Asking, Item, answer_rows
from training.errors import TrainingError

_NO_KEY = (401, 403)


def ask_server(
    name: str, server: ChatServer, model: str, items: Sequence[Item], asking: Asking, *, threads: int, advance: Callable[[], object] = lambda: None
) -> Answered:
    """Answers in the items' order.

    Args:
        name: what the model is called in the rows.
        server: where it is.
        model: its name on the server.
        items: what is asked.
        asking: form and labels have to be what a server can do.
        threads: requests at a time.
        advance: called after each answer.

    Raises:
        TrainingError: the way of asking is not one of a server; or the server refuses or does not answer.
    """
    if asking.form != "chat" or asking.labels != "generation":
        raise TrainingError(
            f"a server is asked by messages and generates its answers; prompts are {asking.form!r} and labels {asking.labels!r}, set them to "
            "'chat' and 'generation', or give the model's folder"
        )

    def one(item: Item) -> str:
        request: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": user_message(item["instruction"], item["input"])}],
            "temperature": 0.0,
            "max_tokens": asking.answer_tokens,
            **({"stop": list(asking.stop)} if asking.stop else {}),
        }
        text, _ = server.choice(request)
        advance()
        return up_to_stop(text, asking.stop)  # not every server heeds `stop`

    with ThreadPoolExecutor(threads) as pool:
        try:
            return answer_rows(name, items, list(pool.map(one, items)))
        except ServerError as error:
            pool.shutdown(cancel_futures=True)
            advice = "put the key into the environment variable that --key-variable names" if error.status in _NO_KEY else "look at the address and the model's name"
            raise TrainingError(f"{error}; {advice}") from error
