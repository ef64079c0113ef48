"""The error of the EVALITA workshop."""

from foundation.errors import TransumanzaError


class EvalitaError(TransumanzaError):
    """A distributed file, a setting or an answer table cannot be used."""
