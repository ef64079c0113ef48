"""Pages written for this project, kept as text and expanded to HTML with the furniture that web pages have."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from corpus.web.errors import WebCorpusError
from foundation.sources.data import DataFolder

BUNDLED_PAGES = "web/pages.yaml"
"""Below ``samples/``: a list of pages with host, path, language, role, title and text."""
LICENCE = "CC0-1.0"


@dataclass(frozen=True, slots=True)
class Furniture:
    """What stands around the text of a page and is not text; an extractor has to leave it out."""

    lang: str
    menu: tuple[str, str, str]
    notice: str
    rights: str


@dataclass(frozen=True, slots=True)
class BundledPage:
    """One page; ``crawl`` pages go into sample crawls, ``evaluation`` pages are only ever evaluated on."""

    host: str
    path: str
    language: str
    role: Literal["crawl", "evaluation"]
    title: str
    text: str
    furniture: Furniture
    noai: bool = False

    @property
    def url(self) -> str:
        """The page's made address, under a reserved name."""
        return f"https://{self.host}/{self.path}"

    @property
    def paragraphs(self) -> list[str]:
        """Paragraphs of the text, each on one line."""
        return [" ".join(part.split()) for part in self.text.split("\n\n") if part.strip()]


def bundled_file(data: DataFolder) -> Path:
    """The file of bundled pages."""
    return data.samples / BUNDLED_PAGES


def load_pages(path: Path, role: Literal["crawl", "evaluation"]) -> list[BundledPage]:
    """Pages of one role, in file order.

    Raises:
        WebCorpusError: the file is missing, or a page lacks a field.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = document["pages"]
        furniture = {language: Furniture(**parts) for language, parts in document["furniture"].items()}
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise WebCorpusError(f"{path} is no file of pages ({error}); it needs `furniture` by language and a list of `pages`") from error
    pages = []
    for index, entry in enumerate(entries):
        try:
            pages.append(BundledPage(**entry, furniture=furniture[entry["language"]]))
        except (TypeError, KeyError) as error:
            raise WebCorpusError(f"{path}: page {index + 1} ({entry.get('path')}) does not fit: {error}") from error
    return [page for page in pages if page.role == role]


def html_of(page: BundledPage) -> bytes:
    """The page as HTML in UTF-8, with menu, cookie notice and footer."""
    around = page.furniture
    home, about, contact = around.menu
    robots = '<meta name="robots" content="index, noai">' if page.noai else ""
    paragraphs = "\n".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in page.paragraphs)
    text = f"""<!DOCTYPE html>
<html lang="{around.lang}"><head><meta charset="utf-8"><title>{html.escape(page.title)}</title>{robots}</head>
<body><header><nav><ul><li><a href="/">{home}</a></li><li><a href="/about">{about}</a></li><li><a href="/contact">{contact}</a></li></ul></nav></header>
<div class="cookie-banner"><p>{around.notice}</p></div>
<main><article><h1>{html.escape(page.title)}</h1>
{paragraphs}
</article></main>
<footer><p>{html.escape(page.host)} - {around.rights}</p></footer></body></html>
"""
    return text.encode()
