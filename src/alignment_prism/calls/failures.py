"""Why a call has no answer: one of a few causes, in fixed words.

A provider's own message may quote the prompt, the reply or the key, so of a failed call only the cause, the HTTP
status and the provider's error code are kept. They go into results, counts and messages; the words of a provider are
shown for one kind of call only, the probe of `alignment_prism.calls.runner`, which holds nothing of the user's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit, urlunsplit


class Cause(Enum):
    """Why a call failed, and whether the service is to blame (or the connection, key or address), not the request."""

    KEY = ("the key is not accepted", True)
    MONEY = ("the account has no credit left", True)
    ADDRESS = ("there is no such model or address", True)
    REDIRECT = ("the server sends calls on to another address", True)
    RATE = ("the rate limit is exceeded", True)
    SERVER = ("the server failed", True)
    CONNECTION = ("the connection failed", True)
    TIMEOUT = ("no answer in time", True)
    PAGE = ("a web page came in place of an answer", True)
    REFUSED = ("the provider refuses this request", False)
    FILTERED = ("the provider's content filter stops this request", False)
    TOO_LONG = ("the request is longer than the model's context length", False)
    UNREADABLE = ("the provider's answer cannot be read", False)
    OTHER = ("the call ended in an error", True)

    def __init__(self, words: str, of_service: bool) -> None:
        self.words = words
        self.of_service = of_service


_PASSING = {Cause.RATE, Cause.SERVER, Cause.CONNECTION, Cause.TIMEOUT, Cause.PAGE}
_BY_STATUS = {401: Cause.KEY, 402: Cause.MONEY, 404: Cause.ADDRESS, 408: Cause.TIMEOUT, 429: Cause.RATE}
_BY_NAME = {
    "INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
    "DEADLINE_EXCEEDED": 408, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500, "UNAVAILABLE": 503,
}  # fmt: skip
"""gRPC's names of statuses -> those of HTTP that say the same."""
_NO_CREDIT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_SAYS_NO_CREDIT = re.compile(
    r"credit balance is too low|insufficient (?:account )?(?:balance|credits?|funds)|"
    r"(?:used all available|run out of|have any|out of) credits", re.IGNORECASE,
)  # fmt: skip
"""What providers say that have no code for it, and send the status of a request that is wrong."""
_FILTER_CODES = {"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"}
_TOO_LONG = re.compile(
    r"context.?(length|window)|maximum context|prompt is too long|input length|too many tokens", re.IGNORECASE
)
_TIMEOUTS = {"TimeoutError", "APITimeoutError", "ReadTimeout", "WriteTimeout", "AttemptTimeoutError"}
_CONNECTIONS = {"APIConnectionError", "ConnectionError", "TransportError", "ClientConnectionError", "OSError"}
_UNREADABLE = {
    "APIResponseValidationError", "AttributeError", "IndexError", "KeyError", "OpenAIResponseError", "RecursionError",
    "TypeError", "ValueError",
}  # fmt: skip
_RATES = {"rate_limit_exceeded", "rate_limit_error", "ThrottlingException"}
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{2,47}")
_MARKUP = re.compile(r"\[/?[a-z ]+\]")
_WORDS_OF_CODES = (
    "access|account|address|allowed|android|app|authentication|authorization|bad|blocked|budget|connection|count|day|"
    "denied|disabled|empty|enabled|error|exceeded|expired|failed|forbidden|found|http|inactive|incorrect|insufficient|"
    "invalid|ios|ip|is|key|large|length|limit|long|malformed|many|max|maximum|minute|mismatch|missing|model|no|not|of|"
    "org|organization|out|overloaded|per|permission|project|provided|quota|rate|reached|referrer|region|request|"
    "required|restricted|revoked|second|service|size|supported|suspended|timeout|too|type|unauthorized|unknown|"
    "unsupported|usage|user|valid|version|window|wrong"
)
_SECRETS = re.compile(
    rf"\b(?!(?:api|key|token)(?:_(?:{_WORDS_OF_CODES}))+(?![\w*-]|\.\w))"  # as token_limit_exceeded, API_KEY_INVALID
    r"(?:sk|pk|gsk|hf|xai|key|token|api|AIza)[-_][A-Za-z0-9_\-*.]{6,}|AIza[\w-]{20,}|(?<=Bearer )\S+",
    re.IGNORECASE,
)
_ADDRESSES = re.compile(r"\bhttps?://[^\s'\"<>]+")
_NAMES_OF_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call has no answer.

    Attributes:
        cause: the kind of failure.
        status: HTTP status, None if there was no answer at all.
        code: the provider's error code or the exception's name, where it is an identifier; empty otherwise.
    """

    cause: Cause
    status: int | None = None
    code: str = ""

    def __str__(self) -> str:
        status = f"HTTP {self.status}: " if self.status is not None else ""
        return f"{status}{self.cause.words}{f' ({self.code})' if self.code else ''}"

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed when it is made again at once."""
        return self.cause in _PASSING

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.cause is Cause.KEY or self.status == 403:
            return "check the API key and what it may be used for"
        if self.cause is Cause.MONEY:
            return "check the account's credit"
        if self.cause is Cause.ADDRESS:
            return "check the model's name and the server's address (usually ending in /v1)"
        if self.cause is Cause.REDIRECT:
            return "give the address that the server itself answers at; calls are not sent on to another one"
        if self.cause is Cause.RATE:
            return "wait, or lower the number of connections"
        if self.cause is Cause.TIMEOUT:
            return "check that the server runs; if it is slow, lower the number of connections or raise the timeout"
        if self.cause.of_service:
            return "check that the server runs, and its address, which usually ends in /v1"
        return "check that the model takes such requests: its name, the number of tokens, the temperature"

    @property
    def settings(self) -> dict[str, str]:
        """Parameters that the remedy speaks of."""
        if self.cause is Cause.RATE:
            return {"connections": "1"}
        if self.cause is Cause.TIMEOUT:
            return {"timeout": "SECONDS", "connections": "1"}
        if self.cause in (Cause.ADDRESS, Cause.REDIRECT) or self.cause.of_service:
            return {"base_url": "ADDRESS"}
        return {}


class AnswerTooLarge(ValueError):
    """What a server sends is no answer of a model: it takes more room than any."""


class ErrorInAnswer(Exception):
    """An error under the status of an answer: gateways send it where the model's own server fails midway.

    Args:
        error: as it came, with the status that it would have had for its code.
    """

    def __init__(self, error: Mapping[str, object]) -> None:
        super().__init__(str(error.get("message") or ""))
        code = error.get("code")
        self.status_code = code if type(code) is int else None
        self.body = {"error": error}


class WebPage(ValueError):
    """What a server sends, as if it were an answer, is a page for people: of a gateway, or of another address."""


def failure_of(error: BaseException, secrets: Iterable[str] = ()) -> Failure:
    """The failure behind an exception of a provider or of its client, whatever package raised it.

    Args:
        error: what was raised.
        secrets: as of `provider_words`; a code that holds one is not kept.
    """
    error = _root(error)
    if isinstance(error, WebPage):
        return Failure(Cause.PAGE)
    status = _status(error)
    body = _codes(error)
    code = next((name for name in body if _CODE.fullmatch(name) and masked(name, secrets) == name), "")
    message = f"{error} {' '.join(body)}"
    if status is not None and status not in (200, 201):
        if _NO_CREDIT & set(body) or (400 <= status < 500 and _SAYS_NO_CREDIT.search(message)):
            cause = Cause.MONEY
        elif _FILTER_CODES & set(body):
            cause = Cause.FILTERED
        elif status == 413 or (400 <= status < 500 and status not in _BY_STATUS and _TOO_LONG.search(message)):
            cause = Cause.TOO_LONG
        elif status in _BY_STATUS:
            cause = _BY_STATUS[status]
        else:
            cause = Cause.SERVER if status >= 500 else Cause.REDIRECT if 300 <= status < 400 else Cause.REFUSED
        return Failure(cause, status, code)
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & _TIMEOUTS:
        return Failure(Cause.TIMEOUT)
    if names & _CONNECTIONS:
        return Failure(Cause.CONNECTION)
    if _TOO_LONG.search(message):
        return Failure(Cause.TOO_LONG)
    if _RATES & set(body):
        return Failure(Cause.RATE)
    return Failure(Cause.UNREADABLE if names & _UNREADABLE else Cause.OTHER, code=code or type(error).__name__)


def provider_words(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """What the provider says, in one line without keys, credentials and control characters.

    Only for calls that hold nothing of the user's, see the head of this module.

    Args:
        error: what was raised.
        secrets: keys that are masked wherever they occur, besides those in the environment.
    """
    error = _root(error)
    message = getattr(error, "message", None)
    text = message if isinstance(message, str) and message else str(error)
    text = masked(" ".join(_MARKUP.sub("", text).split()).removeprefix("ERROR: "), secrets)
    return "".join(char if char.isprintable() else " " for char in text)[:_LONGEST]


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without keys (those of the environment, those given, whatever looks like one) and without credentials.

    Example:
        >>> masked("Incorrect API key: sk-abcdefghijk, see https://user:pass@host/v1?key=1", ["other"])
        'Incorrect API key: ***, see https://host/v1'
    """
    text = _ADDRESSES.sub(lambda found: public_address(found.group()), text)
    known = [value for name, value in os.environ.items() if name.upper().endswith(_NAMES_OF_SECRETS)]
    for secret in sorted({*secrets, *known}, key=len, reverse=True):
        if len(secret) >= 6:
            text = text.replace(secret, "***")
    return _SECRETS.sub("***", text)


def public_address(url: str) -> str:
    """The address without user, password, query and fragment: what may be shown and written down.

    Example:
        >>> public_address("https://me:secret@example.org:8000/v1?key=abc")
        'https://example.org:8000/v1'
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        return ""


def _root(error: BaseException) -> BaseException:
    """The error behind a retrying wrapper (tenacity, Inspect)."""
    for _ in range(4):
        attempt = getattr(error, "last_attempt", None)
        inner = attempt.exception() if attempt is not None else None
        if inner is None and type(error).__name__ == "ModelGenerateError":
            inner = error.__cause__
        if inner is None and isinstance(
            error.__cause__, (AnswerTooLarge, WebPage)
        ):  # their client sees a failed connection
            inner = error.__cause__
        if inner is None:
            return error
        error = inner
    return error


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore's
        value = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return value if isinstance(value, int) else None
    code = getattr(error, "code", None)
    if callable(code):  # gRPC's
        return _BY_NAME.get(getattr(code(), "name", ""))
    for holder in (error, response):
        for name in ("status_code", "code", "status"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
                return value
    return None


def _codes(error: BaseException) -> list[str]:
    """Identifiers by which the provider names the error, the most telling first."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    fields = inner if isinstance(inner, Mapping) else {}
    found = [fields.get("code"), getattr(error, "code", None), fields.get("type"), getattr(error, "type", None)]
    return [value for value in found if isinstance(value, str)]
