"""What limits the calls of a run, and which answers it shares: one way for studies and for single commands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alignment_prism.calls.budget import Budget
from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain.errors import InputError
from alignment_prism.store.names import CALLS
from alignment_prism.studies.prices import load_prices
from alignment_prism.studies.steps import KINDS, Step


def models_called(steps: Iterable[Step], out: Path) -> set[str]:
    """What the calls are counted under that those of some steps make which are not done."""
    called = ((step, KINDS[step.kind].endpoints(step)) for step in steps)
    return {one.billed_as for step, endpoints in called if endpoints and not step.is_done(out) for one in endpoints}


def budget_for(dollars: float | None, prices: str | Path | None, models: Iterable[str]) -> Budget | None:
    """What may be spent on calls.

    Args:
        dollars: in all; None sets no limit.
        prices: a YAML file with prices in place of those that ship.
        models: Inspect ids that are to be called.

    Raises:
        InputError: the price of one of them is not known.
    """
    if dollars is None:
        return None
    table = load_prices(prices)
    if unknown := sorted(model for model in set(models) if table.of(model) is None):
        raise InputError(
            f"a budget, and no price of {', '.join(unknown)} is known",
            where=str(prices or "prices.yaml"),
            fix=f"write a file with   models: {{{unknown[0]}: [IN, OUT]}}   in US dollars a million tokens",
            settings={"prices": "FILE"},
        )
    return Budget(dollars, table.of)


def shared_answers(folder: str | Path | None, out: str | Path) -> CallJournal | None:
    """The answers that runs share; None where none are shared.

    Args:
        folder: of the cache.
        out: folder of the run's own journal.

    Raises:
        InputError: the cache is a file, or the run's own folder.
    """
    if folder is None:
        return None
    if Path(folder).is_file():
        raise InputError("the cache is a file", where=str(folder), fix="name a folder", settings={"cache": "FOLDER"})
    if Path(folder).resolve() == Path(out).resolve():
        raise InputError(
            "the cache is the study's own folder, which keeps its answers anyway", where=str(folder),
            fix="name a folder that several runs share, outside of their own", settings={"cache": "FOLDER"},
        )  # fmt: skip
    return CallJournal(Path(folder) / CALLS)
