"""Mojibake: UTF-8 that was read as Latin-1 or Windows-1252, and characters that were lost on the way.

Counted are what such a reading makes of the accented letters and signs that Western European text uses: two-byte
sequences that begin with C2 or C3 (``Ã¨`` for ``è``, ``Â«`` for ``«``), typographic signs of U+2000 to U+20FF (``â€™`` for ``’``),
the byte-order mark, and U+FFFD. (In Portuguese, words that end in a capital ``Ã`` are counted too.) Other lead bytes are left out: ``è…»`` is a good end of a quotation in Italian, and would be one.
"""

from __future__ import annotations

import re

_HINTS = ("Ã", "Â", "â", "�", "ï»¿")
_CONTINUATION = "\u0080-\u00bf" + "".join(
    bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)
)
"""Bytes 80 to BF, as Latin-1 and as Windows-1252 read them."""
_BROKEN = re.compile(rf"[ÂÃ][{_CONTINUATION}]|Ã(?=\s)|â[\u0080-\u0083€‚ƒ][{_CONTINUATION}]|ï»¿|�")
"""``Ã`` before white space: what is left of ``à`` once its second byte, a no-break space, became one."""


def mojibake(text: str) -> int:
    """Number of broken characters."""
    if text.isascii() or not any(hint in text for hint in _HINTS):
        return 0
    return sum(1 for _ in _BROKEN.finditer(text))
