"""How long is paused before a failed call is made again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import quick_retries
from scripted_server import Reply, Server

from alignment_prism.calls import retries
from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain import user


@pytest.mark.parametrize(
    ("failure", "pauses"),
    [
        (500, [0.5, 1.0, 2.0, 4.0]),
        (429, [2.0, 4.0, 8.0, 16.0]),  # who is asked for fewer calls asks for fewer
        (Reply(status=503, headers={"Retry-After": "3"}), [3.0, 3.0, 3.0, 4.0]),
        (Reply(status=429, headers={"Retry-After": "3600"}), [60.0] * 4),
    ],
)
def test_pauses_double_or_are_as_long_as_the_server_asks(
    failure: int | Reply, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    async def at_once(waited_for: Any, timeout: float) -> None:
        waited_for.close()
        asked.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(asyncio, "wait_for", at_once)
    monkeypatch.setattr(retries, "FIRST_PAUSE", quick_retries.PAUSES[0])
    monkeypatch.setattr(retries, "FIRST_PAUSE_OF_RATE", quick_retries.PAUSES[1])
    server = Server()
    # The first call is answered: it alone is tried less often.
    server.script = lambda messages: "fine" if len(server.requests) in (1, 6) else failure
    requests = {name: Request(user(name)) for name in ("first", "second")}
    try:
        answers = ask_all(Endpoint("openai-api/local/m", server.url, connections=1, retries=4), requests)
    finally:
        server.close()
    assert {answer.text for answer in answers.values()} == {"fine"}
    for seconds, least in zip(asked, pauses, strict=True):  # up to a quarter longer, so that not all come back at once
        assert least <= seconds <= min(1.25 * least, 60.0)
