"""What the runner adds to the steps that it does: a thousand steps that take next to nothing, done and found done.

    python benchmarks/runner_overhead.py               # a thousand
    python benchmarks/runner_overhead.py --steps 50

Each step scores the eight replies of an arm by their length. Its work alone, without artifact, log, locks and checks,
is measured beside it; what is left is the runner's. Prints the table of `runner_overhead.md`.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from alignment_prism.domain import Generation, Prompt, PromptKind, user
from alignment_prism.studies import Sources, StudySpec, build_plan
from alignment_prism.studies.executors.local import run_steps
from alignment_prism.studies.progress import Silent
from alignment_prism.studies.step_log import Logged
from alignment_prism.studies.steps import KINDS, Context


def timed(what: str, steps: int, work: Callable[[], object]) -> None:
    """One row: wall and processor time of a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"| {what} | {wall:.1f} s | {1000 * wall / steps:.1f} ms | {1000 * cpu / steps:.1f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    count: int = parser.parse_args().steps
    prompts = [Prompt(f"p{n}", user(f"Question {n}?"), "en", PromptKind.HARMFUL) for n in range(8)]
    names = [f"arm{n}" for n in range(count)]
    replies = {
        name: [Generation(prompt.id, name, name, f"{name} says {prompt.id}") for prompt in prompts] for name in names
    }
    arms = [{"name": name, "replies": "none.jsonl"} for name in names]
    spec = StudySpec.model_validate({"name": "x", "base": None, "arms": arms, "scorers": ["reply_length"]})
    versions = ", ".join(f"{name} {version(name)}" for name in ("alignment-prism", "pyarrow"))
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}\n")
    print(f"| {count} steps | together | each | processor time of each |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        plan = build_plan(spec, Sources(prompts, replies=replies))
        timed("planned", count, lambda: build_plan(spec, Sources(prompts, replies=replies)))
        for source in plan.sources:
            source.write(out)
        context, alone = Context(out, None), Path(folder) / "alone"
        alone.mkdir()

        def work() -> None:
            for step in plan.steps:
                inputs = {role: needed.folder(out) for role, needed in step.needs.items()}
                KINDS[step.kind].do(step, inputs, alone, context, lambda done, total, words="", /: None)

        timed("their work alone", count, work)
        logged = Logged(Silent(), out / "steps.jsonl")
        timed("done by the runner", count, lambda: run_steps(plan.steps, context, logged))
        timed("found done", count, lambda: run_steps(plan.steps, context, logged))


if __name__ == "__main__":
    main()
