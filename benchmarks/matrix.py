"""The arms of `nano-paper` with one seed, as one study and as separate scripts of TRL: where the time goes.

    python benchmarks/matrix.py                  # a cut of it: 6 arms, 200 pairs each, a tenth of the prompts
    python benchmarks/matrix.py --full           # all of `nano-paper`, one seed: an hour on one core

Both are done on one core, one after the other: the study in one process, then a process of `matrix_trl.py` for each
arm, which is given the study's own mixtures. Each part of the work is counted by the wall and by the processor; what
is left is start, imports and end. `base's replies kept` is the scripts' sum without base's replies and their judging
in all scripts but the first. The finished study is run again by its command, as whoever looks at it does; bar: within
3 s of a processor. Interrupted, the same line goes on where it stopped. Prints the tables of `matrix.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from alignment_prism.domain import Pair, Prompt
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_records
from alignment_prism.store.names import PAIRS
from alignment_prism.studies import Study, StudySpec, build_plan, run_study
from alignment_prism.studies.executors.pool import PRELOADED
from alignment_prism.studies.sources import fetch_models, load_sources

ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {"TOKENIZERS_PARALLELISM": "false"}
CUT: dict[str, Any] = {
    "mixture": {"total": 200},
    "prompt_limit": 2,
    "grid": [{"methods": ["sft", "dpo_ift", "dpo_sft"], "shares": [0, 0.15]}],
}
START, REST = "start and imports", "findings, transfer, report"
PARTS = {
    "mixture": "mixtures", "train": "training", "replies": "replies of arms", "judge": "judging and comparing of arms",
    "compare": "judging and comparing of arms",
}  # fmt: skip
BASE = {"replies of base": "replies of base", "judge base": "judging of base"}
"""Titles of a study's steps -> parts, as the scripts call theirs."""

Parts = dict[str, tuple[float, float]]
"""Part -> seconds by the wall, and by the processor."""


def the_spec(full: bool) -> StudySpec:
    """Of the study: the preset with one seed, cut or whole; without its contrasts, which no script has, and in float32,
    as scripts train, whatever the machine has."""
    text = resources.files("alignment_prism.studies").joinpath("presets/nano-paper.yaml").read_text(encoding="utf-8")
    here = {"seeds": [0], "contrasts": [], "training": {"preset": "nano", "training": {"precision": "fp32"}}}
    return StudySpec.model_validate({**yaml.safe_load(text), **here, **({} if full else CUT)})


class Timed:
    """A reporter that adds a line to a file after each step, so that a study that was stopped is not counted anew."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def note(self, text: str) -> None:
        """Nothing."""

    def skip(self, number: int, total: int, title: str) -> None:
        """Nothing."""

    @contextmanager
    def step(self, number: int, total: int, title: str) -> Iterator[Progress]:
        """A line of what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield lambda done, total, words="", /: None
        self.write(BASE.get(title) or PARTS[title.split()[0]], time.perf_counter() - wall, time.process_time() - cpu)

    def write(self, part: str, wall: float, cpu: float) -> None:
        """A line."""
        with self._file.open("a") as file:
            file.write(json.dumps([part, wall, cpu]) + "\n")


def the_study(out: Path, full: bool) -> None:
    """Body of the study's process."""
    for module in PRELOADED:
        import_module(module)
    timed = Timed(out / "study.jsonl")
    imported, wall = time.process_time(), time.perf_counter()
    before = sum(cpu for _, _, cpu in lines(out / "study.jsonl"))
    run_study(the_spec(full), out / "study", progress=timed, jobs=1)
    steps = lines(out / "study.jsonl")
    timed.write(START, 0.0, imported)  # whoever started the process knows its wall time
    timed.write(REST, time.perf_counter() - wall - sum(wall for _, wall, _ in steps),
                time.process_time() - imported - (sum(cpu for _, _, cpu in steps) - before))  # fmt: skip


def lines(file: Path) -> list[tuple[str, float, float]]:
    """Of a reporter's file."""
    return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def in_a_process(*command: str) -> tuple[str, float, float]:
    """What a command on one core prints, and its seconds by the wall and by the processor."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run = subprocess.run(command, env={**os.environ, **ONE_CORE}, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return run.stdout, time.perf_counter() - wall, cpu


def kept(file: Path, make: Any) -> Any:
    """What a file holds, made and written first where it is not there."""
    if not file.exists():
        found = make()
        file.with_suffix(".part").write_text(json.dumps(found))
        file.with_suffix(".part").replace(file)
    return json.loads(file.read_text())


def study_parts(out: Path, full: bool) -> Parts:
    """Run the study, and say what its parts took."""
    own = [sys.executable, __file__, "--out", str(out), "--study"]
    took = kept(out / "study.json", lambda: in_a_process(*own, *(["--full"] if full else []))[1:])
    parts: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for part, wall, cpu in lines(out / "study.jsonl"):
        parts[part] = (parts[part][0] + wall, parts[part][1] + cpu)
    counted = sum(wall for wall, _ in parts.values())
    parts[START] = (max(took[0] - counted, 0.0), parts[START][1])
    return dict(parts)


def script_parts(out: Path, arms: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Run a script for each arm, and say what their parts took."""
    (out / "arms").mkdir(exist_ok=True)
    found = {}
    script = str(Path(__file__).with_name("matrix_trl.py"))
    for name, arm in arms.items():
        (out / "arms" / f"{name}.json").write_text(json.dumps(arm))

        def run(name: str = name) -> dict[str, Any]:
            said, wall, cpu = in_a_process(sys.executable, script, str(out), name)
            told: dict[str, Any] = json.loads(said.splitlines()[-1])
            told["parts"][START] = [wall - told["wall"], told["parts"][START][1]]
            print(f"{name}: {wall:.0f} s, {cpu:.0f} s of a processor", file=sys.stderr, flush=True)
            return told

        found[name] = kept(out / "arms" / f"{name}.done", run)
    return found


def the_arms(spec: StudySpec, study: Study) -> dict[str, dict[str, Any]]:
    """What the script of each arm is told: method, settings, and the pairs of the study's own mixture."""
    plan = build_plan(spec, fetch_models(load_sources(spec)))
    arms = {}
    for arm in plan.arms:
        if arm.model is None:
            continue
        (trained,) = (one for one in spec.trained if one.name == arm.arm)
        pairs = read_records(arm.model.needs["mixture"].folder(study.out) / PAIRS, Pair)
        config = spec.method_config(trained).model_dump(mode="json")
        arms[arm.arm] = {
            "method": trained.method,
            "pairs": [
                {"messages": [turn.as_dict() for turn in pair.messages], "chosen": pair.chosen,
                 "rejected": pair.rejected} for pair in pairs
            ],
            "recipes": {name: config[name] for name in ("sft", "dpo_ift", "dpo_sft")},
            "training": config["training"],
            "max_tokens": spec.generation.max_tokens,
        }  # fmt: skip
    return arms


def table(heads: list[str], rows: list[list[str]]) -> None:
    """Print rows."""
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


def seconds(parts: Parts) -> Parts:
    """Parts with their sum."""
    return {**parts, "together": (sum(wall for wall, _ in parts.values()), sum(cpu for _, cpu in parts.values()))}


def harm_of(study: Study) -> dict[str, float]:
    """Arm -> harm rate over all harmful prompts."""
    wanted = ("harm_rate", "harmful", "all", "all", "all")
    return {
        row.arm: row.estimate
        for row in study.findings()
        if (row.metric, row.prompts, row.language, row.scope, row.category) == wanted
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all arms, pairs and prompts")
    parser.add_argument("--out", type=Path, help="where everything is kept; results/matrix or results/matrix-full")
    parser.add_argument("--study", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    out = options.out or Path("results") / ("matrix-full" if options.full else "matrix")
    out.mkdir(parents=True, exist_ok=True)
    if options.study:
        the_study(out, options.full)
        return
    ours = study_parts(out, options.full)
    spec, study = the_spec(options.full), Study.open(out / "study")
    write_records(out / "prompts.jsonl", study.prompts(), Prompt)
    arms = the_arms(spec, study)
    scripts = script_parts(out, arms)

    theirs: Parts = {}
    once: Parts = {}
    for number, told in enumerate(scripts.values()):
        for part, (wall, cpu) in told["parts"].items():
            theirs[part] = (theirs.get(part, (0, 0))[0] + wall, theirs.get(part, (0, 0))[1] + cpu)
            if number == 0 or not part.endswith(" of base"):
                once[part] = (once.get(part, (0, 0))[0] + wall, once.get(part, (0, 0))[1] + cpu)
    names = ("alignment-prism", "torch", "transformers", "trl")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    size = (
        f"{len(arms)} arms, {len(next(iter(arms.values()))['pairs'])} pairs, {len(study.prompts())} prompts, one core"
    )
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}; {size}\n")
    sides = [seconds(ours), seconds(theirs), seconds(once)]
    rows = [
        [part, *(f"{side[part][0]:.1f} ({side[part][1]:.1f})" if part in side else "" for side in sides)]
        for part in dict.fromkeys((*theirs, *ours, "together"))
    ]
    table(["seconds by the wall (of a processor)", "one study", "scripts", "scripts, base's replies kept"], rows)
    mine = harm_of(study)
    table(
        ["harmful replies, %", "study", "script"],
        [["base", f"{100 * mine['base']:.1f}", f"{100 * next(iter(scripts.values()))['harm']['base']:.1f}"]]
        + [[name, f"{100 * mine[name]:.1f}", f"{100 * told['harm']['arm']:.1f}"] for name, told in scripts.items()],
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spec.yaml"
        file.write_text(yaml.safe_dump(spec.model_dump(mode="json", exclude_defaults=True)))
        command = [sys.executable, "-m", "alignment_prism.cli.main", "study", "run", str(file)]
        again = [in_a_process(*command, "--out", str(out / "study"))[1:] for _ in range(3)]
    wall, cpu = min(again, key=lambda one: one[1])
    print(f"The finished study run again, the least of three: {wall:.1f} s, {cpu:.1f} s of a processor.")


if __name__ == "__main__":
    main()
