"""Tries of `reliability.py`: what came of each, kept from run to run, in processes of their own."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from alignment_prism.domain.errors import PrismError

Row = tuple[str, str, str, str]
"""What was tried, how often, how often it went wrong, and what came of it."""
HANGS = 20
"""Seconds of a processor after which a try is taken for one that never ends; other jobs do not count."""
LOOK = 0.01
"""Seconds after which one looks how much a process has computed."""
LONGEST = 4000
"""Characters of a message, all its lines together; more is a wall of text."""


class Tries:
    """Outcomes of single tries, kept in a file from run to run; none is begun when the time is over.

    Args:
        path: of the file; None keeps them in memory.
        seconds: until the time is over.
        about: what the tries are of, before their names.
    """

    def __init__(self, path: Path | None, seconds: float, about: str = "") -> None:
        self.path, self.about = path, about
        self.seconds = seconds
        self.start()
        self.known: dict[str, Any] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self.known.update([json.loads(line)])

    def start(self) -> None:
        """Let the time begin: what is prepared before the first try does not count."""
        self.until = time.monotonic() + self.seconds

    def __contains__(self, name: str) -> bool:
        """Whether a try was made, in this run or an earlier one."""
        return self.about + name in self.known

    def forget(self, beginning: str) -> None:
        """Take no try whose name begins so for made: what it left is not there any more."""
        self.known = {name: said for name, said in self.known.items() if not name.startswith(self.about + beginning)}

    def outcome(self, name: str, do: Callable[[], Any], *, needed: bool = False) -> Any:
        """What came of a try; None where there is no time left for it, unless it is needed."""
        name = self.about + name
        if name not in self.known:
            if time.monotonic() > self.until and not needed:
                return None
            self.known[name] = do()
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([name, self.known[name]]) + "\n")
        return self.known[name]


def forked(do: Callable[[], str], seconds: float | None = None) -> str | None:
    """What a function says in a process of its own; None if it was killed after so many seconds of a processor, or
    died."""
    return measured(do, seconds)[0]


def measured(do: Callable[[], str], seconds: float | None = None) -> tuple[str | None, float]:
    """As `forked`, with the seconds of a processor that it took."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        try:
            with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
                said = do()
        except BaseException as error:
            said = type(error).__name__
        with os.fdopen(writing, "w", encoding="utf-8", errors="replace") as pipe:
            pipe.write(said)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        while seconds is not None and not select.select([pipe], [], [], LOOK)[0]:
            if _computed(process) >= seconds:
                os.kill(process, signal.SIGKILL)
                break
        said = pipe.read()
    usage = os.wait4(process, 0)[2]
    return said or None, usage.ru_utime + usage.ru_stime


def _computed(process: int) -> float:
    """Seconds of a processor that all threads of a process have taken: other jobs do not count."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Hangs(BaseException):
    """It takes longer than `HANGS`."""


def _hang(number: int, frame: object) -> None:
    raise _Hangs


def outcome_of(do: Callable[[], str]) -> str:
    """What a call says, or what its error amounts to."""
    signal.signal(signal.SIGPROF, _hang)
    signal.setitimer(signal.ITIMER_PROF, HANGS)
    try:
        return do()
    except PrismError as error:
        if not error.what or not (error.where or error.fix):
            return "an error that says too little"
        return "a clear error" if len(str(error)) <= LONGEST else "a wall of text"
    except _Hangs:
        return f"more than {HANGS} s"
    except BaseException as error:
        return f"traceback: {type(error).__name__}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def counted(tries: Iterable[Callable[[], str]]) -> dict[str, int]:
    """Outcomes of tries in one process, each with how often it came about; one that ends the process is an outcome."""

    def all_of_them() -> str:
        counts: Counter[str] = Counter()
        for one in tries:
            counts[outcome_of(one)] += 1
        return json.dumps(counts)

    said = forked(all_of_them)
    try:
        counts: dict[str, int] = json.loads(said or "")
    except ValueError:
        counts = {f"the process ended ({said or 'without a word'})": 1}
    return counts


def row(name: str, counts: Counter[str], fine: Iterable[str]) -> Row:
    """A row of the table."""
    wrong = sum(count for what, count in counts.items() if what not in set(fine))
    said = ", ".join(f"{count:,} {what}" for what, count in counts.most_common())
    return name, f"{counts.total():,}", str(wrong), said
