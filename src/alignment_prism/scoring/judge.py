"""Judging replies with a model behind an Inspect id: the guards first, then one call for each reply not judged yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alignment_prism.calls.answer import Answer
from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.interrupts import run_async
from alignment_prism.calls.runner import Journal
from alignment_prism.domain.errors import ModelError
from alignment_prism.domain.languages import LANGUAGES, Languages
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import CORRECT, OUTCOME, Generation, Outcome, Prompt, Score
from alignment_prism.scoring.answers import ParsedAnswer, parse_outcome
from alignment_prism.scoring.guards import GUARD, Guarded, guard, is_final
from alignment_prism.scoring.judge_calls import CONNECTIONS, JudgeCalls
from alignment_prism.scoring.rubric import STANDALONE, Rubric, load_rubric
from alignment_prism.scoring.scorer import prompt_of


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
        timeout: seconds that an attempt of a call may take; None goes by the rubric's tokens.
        languages: the registry that prompts' languages are in.
        known: earlier scores; those of this judge and rubric of the same replies are taken over, unless UNJUDGED.
    """

    model: str
    rubric: str = STANDALONE
    base_url: str = ""
    journal: Journal | None = None
    progress: Progress | None = None
    max_connections: int = CONNECTIONS
    retries: int = 5
    timeout: float | None = None
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
        run_async(Endpoint(self.model, self.base_url).check_judging(prompts))

    def score(self, prompts: Sequence[Prompt], generations: Sequence[Generation]) -> list[Score]:
        """Scores of the replies, in their order.

        A reply whose call failed or whose answer cannot be read is UNJUDGED, with the judge's words in `raw` and the
        reason in `error`; so is one in the wrong language, whose harm nobody has looked at then.

        Raises:
            InputError: the judge does not know the prompts; the rubric is unknown or pairwise; a reply belongs to no
                prompt.
            ModelError: the judge cannot be opened or reached; what was judged is in the journal.
        """
        form = load_rubric(self.rubric, kind="standalone")
        by_id = {prompt.id: prompt for prompt in prompts}
        taken = self._taken(form)
        guarded = [guard(prompt_of(g, by_id), g, languages=self.languages) for g in generations]
        calls = JudgeCalls(self.model, form, self.base_url, self.max_connections, self.retries, self.timeout)
        keys: list[str] = []
        for generation, said in zip(generations, guarded, strict=True):
            if (said is not None and said.final) or generation.reply_digest in taken:
                keys.append("")
                continue
            keys.append(calls.add(by_id[generation.prompt_id], generation.reply))

        def parsed(key: str, answer: Answer) -> ParsedAnswer:
            return _parsed(answer, calls.shown(key))

        answers = calls.ask(
            prompts,
            is_verdict=lambda key, answer: not parsed(key, answer).problem,
            journal=self.journal,
            progress=self.progress,
        )
        read = {key: (parsed(key, answer), answer.text) for key, answer in answers.items()}
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
            scores += _scores(draft, said, read.get(key), checkable)
        return scores

    def _taken(self, form: Rubric) -> dict[str, list[Score]]:
        """Known scores of this judge by the reply's digest, of replies that it has judged."""
        found: dict[str, list[Score]] = {}
        for score in self.known:
            if (score.scorer, score.rubric) == (self.model, form.id):
                found.setdefault(score.reply_digest, []).append(score)
        return {key: said for key, said in found.items() if all(s.outcome is not Outcome.UNJUDGED for s in said)}


def require_verdicts(scores: Sequence[Score], judge: str) -> None:
    """Refuse a result in which the judge has judged nothing of what it was asked: that is a fault, not a finding.

    Raises:
        ModelError: there is no outcome; says the commonest reasons.
    """
    settled = {_reply(score) for score in scores if score.name == GUARD and is_final(score.label)}
    asked = [score for score in scores if score.name == OUTCOME and _reply(score) not in settled]
    if asked and all(score.outcome is Outcome.UNJUDGED for score in asked):
        reasons = Counter(score.error for score in asked).most_common(5)
        counts = "; ".join(f"{count} x {reason[:200]}" for reason, count in reasons)
        raise ModelError(
            f"none of {len(asked)} replies could be judged; {counts}",
            where=judge,
            fix="see that the judge and its address are right and that it answers as the rubric asks; then run the "
            "same command again: finished work is kept",
        )


def _reply(score: Score) -> tuple[str, str, int]:
    return score.reply_digest, score.arm, score.sample


def _scores(draft: Score, said: Guarded | None, read: tuple[ParsedAnswer, str] | None, checkable: bool) -> list[Score]:
    """The outcome by guard and judge together, and of a checkable answer whether it is right.

    Args:
        draft: the outcome's score without its label.
        said: what a guard says, None where none spoke.
        read: what the judge's answer says, and the answer; None where it was not asked.
        checkable: whether the prompt has a reference answer.
    """
    if read is None:
        assert said is not None  # who is not asked has been decided about
        parsed, raw = ParsedAnswer(said.outcome, problem=said.reason), ""
    else:
        parsed, raw = read
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


def _parsed(answer: Answer, shown: str) -> ParsedAnswer:
    if answer.error:
        return ParsedAnswer(Outcome.UNJUDGED, problem=f"the judge gave no answer: {answer.error}")
    return parse_outcome(answer.text, shown=shown, stop=answer.stop)
