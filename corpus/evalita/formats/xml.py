"""XML, with document types refused: an entity of a foreign file may unpack to gigabytes or name another file."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.text import text_of

_DECLARATION = re.compile(r"\A\s*<\?xml.*?\?>", re.DOTALL)
_DOCUMENT_TYPE = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)


def xml_root(path: Path, *, fragments: bool = False) -> ElementTree.Element:
    """The root of an XML file; ``fragments``: the file has several roots, which get one around them.

    The declaration is cut off before parsing: the file is known to be UTF-8, and e-RTE-3-it's is malformed.

    Raises:
        EvalitaError: the file declares a document type, or is not well-formed.
    """
    content = _DECLARATION.sub("", text_of(path), count=1)
    return parsed(f"<fragments>{content}</fragments>" if fragments else content, str(path))


def parsed(content: str, name: str) -> ElementTree.Element:
    """The root of an XML text without declaration.

    Raises:
        EvalitaError: as ``xml_root``.
    """
    if _DOCUMENT_TYPE.search(content):
        raise EvalitaError(f"{name}: a document type is declared; use the file as its organisers distribute it")
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise EvalitaError(f"{name}: not well-formed XML ({error})") from error
