"""How long the annotation app takes to answer fifty annotators at once, and what a request costs.

    python benchmarks/annotate.py

First, in one process and without a network, the SQL statements and the processor's time of each kind of request. Then
fifty simulated annotators work for a minute against a server process of its own, at two paces. Nine in ten label, one
in ten writes prompts. Every request is timed in the client, which shares the machine; nothing leaves it. It takes two
and a half minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import event

from alignment_prism.annotation import sessions
from alignment_prism.annotation.database import Database, create_database
from alignment_prism.annotation.guidelines import note_read
from alignment_prism.annotation.people import Person, Role, add_person
from alignment_prism.annotation.projects import Item, Kind, add_items, create_project
from alignment_prism.annotation.quotas import Cell
from alignment_prism.annotation.web.app import make_app
from alignment_prism.annotation.writing import create_writing

LIMIT = 0.300
"""Seconds within which 95 % of the answers must be there."""
REPLY = "Уважаемый сосед! Хочу поговорить с вами о шуме после 23:00. " * 6


@dataclass(frozen=True)
class Pace:
    """How fast people work.

    Attributes:
        reading: seconds from the page to the first word or the answer, at least and at most.
        saving: seconds between two drafts while somebody types, at least and at most.
        commented: share of the labels with a comment.
        drafts: of a comment, and of a prompt that is written.
    """

    reading: tuple[float, float]
    saving: tuple[float, float]
    commented: float
    drafts: tuple[int, int]


PACES = {
    # A reply of a hundred words is read in ten seconds or more; the page saves after each pause in typing.
    "as people work": Pace((6.0, 14.0), (1.2, 2.5), 1 / 3, (3, 12)),
    # Nobody reads: every label has a comment, and is given as soon as it is typed.
    "without reading": Pace((0.0, 0.0), (0.4, 1.4), 1.0, (2, 6)),
}


@dataclass
class Round:
    """What people work on: their sessions, and the tokens of the projects."""

    people: list[tuple[Person, str]]
    labels: str
    writing: str


def fill(database: Database, people: int) -> Round:
    """A folder with a round of 4,000 labels and one of prompts."""
    with database.write() as connection:
        labels = create_project(connection, "Round", Kind.OUTCOME, overlap=3)
        shown = [{"prompt": f"Вопрос {i}", "reply": REPLY + str(i)} for i in range(4000)]
        add_items(connection, labels, [Item(f"r{i}", "ru", shown[i], {"reply_digest": f"r{i}"}) for i in range(4000)])
        writing = create_writing(connection, "Prompts", ["ru"], [Cell("ru", "local", "any", 1000)], opinions=1)
        found = []
        for number in range(people):
            person = add_person(connection, f"annotator {number}", Role.ANNOTATOR, ["ru"])
            for project in (labels, writing):
                note_read(connection, project, "en", person)
            found.append((person, sessions.sign_in(connection, person.id)))
    return Round(found, labels.token, writing.token)


class Annotator:
    """One person at work."""

    def __init__(self, client: httpx.AsyncClient, session: str, project: str, writes: bool, seed: int) -> None:
        self.client, self.project, self.writes = client, project, writes
        self.random = random.Random(seed)
        self.headers = {"cookie": f"prism_session={session}"}
        self.times: dict[str, list[float]] = defaultdict(list)
        self.faults = 0

    async def ask(self, what: str, method: str, address: str, **more: Any) -> httpx.Response:
        began = time.perf_counter()
        answer = await self.client.request(method, address, headers=self.headers, **more)
        self.times[what].append(time.perf_counter() - began)
        self.faults += answer.status_code >= 400
        return answer

    async def wait(self, between: tuple[float, float]) -> None:
        await asyncio.sleep(self.random.uniform(*between))

    async def item(self, pace: Pace) -> None:
        """One item, from asking for it to its answer."""
        went = await self.ask("next item", "GET", f"/p/{self.project}/next")
        address = went.headers["location"].partition("?")[0]
        page = await self.ask("item's page", "GET", address)
        found = re.search(r'name="token" value="(\w+)"', page.text)
        assert found is not None
        form: dict[str, str] = {"token": found[1], "seconds": "3"}
        await self.wait(pace.reading)
        typed = self.writes or self.random.random() < pace.commented
        for number in range(pace.drafts[self.writes] if typed else 0):
            await self.wait(pace.saving)
            words = " ".join(self.random.choices(REPLY.split(), k=5 + 3 * number))
            form |= {"prompt": words, "language": "ru", "communicative": words} if self.writes else {"comment": words}
            await self.ask("draft", "POST", f"{address}/draft", data=form)
            if self.writes:
                await self.ask("warnings", "POST", f"{address}/check", data=form)
        done = {"category": "Profanity", "scope": "global"} if self.writes else {"label": "refusal"}
        await self.ask("answer", "POST", address, data=form | done)

    async def work(self, pace: Pace, until: float) -> None:
        await self.wait((0.0, 3.0 + pace.reading[1]))
        while time.perf_counter() < until:
            await self.item(pace)


async def run(address: str, found: Round, pace: Pace, seconds: float) -> list[Annotator]:
    until = time.perf_counter() + seconds
    number = len(found.people)
    limits = httpx.Limits(max_connections=number, max_keepalive_connections=number, keepalive_expiry=30)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=30.0) as client:
        everybody = [
            Annotator(client, session, found.labels if number % 10 else found.writing, not number % 10, number)
            for number, (_, session) in enumerate(found.people)
        ]
        await asyncio.gather(*(one.work(pace, until) for one in everybody))
    return everybody


def processor_of(process: int) -> float:
    """Seconds of a processor that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(everybody: list[Annotator], seconds: float, spent: float) -> bool:
    """The table; True where 95 % of all requests were answered in time."""
    times: dict[str, list[float]] = defaultdict(list)
    for one in everybody:
        for what, given in one.times.items():
            times[what] += given
    times["all"] = [each for given in list(times.values()) for each in given]
    print("| request | number | median, ms | p95, ms | p99, ms |\n|---|---|---|---|---|")
    for what, given in times.items():
        cuts = statistics.quantiles(given, n=100) if len(given) > 1 else given * 99
        print(f"| {what} | {len(given)} | {1000 * cuts[49]:.0f} | {1000 * cuts[94]:.0f} | {1000 * cuts[98]:.0f} |")
    faults, number = sum(one.faults for one in everybody), len(times["all"])
    cost = f"{number / seconds:.0f} requests a second, {1000 * spent / number:.1f} ms of the server's processor each"
    print(f"\n{cost}, {faults} faults; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end\n")
    return statistics.quantiles(times["all"], n=100)[94] <= LIMIT and not faults


class InProcess(httpx.ASGITransport):
    """Requests to an app in this process, with the processor's time that each took."""

    def __init__(self, database: Database) -> None:
        super().__init__(make_app(database))  # type: ignore[arg-type]
        self.spent: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        began = time.process_time()
        answer = await super().handle_async_request(request)
        self.spent.append(time.process_time() - began)
        return answer


@dataclass
class Costs:
    """By kind of request: SQL statements, and seconds of a processor."""

    statements: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


async def costs(database: Database, found: Round, items: int = 40) -> Costs:
    """What a request costs where nobody waits for another."""
    known, count = Costs(), [0]
    pace = Pace((0.0, 0.0), (0.0, 0.0), 1.0, (2, 2))

    def counted(_: Any, __: Any, statement: str, *___: Any) -> None:
        count[0] += not statement.startswith(("BEGIN", "PRAGMA"))

    event.listen(database.engine, "before_cursor_execute", counted)
    transport = InProcess(database)

    class Costed(Annotator):
        async def ask(self, what: str, method: str, address: str, **more: Any) -> httpx.Response:
            count[0] = 0
            answer = await super().ask(what, method, address, **more)
            name = f"{what} (writing)" if self.writes and what != "warnings" else what
            known.statements[name].append(count[0])
            known.seconds[name].append(transport.spent[-1])
            return answer

    async with httpx.AsyncClient(transport=transport, base_url="http://prism.test") as client:
        for number in range(items):
            session = found.people[number % len(found.people)][1]
            writes = number % 4 == 0
            await Costed(client, session, found.writing if writes else found.labels, writes, number).item(pace)
    event.remove(database.engine, "before_cursor_execute", counted)
    return known


def show_costs(known: Costs) -> None:
    print("| request | SQL statements | processor, ms |\n|---|---|---|")
    for what, given in known.seconds.items():
        print(f"| {what} | {max(known.statements[what])} | {1000 * statistics.median(given):.1f} |")
    print()


def serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A server of its own, once it answers."""
    words = [sys.executable, "-m", "alignment_prism.cli.main", "annotate", "serve", str(folder), "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/login", timeout=30.0)
            return server
        except httpx.TransportError:
            assert server.poll() is None, "the server has ended"
            time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0, help="at each pace")
    parser.add_argument("--database", default="", help="address of an empty PostgreSQL database; SQLite unless given")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {options.people} people, load {os.getloadavg()[0]:.1f} before\n")
    met = True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "annotations"
        database = create_database(folder, options.database)
        found = fill(database, options.people)
        print("In one process, without a network:\n")
        show_costs(asyncio.run(costs(database, found)))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = serve(folder, port)
        try:
            for name, pace in PACES.items():
                print(f"{name.capitalize()} ({described(pace)}), {options.seconds:.0f} s:\n")
                before = processor_of(server.pid)
                everybody = asyncio.run(run(f"http://127.0.0.1:{port}", found, pace, options.seconds))
                met &= show(everybody, options.seconds, processor_of(server.pid) - before)
        finally:
            server.terminate()
            server.wait()
    print(f"95 % within {1000 * LIMIT:.0f} ms at both paces: {'yes' if met else 'no'}")
    return 0 if met else 1


def described(pace: Pace) -> str:
    said: Mapping[str, tuple[float, float]] = {"s of reading": pace.reading, "s between drafts": pace.saving}
    spans = [f"{low:g} to {high:g} {what}" for what, (low, high) in said.items()]
    return ", ".join([*spans, f"{pace.commented:.0%} of the labels with a comment"])


if __name__ == "__main__":
    sys.exit(main())
