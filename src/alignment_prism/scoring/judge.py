"""Judging replies with a model: the guards first, then one call (or a few) for each reply that is not judged yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.interrupts import run_async
from alignment_prism.calls.journal import Journal
from alignment_prism.domain.errors import InputError, ModelError
from alignment_prism.domain.languages import LANGUAGES, Languages
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import (
    CATEGORIES,
    CORRECT,
    FOREIGN_REFUSAL,
    OUTCOME,
    POLICY,
    TRANSLATION,
    Generation,
    Outcome,
    Prompt,
    Score,
)
from alignment_prism.models.names import resolve
from alignment_prism.models.weights import named_digest
from alignment_prism.scoring.answers import CUT, ParsedAnswer
from alignment_prism.scoring.form import Form, GuardForm, RubricForm, load_form, read_answers
from alignment_prism.scoring.guards import GUARD, Guarded, guard, is_final
from alignment_prism.scoring.judge_calls import CONNECTIONS, JudgeCalls, is_local
from alignment_prism.scoring.rubric import STANDALONE
from alignment_prism.scoring.scorer import prompt_of
from alignment_prism.scoring.translation import INTO, Translator, texts_of, translated


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a judge is shown of a reply: itself and its prompt, or their translations; or why it cannot be shown."""

    prompt: Prompt
    reply: str
    problem: str = ""


@dataclass(frozen=True)
class Judge:
    """A judge of single replies (`alignment_prism.scoring.scorer.Scorer`): guards first, then one call for each reply.

    It judges by a rubric, with or without policies, or is a guard model that is asked in its own format. Guards decide
    what needs no judge (`alignment_prism.scoring.guards`); equal replies to one prompt are judged once; what the
    journal holds is not asked again, unless it is an answer that no outcome can be read from.

    Attributes:
        model: Inspect model id; or a model folder or `hub:OWNER/NAME`, which runs on this machine.
        rubric: id of a shipped rubric or guard format, or path of one's own; standalone.
        policies: path of the policies, for a rubric that judges by them (`alignment_prism.scoring.policies`).
        instructions: `english`, or `prompt`: the judge is instructed in the language of each prompt.
        max_tokens: most tokens of an answer, in place of the rubric's.
        thought_tokens: most tokens of thoughts before the answer, for a judge that thinks.
        translator: translates what the judge is shown into English; None shows it as it is.
        device: of a model on this machine.
        base_url: address of the judge's server, where it is not the provider's own.
        journal: where answers are kept, so that a run that was killed goes on where it stopped.
        progress: told how many replies are judged and how many there are to judge.
        max_connections: calls under way at once.
        retries: of a call that failed for a passing reason.
        timeout: seconds that an attempt of a call may take; None goes by the rubric's tokens.
        batch: whether calls go through the provider's batch API: cheaper, and answered within a day.
        languages: the registry that prompts' languages are in.
        known: earlier scores; those of this judge and rubric of the same replies are taken over, unless UNJUDGED.
    """

    model: str
    rubric: str = STANDALONE
    policies: str = ""
    instructions: str = "english"
    max_tokens: int | None = None
    thought_tokens: int = 0
    translator: Translator | None = None
    device: str = "auto"
    base_url: str = ""
    journal: Journal | None = None
    progress: Progress | None = None
    max_connections: int = CONNECTIONS
    retries: int = 5
    timeout: float | None = None
    batch: bool = False
    languages: Languages = LANGUAGES
    known: Sequence[Score] = ()

    @property
    def id(self) -> str:
        """The model, and who translates for it."""
        return self.model if self.translator is None else f"{self.model} after {self.translator.model}"

    @property
    def form(self) -> RubricForm | GuardForm:
        """How it is asked.

        Raises:
            InputError: there is no such rubric, or it does not go with the rest.
        """
        return load_form(
            self.rubric,
            policies=self.policies,
            instructions=self.instructions,
            max_tokens=self.max_tokens,
            thought_tokens=self.thought_tokens,
        )

    @property
    def makes(self) -> tuple[str, ...]:
        """What a guard said if one spoke, an outcome for every reply, whether one in the wrong language declines,
        whether an answer that can be checked is right, categories that a guard model names, which policy counted, and
        what a translator made of the reply."""
        return (GUARD, OUTCOME, FOREIGN_REFUSAL, CORRECT, CATEGORIES, POLICY, TRANSLATION)

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Find out before any work what is wrong with the judge's id, address, rubric or policies; nothing is called.

        Raises:
            InputError: a judge of the nano lab is none, or does not know the prompts; there is no such rubric, or it
                lacks a policy or instructions for some language.
            ModelError: the address is missing or none, or a local judge is no model.
        """
        self.form.check(prompts)
        if is_local(self.model):
            named_digest(resolve(self.model))
        else:
            run_async(Endpoint(self.model, self.base_url, batch=self.batch).check_judging(prompts))
        if self.translator is not None:
            self.translator.check()

    def score(self, prompts: Sequence[Prompt], generations: Sequence[Generation]) -> list[Score]:
        """Scores of the replies, in their order.

        A reply whose call failed or whose answer cannot be read is UNJUDGED, with the judge's words in `raw` and the
        reason in `error`; so is one in the wrong language, whose harm nobody has looked at then.

        Raises:
            InputError: the judge does not know the prompts; the rubric is unknown or pairwise; a reply belongs to no
                prompt.
            ModelError: the judge cannot be opened or reached; what was judged is in the journal.
        """
        form = self.form
        form.check(prompts)
        by_id = {prompt.id: prompt for prompt in prompts}
        taken = self._taken(form)
        guarded, asked = self._guarded(by_id, generations, taken)
        calls = self._calls(form)
        pending = [generation for generation, is_asked in zip(generations, asked, strict=True) if is_asked]
        shown = self._shown(by_id, pending)
        keys = {
            digest: calls.add(one.prompt, one.reply) for digest, one in shown.items() if not one.problem
        }  # equal replies to one prompt have the same keys
        answers = calls.ask(
            prompts,
            is_verdict=lambda key, answer: form.is_verdict(answer, calls.asked(key)),
            journal=self.journal,
            progress=self.progress,
        )
        scores: list[Score] = []
        for generation, said, is_asked in zip(generations, guarded, asked, strict=True):
            digest = generation.reply_digest
            if said is not None:
                scores.append(said.score(generation))
            if not is_asked and not (said is not None and said.final):
                scores += [replace(score, arm=generation.arm, sample=generation.sample) for score in taken[digest]]
                continue
            draft = Score(
                generation.prompt_id, digest, generation.arm, self.id, OUTCOME,
                sample=generation.sample, rubric=form.id,
            )  # fmt: skip
            prompt = by_id[generation.prompt_id]
            read = None
            if is_asked and (problem := shown[digest].problem):
                read = ParsedAnswer(Outcome.UNJUDGED, problem=problem), ""
            elif is_asked:
                said_of_it = [answers[key] for key in keys[digest]]
                raw = "\n".join(answer.text for answer in said_of_it)
                read = read_answers(form, said_of_it, [calls.asked(key) for key in keys[digest]]), raw
                scores += _about(draft, form.policy(prompt), shown[digest] if self.translator is not None else None)
            scores += _scores(draft, said, read, bool(prompt.reference))
        return scores

    def calls_for(self, prompts: Sequence[Prompt], generations: Sequence[Generation]) -> JudgeCalls:
        """What the judge would be asked about the replies, each call once; nothing is asked.

        Raises:
            InputError: as `score`; or there is a translator, whose translations nobody knows before they are made.
        """
        if self.translator is not None:
            raise InputError("what a judge is shown in translation is not known before", fix="count its replies")
        by_id = {prompt.id: prompt for prompt in prompts}
        form = self.form
        calls = self._calls(form)
        _, asked = self._guarded(by_id, generations, self._taken(form))
        for generation, is_asked in zip(generations, asked, strict=True):
            if is_asked:
                calls.add(by_id[generation.prompt_id], generation.reply)
        return calls

    def _calls(self, form: Form) -> JudgeCalls:
        """Calls of this judge, none so far."""
        return JudgeCalls(
            self.model,
            form,
            self.base_url,
            self.max_connections,
            self.retries,
            self.timeout,
            self.device,
            self.batch,
        )

    def _guarded(
        self, prompts: Mapping[str, Prompt], generations: Sequence[Generation], taken: Mapping[str, Sequence[Score]]
    ) -> tuple[list[Guarded | None], list[bool]]:
        """What guards say of the replies, and which of them the judge is asked about."""
        guarded = [guard(prompt_of(g, prompts), g, languages=self.languages) for g in generations]
        asked = [
            not (said is not None and said.final) and generation.reply_digest not in taken
            for generation, said in zip(generations, guarded, strict=True)
        ]
        return guarded, asked

    def _shown(self, prompts: Mapping[str, Prompt], generations: Sequence[Generation]) -> dict[str, _Shown]:
        """What the judge is shown of replies, by their digests: prompt and reply as they are, or translated."""
        texts: list[tuple[str, str]] = []
        for generation in generations if self.translator is not None else ():
            prompt = prompts[generation.prompt_id]
            texts += [*texts_of(prompt), (prompt.language, generation.reply)]
        if self.translator is None:
            return {one.reply_digest: _Shown(prompts[one.prompt_id], one.reply) for one in generations}
        made = self.translator.translate(texts, languages=self.languages, journal=self.journal, progress=self.progress)
        found = {}
        for generation in generations:
            prompt = prompts[generation.prompt_id]
            parts = [made[part] for part in (*texts_of(prompt), (prompt.language, generation.reply))]
            problem = next((part.problem for part in parts if part.problem), "")
            shown = prompt if problem else translated(prompt, made)
            found[generation.reply_digest] = _Shown(shown, parts[-1].text, problem)
        return found

    def _taken(self, form: Form) -> dict[str, list[Score]]:
        """Known scores of this judge by the reply's digest, of replies that it has judged."""
        found: dict[str, list[Score]] = {}
        for score in self.known:
            if (score.scorer, score.rubric) == (self.id, form.id):
                found.setdefault(score.reply_digest, []).append(score)
        return {key: said for key, said in found.items() if all(s.outcome is not Outcome.UNJUDGED for s in said)}


def require_verdicts(scores: Sequence[Score], judge: str, journal: Path | None = None) -> None:
    """Refuse a result in which the judge has judged nothing of what it was asked: that is a fault, not a finding.

    Args:
        scores: of all replies.
        judge: whose.
        journal: file that its answers are in.

    Raises:
        ModelError: there is no outcome; says the commonest reasons.
    """
    settled = {_reply(score) for score in scores if score.name == GUARD and is_final(score.label)}
    asked = [score for score in scores if score.name == OUTCOME and _reply(score) not in settled]
    if asked and all(score.outcome is Outcome.UNJUDGED for score in asked):
        reasons = Counter(score.error for score in asked).most_common(5)
        counts = "; ".join(f"{count} x {reason[:200]}" for reason, count in reasons)
        said = f" (what it said is in {journal})" if journal is not None and journal.is_file() else ""
        cut = CUT["max_tokens"] in counts
        raise ModelError(
            f"none of {len(asked)} replies could be judged; {counts}",
            where=judge,
            fix=f"see that the judge and its address are right and that it answers as the rubric asks{said}"
            f"{', and give it more tokens than its answers have' if cut else ''}; then run the same command again: "
            "finished work is kept",
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
        found = None
    else:
        parsed, raw = read
        found = parsed.outcome
        # Only a judge that has looked at a reply in the wrong language makes it one of those that are not harmful.
        if said is not None and parsed.outcome not in (Outcome.HARMFUL, Outcome.UNJUDGED):
            parsed = replace(parsed, outcome=said.outcome)
    error = parsed.problem if parsed.outcome is Outcome.UNJUDGED else ""
    scores = [replace(draft, label=parsed.outcome, raw=raw, error=error)]
    if said is not None and found in (Outcome.REFUSAL, Outcome.SAFE_HELP):
        scores.append(replace(draft, name=FOREIGN_REFUSAL, value=float(found is Outcome.REFUSAL)))
    if checkable and parsed.outcome in (Outcome.DEGENERATE, Outcome.WRONG_LANGUAGE):
        parsed = replace(parsed, correct=False)
    if checkable and parsed.correct is not None and parsed.outcome is not Outcome.UNJUDGED:
        scores.append(replace(draft, name=CORRECT, value=float(parsed.correct), raw=raw))
    if parsed.categories and parsed.outcome is not Outcome.UNJUDGED:
        scores.append(replace(draft, name=CATEGORIES, label=", ".join(parsed.categories)))
    return scores


def _about(draft: Score, policy: str, shown: _Shown | None) -> list[Score]:
    """By which policy a reply was judged, and in what translation."""
    scores = [replace(draft, name=POLICY, label=policy)] if policy else []
    return [*scores, replace(draft, name=TRANSLATION, label=INTO, raw=shown.reply)] if shown is not None else scores
