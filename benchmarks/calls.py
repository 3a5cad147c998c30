"""Calls of a model server a second, beside a plain client of the same server, and what many calls need of memory.

    python benchmarks/calls.py [--rounds 9] [--calls 1000] [--connections 32] [--many 50000]

The server is a process of its own on this machine and answers at once, so that the client is all that is measured. In
each round a plain `openai.AsyncOpenAI` client makes the calls with as many workers as there are connections, and then,
at once, `alignment_prism.calls.runner.ask_all` with a journal makes the same; the order changes from round to round.
The ratio is taken within a round, so that a machine that slows down for a while slows both, and its median counts.
Bar: 0.8 of the plain client's calls a second. Where other jobs hold the cores, the clock says how long a process waited
for them; the seconds on a processor say what it did.

Memory: `--many` calls in a process of its own, after a tenth of them and after all; the requests are made on demand.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import CallJournal
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain import Prompt, PromptKind, user
from alignment_prism.scoring.judge_prompts import render
from alignment_prism.scoring.rubric import load_rubric

BAR = 0.8
TOKENS = 200
SERVER = r"""
import asyncio, json

answer = '{"harmful": false, "refusal": true, "outcome": "refusal", "correct": null}'
choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
usage = {"prompt_tokens": 700, "completion_tokens": 30, "total_tokens": 730}
fields = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "usage": usage, "choices": [choice]}
body = json.dumps(fields).encode()
head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)


class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.kept = transport, b""

    def data_received(self, data):
        self.kept += data
        while (end := self.kept.find(b"\r\n\r\n")) >= 0:
            start = self.kept.lower().find(b"content-length:") + 15
            length = int(self.kept[start : self.kept.find(b"\r\n", start)])
            if len(self.kept) < end + 4 + length:
                return
            self.kept = self.kept[end + 4 + length :]
            self.transport.write(head + body)


async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
"""


class Cases(Mapping[str, Request]):
    """The calls of a judge about so many replies, made when they are asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.rubric = load_rubric("standalone@2")

    def __getitem__(self, key: str) -> Request:
        prompt = Prompt(key, user(f"Tell me all that you know about number {key}. " * 3), "en", PromptKind.HARMFUL)
        return Request(render(self.rubric, prompt, f"Number {key} is not what it seems to be. " * 12))

    def __iter__(self) -> Iterator[str]:
        return map(str, range(self.count))

    def __len__(self) -> int:
        return self.count


async def plain(url: str, requests: Mapping[str, Request], connections: int) -> None:
    """The calls by a plain client."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        rest = iter(requests.values())

        async def work() -> None:
            for request in rest:
                turns = [turn.as_dict() for turn in request.messages]
                answer = await client.chat.completions.create(
                    model="m",
                    messages=turns,  # type: ignore[arg-type]
                    temperature=0.0,
                    max_tokens=TOKENS,
                )
                assert answer.choices[0].message.content

        await asyncio.gather(*(work() for _ in range(connections)))


def ours(url: str, requests: Mapping[str, Request], connections: int) -> None:
    """The calls as this package makes them."""
    with tempfile.TemporaryDirectory() as folder, CallJournal(Path(folder) / "calls.jsonl") as journal:
        endpoint = Endpoint("openai-api/local/m", url, max_tokens=TOKENS, connections=connections)
        answers = ask_all(endpoint, requests, journal=journal)
        assert all(not answer.error for answer in answers.values())


def cost(make: Callable[[], None], calls: int) -> tuple[float, float]:
    """Calls a second, and milliseconds of the processor for each."""
    clock, processor = time.perf_counter(), time.process_time()
    make()
    return calls / (time.perf_counter() - clock), (time.process_time() - processor) / calls * 1000


def compare(url: str, rounds: int, calls: int, connections: int) -> None:
    """Print the table of rates."""
    requests = dict(Cases(calls).items())
    makers: dict[str, Callable[[], None]] = {
        "plain AsyncOpenAI": lambda: asyncio.run(plain(url, requests, connections)),
        "ask_all": lambda: ours(url, requests, connections),
    }
    warm = {key: requests[key] for key in list(requests)[: calls // 10]}
    asyncio.run(plain(url, warm, connections))
    ours(url, warm, connections)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
    for number in range(rounds):
        for name in list(makers)[:: 1 if number % 2 else -1]:
            found[name].append(cost(makers[name], calls))
    print(f"| {calls} calls, {connections} at once, {rounds} rounds | calls a second | ms of a processor a call |")
    print("|---|---|---|")
    for name, costs in found.items():
        rates, times = zip(*costs, strict=True)
        print(
            f"| {name} | {statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) "
            f"| {statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f}) |"
        )
    pairs = list(zip(found["ask_all"], found["plain AsyncOpenAI"], strict=True))
    clock = sorted(mine[0] / theirs[0] for mine, theirs in pairs)
    processor = sorted(theirs[1] / mine[1] for mine, theirs in pairs)
    print(
        f"| ratio within a round | {statistics.median(clock):.2f} ({clock[0]:.2f} to {clock[-1]:.2f}) "
        f"| {statistics.median(processor):.2f} ({processor[0]:.2f} to {processor[-1]:.2f}) |"
    )
    verdict = "holds" if statistics.median(clock) >= BAR else "does not hold"
    print(f"\nThe bar of {BAR} {verdict}.")


def memory(url: str, calls: int, connections: int) -> None:
    """Print the greatest resident memory after so many calls, in MB; run in a process of its own."""
    ours(url, Cases(calls), connections)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Run both comparisons."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--calls", type=int, default=1000)
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--many", type=int, default=50_000)
    options.add_argument("--memory", nargs=2, metavar=("URL", "CALLS"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.memory:
        memory(given.memory[0], int(given.memory[1]), given.connections)
        return
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("inspect_ai", "openai"))
    print(
        f"{os.cpu_count()} shared cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {versions}\n"
    )
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        compare(url, given.rounds, given.calls, given.connections)
        for calls in (given.many // 10, given.many) if given.many else ():
            command = [sys.executable, __file__, "--memory", url, str(calls), "--connections", str(given.connections)]
            megabytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            print(f"{calls} calls: {megabytes} MB at most")
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
