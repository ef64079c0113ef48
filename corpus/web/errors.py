"""Errors of the web corpus workshop."""

from foundation.errors import TransumanzaError


class WebCorpusError(TransumanzaError):
    """A crawl, page, rule file or setting of the web corpus cannot be used."""
