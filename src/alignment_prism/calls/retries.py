"""When a failed call is made again, and after which pause."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from alignment_prism.calls.failures import Cause, Failure

if TYPE_CHECKING:
    from inspect_ai.model import ModelAPI

FIRST_RETRIES = 2
"""Retries of the first call of a run and of a probe: who cannot be reached at first is rarely there later."""
TIMEOUT_RETRIES = 1
"""Retries of a call that was not answered in time: it may well have been answered, and paid for, in vain."""
FIRST_PAUSE, FIRST_PAUSE_OF_RATE = 0.5, 2.0
"""Seconds before the first retry of a call, doubled before each further one; and where the rate limit is exceeded."""
LONGEST_PAUSE = 60.0
"""Seconds before a retry, at most, whatever the server asks for."""


def allowed(api: ModelAPI, failure: Failure, error: Exception, retries: int, *, first: bool) -> int:
    """How many retries a failure is worth.

    Args:
        api: the provider.
        failure: of the call.
        error: that it is read from.
        retries: that calls are given.
        first: whether it is the first call of a run.
    """
    if not failure.passing and not (failure.cause is Cause.OTHER and api.should_retry(error)):
        return 0
    if first and failure.cause is not Cause.RATE:
        retries = min(retries, 0 if failure.cause is Cause.TIMEOUT else FIRST_RETRIES)
    return min(retries, TIMEOUT_RETRIES) if failure.cause is Cause.TIMEOUT else retries


def pause(api: ModelAPI, failure: Failure, error: Exception, attempt: int) -> float:
    """Seconds before the next attempt: as the server asks, or doubling from the first pause, with jitter.

    Args:
        api: the provider, which may have a rule of its own.
        failure: of the call.
        error: that it is read from.
        attempt: number of the one that failed, from 0.
    """
    wait: Any = api.retry_wait()
    if wait is not None:
        return min(float(wait(SimpleNamespace(attempt_number=attempt + 1))), LONGEST_PAUSE)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    asked = str(headers.get("retry-after", ""))
    seconds = float(asked) if asked.isdecimal() else 0.0  # the other form, a date, is rare
    first = FIRST_PAUSE_OF_RATE if failure.cause is Cause.RATE else FIRST_PAUSE
    return min(max(seconds, first * 2.0**attempt) * _jitter.uniform(1.0, 1.25), LONGEST_PAUSE)


_jitter = random.Random()
