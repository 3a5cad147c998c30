"""What the steps of a plan take: calls, tokens, hours of a GPU and money, before anything is done.

Calls are counted: those that a journal or a cache has the answers of are left out, and of replies that are there it is
known which a judge is asked about. Of replies that are still to be made it is not, so that each counts: `at_most`.
The rest is reckoned, no tokenizer is loaded: a token is three characters, a reply is as long as `max_tokens` allows, a
training does 6 operations a parameter and token (8 where activations are computed again), those of prompts that MLC
compares in all their languages among them, a pass without gradient (of its reference, of the divergence that KTO
estimates) and a reply 2 (Kaplan et al. 2020, section 2.1). So replies and money are upper bounds in most studies, and
nothing is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alignment_prism.calls.budget import Budget
from alignment_prism.calls.journal import CallJournal, Journal
from alignment_prism.calls.runner import kept_answers
from alignment_prism.domain import LANGUAGES, Generation, Pair, Prompt, PromptKind, Score
from alignment_prism.domain.messages import Messages
from alignment_prism.io import read_records
from alignment_prism.scoring.judge_calls import JudgeCalls, is_local
from alignment_prism.store.names import CALLS, GENERATIONS
from alignment_prism.studies.arms import ModelArm
from alignment_prism.studies.judges import JudgeSpec
from alignment_prism.studies.plan import Plan
from alignment_prism.studies.prices import Prices
from alignment_prism.studies.reckoning import CHARACTERS, Estimate, called, computed, in_all_languages, learned, passes
from alignment_prism.studies.rounds_estimate import of_round
from alignment_prism.studies.sources import Sources
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps import KINDS, Step
from alignment_prism.studies.steps.compare import compare_calls
from alignment_prism.studies.steps.score import called_endpoint, judge_from
from alignment_prism.training.methods import find_method


def estimate(
    plan: Plan,
    spec: StudySpec,
    sources: Sources,
    prices: Prices,
    *,
    done: set[str] | frozenset[str] = frozenset(),
    parameters: Callable[[str], int],
    out: Path | None = None,
    cache: Path | None = None,
    known: Sequence[Score] = (),
) -> list[Estimate]:
    """What the steps that are not done take, by kind and model.

    Args:
        plan: of the study.
        spec: that it was made from.
        sources: as well.
        prices: of GPU and tokens.
        done: keys of steps that are done.
        parameters: folder or Hub id of a model on this machine -> its parameters, 0 where they are not known.
        out: the study's folder, whose answers and finished replies are used; None for one that is not there yet.
        cache: folder of answers that runs share.
        known: earlier scores, as of `run_study`.
    """
    whole = _Whole(plan, spec, sources, prices, done, parameters, out, kept_in(out, cache), known)
    found: dict[str, Estimate] = {}
    for step in plan.steps:
        if step.key in done:
            continue
        for part in whole.parts(step):
            found[part.what] = part if part.what not in found else found[part.what] + part
    return list(found.values())


def kept_in(*folders: Path | None) -> Journal:
    """The answers that the journals of folders hold, to be looked into and not written to."""
    return _Kept([CallJournal(folder / CALLS) for folder in folders if folder is not None])


class _Kept:
    """Answers of several journals, which are looked into and not written to."""

    budget: Budget | None = None

    def __init__(self, journals: Sequence[Journal]) -> None:
        self._journals = journals

    def get(self, key: str) -> Any:
        return next((value for one in self._journals if (value := one.get(key)) is not None), None)

    def put(self, key: str, value: Any, *, model: str = "", shared: bool = True) -> None:
        raise AssertionError("an estimate asks nobody")


@dataclass(frozen=True)
class _Whole:
    """What an estimate rests on."""

    plan: Plan
    spec: StudySpec
    sources: Sources
    prices: Prices
    done: set[str] | frozenset[str]
    parameters: Callable[[str], int]
    out: Path | None
    journal: Journal
    known: Sequence[Score]

    def parts(self, step: Step) -> list[Estimate]:
        """What a step takes, by model."""
        if (found := of_round(step, self.sources, self.prices, self.parameters)) is not None:
            return found
        if step.kind == "train":
            return [_training(step, self.spec, self.sources, self.prices, self.parameters)]
        if step.kind == "reply":
            return [self.replying(step)]
        if step.kind == "compare":
            return [self.comparing(step)]
        if step.kind == "score" and "judge" in step.options:
            judge = JudgeSpec.model_validate(step.options["judge"])
            return [part for one in judge.everyone for part in self.judging(step, one, one is judge.adjudicator)]
        return []

    def replying(self, step: Step) -> Estimate:
        """Of a model here, or behind an API."""
        prompts, sampling = self.sources.prompts, self.spec.generation.sampling()
        base = KINDS["reply"].computes_with(step)
        if base is None:
            model = str(step.options["model"][2])
            missing = {key: prompt for prompt, _, key in self.calls_of(step) if not kept_answers([key], self.journal)}
            read = sum(_characters(prompt.messages) for prompt in missing.values()) // CHARACTERS
            return self.called(f"reply by {model}", model, len(missing), read, len(missing) * sampling.max_tokens)
        count = len(prompts) * sampling.samples
        read = sampling.samples * sum(_characters(prompt.messages) for prompt in prompts) // CHARACTERS
        what = "replies of trained models" if "model" in step.needs else f"replies of {step.options['model'][1]}"
        return self.here(what, base, read, count * sampling.max_tokens)

    def judging(self, step: Step, judge: JudgeSpec, in_doubt: bool) -> list[Estimate]:
        """Of one judge, and of who translates for it.

        Args:
            step: of the study.
            judge: alone, or of a panel.
            in_doubt: whether it is asked only where others do not agree.
        """
        replies, missing = self.replies(step.needs["replies"])
        most = self.spec.generation.max_tokens
        asker = replace(judge_from(judge), languages=self.languages, known=self.known)
        form, found = asker.form, []
        conversations = [turns for prompt in missing for turns in form.messages(prompt, "")]
        calls, read = len(conversations), sum(map(_characters, conversations)) // CHARACTERS + len(conversations) * most
        if judge.translator is None:
            known = asker.calls_for(self.sources.prompts, replies)
            asked = known.unanswered(self.journal)
            read += _read(known, asked)
            calls += len(asked)
        else:
            texts = {(prompt.language, prompt.text) for prompt in self.sources.prompts if prompt.language != "en"}
            foreign = {prompt.id: prompt.language for prompt in self.sources.prompts if prompt.language != "en"}
            said = {(foreign[one.prompt_id], one.reply) for one in replies if one.prompt_id in foreign}
            more = sum(prompt.id in foreign for prompt in missing)
            length = sum(len(text) for _, text in texts | said) // CHARACTERS + more * most
            count, name = len(texts) + len(said) + more, judge.translator.model
            found = [replace(self.called(f"translate by {name}", name, count, length, length), at_most=True)]
            by_id = {prompt.id: prompt for prompt in self.sources.prompts}
            shown = [turns for one in replies for turns in form.messages(by_id[one.prompt_id], one.reply)]
            calls += len(shown)
            read += sum(map(_characters, shown)) // CHARACTERS
        written = calls * (form.max_tokens + form.thought_tokens)
        what = f"{'adjudicate' if in_doubt else 'judge'} by {judge.billed_as}"
        if is_local(judge.model):
            return [*found, self.here(what, judge.model, read, written)]
        at_most = in_doubt or bool(missing) or judge.translator is not None
        return [*found, replace(self.called(what, judge.billed_as, calls, read, written), at_most=at_most)]

    def comparing(self, step: Step) -> Estimate:
        """Of the judge who compares: two calls for each prompt whose replies are there and differ, or are not there."""
        prompts = [prompt for prompt in self.sources.prompts if prompt.kind is PromptKind.GENERAL]
        sides = [{one.prompt_id: one for one in self.replies(step.needs[role])[0] if one.sample == 0}
                 for role in ("candidate", "base")]  # fmt: skip
        both = [prompt for prompt in prompts if all(prompt.id in side for side in sides)]
        candidate, base = ([side[prompt.id] for prompt in both] for side in sides)
        calls = compare_calls(step, both, candidate, base)
        asked = calls.unanswered(self.journal)
        missing = [prompt for prompt in prompts if any(prompt.id not in side for side in sides)]
        conversations = [turns for prompt in missing for turns in calls.form.messages(prompt, "", "") * 2]
        most = self.spec.generation.max_tokens
        read = sum(map(_characters, conversations)) // CHARACTERS + len(conversations) * 2 * most
        count, model = len(asked) + len(conversations), called_endpoint(step)[0].billed_as
        written = count * calls.form.max_tokens
        part = self.called(f"compare by {model}", model, count, read + _read(calls, asked), written)
        return replace(part, at_most=bool(missing))

    def replies(self, step: Step) -> tuple[list[Generation], list[Prompt]]:
        """The replies of a step that are there, and for each that is not the prompt."""
        for source in self.plan.sources:
            if source.step.key == step.key:
                return list(source.tables[GENERATIONS][1]), []
        if step.key in self.done and self.out is not None:
            return read_records(step.folder(self.out) / GENERATIONS, Generation), []
        sampling = self.spec.generation.sampling()
        if KINDS["reply"].computes_with(step) is not None:
            return [], [prompt for prompt in self.sources.prompts for _ in range(sampling.samples)]
        from alignment_prism.generation.backends.inspect import generation_of

        there, missing = [], []
        for prompt, sample, key in self.calls_of(step):
            kept = kept_answers([key], self.journal)
            if kept:
                there.append(generation_of(prompt, sample, kept[key], step.arm, "", sampling))
            else:
                missing.append(prompt)
        return there, missing

    def calls_of(self, step: Step) -> list[tuple[Prompt, int, str]]:
        """The calls that replies of a model behind an API take: prompt, sample, key."""
        from alignment_prism.generation.backends.inspect import remote_calls

        model, sampling = str(step.options["model"][2]), self.spec.generation.sampling()
        calls = remote_calls(model, self.sources.prompts, sampling, step.options.get("base_url", ""))
        return [(prompt, sample, key) for prompt, sample, _, key in calls]

    @property
    def languages(self) -> Any:
        """That guards know languages by."""
        from alignment_prism.io.languages import read_languages

        return read_languages(self.spec.languages) if self.spec.languages else LANGUAGES

    def here(self, what: str, model: str, read: int, written: int) -> Estimate:
        """Of a model on this machine that reads and writes."""
        operations = 2.0 * (read + written) * self.parameters(model)
        return computed(what, read, written, operations, self.prices.gpu, self.prices.gpu.replies)

    def called(self, what: str, model: str, calls: int, read: int, written: int) -> Estimate:
        """Of a model behind an API."""
        return called(what, model, calls, read, written, self.prices)


def _training(
    step: Step, spec: StudySpec, sources: Sources, prices: Prices, parameters: Callable[[str], int]
) -> Estimate:
    mixture = step.needs["mixture"].settings
    safety: Sequence[float] = _mean_lengths(sources.safety)
    general: Sequence[float] = _mean_lengths(sources.general)
    share = float(mixture["share"])
    pairs = mixture["total"] or len(sources.safety) + len(sources.general)  # at most, where the pools decide
    if sources.build is not None:
        from alignment_prism.studies.synthesis.plan import largest

        most, *tokens_each = largest(*sources.build)
        languages = len({seed.language for seed in sources.build[1].prompts})
        safety = [*(CHARACTERS * one for one in tokens_each), 2.0, CHARACTERS * tokens_each[0] * languages]
        pairs = mixture["total"] or pairs + most
    mixed = (share * one + (1 - share) * other for one, other in zip(safety, general, strict=True))
    prompt, chosen, rejected, replies, translated = mixed
    method = find_method(step.settings["method"])
    recipes = {**step.settings.get("earlier", {}), method.stages[-1].section: step.settings["recipe"]}
    checkpointing = bool(step.options["training"].get("gradient_checkpointing"))
    base = str(step.options["base"])
    names = {sources.models[one.name].id: one.model for one in spec.bases if isinstance(one, ModelArm)}
    read = operations = 0.0
    for stage in method.stages:
        if (recipe := recipes.get(stage.section)) is None:  # a step of its own
            continue
        objective = stage.objective
        asked = prompt * (replies if objective.examples_of_pair > 1 else 1)  # once an example
        tokens = pairs * (asked + chosen + (rejected if objective.replies_of_pair > 1 else 0)) / CHARACTERS
        epochs = float(recipe.get("epochs", 1))
        read += tokens * epochs
        operations += tokens * passes(objective, epochs, checkpointing=checkpointing) * parameters(base)
        if objective.translated_at is not None:
            compared = pairs * translated / CHARACTERS
            read += compared * epochs
            operations += compared * learned(epochs, checkpointing=checkpointing) * parameters(base)
    return computed(
        f"train from {names.get(base, base)}",
        int(read),
        0,
        operations,
        prices.gpu,
        prices.gpu.training,
    )


def _read(calls: JudgeCalls, keys: Iterable[str]) -> int:
    """Tokens that a judge reads in these calls."""
    return sum(_characters(calls.asked(key)) for key in keys) // CHARACTERS


def _characters(messages: Messages) -> int:
    return sum(len(turn.content) for turn in messages)


def _mean_lengths(pairs: Sequence[Pair]) -> tuple[float, float, float, float, float]:
    """Mean characters of prompts, chosen and rejected replies, mean number of replies that are there, and mean
    characters of prompts in all their languages."""
    count = max(len(pairs), 1)
    prompts = sum(len(message.content) for pair in pairs for message in pair.messages)
    there = sum((pair.chosen != "") + (pair.rejected != "") for pair in pairs)
    characters = [prompts, sum(len(pair.chosen) for pair in pairs), sum(len(pair.rejected) for pair in pairs)]
    prompt, chosen, rejected = (each / count for each in characters)
    return prompt, chosen, rejected, there / count, in_all_languages(pairs) / count
