"""Judging replies with a model behind an Inspect id: the guards first, then one call for each reply not judged yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import call_key
from alignment_prism.calls.runner import Answer, Journal, Request, ask_all, run_async
from alignment_prism.domain.errors import InputError, ModelError
from alignment_prism.domain.languages import LANGUAGES, Languages
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import CORRECT, OUTCOME, Comparison, Generation, Outcome, Prompt, Score, Winner
from alignment_prism.scoring.answers import ParsedAnswer, parse_outcome, parse_winner
from alignment_prism.scoring.guards import GUARD, Guarded, guard, is_final
from alignment_prism.scoring.judge_prompts import render
from alignment_prism.scoring.rubric import Rubric, load_rubric
from alignment_prism.scoring.scorer import prompt_of

CONNECTIONS = 32
"""Calls under way at once by default."""


@dataclass(frozen=True)
class Judge:
    """A judge of single replies (`alignment_prism.scoring.scorer.Scorer`): guards first, then one call for each reply.

    Guards decide what needs no judge (`alignment_prism.scoring.guards`); equal replies to one prompt are judged once;
    what the journal holds is not asked again, unless it is an answer that no outcome can be read from.

    Attributes:
        model: Inspect model id.
        rubric: id of a shipped rubric or path of one's own; standalone.
        base_url: address of the judge's server, where it is not the provider's own.
        journal: where answers are kept, so that a run that was killed goes on where it stopped.
        progress: told how many replies are judged and how many there are to judge.
        max_connections: calls under way at once.
        retries: of a call that failed for a passing reason.
        languages: the registry that prompts' languages are in.
        known: earlier scores; those of this judge and rubric of the same replies are taken over, unless UNJUDGED.
    """

    model: str
    rubric: str = "standalone@1"
    base_url: str = ""
    journal: Journal | None = None
    progress: Progress | None = None
    max_connections: int = CONNECTIONS
    retries: int = 5
    languages: Languages = LANGUAGES
    known: Sequence[Score] = ()

    @property
    def id(self) -> str:
        """The Inspect model id."""
        return self.model

    @property
    def makes(self) -> tuple[str, ...]:
        """What a guard said if one spoke, an outcome for every reply, and whether an answer that can be checked is
        right."""
        return (GUARD, OUTCOME, CORRECT)

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Find out before any work what is wrong with the judge's id or address; nothing is called.

        Raises:
            InputError: a judge of the nano lab is none, or does not know the prompts.
            ModelError: the address is missing or none.
        """
        check_judge(self.model, prompts, self.base_url)

    def score(self, prompts: Sequence[Prompt], generations: Sequence[Generation]) -> list[Score]:
        """Scores of the replies, in their order.

        A reply whose call failed or whose answer cannot be read is UNJUDGED, with the judge's words in `raw` and the
        reason in `error`; so is one in the wrong language, whose harm nobody has looked at then.

        Raises:
            InputError: the judge does not know the prompts; the rubric is unknown or pairwise; a reply belongs to no
                prompt.
            ModelError: the judge cannot be opened or reached; what was judged is in the journal.
        """
        form = _rubric(self.rubric, "standalone")
        by_id = {prompt.id: prompt for prompt in prompts}
        taken = self._taken(form)
        guarded = [guard(prompt_of(g, by_id), g, languages=self.languages) for g in generations]
        keys: list[str] = []
        requests: dict[str, Request] = {}
        for generation, said in zip(generations, guarded, strict=True):
            if (said is not None and said.final) or generation.reply_digest in taken:
                keys.append("")
                continue
            messages = render(form, by_id[generation.prompt_id], generation.reply)
            keys.append(key := _key(self.model, form, messages[-1].content))
            requests[key] = Request(messages)
        endpoint = _endpoint(self.model, form, self.max_connections, self.retries, self.base_url)
        asked: dict[str, Any] = {"journal": self.journal, "progress": self.progress, "readable": _is_outcome}
        answers = ask_all(endpoint, requests, judged=prompts, **asked) if requests else {}
        scores: list[Score] = []
        for generation, said, key in zip(generations, guarded, keys, strict=True):
            if said is not None:
                scores.append(said.score(generation))
            if not key and not (said is not None and said.final):
                earlier = taken[generation.reply_digest]
                scores += [replace(score, arm=generation.arm, sample=generation.sample) for score in earlier]
                continue
            draft = Score(
                generation.prompt_id, generation.reply_digest, generation.arm, self.model, OUTCOME,
                sample=generation.sample, rubric=form.id,
            )  # fmt: skip
            checkable = bool(by_id[generation.prompt_id].reference)
            scores += _scores(draft, said, answers.get(key), checkable)
        return scores

    def _taken(self, form: Rubric) -> dict[str, list[Score]]:
        """Known scores of this judge by the reply's digest, of replies that it has judged."""
        found: dict[str, list[Score]] = {}
        for score in self.known:
            if (score.scorer, score.rubric) == (self.model, form.id):
                found.setdefault(score.reply_digest, []).append(score)
        return {key: said for key, said in found.items() if all(s.outcome is not Outcome.UNJUDGED for s in said)}


def judge_generations(
    prompts: Sequence[Prompt], generations: Sequence[Generation], *, judge: str, **options: Any
) -> list[Score]:
    """`Judge(judge, **options).score(prompts, generations)`."""
    return Judge(judge, **options).score(prompts, generations)


def check_judge(judge: str, prompts: Sequence[Prompt], base_url: str = "") -> None:
    """Find out before any work what is wrong with a judge's id or address; nothing is called.

    Raises:
        InputError: a judge of the nano lab is none, or does not know the prompts.
        ModelError: the address is missing or none.
    """
    run_async(Endpoint(judge, base_url).check_judging(prompts))


def require_verdicts(scores: Sequence[Score], judge: str) -> None:
    """Refuse a result in which the judge has judged nothing of what it was asked: that is a fault, not a finding.

    Raises:
        ModelError: there is no outcome; says the commonest reason.
    """
    settled = {_reply(score) for score in scores if score.name == GUARD and is_final(score.label)}
    asked = [score for score in scores if score.name == OUTCOME and _reply(score) not in settled]
    if asked and all(score.outcome is Outcome.UNJUDGED for score in asked):
        reason, count = Counter(score.error for score in asked).most_common(1)[0]
        raise ModelError(
            f"none of {len(asked)} replies could be judged; {count} x {reason[:200]}",
            where=judge,
            fix="see that the judge and its address are right and that it answers as the rubric asks; then run the "
            "same command again: finished work is kept",
        )


def _reply(score: Score) -> tuple[str, str, int]:
    return score.reply_digest, score.arm, score.sample


def _is_outcome(answer: Answer) -> bool:
    return not parse_outcome(answer.text).problem


def _scores(draft: Score, said: Guarded | None, answer: Answer | None, checkable: bool) -> list[Score]:
    """The outcome by guard and judge together, and of a checkable answer whether it is right.

    Args:
        draft: the outcome's score without its label.
        said: what a guard says, None where none spoke.
        answer: the judge's, None where it was not asked.
        checkable: whether the prompt has a reference answer.
    """
    if answer is None:
        assert said is not None  # who is not asked has been decided about
        parsed, raw = ParsedAnswer(said.outcome, problem=said.reason), ""
    else:
        parsed, raw = _read(answer), answer.text
        # Only a judge that has looked at a reply in the wrong language makes it one of those that are not harmful.
        if said is not None and parsed.outcome not in (Outcome.HARMFUL, Outcome.UNJUDGED):
            parsed = replace(parsed, outcome=said.outcome)
    error = parsed.problem if parsed.outcome is Outcome.UNJUDGED else ""
    scores = [replace(draft, label=parsed.outcome, raw=raw, error=error)]
    if checkable and parsed.outcome in (Outcome.DEGENERATE, Outcome.WRONG_LANGUAGE):
        parsed = replace(parsed, correct=False)
    if checkable and parsed.correct is not None and parsed.outcome is not Outcome.UNJUDGED:
        scores.append(replace(draft, name=CORRECT, value=float(parsed.correct), raw=raw))
    return scores


def _read(answer: Answer) -> ParsedAnswer:
    if answer.error:
        return ParsedAnswer(Outcome.UNJUDGED, problem=f"the judge gave no answer: {answer.error}")
    parsed = parse_outcome(answer.text)
    return replace(parsed, problem=_because(parsed.problem, answer))


def _is_winner(answer: Answer) -> bool:
    return not parse_winner(answer.text)[1]


def compare_generations(
    prompts: Sequence[Prompt],
    candidate: Sequence[Generation],
    base: Sequence[Generation],
    *,
    judge: str,
    rubric: str = "pairwise@1",
    journal: Journal | None = None,
    progress: Progress | None = None,
    max_connections: int = CONNECTIONS,
    retries: int = 5,
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
        journal: as in `judge_generations`, as are the others.
        known: earlier comparisons of the same replies; those of this judge and rubric are taken over, unless UNJUDGED.

    Raises:
        InputError: the rubric is unknown or standalone; a reply belongs to no prompt; base lacks a reply.
        ModelError: the judge cannot be opened or reached; what was judged is in the journal.
    """
    form = _rubric(rubric, "pairwise")
    by_id = {prompt.id: prompt for prompt in prompts}
    opponents = {g.prompt_id: g for g in sorted(base, key=lambda g: -g.sample)}
    firsts = {(g.arm, g.prompt_id): g for g in sorted(candidate, key=lambda g: -g.sample)}
    taken = {
        (one.prompt_id, one.arm, one.candidate_first): one for one in known
        if (one.judge, one.rubric) == (judge, form.id) and one.winner is not Winner.UNJUDGED
    }  # fmt: skip
    pending: list[tuple[Comparison, str]] = []
    requests: dict[str, Request] = {}
    for (arm, prompt_id), mine in firsts.items():
        prompt = prompt_of(mine, by_id)
        if prompt_id not in opponents:
            raise InputError(
                f"base has no reply to prompt {prompt_id}", fix="generate base's replies to the same prompts"
            )
        other = opponents[prompt_id]
        for first in (True, False):
            draft = Comparison(prompt_id, arm, other.arm, first, judge, form.id, Winner.UNJUDGED)
            absent = [side for side in (mine, other) if not side.reply and _missing(prompt, side)]
            if earlier := taken.get((prompt_id, arm, first)):
                pending.append((earlier, ""))
            elif absent:
                pending.append((replace(draft, error=f"arm {absent[0].arm} gave no reply"), ""))
            elif mine.reply == other.reply:
                pending.append((replace(draft, winner=Winner.TIE, raw="the replies are equal"), ""))
            else:
                replies = (mine.reply, other.reply) if first else (other.reply, mine.reply)
                messages = render(form, prompt, *replies)
                key = _key(judge, form, messages[-1].content)
                requests[key] = Request(messages)
                pending.append((draft, key))
    endpoint = _endpoint(judge, form, max_connections, retries, base_url)
    options: dict[str, Any] = {"journal": journal, "progress": progress, "readable": _is_winner, "judged": prompts}
    answers = ask_all(endpoint, requests, **options) if requests else {}
    return [_decided(draft, answers[key]) if key else draft for draft, key in pending]


def _decided(draft: Comparison, answer: Answer) -> Comparison:
    if answer.error:
        return replace(draft, raw=answer.text, error=f"the judge gave no answer: {answer.error}")
    label, problem = parse_winner(answer.text)
    if label is None:
        return replace(draft, raw=answer.text, error=_because(problem, answer))
    won = Winner.WIN if (label == "A") == draft.candidate_first else Winner.LOSS
    return replace(draft, winner=Winner.TIE if label == "tie" else won, raw=answer.text)


def _missing(prompt: Prompt, generation: Generation) -> bool:
    verdict = guard(prompt, generation)
    return verdict is not None and verdict.outcome is Outcome.UNJUDGED


def _because(problem: str, answer: Answer) -> str:
    return f"{problem} (it was cut at the token limit)" if problem and answer.stop == "max_tokens" else problem


def _rubric(rubric: str, kind: str) -> Rubric:
    form = load_rubric(rubric)
    if form.kind != kind:
        raise InputError(
            f"rubric {form.id} is {form.kind}, and a {kind} one is needed", fix=f"use {kind}@1, for example"
        )
    return form


def _key(judge: str, rubric: Rubric, case: str) -> str:
    return call_key("judge", judge, rubric.id, rubric.digest, case)


def _endpoint(judge: str, rubric: Rubric, connections: int, retries: int, base_url: str) -> Endpoint:
    return Endpoint(judge, base_url, max_tokens=rubric.max_tokens, connections=connections, retries=retries)
