"""UTF-8 files as text and as lines, whatever a copy did to their byte order mark and line ends."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from corpus.evalita.errors import EvalitaError

BYTE_ORDER_MARK = "\ufeff"


def text_of(path: Path) -> str:
    """A UTF-8 file without byte order mark, unpacked where its name ends in .gz.

    Where every line end is CRLF they become LF: such a file went through a conversion, and its fields must not differ for it.

    Raises:
        EvalitaError: it cannot be read, is empty, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise EvalitaError(f"{path}: not UTF-8 (byte {error.start}); use the file as its organisers distribute it") from error
    except (OSError, EOFError, zlib.error) as error:
        raise EvalitaError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not text.strip():
        raise EvalitaError(f"{path} is empty; copy it again from its organisers")
    if "\r\n" in text and text.count("\r\n") == text.count("\n"):
        return text.replace("\r\n", "\n")
    return text


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1, and lines without their ends; the last line needs none.

    Only LF and CRLF end a line: a tweet may hold U+0085 or U+2028, which ``splitlines`` takes for ends.

    Raises:
        EvalitaError: as ``text_of``.
    """
    for number, line in enumerate(text_of(path).removesuffix("\n").split("\n"), start=1):
        yield number, line.removesuffix("\r")
