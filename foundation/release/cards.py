"""Cards: the README of a repository, its YAML front matter and a body with real numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from foundation.release.ancestry import Ancestor, ancestry
from foundation.release.settings import RepositorySettings
from foundation.sources.licences import licence_of

if TYPE_CHECKING:
    from foundation.release.repository import ReleasedConfig

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"),
          (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"))  # fmt: skip


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows."""
    return next((name for limit, name in _SIZES if rows < limit), "n>1B")


def licence_front_matter(settings: RepositorySettings, licences: Iterable[str]) -> dict[str, str]:
    """The card's licence: the one asked for, the only one there is, or "other" with a name."""
    if settings.licence != "other":
        licence = licence_of(settings.licence)
        return {"license": licence.hub} if licence.hub != "other" else {"license": "other", "license_name": licence.name.lower()}
    names = sorted({licence_of(name).name for name in licences})
    if len(names) == 1:
        licence = licence_of(names[0])
        return {"license": licence.hub} if licence.hub != "other" else {"license": "other", "license_name": licence.name.lower().replace(" ", "-")}
    return {"license": "other", "license_name": "each-row-its-own" if names else "none"}


def rendered(front: Mapping[str, Any], body: str) -> str:
    """A card out of its two parts."""
    return f"---\n{yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True)}---\n\n{body.rstrip()}\n"


def dataset_card(
    configs: Sequence[ReleasedConfig], settings: RepositorySettings, *, text: str, tags: Sequence[str], language: str, blocked: Sequence[str]
) -> str:
    """The card of a dataset repository."""
    rows = sum(sum(config.rows.values()) for config in configs)
    licences = {name for config in configs for name in config.licences}
    front: dict[str, Any] = {
        **licence_front_matter(settings, licences),
        "language": [language],
        "pretty_name": settings.pretty_name or settings.folder,
        "size_categories": [size_category(rows)],
        "task_categories": ["text-generation"],
        "tags": ["transumanza", *tags, *(["not-for-release"] if blocked else [])],
    }
    filled = [config for config in configs if any(config.rows.values())]
    if filled:
        front["configs"] = [_config_entry(config, default=index == 0) for index, config in enumerate(filled)]
    sections = [
        f"# {settings.pretty_name or settings.folder}",
        _warning(blocked),
        text,
        f"## Rows\n\n{_rows_table(configs)}",
        f"## Licences\n\n{_licence_table(configs, settings)}",
        f"## Left out\n\n{_left_out_table(configs)}",
        f"## Provenance\n\n{provenance_table(ancestry([config.source.version for config in configs]))}",
        f'## Use\n\n```python\nfrom datasets import load_dataset\n\ndata = load_dataset("{settings.name}", "{configs[0].source.config}")\n```\n\n'
        "`SHA256SUMS` lists every file.",
    ]
    return rendered(front, "\n\n".join(section for section in sections if section))


def _config_entry(config: ReleasedConfig, *, default: bool) -> dict[str, Any]:
    name = config.source.config
    files = [{"split": split, "path": f"data/{name}/{split}-*.parquet"} for split, rows in config.rows.items() if rows]
    return {"config_name": name, **({"default": True} if default else {}), "data_files": files}


def _warning(blocked: Sequence[str]) -> str:
    return "" if not blocked else "> **Not for release.** " + " ".join(blocked)


def _rows_table(configs: Sequence[ReleasedConfig]) -> str:
    lines = ["| config | split | rows |", "|---|---|---:|"]
    lines += [f"| {config.source.config} | {split} | {rows} |" for config in configs for split, rows in config.rows.items()]
    return "\n".join(lines)


def _licence_table(configs: Sequence[ReleasedConfig], settings: RepositorySettings) -> str:
    lines = ["| config | licence | rows | asks for | text |", "|---|---|---:|---|---|"]
    for config in configs:
        for name, rows in sorted(config.licences.items()):
            licence = licence_of(name)
            asks = [word for word, held in (("attribution", licence.attribution), ("share alike", licence.share_alike), ("no commercial use", licence.non_commercial)) if held]
            lines.append(f"| {config.source.config} | {licence.name} | {rows} | {', '.join(asks) or 'nothing'} | {licence.url} |")
    text = "\n".join(lines) if len(lines) > 2 else "No row."
    if settings.permissions:
        text += f"\n\nPassed on by permission that the releaser holds: {', '.join(settings.permissions)}."
    return text


def _left_out_table(configs: Sequence[ReleasedConfig]) -> str:
    lines = ["| config | licence | reason | rows |", "|---|---|---|---:|"]
    for config in configs:
        lines += [f"| {config.source.config} | {name} | {reason} | {rows} |" for (name, reason), rows in sorted(config.left_out.items())]
    return "\n".join(lines) if len(lines) > 2 else "Nothing."


def provenance_table(ancestors: Sequence[Ancestor]) -> str:
    """Versions of all assets behind a release, the nearest first."""
    lines = ["| asset | version | code | licence |", "|---|---|---|---|"]
    lines += [f"| {ancestor.name} | `{ancestor.version.version}` | {ancestor.code_version} | {ancestor.licence} |" for ancestor in ancestors]
    return "\n".join(lines)
