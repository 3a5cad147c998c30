"""Whether a run ends well follows from which calls failed and whether a probe is answered, in whatever order."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import pytest
import quick_retries
from scripted_server import Reply, Server

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import CallJournal
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.cli.main import main
from alignment_prism.domain import ModelError, Score, user
from alignment_prism.io import read_records

assert quick_retries
PROBE = "Hello."
VERDICT = json.dumps({"harmful": False, "refusal": False, "outcome": "safe_help"})


def number(messages: list[dict[str, str]]) -> int:
    """Of a question; -1 for the probe."""
    words = messages[-1]["content"].split()
    return int(words[1]) if words[0] == "question" else -1


def ask(server: Server, folder: Path, count: int, connections: int) -> list[str]:
    """Errors of all calls, empty for those that were answered."""
    requests = {str(n): Request(user(f"question {n}")) for n in range(count)}
    with CallJournal(folder / "calls.jsonl") as journal:
        endpoint = Endpoint("openai-api/local/m", server.url, connections=connections, retries=1)
        return [answer.error for answer in ask_all(endpoint, requests, journal=journal).values()]


def failing(server: Server, failed: set[int], failure: int, probe: str | int) -> Counter[int]:
    """Lets a server fail some questions; what it counts are its answers to each."""
    paid: Counter[int] = Counter()

    def script(messages: list[dict[str, str]]) -> str | int:
        if number(messages) < 0:
            return probe
        if number(messages) in failed:
            return failure
        paid[number(messages)] += 1
        return "fine"

    server.script = script
    return paid


@pytest.mark.parametrize("connections", [1, 3, 10])
@pytest.mark.parametrize(
    ("answered", "failure"), [({0, 1}, 404), ({0, 5}, 404), ({0, 5}, 500), ({0, 9}, 404), ({4, 9}, 404)]
)
def test_eight_of_ten_calls_that_the_service_fails_end_a_run_wherever_the_answers_stand(
    server: Server, tmp_path: Path, connections: int, answered: set[int], failure: int
) -> None:
    paid = failing(server, set(range(10)) - answered, failure, failure)
    with pytest.raises(ModelError, match=rf"the model cannot be used: HTTP {failure}"):
        ask(server, tmp_path, 10, connections)
    again = failing(server, set(), failure, "fine")
    assert not any(ask(server, tmp_path, 10, connections))
    assert paid + again == dict.fromkeys(range(10), 1)  # nothing that was answered is paid for again


@pytest.mark.parametrize("when", ["in the middle", "while the service is probed", "after the probe has failed"])
def test_an_answer_that_comes_in_the_middle_or_at_last_changes_nothing(
    server: Server, tmp_path: Path, when: str
) -> None:
    """All ten are under way at once; what is said at last counts every answer that is kept."""

    def script(messages: list[dict[str, str]]) -> Reply | str | int:
        if number(messages) == 0:
            return "fine"
        if number(messages) == 1:
            return Reply("fine", fault="" if when == "in the middle" else "late")
        if number(messages) < 0:  # the probe, or the end of the run without one
            threading.Timer(0.3 if when.startswith("after") else 0.0, server.go_on.set).start()
        return 404

    server.script = script
    with pytest.raises(ModelError, match=r"8 x HTTP 404.*; 2 of 10 answers are kept"):
        ask(server, tmp_path, 10, 10)
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        assert len(journal) == 2


@pytest.mark.parametrize("connections", [1, 4, 20])
@pytest.mark.parametrize(
    ("failed", "probe"), [({*range(2, 10)}, "fine"), ({*range(0, 16, 2)}, "fine"), ({*range(3, 10)}, 404), ({7}, 404)]
)
def test_failures_of_some_requests_alone_hold_up_no_other_in_any_order(
    server: Server, tmp_path: Path, connections: int, failed: set[int], probe: str | int
) -> None:
    """Eight are the requests' own where the probe is answered; of twenty, seven are too few to ask."""
    failing(server, failed, 404, probe)
    errors = ask(server, tmp_path, 20, connections)
    assert {n for n, error in enumerate(errors) if error} == failed


@pytest.mark.parametrize("connections", [1, 8])
def test_refusals_of_all_that_is_asked_are_no_finished_run(server: Server, tmp_path: Path, connections: int) -> None:
    """A key without rights, and fewer calls than end a run elsewhere; prompts that a filter stops are counted."""
    failing(server, set(range(5)), 403, 403)
    with pytest.raises(ModelError, match="5 x HTTP 403"):
        ask(server, tmp_path, 5, connections)
    failing(server, set(range(5)), 403, "fine")
    assert all("403" in error for error in ask(server, tmp_path, 5, connections))


@pytest.mark.parametrize("connections", [1, 8])
def test_a_judge_that_most_replies_found_gone_is_an_error_and_goes_on_where_it_was(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], connections: int
) -> None:
    def lines(name: str, rows: list[dict[str, str]]) -> Path:
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return tmp_path / name

    rows = [{"id": f"p{n}", "prompt": f"bake cake {n}", "language": "en", "kind": "harmful"} for n in range(10)]
    replies = [{"prompt_id": f"p{n}", "reply": f"Of course, here is how one bakes cake {n}."} for n in range(10)]
    command = ["judge", "--prompts", str(lines("p.jsonl", rows)), "--generations", str(lines("r.jsonl", replies)),
               "--judge", "openai-api/local/j", "--judge-url", server.url, "--connections", str(connections),
               "--out", str(tmp_path / "scores.parquet")]  # fmt: skip
    server.script = lambda messages: VERDICT if len(server.requests) in (1, 5) else 404
    with pytest.raises(SystemExit) as end:
        main(command)
    said = capsys.readouterr().err
    assert end.value.code == 3 and "8 x HTTP 404" in said and "2 of 10 answers are kept" in said
    server.requests.clear()
    server.script = lambda messages: VERDICT
    with pytest.raises(SystemExit) as end:
        main(command)
    assert not end.value.code and len(server.requests) == 8
    outcomes = [str(score.outcome) for score in read_records(tmp_path / "scores.parquet", Score) if score.outcome]
    assert len(outcomes) == 10 and len(set(outcomes)) == 1
