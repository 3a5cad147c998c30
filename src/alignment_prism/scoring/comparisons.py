"""Comparing replies with a judge: which of two is better, asked in both orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from alignment_prism.calls.answer import Answer
from alignment_prism.calls.journal import Journal
from alignment_prism.domain.errors import InputError, ModelError
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Comparison, Generation, Outcome, Prompt, Winner
from alignment_prism.scoring.answers import parse_winner
from alignment_prism.scoring.form import RubricForm
from alignment_prism.scoring.guards import guard
from alignment_prism.scoring.judge_calls import CONNECTIONS, JudgeCalls
from alignment_prism.scoring.rubric import PAIRWISE, load_rubric
from alignment_prism.scoring.scorer import prompt_of

NO_ANSWER = "the judge gave no answer"
"""How the error of a comparison begins whose call failed."""


def compare_generations(
    prompts: Sequence[Prompt],
    candidate: Sequence[Generation],
    base: Sequence[Generation],
    *,
    judge: str,
    rubric: str = PAIRWISE,
    journal: Journal | None = None,
    progress: Progress | None = None,
    max_connections: int = CONNECTIONS,
    retries: int = 5,
    timeout: float | None = None,
    batch: bool = False,
    base_url: str = "",
    known: Sequence[Comparison] = (),
) -> list[Comparison]:
    """Two comparisons for each prompt, the candidate's reply shown first in one and second in the other.

    Equal replies are a tie, and a reply that is not there (context, provider's error) leaves the prompt unjudged;
    neither is asked of the judge. Where there are several samples, the first of each side is compared.

    Args:
        prompts: what was asked.
        candidate: replies of one arm or of several, each compared with base.
        base: replies of the arm to compare with, one at least for every prompt of the candidates.
        judge: Inspect model id.
        rubric: id of a shipped rubric or path of one's own; pairwise.
        journal: as of `alignment_prism.scoring.judge.Judge`, as are the others.
        known: earlier comparisons of the same replies; those of this judge and rubric are taken over, unless UNJUDGED.

    Raises:
        InputError: the rubric is unknown or standalone; a reply belongs to no prompt; base lacks a reply.
        ModelError: the judge cannot be opened or reached; what was judged is in the journal.
    """
    pending, calls = _cases(
        prompts, candidate, base, JudgeCalls(
            judge, RubricForm(load_rubric(rubric, kind="pairwise")), base_url, max_connections, retries, timeout,
            batch=batch,
        ), known,
    )  # fmt: skip

    def winner(key: str, answer: Answer) -> tuple[str | None, str]:
        return parse_winner(answer.text, shown=calls.shown(key), stop=answer.stop)

    answers = calls.ask(
        prompts, is_verdict=lambda key, answer: not winner(key, answer)[1], journal=journal, progress=progress
    )
    decided = []
    for draft, key in pending:
        if key and answers[key].error:
            error = f"{NO_ANSWER}: {answers[key].error}"
            decided.append(replace(draft, raw=answers[key].text, error=error))
        else:
            decided.append(_decided(draft, answers[key].text, *winner(key, answers[key])) if key else draft)
    return decided


def comparison_calls(
    prompts: Sequence[Prompt], candidate: Sequence[Generation], base: Sequence[Generation], calls: JudgeCalls
) -> JudgeCalls:
    """What the judge would be asked, in `calls`; nothing is asked.

    Args:
        prompts: as of `compare_generations`, as are the replies.
        candidate: as well.
        base: as well.
        calls: of the judge, none so far.
    """
    return _cases(prompts, candidate, base, calls, ())[1]


def require_winners(comparisons: Sequence[Comparison]) -> None:
    """Refuse a result in which the judge has compared nothing of what it was shown: that is a fault, not a finding.

    Raises:
        ModelError: there is no winner and no tie; says the commonest reasons.
    """
    asked = [one for one in comparisons if one.raw or one.error.startswith(NO_ANSWER)]
    if asked and all(one.winner is Winner.UNJUDGED for one in asked):
        counts = "; ".join(f"{n} x {why[:200]}" for why, n in Counter(one.error for one in asked).most_common(5))
        raise ModelError(
            f"none of {len(asked)} comparisons has a verdict; {counts}",
            where=asked[0].judge,
            fix="see that the judge and its address are right and that it answers as the rubric asks; then run the "
            "same command again: finished work is kept",
        )


def _cases(
    prompts: Sequence[Prompt],
    candidate: Sequence[Generation],
    base: Sequence[Generation],
    calls: JudgeCalls,
    known: Sequence[Comparison],
) -> tuple[list[tuple[Comparison, str]], JudgeCalls]:
    """Comparisons that are decided already or without a key, and those that a call decides, with its key."""
    by_id = {prompt.id: prompt for prompt in prompts}
    opponents = {g.prompt_id: g for g in sorted(base, key=lambda g: -g.sample)}
    firsts = {(g.arm, g.prompt_id): g for g in sorted(candidate, key=lambda g: -g.sample)}
    taken = {
        (one.prompt_id, one.arm, one.candidate_first): one for one in known
        if (one.judge, one.rubric) == (calls.model, calls.form.id) and one.winner is not Winner.UNJUDGED
    }  # fmt: skip
    pending: list[tuple[Comparison, str]] = []
    for (arm, prompt_id), mine in firsts.items():
        prompt = prompt_of(mine, by_id)
        if prompt_id not in opponents:
            raise InputError(
                f"base has no reply to prompt {prompt_id}", fix="generate base's replies to the same prompts"
            )
        other = opponents[prompt_id]
        for first in (True, False):
            draft = Comparison(prompt_id, arm, other.arm, first, calls.model, calls.form.id, Winner.UNJUDGED)
            absent = [side for side in (mine, other) if not side.reply and _missing(prompt, side)]
            if earlier := taken.get((prompt_id, arm, first)):
                pending.append((earlier, ""))
            elif absent:
                pending.append((replace(draft, error=f"arm {absent[0].arm} gave no reply"), ""))
            elif mine.reply == other.reply:
                pending.append((replace(draft, winner=Winner.TIE, raw="the replies are equal"), ""))
            else:
                replies = (mine.reply, other.reply) if first else (other.reply, mine.reply)
                (key,) = calls.add(prompt, *replies)
                pending.append((draft, key))
    return pending, calls


def _decided(draft: Comparison, raw: str, label: str | None, problem: str) -> Comparison:
    if label is None:
        return replace(draft, raw=raw, error=problem)
    won = Winner.WIN if (label == "A") == draft.candidate_first else Winner.LOSS
    return replace(draft, winner=Winner.TIE if label == "tie" else won, raw=raw)


def _missing(prompt: Prompt, generation: Generation) -> bool:
    verdict = guard(prompt, generation)
    return verdict is not None and verdict.outcome is Outcome.UNJUDGED
