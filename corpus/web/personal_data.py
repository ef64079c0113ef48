"""Personal data to typed placeholders, or to surrogates that belong to nobody; counts are kept with the document.

A placeholder says the kind and never the value. What looks alike but fails its checksum stays. Belongs here: the settings'
way of replacing, and masking for reports; where each kind stands is ``personal_kinds``, what a surrogate is ``surrogates``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from corpus.web.errors import WebCorpusError
from corpus.web.personal_kinds import KINDS, find_kind, free_place
from corpus.web.settings import PersonalDataSettings
from corpus.web.surrogates import MIN_SECRET_CHARACTERS, Surrogates, secret_digest

__all__ = ["KINDS", "PLACEHOLDERS", "SECRET", "Cleaned", "masked", "replace_personal_data", "secret_hashes", "surrogates_of"]

PLACEHOLDERS = {kind: f"<{kind.upper()}>" for kind in KINDS}
SECRET = "TRANSUMANZA_PII_SECRET"
"""The environment variable that surrogates are keyed by; it is never written anywhere."""


class Cleaned(NamedTuple):
    """A text with placeholders or surrogates, and how many of each kind were put in."""

    text: str
    counts: dict[str, int]


def replace_personal_data(text: str, settings: PersonalDataSettings, surrogates: Surrogates | None = None) -> Cleaned:
    """Replace the kinds of the settings; where two claim the same characters the earlier kind has them. Counts hold every kind.

    Args:
        text: any text.
        settings: kinds and their context words.
        surrogates: what replaces values under ``mode: surrogates``; placeholders without it.
    """
    counts = dict.fromkeys(KINDS, 0)
    taken: list[tuple[int, int, str]] = []  # ascending and apart
    kinds: tuple[str, ...] = settings.kinds
    for kind in kinds:
        for start, end in find_kind(kind, text, settings):
            where = free_place(taken, start, end)
            if where is not None:
                taken.insert(where, (start, end, kind))
                counts[kind] += 1
    parts, place = [], 0
    for start, end, kind in taken:
        value = text[start:end]
        parts += [text[place:start], PLACEHOLDERS[kind] if surrogates is None else surrogates.of(kind, value)]
        place = end
    return Cleaned("".join([*parts, text[place:]]), counts)


def masked(text: str, settings: PersonalDataSettings) -> str:
    """A sample as reports may show it: placeholders, whatever the mode."""
    return replace_personal_data(text, settings).text


def surrogates_of(
    settings: PersonalDataSettings, environment: Mapping[str, str] | None = None, *, expected: str | None = None
) -> Surrogates | None:
    """What makes surrogates; ``None`` under ``mode: placeholders``.

    Args:
        settings: mode and region.
        environment: where the secret is; default: this process's.
        expected: the hash of the secret that it must be, for workers on other machines.

    Raises:
        WebCorpusError: the secret is not set, shorter than ``MIN_SECRET_CHARACTERS``, or not the expected one.
    """
    if settings.mode == "placeholders":
        return None
    secret = (os.environ if environment is None else environment).get(SECRET, "")
    if len(secret) < MIN_SECRET_CHARACTERS:
        state = f"has {len(secret)} characters" if secret else "is not set"
        raise WebCorpusError(
            f"corpus.web.clean.personal_data.mode is surrogates, which are keyed by a secret, and {SECRET} {state}; set it to at least "
            f"{MIN_SECRET_CHARACTERS} random characters (`openssl rand -hex 32`) and keep it: another one gives other surrogates"
        )
    if expected is not None and secret_digest(secret) != expected:
        raise WebCorpusError(f"{SECRET} of this worker is not that of the build; export the same value on every node")
    return Surrogates(secret, settings.phone_region)


def secret_hashes(settings: PersonalDataSettings) -> dict[str, str]:
    """Which secret shapes the rows, as a keyed hash that does not give it away; ``unset`` where it is missing."""
    if settings.mode == "placeholders":
        return {}
    secret = os.environ.get(SECRET, "")
    return {SECRET: secret_digest(secret) if secret else "unset"}
