"""Crawlers that gather text for language models, by the name that robots.txt files call them; the list is data."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from corpus.web.errors import WebCorpusError
from foundation.settings import Settings, load_yaml

CRAWLERS_FILE = Path(__file__).with_name("ai_crawlers.yaml")


class AiCrawler(Settings):
    """One crawler, or one name that stands for a use of what another crawler fetches."""

    token: str = Field(min_length=2, description="Product token, as the operator writes it; compared without case.")
    operator: str
    purpose: Literal["training", "retrieval", "images"] = Field(
        description="training: what it fetches may train models; retrieval: it is shown or quoted on a user's request; images: only pictures."
    )
    source: str = Field(pattern="^https://", description="The operator's documentation; where there is none, the list that names it.")


@lru_cache(maxsize=1)
def ai_crawlers() -> dict[str, AiCrawler]:
    """All crawlers by lower-case token.

    Raises:
        WebCorpusError: the file is unreadable, a field is missing, or a token is given twice.
    """
    try:
        document: Any = load_yaml(CRAWLERS_FILE.read_text(encoding="utf-8"))
        entries = [AiCrawler(**entry) for entry in document["crawlers"]]
    except (OSError, KeyError, TypeError, ValidationError, yaml.YAMLError) as error:
        raise WebCorpusError(f"{CRAWLERS_FILE} is no list of crawlers: {error}") from error
    found = {entry.token.lower(): entry for entry in entries}
    if len(found) < len(entries):
        raise WebCorpusError(f"{CRAWLERS_FILE} names a crawler twice; tokens differ by more than case")
    return found


@lru_cache(maxsize=1)
def training_tokens() -> frozenset[str]:
    """Lower-case tokens of the crawlers that gather training data."""
    return frozenset(token for token, crawler in ai_crawlers().items() if crawler.purpose == "training")


def crawlers_digest() -> str:
    """sha256 of the list: a fact of every stage whose rows depend on it."""
    return hashlib.sha256(CRAWLERS_FILE.read_bytes()).hexdigest()
