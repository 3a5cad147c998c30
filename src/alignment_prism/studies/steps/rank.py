"""Ranking: from the replies of all sides to what judges say of couples of them, in both orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.domain import Comparison, Generation, Prompt, Winner
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_records
from alignment_prism.preferences.ranking import Couple, candidate_name, couples
from alignment_prism.store.names import COMPARISONS, GENERATIONS, PROMPTS
from alignment_prism.studies.steps.kind import EARLIER, Context, StepKind
from alignment_prism.studies.steps.score import called_options, called_settings
from alignment_prism.studies.steps.step import Step
from alignment_prism.studies.synthesis.spec import RankSpec

SIDE = "side:"
"""How the role of a step with replies of a side begins."""


def rank_step(rank: RankSpec, prompts: Step, sides: Sequence[Step]) -> Step:
    """Comparisons of couples of replies by every judge."""
    settings = {"judges": [called_settings(judge) for judge in rank.judges], "couples": rank.couples}
    options = {"judges": [{"model": judge.model, **called_options(judge)} for judge in rank.judges]}
    needs = {"prompts": prompts, **{f"{SIDE}{side.arm}": side for side in sides}}
    title = f"rank with {', '.join(judge.model for judge in rank.judges)}"
    return Step("rank", title, "comparisons", settings, needs, seed=rank.seed, options=options)


def candidates_in(inputs: Mapping[str, Path]) -> list[Generation]:
    """The replies of every side, by the roles of the folders that they are in."""
    return [
        reply
        for role, folder in inputs.items()
        if role.startswith(SIDE)
        for reply in read_records(folder / GENERATIONS, Generation)
    ]


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Have every couple compared in both orders by every judge."""
    from alignment_prism.scoring.comparisons import compare_generations, require_winners

    prompts = read_records(inputs["prompts"] / PROMPTS, Prompt)
    of_prompt: dict[str, list[Generation]] = defaultdict(list)
    for one in candidates_in(inputs):
        of_prompt[one.prompt_id].append(one)
    rounds: dict[int, list[Couple]] = defaultdict(list)
    for prompt in prompts:
        for number, couple in enumerate(couples(of_prompt[prompt.id], step.settings["couples"], seed=step.seed or 0)):
            rounds[number].append(couple)
    earlier = read_records(inputs[EARLIER] / COMPARISONS, Comparison) if EARLIER in inputs else []
    known = {(one.prompt_id, one.arm, one.opponent, one.candidate_first, one.judge): one for one in earlier}
    found: list[Comparison] = []
    for options in step.options["judges"]:
        of_judge: list[Comparison] = []
        for some in rounds.values():  # one couple of each prompt at a time: a comparison is of one base a prompt
            sides = [[replace(couple[side], arm=candidate_name(couple[side])) for couple in some] for side in (0, 1)]
            judge = options["model"]
            wanted = {(a.prompt_id, a.arm, b.arm) for a, b in zip(*sides, strict=True)}
            taken = [one for key, one in known.items() if key[:3] in wanted and key[4] == judge]
            calls = {name: value for name, value in options.items() if name != "model"}
            of_judge += compare_generations(
                prompts, *sides, judge=judge, known=taken, journal=context.journal, progress=progress, **calls
            )
        require_winners(of_judge)
        found += of_judge
    write_records(folder / COMPARISONS, found, Comparison)


def _endpoints(step: Step) -> tuple[Endpoint, ...]:
    judges = step.options["judges"]
    return tuple(Endpoint(one["model"], one["base_url"], batch=one.get("batch", False)) for one in judges)


def _has_gaps(folder: Path) -> bool:
    return any(one.winner is Winner.UNJUDGED for one in read_records(folder / COMPARISONS, Comparison))


RANK = StepKind("rank", do, endpoints=_endpoints, has_gaps=_has_gaps)
