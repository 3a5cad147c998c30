"""What a study would do and cost, on the terminal; and what it did cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alignment_prism.cli.console import echo

if TYPE_CHECKING:
    from alignment_prism.calls.budget import Usage
    from alignment_prism.studies import DryRun, StudySpec
    from alignment_prism.studies.prices import Prices
    from alignment_prism.studies.reckoning import Estimate
    from alignment_prism.studies.steps import Step


def echo_dry_run(found: DryRun, out: str | Path, budget: float | None = None) -> None:
    """The steps of a study, and what those that are left take, a line a kind and model.

    Args:
        found: what it would do.
        out: its folder.
        budget: US dollars that it may cost; None where nobody said.
    """
    from alignment_prism.cli.remedies import advice

    echo(f"{found.spec.name}: {_counts(found)}")
    for what in found.sources.left_out:
        echo(f"left out: {what}", err=True)
    for note in found.notes:
        echo(f"note: {note}", err=True)
    echo_steps(found.plan.steps, found.done, out)
    echo_costs(found.costs, found.prices, budget)
    if (error := found.obstacle) is not None:  # the plan stands; running it needs another folder, or --replace
        command = click.get_current_context().command
        echo(f"note: {error.what}: {advice(error.fix or '', error.settings, command)}", err=True)


def echo_steps(steps: Sequence[Step], done: Collection[str], out: str | Path) -> None:
    """The steps of a plan, a line each with the numbers of those that it needs, and how many are to be done.

    Args:
        steps: in working order.
        done: keys of those that are done.
        out: folder of their artifacts.
    """
    numbers = {step.key: number for number, step in enumerate(steps, start=1)}
    width = len(str(len(steps)))
    for number, step in enumerate(steps, start=1):
        needed = sorted({numbers[one.key] for one in step.needs.values() if one.key in numbers})  # sources have none
        after = f" (after {', '.join(map(str, needed))})" if needed else ""
        echo(f"[{number:>{width}}/{len(steps)}] {step.title}{after}{': done' if step.key in done else ''}")
    echo(f"{sum(step.key not in done for step in steps)} of {len(steps)} steps to do, into {out}")


def echo_usage(used: Mapping[str, Usage], prices: str | None) -> None:
    """What calls came to, a line a model; nothing where there were none.

    Args:
        used: by model.
        prices: a table of one's own.
    """
    from alignment_prism.studies.prices import load_prices

    table = load_prices(prices) if used else None
    for model, one in used.items():
        dollars = one.dollars(table.of(model)) if table is not None else None
        parts = [f"{_calls(one.calls)}, {one.tokens_in:,} tokens read, {one.tokens_out:,} written"]
        parts += [f"{one.uncounted:,} of them not counted by the provider"] if one.uncounted else []
        parts += [] if dollars is None else [f"${dollars:,.4f}"]
        echo(f"{model}: {', '.join(parts)}", err=True)


def echo_cost(cost: Estimate) -> None:
    """What the steps of one kind take with one model, in a line."""
    echo(_line(cost))


def _calls(number: int) -> str:
    return f"{number:,} call{'s' * (number != 1)}"


def _line(cost: Estimate) -> str:
    parts = [f"{cost.steps} step{'s' * (cost.steps != 1)}"]
    parts += [f"{'at most ' if cost.at_most else ''}{_calls(cost.calls)}"] if cost.gpu_hours == 0 else []
    parts.append(f"{cost.tokens_in:,} tokens read, {cost.tokens_out:,} written at most")
    if cost.gpu_hours != 0:
        parts.append(
            "parameters unknown (fetch the model, or add it to --prices)"
            if cost.gpu_hours is None
            else f"{cost.gpu_hours:,.3g} GPU-hours"
        )
    parts.append("no price known" if cost.dollars is None else f"${cost.dollars:,.2f}")
    return f"{cost.what}: {', '.join(parts)}"


def echo_costs(costs: Sequence[Estimate], prices: Prices, budget: float | None) -> None:
    """What steps take, a line a kind and model, and all of them together; nothing where there are none."""
    for cost in costs:
        echo_cost(cost)
    if costs:
        echo(_together(costs, prices, budget))


def _together(costs: Sequence[Estimate], prices: Prices, budget: float | None) -> str:
    from alignment_prism.studies.reckoning import CHARACTERS

    gpu, dollars = prices.gpu, sum(cost.dollars or 0.0 for cost in costs)
    some = " without what has no price" if any(cost.dollars is None for cost in costs) else ""
    words = (
        f"together {sum(cost.calls for cost in costs):,} calls, ${dollars:,.2f}{some}, reckoned with {CHARACTERS} "
        "characters a token"
    )
    if any(cost.gpu_hours != 0 for cost in costs):
        words += (
            f", {gpu.name} at ${gpu.per_hour:g} an hour, {gpu.tflops:g} TFLOP/s used to {100 * gpu.training:g} % by "
            f"trainings and {100 * gpu.replies:g} % by replies"
        )
    if budget is not None and dollars > budget:
        words += f"; more than the budget of ${budget:,.2f}, which may stop it before the end"
    return f"{words}; --prices takes a table of your own"


def _counts(found: DryRun) -> str:
    """What the study starts from and how large it is, in one line."""
    spec: StudySpec = found.spec
    parts = [f"{len(found.sources.prompts)} prompts", f"{len(spec.arms)} arms"]
    if spec.trained:
        pairs = f"{len(found.sources.safety)} safety and {len(found.sources.general)} general pairs"
        parts = [pairs, *parts, f"seeds {', '.join(map(str, spec.seeds))}"]
    return ", ".join(parts)
