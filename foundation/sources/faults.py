"""What went wrong with a request to a remote file: whether another attempt can help, and what the user can do.

Belongs here: the judgement on HTTP statuses and on the errors that fsspec's file systems raise. Waiting and trying again
belong to ``locations``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

# Statuses that pass with time. Common Crawl's servers answer 403 to whoever asks too often (commoncrawl/whirlwind-python,
# duck.py), so that 403 is not a verdict here; 408 and 425 ask for another attempt by definition (RFC 9110, RFC 8470).
_PASSING = frozenset({403, 408, 425, 429})
_MISSING = frozenset({404, 410})

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: refusals that no waiting mends, sent as 403 or 400 …
_WRONG_CREDENTIALS = frozenset(
    {
        "AccountProblem",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidSecurity",
        "InvalidToken",
        "NotSignedUp",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
# … and answers about load that are sent as 400.
_LOAD = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "InternalError"})

LOAD_ADVICE = "lower corpus.web.access.requests_per_second and corpus.web.access.concurrency, or run again later: what is finished is kept"
NETWORK_ADVICE = "look at the network and at corpus.web.access.location, or raise corpus.web.access.attempts and corpus.web.access.timeout_s"
MISSING_ADVICE = "look at the path and at corpus.web.access.location"
CREDENTIALS_ADVICE = (
    "set the credentials in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for S3, HF_TOKEN for the Hub), "
    "or corpus.web.access.s3_anonymous where none are needed"
)
REFUSED_ADVICE = f"the server refuses for load or for lack of rights: {LOAD_ADVICE}; {CREDENTIALS_ADVICE}"
OFFLINE_ADVICE = (
    "unset HF_HUB_OFFLINE (Slurm jobs set it: `execution.slurm.prologue: [export HF_HUB_OFFLINE=0]` where compute nodes have a network), "
    "or name a folder as the location"
)
OUTSIDE_ADVICE = "the file is shorter than its index says; look whether both are of the same crawl and whole"


class Fault(Exception):
    """A request failed.

    Attributes:
        again: another attempt can help.
        missing: there is no such file.
        outside: the file ends before the bytes that were asked for.
        wait_s: seconds that the server asks to wait (``Retry-After``); 0 where it does not say.
        advice: what the user can do.
    """

    def __init__(self, text: str, *, again: bool, missing: bool = False, outside: bool = False, wait_s: float = 0.0, advice: str = NETWORK_ADVICE) -> None:
        super().__init__(text)
        self.again = again
        self.missing = missing
        self.outside = outside
        self.wait_s = wait_s
        self.advice = advice


def fault_of_status(status: int, headers: Mapping[str, str], code: str = "") -> Fault:
    """The fault that an HTTP status of 400 and more stands for.

    Args:
        status: the HTTP status.
        headers: the answer's headers, names in lower case or case-insensitive.
        code: S3's own error code, where there is one.
    """
    text = f"HTTP {status}" + (f" {code}" if code and code != str(status) else "")
    wait_s = _retry_after(headers.get("retry-after", ""))
    if status in _MISSING:
        return Fault(text, again=False, missing=True, advice=MISSING_ADVICE)
    if status == 416:
        return Fault(f"{text}: the range lies outside the file", again=False, outside=True, advice=OUTSIDE_ADVICE)
    if status == 401 or code in _WRONG_CREDENTIALS:
        return Fault(text, again=False, advice=CREDENTIALS_ADVICE)
    if status == 403:
        return Fault(text, again=True, wait_s=wait_s, advice=REFUSED_ADVICE)
    if status in _PASSING or status >= 500 or code in _LOAD:
        return Fault(text, again=True, wait_s=wait_s, advice=LOAD_ADVICE)
    return Fault(text, again=False, advice=MISSING_ADVICE)


def fault_of_error(error: Exception) -> Fault:
    """The fault behind an error of fsspec, s3fs, aiohttp or huggingface_hub."""
    if isinstance(error, Fault):
        return error
    answer = _answer_of(error)
    if answer is not None:
        return fault_of_status(*answer)
    text = _shown(error)
    if isinstance(error, FileNotFoundError):
        return Fault(f"no such file ({text})", again=False, missing=True, advice=MISSING_ADVICE)
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return Fault(text, again=False, advice=MISSING_ADVICE)
    if isinstance(error, TimeoutError):  # fsspec's FSTimeoutError too
        return Fault("no answer in time", again=True)
    if isinstance(error, PermissionError):
        return Fault(text, again=True, advice=REFUSED_ADVICE)
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        return Fault(text, again=False, advice=CREDENTIALS_ADVICE)
    if type(error).__name__ == "OfflineModeIsEnabled":
        return Fault(text, again=False, advice=OFFLINE_ADVICE)
    return Fault(text, again=_is_passing(error))


def _is_passing(error: Exception) -> bool:
    """Whether an error without an HTTP status is one of the network, which passes."""
    names = {base.__name__ for base in type(error).__mro__}
    if names & {"ClientConnectorCertificateError", "InvalidURL", "TooManyRedirects", "UnsupportedProtocol", "SSLCertVerificationError"}:
        return False
    # aiohttp's ClientError, botocore's HTTPClientError, ConnectionError and ResponseParserError, httpx's TransportError, by name: none of
    # them need be installed for the others to be read.
    network = {"OSError", "ClientError", "ConnectionError", "HTTPClientError", "IncompleteRead", "ResponseParserError", "TransportError"}
    return bool(names & network)


def _answer_of(error: BaseException | None) -> tuple[int, Mapping[str, str], str] | None:
    """HTTP status, headers and S3 code behind an error or its causes."""
    while error is not None:
        response: Any = getattr(error, "response", None)
        if isinstance(response, Mapping):  # botocore
            metadata = response.get("ResponseMetadata", {})
            status = metadata.get("HTTPStatusCode")
            if isinstance(status, int) and status >= 400:
                return status, metadata.get("HTTPHeaders", {}), str(response.get("Error", {}).get("Code", ""))
        elif isinstance(getattr(response, "status_code", None), int) and response.status_code >= 400:  # huggingface_hub
            return response.status_code, response.headers, ""
        error = error.__cause__
    return None


def _retry_after(value: str) -> float:
    """Seconds of a ``Retry-After`` header: a number or a date (RFC 9110, 10.2.3); 0 for anything else."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _shown(error: Exception) -> str:
    """An error in one short line; the query of a URL is left out, since signed URLs carry their key there."""
    line = " ".join(str(error).split())
    line = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]*", r"\1?…", line)
    return f"{type(error).__name__}: {line[:300]}" if line else type(error).__name__
