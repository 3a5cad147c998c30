"""Pairing: the prompts of several runs laid side by side, and what each run has of them.

An id stands for one prompt: where two runs have another text, language or kind under one id, nothing is compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError, Prompt, Role, Run
from alignment_prism.domain.metrics import AnyReply, Mean, Metric, Missing, Preference, Share
from alignment_prism.domain.records import OUTCOME, UNKNOWN_LANGUAGE
from alignment_prism.evaluation.estimates import CellSums
from alignment_prism.evaluation.observations import Observations, observe
from alignment_prism.evaluation.win_rate import Compared, compared_with
from alignment_prism.generation.completeness import answered
from alignment_prism.statistics.changes.win_rates import LOSS, TIE, WIN, combine_orders
from alignment_prism.statistics.grouped import GroupedChanges

Table = npt.NDArray[np.float64]
"""P x k numbers, NaN where there is none."""


@dataclass(frozen=True)
class _Side:
    """One run, joined.

    Attributes:
        run: whose prompts with all replies are there.
        arm: name of the arm in its records.
        observations: of its prompts.
        rows: of its prompts in the table of all.
        unanswered: its prompts that lack a reply, and are left out.
        compared: its comparisons with another arm; None where there are none.
    """

    run: Run
    arm: str
    observations: Observations
    rows: npt.NDArray[np.intp]
    unanswered: int
    compared: Compared | None


class PairedRuns:
    """Runs on the same prompts.

    Args:
        runs: one arm each, their names different.

    Attributes:
        names: of the runs.
        prompts: P prompts that any run answered, each once.
        matched_by: `id`; `text` where the runs have no id in common but the texts.

    Raises:
        InputError: a run has several arms, or records that do not fit together; two runs have other prompts under one
            id, or none in common.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.names = [run.name for run in runs]
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise InputError(f"two runs are called {twice[0]!r}", fix="give every run a name of its own")
        found = matched_by(runs)
        if found is None:
            raise InputError(
                f"{' and '.join(self.names)} have no prompt in common, neither by id nor by text",
                fix="compare runs on the same prompts",
            )
        self.matched_by = found
        places: dict[str, int] = {}
        self.prompts: list[Prompt] = []
        self._sides: dict[str, _Side] = {}
        for run in runs:
            arms = list(dict.fromkeys(reply.arm for reply in run.generations))
            if len(arms) != 1:
                what = f"run {run.name!r} has replies of {len(arms)} arms" + (f": {', '.join(arms)}" if arms else "")
                raise InputError(what, where=run.where or None, fix="a run is one arm; say which")
            prompts, replies = answered(run.prompts, run.generations)
            observations = observe(prompts, replies, run.scores)
            rows = [self._place(prompt, run, places) for prompt in prompts]
            if len(set(rows)) < len(rows):
                what = f"run {run.name!r} has one prompt twice, under several ids or one"
                raise InputError(what, where=run.where or None, fix="keep each prompt once")
            left = len(run.prompts) - len(prompts)
            place = {prompt.id: number for number, prompt in enumerate(prompts)}
            known = [one for one in run.comparisons if one.prompt_id in place]
            compared = compared_with(known, place) if known else None
            self._sides[run.name] = _Side(run, arms[0], observations, np.array(rows, np.intp), left, compared)

    @property
    def clusters(self) -> npt.NDArray[np.str_]:
        """The P names of independent clusters."""
        return np.array([prompt.cluster for prompt in self.prompts], dtype=np.str_)

    def values(self, name: str, metric: Metric) -> Table | None:
        """What a run says of a metric on all prompts, those that it lacks as NaN; None where it says nothing at all.

        Raises:
            InputError: a share is to be taken of other numbers than 0 and 1.
        """
        side, estimator = self._sides[name], metric.estimator
        found: Table | None = None
        if isinstance(estimator, Preference):
            found = None if side.compared is None else _preferences(side.compared, estimator)
        elif isinstance(estimator, AnyReply):
            found = side.observations.values(side.arm, Share(estimator.score, estimator.label))
            found = None if found is None else found.max(axis=1, keepdims=True)  # unknown where any reply is unjudged
        elif isinstance(estimator, (Share, Mean, Missing)):
            found = side.observations.values(side.arm, estimator)
        else:
            raise InputError(
                f"{metric.name} is no number of single prompts, so two runs cannot be paired by it",
                fix="name a metric of single replies or comparisons, such as harm_rate or win_rate",
            )
        if found is None:
            return None
        table = np.full((len(self.prompts), found.shape[1]), np.nan)
        table[side.rows] = found
        if metric.denominator.checkable:
            table[[not prompt.reference for prompt in self.prompts]] = np.nan
        return table

    def shared(self, a: str, b: str) -> npt.NDArray[np.bool_]:
        """Of the P prompts: whether both runs answered."""
        return np.asarray(self._answered(a) & self._answered(b))

    def facts(self, name: str) -> dict[str, str]:
        """How a run was measured: what its records say, and what it says of itself beyond that."""
        side = self._sides[name]
        observations = side.observations
        scores = next(iter(observations.scores.values()), None)
        known = {
            "judge": observations.scorer or (scores.scorer if scores else ""),
            "rubric": observations.rubric or (scores.rubric if scores else ""),
            "sampling": f"k {observations.outcomes[side.arm].shape[1]}, temperature "
            + observations.temperatures.get(side.arm, "0"),
        }
        if side.compared is not None:
            known["opponent"] = side.compared.opponent
            known["judge"] = known["judge"] or side.compared.judge
        said = {fact: text for fact, text in side.run.facts.items() if text}
        return {**said, **{fact: text for fact, text in known.items() if text and fact not in said}}

    def differences(self, a: str, b: str) -> dict[str, tuple[str, str]]:
        """In which facts that both say two runs differ, and what each says."""
        one, other = self.facts(a), self.facts(b)
        return {fact: (one[fact], other[fact]) for fact in one if fact in other and one[fact] != other[fact]}

    def weights(self, name: str) -> set[str]:
        """Digests of the weights that replied."""
        return {reply.weights for reply in self._sides[name].run.generations} - {""}

    def score_names(self, name: str) -> set[str]:
        """Names of the scores that a run has: `outcome` where a reply has one."""
        observations = self._sides[name].observations
        return {*observations.scores, *([OUTCOME] if observations.scorer else [])}

    def counted(self, a: str, b: str) -> list[str]:
        """How many prompts are shared and how many are not, in words."""
        words = [f"{int(self.shared(a, b).sum())} prompts in both runs, matched by {self.matched_by}"]
        for one, other in ((a, b), (b, a)):
            alone = int((self._answered(one) & ~self._answered(other)).sum())
            if alone:
                words.append(f"{alone} prompts in {one} only: not compared")
            if self._sides[one].unanswered:
                words.append(f"{self._sides[one].unanswered} prompts of {one} lack a reply: left out")
        return words

    def _answered(self, name: str) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(self.prompts), bool)
        found[self._sides[name].rows] = True
        return found

    def _place(self, prompt: Prompt, run: Run, places: dict[str, int]) -> int:
        key = prompt.id if self.matched_by == "id" else _text_key(prompt)
        if key not in places:
            places[key] = len(self.prompts)
            self.prompts.append(prompt)
            return places[key]
        row = places[key]
        self.prompts[row] = _merged(self.prompts[row], prompt, run)
        return row


def _preferences(compared: Compared, estimator: Preference) -> Table:
    """P x 1: what a prompt counts, NaN where an order lacks."""
    verdict = combine_orders(*compared.orders)
    counts = {WIN: estimator.win, TIE: estimator.tie, LOSS: estimator.loss}
    return np.select([verdict == code for code in counts], list(counts.values()), np.nan)[:, None]


def changes(sums: CellSums, metric: Metric, b: Table, a: Table) -> GroupedChanges:
    """Changes of all cells whose differences are those of b and a.

    A win-rate changes by halves too: a prompt counts by how far it goes up or down, not by what two draws from ties
    would give.
    """
    if isinstance(metric.estimator, Preference):
        return sums.changes(np.maximum(b - a, 0.0), np.maximum(a - b, 0.0))
    return sums.changes(b, a)


def matched_by(runs: Sequence[Run]) -> str | None:
    """`id` where every run shares ids of prompts with the first, `text` where it shares texts; else None."""
    first = runs[0]
    ids, texts = {prompt.id for prompt in first.prompts}, {_text_key(prompt) for prompt in first.prompts}
    if all(not ids.isdisjoint(prompt.id for prompt in run.prompts) for run in runs[1:]):
        return "id"
    if all(not texts.isdisjoint(_text_key(prompt) for prompt in run.prompts) for run in runs[1:]):
        return "text"
    return None


def _asked(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    """The conversation without system prompts, which are the run's and not the prompt's."""
    return tuple((m.role.value, m.content.strip()) for m in prompt.messages if m.role is not Role.SYSTEM)


def _text_key(prompt: Prompt) -> str:
    return repr(_asked(prompt))


def _merged(known: Prompt, prompt: Prompt, run: Run) -> Prompt:
    """One prompt of two runs: what the one does not say, the other may.

    Raises:
        InputError: they are not the same prompt.
    """
    languages = {known.language, prompt.language} - {UNKNOWN_LANGUAGE}
    for what, differs in (
        ("texts", _asked(known) != _asked(prompt)),
        ("languages", len(languages) > 1),
        ("kinds", known.kind is not prompt.kind),
        ("scopes", None not in (known.scope, prompt.scope) and known.scope is not prompt.scope),
    ):
        if differs:
            raise InputError(
                f"prompt {prompt.id!r} has two {what}: one in run {run.name!r}, another in those before it",
                where=run.where or None,
                fix="give prompts ids of their own, the same in every run",
            )
    return replace(
        known,
        language=next(iter(languages), known.language),
        scope=known.scope or prompt.scope,
        group=known.group or prompt.group,
        reference=known.reference or prompt.reference,
    )
