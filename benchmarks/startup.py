"""How long `prism` takes to answer, above the interpreter's own start.

    python benchmarks/startup.py [--runs 20]

Each run times the bare interpreter (`python -c pass`) and then, at once, every command below, in a fresh process each;
the difference is taken within a run, so that a machine that slows down for a while slows both. The median of the
differences counts. Bar: 0.25 s above the interpreter. Where other jobs hold the cores, the clock says how long a
process waited for them; the seconds on a processor say what it did.

`prism --help` is the installed command, so that its entry point is measured along with it. The shell's question on Tab
is timed as well: nobody waits longer for a completion than for a help text.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

BAR = 0.25
PRISM = str(Path(sys.executable).parent / "prism")
BARE = [sys.executable, "-c", "pass"]
TAB = {"_PRISM_COMPLETE": "bash_complete", "COMP_WORDS": "prism prompts validate --", "COMP_CWORD": "3"}
COMMANDS: dict[str, tuple[list[str], dict[str, str]]] = {
    "prism --help": ([PRISM, "--help"], {}),
    "prism --version": ([PRISM, "--version"], {}),
    "prism (no arguments)": ([PRISM], {}),
    "prism prompts validate --help": ([PRISM, "prompts", "validate", "--help"], {}),
    "prism study run --help": ([PRISM, "study", "run", "--help"], {}),
    "prism doctor --help": ([PRISM, "doctor", "--help"], {}),
    "Tab after prism prompts validate --": ([PRISM], TAB),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one process: on the clock, and of the processor."""

    clock: float
    processor: float


def cost(command: list[str], environment: dict[str, str]) -> Cost:
    """What a process costs from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}, check=False
    )
    clock = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Runs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    for command, environment in [(BARE, {}), *COMMANDS.values()]:
        cost(command, environment)  # what is on disk is read once before anything counts
    bare: list[Cost] = []
    above: dict[str, list[Cost]] = {name: [] for name in COMMANDS}
    for _ in range(options.runs):
        for name, (command, environment) in COMMANDS.items():
            before = cost(BARE, {})
            whole = cost(command, environment)
            above[name].append(Cost(whole.clock - before.clock, whole.processor - before.processor))
            bare.append(before)
    median = statistics.median
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, click {metadata.version('click')}, "
          f"{options.runs} runs, load when it ended {os.getloadavg()[0]:.1f}; the bare interpreter takes "
          f"{median(each.clock for each in bare):.3f} s, {median(each.processor for each in bare):.3f} s of them on a "
          f"processor\n")  # fmt: skip
    print("| command | seconds above the interpreter, median (smallest, largest) | of them on a processor | bar |")
    print("|---|---|---|---|")
    for name, found in above.items():
        clock = sorted(each.clock for each in found)
        verdict = "met" if median(clock) <= BAR else "MISSED"
        spread = f"{median(clock):.3f} ({clock[0]:.3f}, {clock[-1]:.3f})"
        print(f"| `{name}` | {spread} | {median(each.processor for each in found):.3f} | {BAR} s {verdict} |")


if __name__ == "__main__":
    main()
