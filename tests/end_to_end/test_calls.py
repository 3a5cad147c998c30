"""Calls of a model server through Inspect's real stack: what fails is counted, what is paid for is kept."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_server import Reply, Server

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.health import PATIENCE
from alignment_prism.calls.journal import CHECKSUM, CallJournal
from alignment_prism.calls.retries import FIRST_RETRIES
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain import ModelError, user

MODEL = "openai-api/local/m"
PROBE = "Hello."
DEEP = "[" * 100_000


def requests(count: int) -> dict[str, Request]:
    return {str(n): Request(user(f"question {n}")) for n in range(count)}


def asked(server: Server) -> list[str]:
    """The last turn of every request so far."""
    return [messages[-1]["content"] for messages in server.requests]


def number(messages: list[dict[str, str]]) -> int:
    """Of a question; -1 for the probe."""
    words = messages[-1]["content"].split()
    return int(words[1]) if words[0] == "question" else -1


@pytest.mark.parametrize(
    ("failure", "words", "start"),
    [
        (Reply(status=403, message="blocked: question 30"), "HTTP 403: the provider refuses this request", 0),
        (Reply(status=403, message="blocked: question 30"), "HTTP 403: the provider refuses this request", 20),
        (Reply(status=400, message="no", code="content_filter"), "content filter", 20),
        (Reply(status=400, message="maximum context length is 8 tokens"), "longer than the model's context length", 20),
        (Reply(body=b'{"choices": [{"message": {"content": 7}}]}'), "cannot be read", 20),
        (Reply(fault="drop"), "the connection failed", 0),
        (Reply(fault="cut"), "the connection failed", 20),
        (500, "HTTP 500: the server failed", 20),
    ],
)
def test_a_block_of_calls_that_always_fail_is_counted(
    server: Server, tmp_path: Path, failure: Reply | int, words: str, start: int
) -> None:
    block = range(start, start + 17)
    server.script = lambda messages: failure if number(messages) in block else "fine"
    for again in (False, True):  # the second run has only the failing calls left
        server.requests.clear()
        with CallJournal(tmp_path / "calls.jsonl") as journal:
            answers = ask_all(Endpoint(MODEL, server.url, connections=2, retries=0), requests(40), journal=journal)
            assert len(journal) == 23
        failed = {int(key): answer.error for key, answer in answers.items() if answer.error}
        assert set(failed) == set(block)
        assert all(words in error for error in failed.values()), failed
        assert len({*failed.values()}) == 1  # so that they can be counted
        questions = Counter(text for text in asked(server) if text != PROBE)
        assert len(questions) == (17 if again else 40)
        assert set(questions.values()) <= {1, 1 + FIRST_RETRIES}


@pytest.mark.parametrize("failure", [401, 403, 404, 500, Reply(fault="drop"), Reply(body=b"<html>Welcome</html>")])
def test_a_server_that_answers_nothing_is_given_up_at_once(server: Server, failure: Reply | int) -> None:
    server.script = lambda messages: failure
    with pytest.raises(ModelError, match="the model cannot be used"):
        ask_all(Endpoint(MODEL, server.url, connections=2, retries=0), requests(200))
    assert len(server.requests) <= PATIENCE + 2 + (1 + FIRST_RETRIES)
    assert PROBE in asked(server)


def test_a_server_that_dies_is_given_up_with_a_count(server: Server, tmp_path: Path) -> None:
    server.script = lambda messages: "fine" if len(server.requests) <= 40 else 502
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        with pytest.raises(ModelError) as error:
            ask_all(Endpoint(MODEL, server.url, connections=1, retries=0), requests(200), journal=journal)
        assert len(journal) == 40
    assert f"{PATIENCE} x HTTP 502: the server failed" in error.value.what
    assert "40 of 200 answers are kept" in error.value.what
    assert len(server.requests) == 40 + PATIENCE + 1 + FIRST_RETRIES


def test_passing_failures_are_made_again_and_the_servers_wish_is_heeded(server: Server) -> None:
    seen: Counter[int] = Counter()

    def script(messages: list[dict[str, str]]) -> str | Reply:
        seen[number(messages)] += 1
        if seen[number(messages)] > 1:
            return "fine"
        return Reply(status=429, headers={"Retry-After": "0"}) if number(messages) % 2 else Reply(fault="drop")

    server.script = script
    answers = ask_all(Endpoint(MODEL, server.url, connections=8, retries=1), requests(8))
    assert {answer.text for answer in answers.values()} == {"fine"}
    assert set(seen.values()) == {2}  # the client makes no attempts of its own


def test_a_page_in_place_of_an_answer_is_a_failing_server(server: Server) -> None:
    """A gateway's page under the status of an answer: asked for again, and no answer if it stays."""
    page = Reply(body=b"\n<!doctype html><title>Back soon</title>")
    seen: Counter[int] = Counter()

    def script(messages: list[dict[str, str]]) -> str | Reply:
        seen[number(messages)] += 1
        return page if seen[number(messages)] == 1 or number(messages) == 3 else "fine"

    server.script = script
    answers = ask_all(Endpoint(MODEL, server.url, connections=8, retries=1), requests(8))
    assert seen == dict.fromkeys(range(8), 2)
    assert {key: answer.error for key, answer in answers.items() if answer.error} == {
        "3": "a web page came in place of an answer"
    }
    server.script = lambda messages: page
    with pytest.raises(ModelError, match="a web page came in place") as error:
        ask_all(Endpoint(MODEL, server.url, connections=8, retries=1), requests(8))
    assert "address" in str(error.value.fix) and error.value.settings == {"base_url": "ADDRESS"}


def test_no_credit_is_not_waited_for(server: Server) -> None:
    server.script = lambda messages: Reply(status=429, message="You exceeded your quota", code="insufficient_quota")
    with pytest.raises(ModelError, match="no credit left"):
        ask_all(Endpoint(MODEL, server.url, retries=5), requests(20))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "poisoned",
    [
        Reply("cut \ud83d here"),
        Reply("fine", usage=(2**70, -5)),
        Reply('{"outcome": ' + DEEP),
        Reply("nul \x00 and \x1b[31m"),
        Reply(["not", "text"]),
        Reply({"deep": {"er": 1}}),
        Reply(None),
        Reply("fine", usage=("many", None)),  # type: ignore[arg-type]
        Reply(body=DEEP.encode()),
        Reply(body=b'{"choices": ' + DEEP.encode()),
        Reply(body=b"\xff\xfe\x00"),
        Reply(body=b""),
        Reply(body=b'{"choices": []}'),
        Reply(body=b'{"choices": null}'),
        Reply(body=b'{"choices": [{"finish_reason": "never", "message": {"role": "x", "content": "y"}}]}'),
    ],
)
def test_a_poisoned_answer_crashes_no_run_and_no_further_one(server: Server, tmp_path: Path, poisoned: Reply) -> None:
    server.script = lambda messages: poisoned if number(messages) == 3 else "fine"
    for _ in range(2):
        with CallJournal(tmp_path / "calls.jsonl") as journal:
            answers = ask_all(Endpoint(MODEL, server.url, retries=0), requests(6), journal=journal)
        assert [key for key, answer in answers.items() if answer.text != "fine"] in ([], ["3"])
        (tmp_path / "text").write_text(answers["3"].text, encoding="utf-8")
        assert -1 <= answers["3"].prompt_tokens < 2**31 and -1 <= answers["3"].completion_tokens < 2**31


def test_half_characters_are_replaced_and_whole_ones_kept(server: Server) -> None:
    server.script = lambda messages: "\ud83d|\U0001f600|é"
    assert ask_all(Endpoint(MODEL, server.url), requests(1))["0"].text == "\ufffd|\U0001f600|é"


@pytest.mark.parametrize(
    "line",
    [
        '{"key": "1", "value": {"text": "x", "stop": "stop", "prompt_tokens": 1, "completion_tokens": 1, "error": "", '
        '"new": 1}}',
        '{"key": "1", "value": {"text": "x"}}',
        '{"key": "1", "value": {"text": 5, "stop": "", "prompt_tokens": 1, "completion_tokens": 1, "error": ""}}',
        '{"key": "1", "value": "text"}',
        '{"key": "1", "value": 7}',
        '{"key": ["1"], "value": {}}',
        '{"key": "1", "value": ' + DEEP,
        '{"key": "1"}',
        "7",
    ],
)
def test_a_journalled_value_of_another_shape_counts_as_absent(server: Server, tmp_path: Path, line: str) -> None:
    server.script = lambda messages: "fine"
    data = line.removesuffix("}").encode()
    (tmp_path / "calls.jsonl").write_bytes(data + CHECKSUM % zlib.crc32(data) + b"\n")
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        answers = ask_all(Endpoint(MODEL, server.url), requests(2), journal=journal)
    assert [answer.text for answer in answers.values()] == ["fine", "fine"] and len(server.requests) == 2


def test_what_a_provider_says_of_a_prompt_or_key_is_never_shown(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_API_KEY", "very-private-7731")

    def script(messages: list[dict[str, str]]) -> Reply:
        keys = "sk-abcdefghijkl sk_live_mnopqrstuvw key_prod_north_south"
        text = f"{messages[-1]['content']} {server.headers[-1]['authorization']} {keys} \x1b[31mred"
        return Reply(status=403, message=text, code=messages[-1]["content"])

    server.script = script
    with CallJournal(tmp_path / "calls.jsonl") as journal, pytest.raises(ModelError) as error:
        ask_all(Endpoint(MODEL, server.url, connections=2), requests(50), journal=journal)
    said = str(error.value)
    private = ("question", "7731", "abcdefghijkl", "mnopqrstuvw", "north_south", "\x1b")
    assert not [words for words in private if words in said]
    assert f"{PATIENCE} x HTTP 403" in said or f"{PATIENCE + 1} x HTTP 403" in said
    server.script = lambda messages: script(messages) if number(messages) == 1 else "fine"
    answers = ask_all(Endpoint(MODEL, server.url), requests(3))
    assert answers["1"].error == "HTTP 403: the provider refuses this request"


def test_credentials_in_an_address_are_never_shown(server: Server) -> None:
    server.script = lambda messages: 500
    url = server.url.replace("http://", "http://me:pass-7731@") + "?key=query-7731"
    with pytest.raises(ModelError) as error:
        ask_all(Endpoint(MODEL, url, retries=0), requests(2))
    assert "7731" not in str(error.value) and server.url in str(error.value)
    with pytest.raises(ModelError) as error:
        Endpoint(MODEL, "ftp://me:pass-7731@host/").check_address()
    assert "7731" not in str(error.value)


def test_prompts_are_not_carried_to_another_host(server: Server, second_server: Server) -> None:
    server.script = lambda messages: Reply(status=307, headers={"Location": f"{second_server.url}/chat/completions"})
    with pytest.raises(ModelError, match="sends calls on to another address"):
        ask_all(Endpoint(MODEL, server.url), requests(3))
    assert second_server.requests == []


def test_a_server_that_never_answers_is_found_out_by_its_first_call(server: Server) -> None:
    server.script = lambda messages: Reply(fault="hang")
    with pytest.raises(ModelError, match="no answer in time"):
        ask_all(Endpoint(MODEL, server.url, timeout=0.3), requests(200))
    assert len(server.requests) <= 2 + FIRST_RETRIES and set(asked(server)) <= {"question 0", PROBE}


def test_one_call_that_is_never_answered_is_counted(server: Server) -> None:
    server.script = lambda messages: Reply(fault="hang") if number(messages) == 2 else "fine"
    answers = ask_all(Endpoint(MODEL, server.url, timeout=1.0, retries=5), requests(6))
    assert [answer.error for answer in answers.values()] == ["", "", "no answer in time", "", "", ""]
    assert Counter(asked(server))["question 2"] == 2


ASK = """
    import signal, sys
    from alignment_prism.calls.endpoint import Endpoint
    from alignment_prism.calls.journal import CallJournal
    from alignment_prism.calls.runner import Request, ask_all
    from alignment_prism.domain import user

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored

    def ask():
        with CallJournal(sys.argv[2]) as journal:
            endpoint = Endpoint("openai-api/local/m", sys.argv[1], connections=8)
            ask_all(endpoint, {str(n): Request(user(f"question {n}")) for n in range(30)}, journal=journal)
"""
SCRIPT = f"""{ASK}
    try:
        ask()
    finally:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
NOTEBOOK = f"""{ASK}
    import asyncio

    async def cell():
        ask()

    asyncio.new_event_loop().run_until_complete(cell())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "number", "code"),
    [
        (SCRIPT, signal.SIGINT, 130),
        (SCRIPT, signal.SIGTERM, -signal.SIGTERM),
        (NOTEBOOK, signal.SIGINT, 130),
    ],
)
def test_an_interrupt_keeps_the_answers_under_way(
    server: Server, tmp_path: Path, program: str, number: signal.Signals, code: int
) -> None:
    late: Callable[[], Reply] = lambda: Reply("fine", fault="late")  # noqa: E731
    server.script = lambda messages: late() if len(server.requests) > 10 else "fine"
    command = [sys.executable, "-c", textwrap.dedent(program), server.url, str(tmp_path / "calls.jsonl")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "LOCAL_API_KEY": "x"})
    server.wait_for(10 + 8)  # eight calls wait
    process.send_signal(number)
    assert process.stderr is not None
    assert "waiting up to" in next(line for line in process.stderr if "stopping" in line)
    server.go_on.set()
    process.communicate(timeout=120)
    assert process.returncode == code
    assert len(CallJournal(tmp_path / "calls.jsonl")) == len(server.requests) == 18
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        ask_all(Endpoint(MODEL, server.url), requests(30), journal=journal)
    assert Counter(asked(server)) == {f"question {n}": 1 for n in range(30)}  # nothing is paid twice


@pytest.mark.slow
def test_the_second_interrupt_stops_at_once(server: Server, tmp_path: Path) -> None:
    server.script = lambda messages: "fine" if number(messages) == 0 else Reply(fault="late")
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), server.url, str(tmp_path / "calls.jsonl")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    server.wait_for(1 + 8)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    next(line for line in process.stderr if "stopping" in line)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)  # nobody lets the server answer
    assert process.returncode == 130
    assert len(CallJournal(tmp_path / "calls.jsonl")) == 1


def test_a_notebooks_loop_is_left_alone(server: Server) -> None:
    server.script = lambda messages: "fine"

    async def cell() -> int:
        return len(ask_all(Endpoint(MODEL, server.url), requests(3)))

    assert asyncio.run(cell()) == 3


def test_requests_are_json_of_the_conversation(server: Server) -> None:
    server.script = json.dumps
    answer = ask_all(Endpoint(MODEL, server.url), {"a": Request(user("Wie geht’s? 😀"))})["a"]
    assert json.loads(answer.text) == [{"role": "user", "content": "Wie geht’s? 😀"}]
