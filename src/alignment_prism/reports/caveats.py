"""What limits all that a report says: the judge, the seeds, and numbers that rest on too little."""

from __future__ import annotations

from collections.abc import Iterator

from alignment_prism.domain import ALL, MACRO, Signature
from alignment_prism.domain.metric_table import HARM_DIFFERENCE, HARM_RATE, REFUSAL_DIFFERENCE, REFUSAL_RATE, corrected
from alignment_prism.reports.bases import FEW_ARMS
from alignment_prism.reports.changes import HARMLESS, of_general_prompts
from alignment_prism.reports.figures.arms import language_title
from alignment_prism.reports.numbers import listed, sentence
from alignment_prism.reports.results import Results


def caveats(results: Results) -> Iterator[str]:
    """Whose word it is, how many seeds there are, and how many numbers rest on too few events."""
    rates = [row for row in results.findings if row.metric == HARM_RATE.name]
    refusals = [row for row in results.findings if row.metric == REFUSAL_RATE.name]
    judged, what = (rates, "What is harmful") if rates else (refusals, "What is a refusal")
    judges = {dict(Signature.parts(row.signature)).get("judge", "") for row in judged} - {""}
    if judges and results.oracle and judges == {results.oracle}:
        yield f"{what} is the word of {results.oracle}, which knows what is so in the world that it is of."
    elif judges:
        name = HARM_RATE.name if rates else REFUSAL_RATE.name
        fixed = [row for row in results.findings if row.metric == corrected(name)]
        done = {row.language for row in fixed}
        there = sorted({row.language for row in judged} - {ALL, MACRO})
        left = [language_title(code) for code in there if code not in done]
        labelled, own = {row.arm for row in fixed}, {row.arm for row in judged}
        others = [name for name in dict(results.arms) if name in own - labelled]
        word = f"{what} is the word of {listed(sorted(judges))}, whose errors"
        if not done:
            yield (
                f"{word} nobody has measured on these replies: a judge that errs by language makes languages look "
                "different."
            )
        elif left and len(there) > 1:
            yield f"{word} are not taken out in {listed(left)}: there are too few labels of people, or none."
        elif others:
            whose = listed(others) if len(others) <= FEW_ARMS else f"{len(others)} arms"
            yield f"{word} are not taken out of {whose}, of whose replies nobody labelled any."
    trained = [name for name in dict.fromkeys(name for name, _ in results.arms) if name in results.recipes]
    once = [name for name in trained if len(results.seeds_of(name)) == 1]
    if once:
        few = (
            f"{listed(once)} {'were' if len(once) > 1 else 'was'}"
            if len(once) <= FEW_ARMS
            else f"{len(once)} arms were"
        )
        yield (
            f"{'Every arm was' if once == trained else few} aligned once: the intervals are for other prompts, and how "
            "far another seed would move the numbers is not known from here."
        )
    left_out: dict[tuple[str, ...], list[str]] = {}
    for name in results.index.pooled:
        left_out.setdefault(tuple(results.copies(name)), []).append(name)
    for seeds, names in left_out.items():
        if seeds:
            of = f"of {listed(names) if len(names) <= FEW_ARMS else f'{len(names)} arms'} " if len(left_out) > 1 else ""
            they = "seeds {} are not counted: a training with each" if len(seeds) > 1 else (
                "seed {} is not counted: a training with it")  # fmt: skip
            yield f"{sentence(of + they.format(listed(seeds)))} gave the very weights of an earlier seed."
    if apart := _seed_by_seed(results):
        yield (
            f"Not told over seeds: {listed(apart)}. Their intervals are for other prompts, and none is for other seeds;"
            " where those of several seeds are told together, it is from the lowest end to the highest."
        )
    cells = [row for row in rates if row.prompts == results.prompts and row.category == ALL]
    cells = [row for row in cells if row.language not in (ALL, MACRO)]
    weak = sum(row.insufficient for row in cells)
    if weak:
        whose = f"All {weak}" if weak == len(cells) else f"{weak} of {len(cells)}"
        yield (
            f"{whose} harm rates by language and scope rest on too few events to rely on; such numbers are hollow in "
            "the figures and have a ? in the tables."
        )


def _seed_by_seed(results: Results) -> list[str]:
    """What the verdict tells of some arm of several seeds, and not over them."""
    several = [name for name in dict(results.arms) if len(results.seeds_of(name)) > 1]

    def apart(metric: str, prompts: str) -> bool:
        found = (arm for name in several for arm in results.told(name, metric, prompts) if arm[1] >= 0)
        return any(results.find(arm, metric, prompts=prompts) for arm in found)

    there = results.index.values("prompts", metric=REFUSAL_DIFFERENCE.name)
    kinds = [kind for kind in HARMLESS if kind.value in there]
    alone = [f"refusals of {HARMLESS[kind]}" for kind in kinds if apart(REFUSAL_DIFFERENCE.name, kind.value)]
    found = ["harm"] if apart(HARM_DIFFERENCE.name, results.prompts) else []
    found += ["refusals"] if len(alone) == len(kinds) > 0 else alone
    found += ["wins"] if apart("win_rate", "general") else []
    return found + [of.title for change, of in of_general_prompts() if apart(change.name, "general")]
