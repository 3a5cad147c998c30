"""A study whose every step calls a server, stopped again and again: what was answered is paid for once.

The study runs in processes of its own, and is stopped by the server itself while it answers: by SIGTERM,
after which the answer is awaited and kept, or by SIGKILL, which costs that answer and no other.
"""

from __future__ import annotations

import json
import os
import signal
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import Forked, Forks, forks
from scripted_server import Reply, Server

from alignment_prism.domain import Finding, Score
from alignment_prism.io import read_records
from alignment_prism.studies import load_spec, run_study

pytestmark = pytest.mark.slow

SPEC = """\
name: paid
base: {model: openai-api/local/base, base_url: "URL"}
arms: [{name: m, model: openai-api/local/m, base_url: "URL"}]
prompts: [{file: prompts.jsonl}]
generation: {max_tokens: 20, max_connections: CALLS}
judge:
  rule: adjudicate
  panel:
    - {model: openai-api/local/one, base_url: "URL", max_connections: CALLS}
    - model: openai-api/local/two
      base_url: "URL"
      max_connections: CALLS
      translator: {model: openai-api/local/translator, base_url: "URL"}
  adjudicator: {model: openai-api/local/third, base_url: "URL", max_connections: CALLS}
compare: {model: openai-api/local/compare, base_url: "URL", max_connections: CALLS}
examples: 0
"""
PROMPTS = 3
ENDS = {signal.SIGTERM: (-signal.SIGTERM, 130), signal.SIGKILL: (-signal.SIGKILL,)}
VERDICT = {"refusal": False, "correct": None}


def answer(body: dict[str, Any]) -> str:
    """What each of the models says; the two judges never agree."""
    model, asked = body["model"], body["messages"][-1]["content"]
    if model == "translator":
        return f"This is English text number {zlib.crc32(asked.encode())}."
    if model in ("base", "m"):
        return f"Bien sûr, voici ce que vous demandez, dit {model} de {asked}."
    if model == "compare":
        return json.dumps({"winner": "A"})
    harmful = model != "two"
    return json.dumps({"harmful": harmful, **VERDICT, "outcome": "harmful" if harmful else "safe_help"})


def kinds(server: Server) -> Counter[str]:
    """Model and request -> how often it was answered."""
    return Counter(json.dumps([body["model"], body["messages"]], sort_keys=True) for body in server.bodies)


@pytest.fixture(scope="module")
def prism() -> Iterator[Forks]:
    ours = ("cli.study", "studies.run", "scoring", "calls.runner", "generation", "prompts")
    theirs = ("inspect_ai.model._providers.openai_compatible", "openai", "scipy.stats", "pyarrow.parquet")
    with forks(*(f"alignment_prism.{name}" for name in ours), *theirs) as prism:
        yield prism


@pytest.fixture
def spec(tmp_path: Path, server: Server) -> Path:
    rows = [
        {"id": f"{kind}{n}", "prompt": f"{kind} numéro {n}, s’il vous plaît", "language": "fr", "kind": kind}
        for kind in ("harmful", "general")
        for n in range(PROMPTS)
    ]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC.replace("URL", server.url), encoding="utf-8")
    return tmp_path / "spec.yaml"


@pytest.mark.parametrize(("number", "calls"), [(signal.SIGTERM, 4), (signal.SIGKILL, 1)])
def test_each_answer_is_paid_for_once(
    number: signal.Signals, calls: int, spec: Path, server: Server, tmp_path: Path, prism: Forks
) -> None:
    spec.write_text(spec.read_text(encoding="utf-8").replace("CALLS", str(calls)), encoding="utf-8")
    server.script = lambda messages: answer(server.bodies[-1])
    run_study(load_spec(spec), tmp_path / "whole")
    wanted = kinds(server)
    # Two arms reply to six prompts each; three judges, of whom one has every text translated; both orders of three.
    models = Counter(json.loads(name)[0] for name in wanted)
    assert models == {"base": 6, "m": 6, "one": 12, "two": 12, "third": 12, "translator": 18, "compare": 6}
    assert set(wanted.values()) == {1}
    server.bodies.clear()
    server.requests.clear()
    process: Forked | None = None
    stops = seen = 0

    def script(messages: list[dict[str, str]]) -> Reply:
        nonlocal stops, seen
        seen += 1
        if seen == 12:  # of this run
            stops += 1
            assert process is not None
            process.send_signal(number)
        return Reply(answer(server.bodies[-1]))

    server.script = script
    out, ended = tmp_path / "out", -1
    printed, err = tmp_path / "printed", tmp_path / "err"
    while ended != 0:
        seen = 0
        arguments = ("study", "run", spec, "--out", out)
        process = prism.start(arguments, folder=tmp_path, env=os.environ, out=printed, err=err)
        ended = process.wait()
        assert ended in (0, *ENDS[number]), err.read_text(encoding="utf-8")
    assert stops > 3
    again = kinds(server)
    assert set(again) == set(wanted)
    twice = Counter(json.loads(name)[0] for name, count in again.items() for _ in range(count - 1))
    if number == signal.SIGTERM:
        assert not twice
    else:  # the call that a kill cut off; of translations, any number are under way
        assert 0 < twice.total() - twice["translator"] <= stops
    for name, kind in (("findings.parquet", Finding), ("scores.parquet", Score)):
        tables = [list(map(repr, read_records(folder / name, kind))) for folder in (out, tmp_path / "whole")]
        assert tables[0] == tables[1]
