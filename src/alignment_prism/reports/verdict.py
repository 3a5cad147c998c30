"""The verdict in plain words: what is shown, what is not, and how sure, from differences with their intervals.

Never from estimates alone: a direction is named where an interval lies on one side of no difference, and where there
are so many comparisons that one would do so by chance, that is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from alignment_prism.domain import ALL, MACRO, Contrast, Finding, Quantity
from alignment_prism.domain.metric_table import HARM_DIFFERENCE, HARM_RATE, REFUSAL_DIFFERENCE, corrected
from alignment_prism.reports.bases import FEW_ARMS, bases_in_words
from alignment_prism.reports.caveats import caveats
from alignment_prism.reports.changes import (
    FALSE_DISCOVERY,
    HARMLESS,
    Change,
    by_chance,
    change_of,
    in_seeds,
    in_words,
    least,
    number,
    of_general_prompts,
    of_which,
    said,
)
from alignment_prism.reports.figures.arms import language_title
from alignment_prism.reports.numbers import listed, sentence
from alignment_prism.reports.results import AGAINST_BASE, ArmSeed, Results
from alignment_prism.reports.summary import UNSEEN
from alignment_prism.scoring.metrics import find_metric

CHANGED = {1: ("goes up", "go up"), -1: ("goes down", "go down")}
HARM = {-1: ("does less harm", "do less harm"), 1: ("does more harm", "do more harm")}
WON = {1: ("wins more often than not", "win more often than not"),
       -1: ("loses more often than not", "lose more often than not")}  # fmt: skip
"""What a seed, or several, show by themselves."""


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


def judge_results(results: Results) -> Verdict:
    """Put findings, contrasts and transfer into words: an arm once, whatever its seeds.

    What findings tell over seeds is told over them; all else in how many seeds its own interval shows it.
    """
    names = list(dict.fromkeys(name for name, _ in results.arms))
    harm = {name: _told(results, name, HARM_DIFFERENCE.name) for name in names}
    arms = ((name, tuple(_of_arm(results, name, harm[name]))) for name in names)
    return Verdict(
        (*_of_harm(results, {name: changes for name, changes in harm.items() if changes}),
         *filter(None, [bases_in_words(results.index)]), *_of_the_rest(results, names)),
        tuple((name, words) for name, words in arms if words),
        tuple(_contrasts(results)),
        tuple(caveats(results)),
    )  # fmt: skip


def _of_harm(results: Results, harm: Mapping[str, Sequence[Change]]) -> Iterator[str]:
    """Which arms do less harm than base, or why nothing is said of that."""
    if not harm:
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
    signs = {name: [change.shown for change in changes] for name, changes in harm.items()}
    few = len(harm) <= FEW_ARMS
    parts = []
    for side in words:
        by = {name: f"by {one.points}" for name, (one, *more) in harm.items() if few and side and not more}
        names, alone = _who(signs, side, by)
        parts += [f"{names} {words[side][alone]}"] if names else []
    yield f"On {about}, {'; '.join(parts)}."
    chance = {name: [int(bool(one.side and one.by_chance)) for one in changes] for name, changes in harm.items()}
    whose, _ = _who(chance, 1)
    if whose:
        yield (
            f"The interval of {whose} lies on one side all the same, as one may by chance among so many arms and cells."
        )
    if any(-1 in own for own in signs.values()) and len(results.languages) > 1:
        everywhere, _ = _who({name: [int(_everywhere(results, name))] for name in harm}, 1)
        where = f"the fall is shown in each of the {len(results.languages)} languages"
        if everywhere:
            yield f"For {everywhere} {where}."
        else:
            yield f"For no arm is the fall shown in each of the {len(results.languages)} languages taken by itself."


def _of_the_rest(results: Results, names: Sequence[str]) -> Iterator[str]:
    """What arms pay for it: harmless requests that they decline, and general prompts."""
    refused = {name: [any(one.shown > 0 for one in own) for own in _refusals(results, name)] for name in names}
    price, alone = _who(refused, True)
    if price:
        yield f"{price} {'declines' if alone else 'decline'} more harmless requests than base."
    elif any(refused.values()):
        yield "A rise of refusals of harmless requests is shown for no arm; that is not to say that there is none."
    wins = {name: rows for name in names if (rows := _wins(results, name))}
    told = {name for name, rows in wins.items() if not all(row.insufficient for row in rows)}
    if told:
        by_opponent: dict[str, dict[str, list[int]]] = {}
        for name, rows in wins.items():
            lacking = [0] * (len(results.told(name, "win_rate", "general")) - len(rows))
            by_opponent.setdefault(results.opponent(name), {})[name] = [*map(_won, rows), *lacking]
        parts = []
        for opponent, of_arms in by_opponent.items():
            for sign, verb in ((1, ("win", "wins")), (-1, ("lose", "loses"))):
                who, alone = _who(of_arms, sign)
                parts += [f"{who} {verb[alone]} against {opponent} more often than not"] if who else []
        none = f"no arm is shown to win or to lose against {' or '.join(by_opponent)}"
        yield f"On general prompts {'; '.join(parts) or none}."
    for metric, of in of_general_prompts():
        signs = {name: [one.shown for one in _told(results, name, metric.name, "general")] for name in names}
        ways = [f"{way} for {who}" for sign, way in ((1, "up"), (-1, "down")) if (who := _who(signs, sign)[0])]
        if ways:
            yield f"{sentence(of.title)} on general prompts: {'; '.join(ways)}."


def _who(signs: Mapping[str, Sequence[int]], sign: int, by: Mapping[str, str] | None = None) -> tuple[str, bool]:
    """Of which arms a sign is shown, and whether it is one arm: a few by name, of many how many.

    Args:
        signs: arm -> one for each of its seeds that tell, or one over all of them.
        sign: looked for.
        by: arm -> what to say of it beside its name.
    """
    found = {name: sum(one == sign for one in own) for name, own in signs.items() if sign in own}
    if len(found) > FEW_ARMS:
        whole = sum(number == len(signs[name]) for name, number in found.items())
        several = any(len(own) > 1 for own in signs.values())
        seeds = f" in every seed, {len(found) - whole} in some of their seeds," if several else ""
        return f"{whole} of {len(signs)} arms{seeds}", False
    names = [
        f"{name}{in_seeds(times, len(signs[name]))}" + (f" ({by[name]})" if by and name in by else "")
        for name, times in found.items()
    ]
    return listed(names), len(found) == 1


def _of_arm(results: Results, name: str, harm: Sequence[Change]) -> Iterator[str]:
    if harm:
        yield from _harm_of_arm(results, name, harm)
    for kind, words in HARMLESS.items():
        if refused := _in_words(results, name, REFUSAL_DIFFERENCE.name, kind.value):
            yield f"Refusals of {words}: {refused}."
    if wins := _wins(results, name):
        seeds = len(results.told(name, "win_rate", "general"))
        parts = []
        for sign in dict.fromkeys(map(_won, wins)):
            own = [row for row in wins if _won(row) == sign]
            ends = least(row.lower for row in own), -least(-row.upper for row in own)
            low, high = (number(100 * end) for end in ends)
            parts.append(f"{low} to {high} %{in_seeds(len(own), seeds)}")
        level = f"{100 * wins[0].level:g} % interval{'s' * (len(wins) > 1)}"
        if results.over_seeds(name, "win_rate", "general") is not None:
            alone = [] if _won(wins[0]) else [_won(row) for row in _win_rates(results, results.seeds_of(name))]
            level += f", {said(wins[0], 'seeds'):.0f} seeds{of_which(alone, WON)}"
        weak = sum(row.insufficient for row in wins)
        level += f"; too few to rely on{in_seeds(weak, seeds)}" if weak else ""
        chance = sum(not row.insufficient and by_chance(row) and not row.lower <= 0.5 <= row.upper for row in wins)
        level += f"; on one side, as one of so many may by chance{in_seeds(chance, seeds)}" if chance else ""
        yield f"It wins {listed(parts)} of general prompts against {results.opponent(name)} ({level})."
    for metric, of in of_general_prompts():
        if found := _in_words(results, name, metric.name, "general"):
            yield f"{sentence(of.title)} on general prompts: {found}."
    yield from _without_errors(results, name)


def _without_errors(results: Results, name: str) -> Iterator[str]:
    """The same changes without the judge's errors: of all prompts, or where these are known by language, their mean."""
    of_harm = corrected(HARM_DIFFERENCE.name)
    there = results.index.values("prompts", metric=of_harm)
    about = [(of_harm, results.prompts if results.prompts in there else "harmful", "harm")]
    of_refusals = corrected(REFUSAL_DIFFERENCE.name)
    about += [(of_refusals, kind.value, f"refusals of {words}") for kind, words in HARMLESS.items()]
    for metric, prompts, what in about:
        for language, mean in ((ALL, ""), (MACRO, " in the mean of languages")):
            if found := _in_words(results, name, metric, prompts, language):
                yield f"Without the judge's errors, {what}{mean}: {found}."
                break


def _harm_of_arm(results: Results, name: str, harm: Sequence[Change]) -> Iterator[str]:
    arms = results.harm_of(name)
    row, *others = (row for arm in arms if (row := results.find(arm, HARM_DIFFERENCE.name)) is not None)
    numbers = sorted({row.n, *(one.n for one in others)})
    level = f"{100 * row.level:g} % interval, {' to '.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))} prompts"
    over = results.over_seeds(name, HARM_DIFFERENCE.name) is not None
    change = harm[0]
    if over:
        alone = [] if change.shown else _changes(results, results.seeds_of(name), HARM_DIFFERENCE.name)
        level += f", {said(row, 'seeds'):.0f} seeds{of_which([one.shown for one in alone], HARM)}"
    if len(harm) > 1:
        yield f"Harm: {in_words(harm)} ({level})."
        return
    if change.weak:
        yield f"Harm: too few events to say ({change.either}; {level})."
    elif change.side and change.by_chance:
        why = "arms one such interval may come about by chance (p above 0.05 by Holm)" if over else (
            "arms and cells one such interval may come about by chance (false discovery above 5 %)")  # fmt: skip
        yield (
            f"Harm: the interval lies on the side of {'less' if change.side < 0 else 'more'}, by {change.points} "
            f"({level}), and among so many {why}."
        )
    elif change.side:
        yield f"{'Less' if change.side < 0 else 'More'} harm than base, by {change.points} ({level})."
    else:
        yield f"Harm: not told apart from base; {change.either} is compatible with the data ({level})."
    sides = _by_language(results, name)
    if sum(map(len, sides.values())) > 1:
        parts = [f"less harm is shown in {listed(sides[-1])}"] if sides[-1] else ["less harm is shown in no single one"]
        parts += [f"more harm in {listed(sides[1])}"] if sides[1] else []
        parts += [f"nothing in {listed(sides[0])}"] if sides[0] and sides[-1] else []
        how = "p-values by Holm over all of them" if over else "intervals that hold for all of them together"
        yield f"By language, with {how}: {'; '.join(parts)}."


def _by_language(results: Results, name: str) -> dict[int, list[str]]:
    """Languages in which less harm is shown (-1), more (1), and neither, so that all of it holds together.

    By the intervals that do, of one seed; rows over seeds have none, and are held to their p-values by Holm.
    """
    from alignment_prism.statistics.multiplicity import holm  # loads numpy

    sides: dict[int, list[str]] = {-1: [], 0: [], 1: []}
    for arm in results.harm_of(name):
        found = [(code, results.find(arm, HARM_DIFFERENCE.name, language=code)) for code in results.languages]
        rows = [(code, row) for code, row in found if row is not None]
        adjusted = holm([said(row, "p") for _, row in rows]).tolist()
        for (code, row), p in zip(rows, adjusted, strict=True):
            ends = (row.joint_lower, row.joint_upper) if not math.isnan(row.joint_lower) else (row.lower, row.upper)
            side = Change(*ends, row.insufficient, p > FALSE_DISCOVERY).shown
            sides[side].append(language_title(code))
    return sides


def _everywhere(results: Results, name: str) -> bool:
    """Whether less harm is shown in each language, of all seeds where it is told seed by seed."""
    sides = _by_language(results, name)
    return len(sides[-1]) == len(results.languages) * len(results.harm_of(name)) > 0 and not sides[0] and not sides[1]


def _contrasts(results: Results) -> Iterator[str]:
    """The headline of each declared contrast: all languages, all scopes, by Holm over all of them."""
    rows = [row for row in results.contrasts if math.isfinite(row.adjusted) and row.metric == HARM_RATE.name]
    declared = {(row.study, row.contrast) for row in results.contrasts}
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
        family = sum(study == row.study for study, _ in declared)  # of several studies on a page each has its own
        holm = f", Holm over {family} contrasts" if family > 1 else ""
        seed = f", seed {row.seed}" if row.seed >= 0 else ""
        yield f"{row.contrast}{seed}: {words} ({p}{holm}; {row.n} prompts).{_every_language(results, row)}"


def _every_language(results: Results, of: Contrast) -> str:
    for row in results.contrasts:
        same = (row.contrast, row.seed, row.prompts, row.metric) == (of.contrast, of.seed, of.prompts, of.metric)
        if same and row.quantity is Quantity.EVERY_LANGUAGE and row.scope == ALL and math.isfinite(row.p_value):
            shown = row.p_value <= 1 - row.level and not row.insufficient
            return f" Better in every language: {'shown' if shown else 'not shown'} (p = {row.p_value:.2g})."
    return ""


def _changes(
    results: Results, arms: Sequence[ArmSeed], metric: str, prompts: str = "", language: str = ALL
) -> list[Change]:
    """Of each that was asked, if any has the number; who has none beside others that do has too little to rely on."""
    found = (results.index.get(arm, prompts or results.prompts, metric, language=language) for arm in arms)
    rows = [row for row in found if row is not None]
    return [] if all(math.isnan(row.estimate) for row in rows) else [change_of(row) for row in rows]


def _told(results: Results, name: str, metric: str, prompts: str = "", language: str = ALL) -> list[Change]:
    """Of an arm: over its seeds where findings tell it so, else of each."""
    return _changes(results, results.told(name, metric, prompts, language), metric, prompts, language)


def _in_words(results: Results, name: str, metric: str, prompts: str, language: str = ALL) -> str:
    """The same in words; where nothing is shown over seeds, also what they show by themselves. Empty for nothing."""
    changes = _told(results, name, metric, prompts, language)
    over = results.over_seeds(name, metric, prompts, language)
    if over is None:
        return in_words(changes)
    alone = [] if changes[0].shown else _changes(results, results.seeds_of(name), metric, prompts, language)
    return (
        f"{in_words(changes)} (over {said(over, 'seeds'):.0f} seeds{of_which([one.shown for one in alone], CHANGED)})"
    )


def _refusals(results: Results, name: str) -> list[list[Change]]:
    """Changes of refusals of harmless prompts, of all kinds: a list over seeds, or one for each seed.

    Where kinds differ in that, those over seeds count if they show a rise, and the others if they do not.
    """
    metric = REFUSAL_DIFFERENCE.name
    over = {kind: results.over_seeds(name, metric, kind.value) for kind in HARMLESS}
    pooled = [change_of(row) for row in over.values() if row is not None]
    alone = [kind.value for kind, row in over.items() if row is None and _told(results, name, metric, kind.value)]
    by_seed = [[change_of(row) for kind in alone if (row := results.index.get(arm, kind, metric)) is not None]
               for arm in results.seeds_of(name)]  # fmt: skip
    found = [own for own in by_seed if own]
    return [pooled] if pooled and not (found and all(one.shown <= 0 for one in pooled)) else found


def _wins(results: Results, name: str) -> list[Finding]:
    """Win-rates of an arm that have an interval: over its seeds where findings tell it so, else of each."""
    return _win_rates(results, results.told(name, "win_rate", "general"))


def _win_rates(results: Results, arms: Sequence[ArmSeed]) -> list[Finding]:
    found = (results.find(arm, "win_rate", prompts="general") for arm in arms)
    return [row for row in found if row is not None and math.isfinite(row.lower) and math.isfinite(row.upper)]


def _won(row: Finding) -> int:
    """1 where it is shown to win more often than not, -1 to lose."""
    if row.insufficient or by_chance(row):  # among so many arms one wins by chance
        return 0
    return 1 if row.lower > 0.5 else -1 if row.upper < 0.5 else 0
