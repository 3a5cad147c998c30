"""Running a build of preference pairs, by the runner of studies: resumable, journalled, nothing done twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import Pair, Prompt, StoreError
from alignment_prism.io import read_records, replacing, write_json
from alignment_prism.models.names import resolve
from alignment_prism.store import folder_lock
from alignment_prism.store.names import CALLS, PAIRS, PLAN, STEPS
from alignment_prism.studies.checks import check_folder_can_be_made
from alignment_prism.studies.executors.local import run_steps
from alignment_prism.studies.progress import Reporter, Silent
from alignment_prism.studies.step_log import Logged
from alignment_prism.studies.steps import Context
from alignment_prism.studies.steps.pairs import DECISIONS, SUMMARY
from alignment_prism.studies.steps.rephrase import REPHRASINGS
from alignment_prism.studies.steps.seeds import EVALUATION
from alignment_prism.studies.synthesis.checks import check_build, check_build_place
from alignment_prism.studies.synthesis.loading import load_build
from alignment_prism.studies.synthesis.plan import BuildPlan, load_build_sources, plan_build
from alignment_prism.studies.synthesis.spec import BuildSpec

BUILD = "build.json"
"""The spec of a build, as plain values, and what came of it."""


@dataclass(frozen=True, slots=True)
class Build:
    """A build that was run.

    Attributes:
        out: its folder.
    """

    out: Path

    def pairs(self) -> list[Pair]:
        """The pairs."""
        return read_records(self.out / PAIRS, Pair)

    def evaluation(self) -> list[Prompt]:
        """What is left of the set to evaluate on: no neighbour of a seed."""
        return read_records(self.out / EVALUATION, Prompt)

    @property
    def spec(self) -> BuildSpec:
        """What was asked for."""
        return BuildSpec.model_validate(self._json()["spec"])

    @property
    def summary(self) -> dict[str, Any]:
        """Counts of seeds, rephrasings, couples and pairs, and refusals among chosen replies."""
        return dict(self._json()["summary"])

    def _json(self) -> dict[str, Any]:
        path = self.out / BUILD
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            fix = "name a folder that prism preferences build wrote"
            raise StoreError(f"the folder holds no build: {BUILD} is missing", where=str(self.out), fix=fix) from error
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot be read: {error}", where=str(path), fix="run the build again") from error


def licences_beside(files: Sequence[str | Path]) -> dict[str, str]:
    """The licences that the specs of the builds say in whose folders files of pairs are.

    Raises:
        StoreError: the index of a build cannot be read.
    """
    folders = {Path(file).parent for file in files}
    builds = [Build(folder) for folder in sorted(folders) if (folder / BUILD).is_file()]
    return {name: licence for build in builds for name, licence in build.spec.licences.items()}


def run_build(
    spec: BuildSpec | str | Path,
    out: str | Path | None = None,
    *,
    progress: Reporter | None = None,
    replace: bool = False,
    retry: bool = False,
) -> Build:
    """Build preference pairs from seed prompts, or go on with that.

    Args:
        spec: of the build, or its YAML file.
        out: its folder, `results/NAME` if None.
        progress: where to report to; None is nowhere.
        replace: replace the pairs of another build in the folder; its finished steps are kept.
        retry: ask again for what failed or has no verdict, and for nothing else.

    Raises:
        PrismError: anything that the user can mend; what was finished until then is kept.

    Example:
        >>> run_build("pairs.yaml", "results/pairs").pairs()
    """
    spec = spec if isinstance(spec, BuildSpec) else load_build(spec)
    out = Path(out) if out is not None else Path("results") / spec.name
    reporter = progress if progress is not None else Silent()
    check_folder_can_be_made(out)
    sources = load_build_sources(spec)
    for note in sources.notes:
        reporter.note(note)
    check_build(spec)
    for name in spec.models:
        found = resolve(name)
        if not found.is_fetched:
            found.folder()
    plan = plan_build(spec, sources)
    out.mkdir(parents=True, exist_ok=True)
    with folder_lock(out):
        check_build_place(out, plan, replace=replace)
        write_json(out / PLAN, plan.as_json())
        for source in plan.sources:
            source.write(out)
        with CallJournal(out / CALLS) as journal:
            run_steps(plan.steps, Context(out, journal), Logged(reporter, out / STEPS), fill_gaps=retry)
        _write_tables(spec, plan, out)
    return Build(out)


def _write_tables(spec: BuildSpec, plan: BuildPlan, out: Path) -> None:
    """The tables that a person opens first, at the top of the folder, and what came of it all."""
    pairs, seeds, prompts = (step.folder(out) for step in (plan.pairs, plan.seeds, plan.prompts))
    files = [(pairs, PAIRS), (pairs, DECISIONS), (seeds, EVALUATION)]
    summary = {"seeds": _read(seeds / "counts.json"), **_read(pairs / SUMMARY)}
    if plan.prompts is not plan.seeds:
        files.append((prompts, REPHRASINGS))
        summary["rephrasings"] = _read(prompts / "diversity.json")
    else:
        (out / REPHRASINGS).unlink(missing_ok=True)
    for folder, name in files:
        with replacing(out / name) as temporary:
            shutil.copyfile(folder / name, temporary)
    write_json(out / BUILD, {"spec": spec.model_dump(mode="json"), "summary": summary})


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
