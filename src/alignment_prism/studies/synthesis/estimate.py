"""What the steps of a build take, before anything is done: upper bounds, reckoned as those of studies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alignment_prism.models.names import resolve
from alignment_prism.studies.prices import Prices
from alignment_prism.studies.reckoning import Estimate, called, computed
from alignment_prism.studies.synthesis.plan import BuildPlan, BuildSources, size_of
from alignment_prism.studies.synthesis.spec import BuildSpec, WriterSpec

INSTRUCTIONS = 700
"""Tokens of a judge's instructions besides the prompt and the replies."""

VERDICT = 150
"""Tokens of a verdict with its reason."""


def estimate_build(
    plan: BuildPlan,
    spec: BuildSpec,
    sources: BuildSources,
    prices: Prices,
    *,
    done: set[str] | frozenset[str] = frozenset(),
    parameters: Callable[[str], int],
) -> list[Estimate]:
    """What the steps that are not done take, if every rephrasing is kept and every text is as long as it may be.

    Args:
        plan: of the build.
        spec: that it was made from.
        sources: as well.
        prices: of GPU and tokens.
        done: keys of steps that are done.
        parameters: folder or Hub id of a model on this machine -> its parameters, 0 where they are not known.
    """
    seeds, prompts, length = size_of(spec, sources)
    sides = {side.name: side for side in spec.complete}
    found: dict[str, Estimate] = {}

    def writes(what: str, writer: WriterSpec, calls: int, read: int) -> Estimate:
        model, written = resolve(writer.model), calls * writer.max_tokens
        if model.is_api:
            return _at_most(called(f"{what} by {writer.model}", writer.model, calls, read, written, prices))
        operations = 2.0 * (read + written) * parameters(model.id)
        return computed(f"{what} by {writer.model}", read, written, operations, prices.gpu, prices.gpu.replies)

    for step in plan.steps:
        parts: list[Estimate] = []
        if step.key in done:
            continue
        if step.kind == "rephrase" and spec.rephrase is not None:
            parts = [writes("rephrase", spec.rephrase, seeds, seeds * (length + 100))]
        elif step.kind == "complete":
            side = sides[step.arm]
            calls = prompts * _samples(side.name, spec) * (2 if side.way == "revise" else 1)
            more = {"plain": 0, "safe": 100, "revise": 150 + 2 * side.max_tokens}[side.way]
            parts = [writes("complete", side, calls, calls * (length + more))]
        elif step.kind == "rank":
            most = max(side.max_tokens for side in spec.complete)
            calls = 2 * prompts * spec.rank.couples
            read = calls * (length + INSTRUCTIONS + 2 * most)
            parts = [
                _at_most(called(f"rank by {judge.model}", judge.model, calls, read, calls * VERDICT, prices))
                for judge in spec.rank.judges
            ]
        elif step.kind == "score" and spec.rank.outcomes is not None:
            side = sides[step.arm]
            calls = prompts * _samples(side.name, spec)
            read = calls * (length + INSTRUCTIONS + side.max_tokens)
            parts = [
                _at_most(
                    called(f"judge by {one.model}", one.model, calls, read, calls * (one.max_tokens or VERDICT), prices)
                )
                for one in spec.rank.outcomes.everyone
            ]
        for part in parts:
            found[part.what] = part if part.what not in found else found[part.what] + part
    return list(found.values())


def _samples(name: str, spec: BuildSpec) -> int:
    """Replies of a side to a prompt: a side that revises has as many as the one whose replies it revises."""
    side = next(one for one in spec.complete if one.name == name)
    return _samples(side.of, spec) if side.of else side.samples


def _at_most(cost: Estimate) -> Estimate:
    return replace(cost, at_most=True)
