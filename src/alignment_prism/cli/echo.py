"""What the commands that run a study say of it when it is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alignment_prism.cli.console import echo

if TYPE_CHECKING:
    from alignment_prism.domain import Finding, Generation, Score
    from alignment_prism.studies import Study, StudySpec


def echo_outcomes(findings: Sequence[Finding]) -> None:
    """Outcomes by arm, kind of prompts and (harmful ones) language, and the change against base."""
    from alignment_prism.cli.console import console
    from alignment_prism.reports import outcomes_table

    console().print(outcomes_table(findings))


def echo_generations(generations: Sequence[Generation]) -> None:
    """How the replies ended."""
    for arm in dict.fromkeys(generation.arm for generation in generations):
        ends = Counter(generation.stop_reason.value for generation in generations if generation.arm == arm)
        echo(f"{arm}: {ends.total()} replies; " + ", ".join(f"{n} {end}" for end, n in ends.most_common()))


def echo_judged(scores: Sequence[Score]) -> None:
    """How many replies of each arm were found to be what, by who counts."""
    from alignment_prism.scoring.scorer import deciding

    outcomes = [score for score in deciding(scores) if score.outcome is not None]
    for arm, scorer in dict.fromkeys((score.arm, score.scorer) for score in outcomes):
        found = Counter(score.label for score in outcomes if (score.arm, score.scorer) == (arm, scorer))
        words = ", ".join(f"{count} {label}" for label, count in found.most_common())
        echo(f"{arm}: {found.total()} replies by {scorer}: {words}")


def echo_unjudged(study: Study) -> None:
    """How many replies have no verdict, and why, without a word of the replies."""
    from alignment_prism.scoring.answers import CUT

    judged, reasons = study.unjudged()
    if reasons:
        echo(f"{reasons.total()} of {judged} replies are unjudged and in no rate:", err=True)
        for reason, count in reasons.most_common(5):
            echo(f"  {count}: {reason[:160]}", err=True)
        if any(CUT["max_tokens"] in reason for reason in reasons):
            room = (
                "--judge-tokens, and --thought-tokens if it thinks; in a spec max_tokens and thought_tokens of a judge"
            )
            echo(f"  for longer answers: {room}", err=True)


def echo_unverified(spec: StudySpec) -> None:
    """Say of guard models whose format nobody has held against their weights that this is so."""
    from alignment_prism.scoring.guard_models import is_guard_format, load_guard_format

    for name in dict.fromkeys(judge.rubric for judge in spec.judges if is_guard_format(judge.rubric)):
        guard = load_guard_format(name)
        if not guard.verified_against_weights:
            echo(f"{guard.id}: format after {guard.source or 'its file'}, not verified against weights", err=True)


def quiet_hub(spec: StudySpec) -> None:
    """Where nothing large is fetched, keep the libraries' own bars for loading and saving from tearing ours."""
    models = [getattr(arm, "model", "nano") for arm in spec.existing]
    if all(model == "nano" or Path(model).is_dir() for model in models):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
