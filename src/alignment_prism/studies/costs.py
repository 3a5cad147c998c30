"""A dry run: what a study would do and cost, found out without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from alignment_prism.domain import Score, StoreError
from alignment_prism.io import read_records
from alignment_prism.store.remote import RemoteStore
from alignment_prism.studies.checks import check_folder_can_be_made, check_judges, check_place, check_study
from alignment_prism.studies.estimate import estimate
from alignment_prism.studies.executors.failures import dependents
from alignment_prism.studies.loading import load_spec
from alignment_prism.studies.notes import study_notes
from alignment_prism.studies.plan import Plan, build_plan
from alignment_prism.studies.prices import Prices, load_prices
from alignment_prism.studies.reckoning import Estimate
from alignment_prism.studies.sources import Sources, load_sources
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps import KINDS
from alignment_prism.studies.synthesis.estimate import estimate_build
from alignment_prism.studies.synthesis.plan import plan_build


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a study would do.

    Attributes:
        spec: of the study.
        sources: that it would start from.
        plan: its steps.
        done: keys of those that are done.
        costs: of the others, by kind and model.
        prices: that these were reckoned with.
        obstacle: why it could not be run in its folder as it is; None where it could.
    """

    spec: StudySpec
    sources: Sources
    plan: Plan
    done: frozenset[str]
    costs: tuple[Estimate, ...]
    prices: Prices
    obstacle: StoreError | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of it before any number."""
        return study_notes(self.spec, self.sources)

    @property
    def calls(self) -> int:
        """Of models behind an API, together, at most."""
        return sum(one.calls for one in self.costs)

    @property
    def dollars(self) -> float:
        """Of everything that has a price."""
        return sum(one.dollars or 0.0 for one in self.costs)


def dry_run(
    spec: StudySpec | str | Path,
    out: str | Path | None = None,
    *,
    prices: str | Path | None = None,
    cache: str | Path | None = None,
    retry_unjudged: bool = False,
    replace: bool = False,
    known: Sequence[str | Path] = (),
    sources: Sources | None = None,
    store: str | None = None,
) -> DryRun:
    """Check a study and everything that it names, and reckon what its steps that are not done take; nothing is called.

    Args:
        spec: as of `run_study`, as are the others.
        out: as well; it need not be there.
        prices: a YAML file with prices and speeds in place of those that ship.
        cache: as well.
        retry_unjudged: as well.
        replace: as well.
        known: as well.
        sources: as well.
        store: as well; what it has counts as done.

    Raises:
        PrismError: what would stop the study before its first step, but for a folder that holds other findings.

    Example:
        >>> dry_run("mine.yaml").dollars
    """
    table = load_prices(prices)
    spec = spec if isinstance(spec, StudySpec) else load_spec(spec)
    folder = Path(out) if out is not None else Path("results") / spec.name
    check_folder_can_be_made(folder)
    sources = sources if sources is not None else load_sources(spec)
    check_study(spec, sources)
    plan = build_plan(spec, sources)
    check_judges(spec, sources, plan, folder)
    there = set() if store is None else RemoteStore(store).keys() & {step.key for step in plan.steps}
    finished = {step.key: step for step in plan.steps if step.is_done(folder)}
    gaps = {key for key, step in finished.items() if retry_unjudged and KINDS[step.kind].has_gaps(step.folder(folder))}
    done = frozenset(
        (finished.keys() | there & {step.key for step in plan.steps}) - gaps - dependents(plan.steps, gaps)
    )
    obstacle = None
    try:
        check_place(folder, plan, spec, replace=replace or retry_unjudged)
    except StoreError as error:
        obstacle = error
    built: list[Estimate] = []
    ready, parameters = done, partial(parameters_of, prices=table)
    if sources.build is not None:
        build = plan_build(*sources.build)
        built = estimate_build(build, *sources.build, table, done=done, parameters=parameters)
        ready = done | build.keys
    costs = estimate(
        plan, spec, sources, table, done=ready, parameters=parameters, out=folder,
        cache=None if cache is None else Path(cache),
        known=[score for path in known for score in read_records(path, Score)],
    )  # fmt: skip
    return DryRun(spec, sources, plan, done, (*built, *costs), table, obstacle)


def parameters_of(model: str, prices: Prices) -> int:
    """Parameters of a model on this machine, by its files; by the table where these are not there, and 0 if that does
    not know it either."""
    from alignment_prism.models.folders import cached_snapshot
    from alignment_prism.models.weights import parameters_in

    folder = Path(model) if Path(model).is_dir() else cached_snapshot(model.removeprefix("hub:"))
    counted = 0 if folder is None else parameters_in(folder)
    return counted or round(1e9 * prices.parameters.get(model.removeprefix("hub:"), 0))
