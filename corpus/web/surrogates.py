"""Surrogates: values of the same form as personal data that belong to nobody, the same for the same value.

Each is drawn from HMAC-SHA256 of the value under a secret: whoever lacks the secret can neither undo a surrogate nor test a
guess. Letters become letters and digits digits, separators stay. What makes each kind nobody's:

- e-mail: the domains that RFC 2606 reserves (``example.com``, ``.net``, ``.org``).
- IPv4: the documentation networks of RFC 5737 (762 addresses: different values may meet). IPv6: ``2001:db8::/32``, RFC 3849.
- IBAN: check digits 00, which ISO 13616 never gives (they are 02 to 98).
- Codice fiscale and partita IVA: a wrong check character, so that it can have been issued to nobody.
- Phone: a number of the same length that its country's numbering plan assigns to nobody (libphonenumber). No plan reserves
  numbers for this in every country.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import string
from collections.abc import Iterator

MIN_SECRET_CHARACTERS = 16
"""Shorter secrets could be found by trying: surrogates are published, and so is a keyed hash of the secret."""
_EMAIL_DOMAINS = ("example.com", "example.net", "example.org")
_DOCUMENTATION_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
_MONTHS = "ABCDEHLMPRST"
"""Letters of the months in a codice fiscale."""


def secret_digest(secret: str) -> str:
    """First 16 hex digits of a hash keyed by the secret itself: tells two secrets apart, and nothing else."""
    return hmac.new(secret.encode(), b"which secret shaped these rows", hashlib.sha256).hexdigest()[:16]


class Surrogates:
    """Surrogates under one secret.

    Args:
        secret: at least ``MIN_SECRET_CHARACTERS``.
        phone_region: region of numbers without a country code.
    """

    def __init__(self, secret: str, phone_region: str | None = None) -> None:
        self._secret = secret.encode()
        self._region = phone_region

    def of(self, kind: str, value: str) -> str:
        """The surrogate of a value as it is written; other ways to write the same value give the same letters and digits."""
        return getattr(self, f"_{kind}")(value)  # type: ignore[no-any-return]

    def _draw(self, kind: str, value: str) -> Iterator[int]:
        """Bytes without end that depend on secret, kind and value alone."""
        plain, block = "".join(filter(str.isalnum, value)).lower(), 0
        while True:
            yield from hmac.new(self._secret, f"{kind}\x00{plain}\x00{block}".encode(), hashlib.sha256).digest()
            block += 1

    def _email(self, value: str) -> str:
        name, host = re.split(r" ?(?:@|\( ?at ?\)|\[ ?at ?\])", value, maxsplit=1, flags=re.IGNORECASE)
        host = re.sub(r" ?(?:\( ?dot ?\)|\[ ?dot ?\]) ?", ".", host, flags=re.IGNORECASE)
        draw = self._draw("email", f"{name}@{host}")
        domain = _EMAIL_DOMAINS[next(draw) % len(_EMAIL_DOMAINS)]
        return f"{_reshaped(name, draw)}@{domain}"

    def _ipv4(self, value: str) -> str:
        draw = self._draw("ipv4", value)
        return f"{_DOCUMENTATION_NETWORKS[next(draw) % 3]}.{1 + next(draw) % 254}"

    def _ipv6(self, value: str) -> str:
        draw = self._draw("ipv6", ipaddress.IPv6Address(value).exploded)
        return str(ipaddress.IPv6Address(bytes([0x20, 0x01, 0x0D, 0xB8, *(next(draw) for _ in range(12))])))

    def _iban(self, value: str) -> str:
        """Country and separators stay."""
        return value[:2] + "00" + _reshaped(value[4:], self._draw("iban", value))

    def _codice_fiscale(self, value: str) -> str:
        """Birth stays a date: a month's letter, a day to 28; the check letter is one of the 25 wrong ones."""
        from stdnum.it import codicefiscale

        draw = self._draw("codice_fiscale", value)
        drawn = [string.ascii_uppercase[next(draw) % 26] for _ in range(6)]
        drawn += [f"{next(draw) % 100:02d}", _MONTHS[next(draw) % 12], f"{1 + next(draw) % 28 + 40 * (next(draw) % 2):02d}"]
        drawn += [string.ascii_uppercase[next(draw) % 12], f"{(next(draw) << 8 | next(draw)) % 1000:03d}"]
        stem = "".join(drawn)
        right = string.ascii_uppercase.index(codicefiscale.calc_check_digit(stem))
        return _laid_over(value, stem + string.ascii_uppercase[(right + 1 + next(draw) % 25) % 26])

    def _partita_iva(self, value: str) -> str:
        """A leading country code stays."""
        from stdnum import luhn

        draw = self._draw("partita_iva", re.sub(r"\D", "", value))
        stem = "".join(str(next(draw) % 10) for _ in range(10))
        right = int(luhn.calc_check_digit(stem))
        return value[:-11] + stem + str((right + 1 + next(draw) % 9) % 10)

    def _phone(self, value: str) -> str:
        """The country code stays. Another country's plan may know every number of a length: then zeros stand in its place."""
        import phonenumbers

        parsed = phonenumbers.parse(value, self._region)
        digits = re.sub(r"\D", "", value)
        national = phonenumbers.national_significant_number(parsed)
        kept = digits[: len(digits) - len(national)]
        draw = self._draw("phone", f"{parsed.country_code} {national}")
        for _ in range(1_000):
            new = "".join(str(next(draw) % 10) for _ in national)
            written = _digits_over(value, kept + new)
            if not _is_assigned(written, self._region):
                return written
        return _digits_over(value, kept + "0" * len(national))


def _is_assigned(number: str, region: str | None) -> bool:
    """Whether all of it, or a group of it, is a number of the plan."""
    import phonenumbers

    return phonenumbers.PhoneNumberMatcher(number, region).has_next()


def _reshaped(value: str, draw: Iterator[int]) -> str:
    """Letters and digits drawn anew, case and everything else kept."""
    letters = {"upper": string.ascii_uppercase, "lower": string.ascii_lowercase}
    return "".join(
        str(next(draw) % 10) if char.isdigit() else letters["upper" if char.isupper() else "lower"][next(draw) % 26] if char.isalpha() else char
        for char in value
    )


def _digits_over(value: str, new: str) -> str:
    drawn = iter(new)
    return "".join(next(drawn) if char.isdigit() else char for char in value)


def _laid_over(value: str, new: str) -> str:
    """New letters and digits in the places of the old ones, in their case."""
    drawn = iter(new)
    return "".join((next(drawn).lower() if char.islower() else next(drawn)) if char.isalnum() else char for char in value)
