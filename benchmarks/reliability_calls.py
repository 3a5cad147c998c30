"""The part `faults` of `reliability.py`: a judge's server that fails in every way it may.

200 replies are judged by `prism evaluate harm`. A call fails by what it asks, so that the same fail again, or once.
Then the server is well, and the command is run again. Right is: every reply has the verdict that the server gave, or is
counted as unjudged; nothing is in a rate without a verdict; the second run asks for what is missing and for nothing
else, and then every verdict is right.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from reliability_tries import Row, Tries, forked, row

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from scripted_server import Reply, Server

COUNT, SHARE, BLOCK = 200, 0.3, 17
REPLY = "Of course, here is how people do the thing that you have asked me about, told in some words, number"
PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
FAULTS: dict[str, Reply] = {
    **{f"status {code}": Reply(status=code, message="no") for code in
       (400, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529)},
    "a dropped connection": Reply(fault="drop"),
    "half an answer": Reply("x" * 1000, fault="cut"),
    "a web page": Reply(body=PAGE),
    "nothing": Reply(body=b""),
    "another schema": Reply(body=b'{"answer": 42}'),
    "an error under the status of an answer": Reply(body=b'{"error": {"message": "busy", "code": 503}}'),
    "prose": Reply("That is hard to say, is it not?"),
    "an empty text": Reply(""),
    "half a verdict": Reply('{"outcome": "harm'),
    "JSON 1,000 deep": Reply('{"outcome": ' + "[" * 1000),
    "half a character": Reply("\ud83d {"),
    "2^70 tokens": Reply("Hmm.", usage=(2**70, 2**70)),
    "an answer that was cut": Reply('{"outcome": "refusal", "harm', stop="length"),
    "an answer that a filter stopped": Reply("", stop="content_filter"),
}  # fmt: skip

PASSING = ("status 429", "status 500", "status 502", "status 503", "a dropped connection", "half an answer")
TOGETHER = ("status 403", "status 500", "another schema", "prose")


class Judge:
    """A server that judges rightly, but fails for some replies.

    Attributes:
        asked: how often of each reply.
        failing: replies that it fails for.
    """

    def __init__(self, fault: Reply, failing: set[int], *, once: bool) -> None:
        self.server, self.fault, self.failing, self.once = Server(), fault, failing, once
        self.asked: Counter[int] = Counter()
        self.server.script = self.answer

    def answer(self, messages: list[dict[str, str]]) -> Reply | str:
        """To one call; a probe of prism's own is answered."""
        _, found, rest = messages[-1]["content"].rpartition(REPLY)
        if not found:
            return "yes"
        number = int(rest.split(".")[0])
        self.asked[number] += 1
        if number in self.failing and not (self.once and self.asked[number] > 1):
            return self.fault
        return json.dumps({"outcome": verdict(number), "harmful": number % 3 == 0, "refusal": False})


def verdict(number: int) -> str:
    """The right one of a reply."""
    return "harmful" if number % 3 == 0 else "safe_help"


def verdicts(out: Path) -> dict[int, str]:
    """What was written of each reply by the judge."""
    from alignment_prism.domain import Score
    from alignment_prism.io import read_records

    rows = read_records(out / "scores.parquet", Score)
    return {int(one.prompt_id[1:]): one.outcome.value for one in rows if one.outcome is not None}


def write_input(work: Path) -> None:
    """Prompts and replies, afresh."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    asked = [{"id": f"p{n}", "prompt": f"How is thing number {n} done?", "language": "en", "kind": "harmful",
              "scope": "global"} for n in range(COUNT)]  # fmt: skip
    said = [{"prompt_id": f"p{n}", "reply": f"{REPLY} {n}."} for n in range(COUNT)]
    for name, rows in (("prompts", asked), ("replies", said)):
        (work / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")


def once_and_again(work: Path, fault: Reply, failing: set[int], once: bool) -> str:
    """What two runs of one command come to."""
    from alignment_prism.cli.main import main

    write_input(work)
    judge = Judge(fault, failing, once=once)
    os.environ["LOCAL_API_KEY"] = "none"
    given = ["evaluate", "harm", "--generations", work / "replies.jsonl", "--prompts", work / "prompts.jsonl",
             "--judge", "openai-api/local/judge", "--judge-url", judge.server.url, "--out", work / "out",
             "--retries", "2"]  # fmt: skip

    def run(*more: str) -> int:
        try:
            main([*map(str, given), *more])
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    code = run()
    if code == 3 and not (work / "out" / "findings.parquet").exists():
        kept = set(judge.asked) - failing
    elif code == 0:
        first = verdicts(work / "out")
        if any(first.get(n) not in (verdict(n), *(["unjudged"] if n in failing else [])) for n in range(COUNT)):
            return "a reply has another verdict, or none"
        kept = {n for n, what in first.items() if what != "unjudged"}
        if len(kept) == COUNT:
            return "all judged"
    else:
        return f"exit code {code}"
    judge.failing = set()
    judge.asked.clear()
    if (again := run(*(["--retry-unjudged"] if code == 0 else []))) != 0:
        return f"exit code {again} when the server is well"
    if kept & judge.asked.keys() or max(judge.asked.values(), default=0) > 1:
        return "what was answered is asked again"
    if verdicts(work / "out") != {n: verdict(n) for n in range(COUNT)}:
        return "a verdict is wrong or missing when the server is well"
    return "the failed ones counted, and then asked alone" if code == 0 else "an error, and then the failed ones alone"


def _said(one: Callable[[], str]) -> str:
    return forked(one) or "killed"


def faults(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    """Rows of the table: each kind once, whatever the number of tries."""
    for module in ("alignment_prism.cli.evaluate", "alignment_prism.studies.run", "alignment_prism.scoring.judge",
                   "alignment_prism.calls.runner", "alignment_prism.reports.report", "inspect_ai.model",
                   "altair", "vl_convert", "openai"):  # fmt: skip
        importlib.import_module(module)
    some = set(rng.sample(range(COUNT), round(SHARE * COUNT)))
    block = set(range(90, 90 + BLOCK))
    some_of, block_of = f"three calls in ten of {COUNT}", f"{BLOCK} calls of {COUNT} that stand together"
    ways = {
        f"a server of judges that fails {some_of}, in {len(FAULTS)} ways": (some, False, FAULTS),
        f"the same calls fail once, in {len(PASSING)} ways": (some, True, PASSING),
        f"{block_of} fail, in {len(TOGETHER)} ways": (block, False, TOGETHER),
    }
    for name, (failing, once, those) in ways.items():
        counts: Counter[str] = Counter()
        kinds: dict[str, list[str]] = {}
        for kind in those:
            one = partial(once_and_again, work / "faults", FAULTS[kind], failing, once)
            found = kept.outcome(f"{name}, {kind}", partial(_said, one))
            if found is not None:
                counts[found] += 1
                kinds.setdefault(found, []).append(kind)
        for what in counts.keys() - set(FINE):
            print(f"{what}: {', '.join(kinds[what])}", file=sys.stderr)
        yield row(name, counts, FINE)


FINE = ("all judged", "the failed ones counted, and then asked alone", "an error, and then the failed ones alone")
PARTS: dict[str, Any] = {"faults": faults}
