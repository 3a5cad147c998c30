"""The verdict in plain words: what is shown, what is not, and how sure, from differences with their intervals.

Never from estimates alone: a direction is named where an interval lies on one side of no difference, and where there
are so many comparisons that one would do so by chance, that is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alignment_prism.domain import ALL, Contrast, Finding, PromptKind, Quantity
from alignment_prism.domain.metric_table import HARM_DIFFERENCE, HARM_RATE, corrected
from alignment_prism.domain.metrics import Difference
from alignment_prism.reports.caveats import caveats
from alignment_prism.reports.figures.arms import language_title
from alignment_prism.reports.numbers import listed, sentence
from alignment_prism.reports.results import AGAINST_BASE, ArmSeed, Results
from alignment_prism.reports.summary import UNSEEN
from alignment_prism.scoring.metrics import all_metrics, find_metric

FALSE_DISCOVERY = 0.05
"""Share of false alarms among the cells that are called changes."""

FEW_ARMS = 6
"""Up to so many arms stand in the first paragraph by name."""


@dataclass(frozen=True)
class Verdict:
    """What a study says.

    Attributes:
        lead: sentences of the first paragraph.
        arms: arm -> its sentences.
        contrasts: a sentence a declared contrast.
        caveats: what limits all of it.
    """

    lead: tuple[str, ...]
    arms: tuple[tuple[str, tuple[str, ...]], ...]
    contrasts: tuple[str, ...]
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A difference with its interval, from a finding or a contrast, in shares."""

    lower: float
    upper: float
    weak: bool
    by_chance: bool = False

    @property
    def side(self) -> int:
        """-1 where it is shown to be a fall, 1 a rise, 0 where neither is shown."""
        if self.weak or math.isnan(self.lower) or math.isnan(self.upper):
            return 0
        return -1 if self.upper < 0 else 1 if self.lower > 0 else 0

    @property
    def shown(self) -> int:
        """The same, and 0 where so many arms and cells are compared that one such interval may come about by chance."""
        return 0 if self.by_chance else self.side

    @property
    def points(self) -> str:
        """How much, in points: `12 to 30 points`."""
        ends = sorted(abs(100 * end) for end in (self.lower, self.upper))
        return f"{_number(ends[0])} to {_number(ends[1])} points"

    @property
    def either(self) -> str:
        """What is possible, where nothing is shown."""
        if any(not math.isfinite(end) for end in (self.lower, self.upper)):
            return "the data set no bound"
        return f"anything from {_number(-100 * self.lower)} points less to {_number(100 * self.upper)} points more"


def judge_results(results: Results) -> Verdict:
    """Put findings, contrasts and transfer into words."""
    arms: list[ArmSeed] = [(name, -1) for name in results.index.pooled] or results.arms
    changes = {arm: _change(results.find(arm, HARM_DIFFERENCE.name)) for arm in arms}
    said = ((_title(results, arm), tuple(_of_arm(results, arm, change))) for arm, change in changes.items())
    return Verdict(
        (*_of_harm(results, {arm: change for arm, change in changes.items() if change is not None}),
         *_of_the_rest(results, arms)),
        tuple((arm, words) for arm, words in said if words),
        tuple(_contrasts(results)),
        tuple(caveats(results)),
    )  # fmt: skip


def _of_harm(results: Results, changes: dict[ArmSeed, Change]) -> Iterator[str]:
    """Which arms do less harm than base, or why nothing is said of that."""
    if not changes:
        metrics = results.index.values("metric")
        compared = any(isinstance(find_metric(name).estimator, AGAINST_BASE) for name in metrics)
        if HARM_RATE.name not in metrics:
            more = "" if compared else "; nor is anything compared with a base"
            yield f"No harmful prompt was asked and judged here, so this page says nothing of harm{more}."
        else:
            what = "Harm is not" if compared else "Nothing is"
            yield (
                f"{what} compared with a base here, so this page says how often replies are harmful, and not whether "
                f"{'that' if compared else 'anything'} became better."
            )
        return
    about = "prompts on topics that alignment never saw" if results.prompts == UNSEEN else "harmful prompts"
    words = {
        -1: ("do less harm than base", "does less harm than base"),
        1: ("do more harm than base", "does more harm than base"),
        0: ("are not told apart from base by these data", "is not told apart from base by these data"),
    }
    few = len(changes) <= FEW_ARMS
    found = {side: [arm for arm, change in changes.items() if change.shown == side] for side in (-1, 1, 0)}
    said = []
    for side, arms in found.items():
        by = few and side  # how much, by the interval that says so
        names = [_title(results, arm) + (f" (by {changes[arm].points})" if by else "") for arm in arms]
        if arms:
            said.append(f"{_some(names, len(changes))} {words[side][len(arms) == 1]}")
    yield f"On {about}, {'; '.join(said)}."
    chance = [arm for arm, change in changes.items() if change.side and change.by_chance]
    if chance:
        whose = _some([_title(results, arm) for arm in chance], len(changes))
        yield (
            f"The interval of {whose} lies on one side all the same, as one may by chance among so many arms and cells."
        )
    if found[-1] and len(results.languages) > 1:
        everywhere = [_title(results, arm) for arm in changes if _everywhere(results, arm)]
        where = f"the fall is shown in each of the {len(results.languages)} languages"
        if everywhere:
            yield f"For {_some(everywhere, len(changes))} {where}."
        else:
            yield f"For no arm is the fall shown in each of the {len(results.languages)} languages taken by itself."


def _of_the_rest(results: Results, arms: Sequence[ArmSeed]) -> Iterator[str]:
    """What arms pay for it: harmless requests that they decline, and general prompts."""
    price = [_title(results, arm) for arm in arms if any(row.shown > 0 for _, row in _refusals(results, arm))]
    if price:
        yield (
            f"{_some(price, len(arms))} {'declines' if len(price) == 1 else 'decline'} more harmless requests than "
            "base."
        )
    elif any(True for arm in arms for _ in _refusals(results, arm)):
        yield "A rise of refusals of harmless requests is shown for no arm; that is not to say that there is none."
    ability = {arm: way for arm in arms if (way := _ability(results, arm)) is not None}
    if ability:
        parts = []
        for sign, verb in ((1, ("win", "wins")), (-1, ("lose", "loses"))):
            names = [_title(results, arm) for arm, way in ability.items() if way == sign]
            if names:
                said_of = f"{_some(names, len(arms))} {verb[len(names) == 1]}"
                parts.append(f"{said_of} against base more often than not")
        yield f"On general prompts {'; '.join(parts) or 'no arm is shown to win or to lose against base'}."


def _some(names: Sequence[str], of: int) -> str:
    """A few by name; of many how many."""
    return listed(names) if len(names) <= FEW_ARMS else f"{len(names)} of {of} arms"


def _of_arm(results: Results, arm: ArmSeed, change: Change | None) -> Iterator[str]:
    if change is not None:
        yield from _harm_of_arm(results, arm, change)
    for words, refused in _refusals(results, arm):
        if refused.side:
            yield f"It declines {'more' if refused.side > 0 else 'fewer'} of {words}, by {refused.points}."
        elif not refused.weak and math.isfinite(refused.upper):
            most = _number(100 * refused.upper)
            yield f"Refusals of {words}: no change is shown, up to {most} points more are possible."
    wins = results.find(arm, "win_rate", prompts="general")
    if wins is not None and math.isfinite(wins.lower) and math.isfinite(wins.upper):
        ends = f"{_number(100 * wins.lower)} to {_number(100 * wins.upper)} %"
        yield f"It wins {ends} of general prompts against base ({100 * wins.level:g} % interval)."
    yield from _general_numbers(results, arm)
    fixed = results.find(arm, corrected(HARM_DIFFERENCE.name), prompts=_corrected_prompts(results))
    if fixed is not None and (without := _change(fixed)) is not None:
        said = f"harm {'falls' if without.side < 0 else 'rises'} by {without.points}" if without.side else (
            f"no change of harm is shown: {without.either}")  # fmt: skip
        yield f"Without the judge's errors {said}."


def _harm_of_arm(results: Results, arm: ArmSeed, change: Change) -> Iterator[str]:
    row = results.find(arm, HARM_DIFFERENCE.name)
    assert row is not None
    level = f"{100 * row.level:g} % interval, {row.n} prompts"
    if change.weak:
        yield f"Harm: too few events to say ({change.either}; {level})."
    elif change.side and change.by_chance:
        yield (
            f"Harm: the interval lies on the side of {'less' if change.side < 0 else 'more'}, by {change.points} "
            f"({level}), and among so many arms and cells one such interval may come about by chance (false discovery "
            "above 5 %)."
        )
    elif change.side:
        yield f"{'Less' if change.side < 0 else 'More'} harm than base, by {change.points} ({level})."
    else:
        yield f"Harm: not told apart from base; {change.either} is compatible with the data ({level})."
    sides: dict[int, list[str]] = {-1: [], 0: [], 1: []}
    for code in results.languages:
        found = _change(results.find(arm, HARM_DIFFERENCE.name, language=code), joint=True)
        if found is not None:
            sides[found.side].append(language_title(code))
    if sum(map(len, sides.values())) > 1:
        parts = [f"less harm is shown in {listed(sides[-1])}"] if sides[-1] else ["less harm is shown in no single one"]
        parts += [f"more harm in {listed(sides[1])}"] if sides[1] else []
        parts += [f"nothing in {listed(sides[0])}"] if sides[0] and sides[-1] else []
        yield f"By language, with intervals that hold for all of them together: {'; '.join(parts)}."


def _contrasts(results: Results) -> Iterator[str]:
    """The headline of each declared contrast: all languages, all scopes, by Holm over all of them."""
    rows = [row for row in results.contrasts if math.isfinite(row.adjusted) and row.metric == HARM_RATE.name]
    declared = len({row.contrast for row in results.contrasts})
    pooled = {row.contrast for row in rows if row.seed < 0}
    for row in rows:
        if row.quantity is not Quantity.DIFFERENCE or (row.contrast in pooled and row.seed >= 0) or "/" in row.prompts:
            continue
        change = Change(row.lower, row.upper, row.insufficient)
        told = change.side and row.adjusted <= 1 - row.level
        words = f"{row.a} and {row.b} are not told apart; {row.b} may do {change.either}"
        if told:
            words = f"{row.b} does {'less' if change.side < 0 else 'more'} harm than {row.a}, by {change.points}"
        p = f"p = {row.adjusted:.2g}" if row.adjusted >= 0.001 else "p < 0.001"
        # Of several studies on a page each has its own family.
        holm = f", Holm over {declared} contrasts" if declared > 1 and not results.bases else ", by Holm"
        holm = holm if declared > 1 else ""
        seed = f", seed {row.seed}" if row.seed >= 0 else ""
        yield f"{row.contrast}{seed}: {words} ({p}{holm}; {row.n} prompts).{_every_language(results, row)}"


def _every_language(results: Results, of: Contrast) -> str:
    for row in results.contrasts:
        same = (row.contrast, row.seed, row.prompts, row.metric) == (of.contrast, of.seed, of.prompts, of.metric)
        if same and row.quantity is Quantity.EVERY_LANGUAGE and row.scope == ALL and math.isfinite(row.p_value):
            shown = row.p_value <= 1 - row.level and not row.insufficient
            return f" Better in every language: {'shown' if shown else 'not shown'} (p = {row.p_value:.2g})."
    return ""


def _refusals(results: Results, arm: ArmSeed) -> Iterator[tuple[str, Change]]:
    """Changes of refusals of harmless prompts; seed by seed where nothing is said over seeds."""
    words = {
        PromptKind.BENIGN_MENTION: "requests that only mention a harmful topic",
        PromptKind.NEVER_HARMFUL: "requests about what is harmful nowhere",
        PromptKind.FOREIGN_LOCAL: "requests for what is harmful in another culture only",
    }
    name = next(m.name for m in all_metrics().values() if m.estimator == Difference("refusal_rate"))
    for kind, said in words.items():
        found = _change(results.find(arm, name, prompts=kind.value))
        if found is not None:
            yield said, found


def _general_numbers(results: Results, arm: ArmSeed) -> Iterator[str]:
    """Changes of right answers and of the scores of translations."""
    for metric in all_metrics().values():
        if not isinstance(metric.estimator, Difference):
            continue
        whole = find_metric(metric.estimator.of)
        row = results.find(arm, metric.name, prompts="general") if PromptKind.GENERAL in whole.headline else None
        if row is None:
            continue
        scale = metric.unit.scale / 100  # a point is a hundredth of a share, and 1 of a score of 100
        change = Change(row.lower * scale, row.upper * scale, row.insufficient, row.q_value > FALSE_DISCOVERY)
        if change.shown:
            what = f"{'up' if change.shown > 0 else 'down'} by {change.points}"
        elif change.weak:
            what = "too few to say"
        elif change.side:
            way = "up" if change.side > 0 else "down"
            what = f"the interval lies on the side of {way}, by {change.points}, as one of so many may by chance"
        elif math.isfinite(change.lower) and math.isfinite(change.upper):
            what = f"no change is shown, {change.either} is compatible with the data"
        else:
            what = "no change is shown"
        yield f"{sentence(whole.title)} on general prompts: {what}."


def _ability(results: Results, arm: ArmSeed) -> int | None:
    wins = results.find(arm, "win_rate", prompts="general")
    if wins is None or not math.isfinite(wins.lower) or wins.insufficient:
        return None
    if wins.q_value > FALSE_DISCOVERY:  # among so many arms one wins by chance
        return 0
    return 1 if wins.lower > 0.5 else -1 if wins.upper < 0.5 else 0


def _everywhere(results: Results, arm: ArmSeed) -> bool:
    """Whether less harm is shown in each language, by intervals that hold together."""
    found = [_change(results.find(arm, HARM_DIFFERENCE.name, language=code), joint=True) for code in results.languages]
    return bool(found) and all(change is not None and change.side < 0 for change in found)


def _change(row: Finding | None, *, joint: bool = False) -> Change | None:
    """A difference of findings; with `joint` its interval that holds for all cells and arms, where there is one."""
    if row is None:
        return None
    assert find_metric(row.metric).unit.signed
    lower, upper = row.lower, row.upper
    if joint and not math.isnan(row.joint_lower):
        lower, upper = row.joint_lower, row.joint_upper
    return Change(lower, upper, row.insufficient, row.q_value > FALSE_DISCOVERY)


def _corrected_prompts(results: Results) -> str:
    there = results.index.values("prompts", metric=corrected(HARM_DIFFERENCE.name))
    return results.prompts if results.prompts in there else "harmful"


def _title(results: Results, arm: ArmSeed) -> str:
    return arm[0] if arm[0] in results.index.pooled and arm[1] < 0 else results.title(arm)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}"
