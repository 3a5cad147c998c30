"""How long `prism` takes to answer, above the interpreter's own start.

    python benchmarks/startup.py [--runs 20]

Each run times the bare interpreter (`python -c pass`) and then, at once, every command below, in a fresh process each;
the difference is taken within a run, so that a machine that slows down for a while slows both. The median of the
differences counts. Bar: 0.25 s above the interpreter.

`prism --help` is the installed command, so that its entry point is measured along with it. The shell's question on Tab
is timed as well: nobody waits longer for a completion than for a help text.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
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


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Wall-clock time of a process from start to end."""
    start = time.perf_counter()
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}, check=False
    )
    return time.perf_counter() - start


def main() -> None:
    """Runs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    for command, environment in [(BARE, {}), *COMMANDS.values()]:
        seconds(command, environment)  # what is on disk is read once before anything counts
    bare: list[float] = []
    above: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.runs):
        for name, (command, environment) in COMMANDS.items():
            before = seconds(BARE, {})
            above[name].append(seconds(command, environment) - before)
            bare.append(before)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, click {metadata.version('click')}, "
          f"{options.runs} runs; the bare interpreter takes {statistics.median(bare):.3f} s\n")  # fmt: skip
    print("| command | seconds above the interpreter, median | smallest | largest | bar |")
    print("|---|---|---|---|---|")
    for name, found in above.items():
        median = statistics.median(found)
        verdict = "met" if median <= BAR else "MISSED"
        print(f"| `{name}` | {median:.3f} | {min(found):.3f} | {max(found):.3f} | {BAR} s {verdict} |")


if __name__ == "__main__":
    main()
