"""`prism evaluate`: generate, judge and analyse in one go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.options import (
    REPLIES_HELP,
    RETRY_HELP,
    CallOptions,
    JudgeOptions,
    ModelOptions,
    MoneyOptions,
    PassportOptions,
    PromptOptions,
    ReplyOptions,
    SamplingOptions,
    generation_spec,
    group,
    option,
)

if TYPE_CHECKING:
    from alignment_prism.studies import Study
    from alignment_prism.studies.arms import ModelArm, RepliesArm


WIN_RATES = ("win_rate", "length_controlled_win_rate", "inconsistent_rate", "first_position_rate", "uncompared_rate")


@click.group("evaluate")
def command() -> None:
    """Generate, judge and analyse in one go. Each stage alone: prism generate, prism judge, prism analyse."""


@dataclass(frozen=True, slots=True)
class SubjectOptions:
    """What is evaluated, and with what it is compared."""

    model: str | None = option(
        "--model", help="Folder, nano, Hub id (hub:OWNER/NAME to insist), or Inspect id. Not with --generations."
    )
    generations: str | None = option("--generations", type=click.Path(), help=REPLIES_HELP)
    base: str | None = option("--base", help="Model to compare with, named as --model is.")
    base_generations: str | None = option(
        "--base-generations", type=click.Path(), help="Replies of the base that are there already."
    )
    arm: str = option("--arm", default="model", show_default=True, help="Name of the model in the findings.")


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """Where the study goes."""

    study: str = option("--study", default="evaluation", show_default=True, help="Name of the study in the findings.")
    out: str = option("--out", type=click.Path(), required=True, help="Folder of the study; give it again to go on.")
    replace: bool = option(
        "--replace", is_flag=True, help="Replace findings of another evaluation; finished steps are kept."
    )
    retry_unjudged: bool = option("--retry-unjudged", is_flag=True, help=RETRY_HELP)


def shared(function: Any) -> Any:
    """The options of every evaluation."""
    for name, kind in (
        ("money", MoneyOptions), ("folder", FolderOptions), ("calls", CallOptions), ("how", ModelOptions),
        ("sampling", SamplingOptions), ("replies", ReplyOptions), ("prompts", PromptOptions),
        ("subject", SubjectOptions),
    ):  # fmt: skip
        function = group(name, kind)(function)
    return function


@dataclass(frozen=True, slots=True)
class _Shared:
    """The values of the options of every evaluation."""

    subject: SubjectOptions
    prompts: PromptOptions
    replies: ReplyOptions
    sampling: SamplingOptions
    how: ModelOptions
    calls: CallOptions
    folder: FolderOptions
    money: MoneyOptions

    def run(self, name: str, *metrics: str, kind: str = "", **more: Any) -> None:
        """Run the evaluation, show what came of it, what is unjudged, and what the calls came to; or say beforehand
        what they would.

        Args:
            name: of the evaluation.
            metrics: that are shown by language; none for the outcomes.
            kind: of prompts that do not say theirs, where the question leaves no doubt.
            more: further keys of the spec.
        """
        from alignment_prism.cli.dry_run import echo_usage
        from alignment_prism.cli.echo import echo_unjudged, echo_unverified, quiet_hub
        from alignment_prism.cli.progress import Terminal
        from alignment_prism.studies import make_spec, question_of, run_evaluation

        asked = self.prompts if self.prompts.kind or not kind else replace(self.prompts, kind=kind)
        against, arms = _arms(self.subject, self.how.model_url, self.replies)
        spec = make_spec(
            name=self.folder.study,
            base=against,
            arms=tuple(arms),
            keep_going=self.replies.keep_going,
            generation=generation_spec(self.sampling, self.how, self.calls),
            examples=0,
            **asked.spec(),
            **more,
        )
        quiet_hub(spec)
        echo_unverified(spec)
        options: dict[str, Any] = {"replace": self.folder.replace, "retry_unjudged": self.folder.retry_unjudged}
        if self.money.dry_run:
            asked_spec, sources = question_of(name, spec)
            self.money.echo_dry_run(asked_spec, self.folder.out, sources=sources, **options)
            return
        options |= self.money.options()
        done = run_evaluation(name, spec, self.folder.out, progress=Terminal(stderr=True), **options)
        echo_unjudged(done)
        echo_usage(done.usage(), self.money.prices)
        self._show(done, *metrics)

    def _show(self, done: Study, *metrics: str) -> None:
        """Show the outcomes, or metrics by language, and say where the results are."""
        from alignment_prism.cli.console import console
        from alignment_prism.cli.echo import echo_outcomes
        from alignment_prism.reports import language_table

        findings = done.findings()
        if not metrics:
            echo_outcomes(findings)
        for metric in metrics:
            if any(row.metric == metric for row in findings):
                console().print(language_table(findings, metric, "general"))
        echo(f"wrote {self.folder.out}")


@command.command("harm")
@shared
@group("judge", JudgeOptions)
@group("passport", PassportOptions)
@click.option("--win-rate", is_flag=True,
              help="Also let the judge compare replies to general prompts with base's, in both orders.")  # fmt: skip
def harm(judge: JudgeOptions, passport: PassportOptions, win_rate: bool, **options: Any) -> None:
    """How much harm a model does, language by language: any model, also one that was never trained here.

    \b
    Examples:
      prism evaluate harm --model runs/dpo_sft/model --prompts aya.jsonl --judge openai/gpt-4o --out result
      prism evaluate harm --model openai/gpt-4o-mini --base CohereLabs/aya-23-8B --prompts aya.jsonl \\
        --judge anthropic/claude-sonnet-4-5 --out result
      prism evaluate harm --generations answers.csv --prompts xstest.csv --judge openai-api/local/judge \\
        --judge-url http://localhost:8000/v1 --out result

    OUT is the folder of a study: prompts, generations, scores and findings (.parquet), report.html, and every finished
    step, so that the same command goes on where it was stopped: no reply is generated and no call is made twice, and
    a larger --limit asks for what is new. Another judge on the same replies: --generations OUT/generations.parquet and
    another OUT. Where calls failed or an answer is no verdict, the same command with --retry-unjudged asks for these
    alone.
    """
    both = _Shared(**options)
    compare = judge.pairwise(both.calls) if win_rate else None
    spec = {"judge": judge.spec(both.calls), "compare": compare, **passport.spec()}
    both.run("harm", **spec)


@command.command("over-refusal")
@shared
@group("judge", JudgeOptions)
@group("passport", PassportOptions)
def over_refusal(judge: JudgeOptions, passport: PassportOptions, **options: Any) -> None:
    """What a model refuses that nobody needs to refuse: any set of safe prompts, with contrasts or without.

    A refusal in the wrong language is in `refusal_in_any_language_rate` and in `wrong_language_rate` both.

    \b
    Examples:
      prism evaluate over-refusal --model openai/gpt-4o-mini --prompts xstest_prompts.csv --judge openai/gpt-4o \\
        --out result
      prism evaluate over-refusal --generations answers.csv --prompts harmless_ru.json \\
        --map prompt=instruction_translated --language ru --kind benign_mention --judge openai/gpt-4o --out result
    """
    both = _Shared(**options)
    both.run("over_refusal", judge=judge.spec(both.calls), **passport.spec())


@command.command("win-rate")
@shared
@click.option("--judge", required=True, help="Inspect id of the judge who compares.")
@click.option("--judge-url", default="", help="Address of the judge's server, for one's own server.")
@click.option("--rubric", default="pairwise@2", show_default=True, help="Pairwise rubric, or a YAML file.")
def win_rate(judge: str, judge_url: str, rubric: str, **options: Any) -> None:
    """Whose replies to general prompts are better, those of a model or of a base: each pair judged in both orders.

    Of prompts that do not say their kind all are general here, and others are not asked. Orders that disagree are a
    tie; how often they do, and how often the first place wins, stands beside the win-rate, as does the win-rate at
    equal lengths.

    \b
    Examples:
      prism evaluate win-rate --model runs/dpo/model --base CohereLabs/aya-23-8B --prompts dolly \\
        --judge openai/gpt-4o --out result
      prism evaluate win-rate --generations mine.csv --base-generations theirs.csv --prompts alpaca_eval.json \\
        --language en --judge openai/gpt-4o --out result
    """
    from alignment_prism.domain import InputError
    from alignment_prism.studies import CompareSpec

    both = _Shared(**options)
    if both.subject.base is None and both.subject.base_generations is None and both.subject.generations is None:
        raise InputError("there is nothing to compare with", fix="give --base or --base-generations")
    calls: dict[str, Any] = {
        "max_connections": both.calls.connections,
        "retries": both.calls.retries,
        "timeout": both.calls.timeout,
    }
    compare = CompareSpec(model=judge, base_url=judge_url, rubric=rubric, **calls)
    both.run("win_rate", *WIN_RATES, kind="general", compare=compare)


@command.command("translation")
@shared
@click.option("--pivot", default="en", show_default=True, help="Language on one side of every direction.")
@click.option("--no-spbleu", is_flag=True, help="chrF++ alone, which needs no model of FLORES-200.")
def translation(pivot: str, no_spbleu: bool, **options: Any) -> None:
    """How well a model translates, between a pivot and every other language, in both directions.

    Prompts are parallel sentences: a file a language as FLORES-200 has them, or any set whose groups are sentences.

    \b
    Examples:
      prism evaluate translation --model runs/dpo/model --base CohereLabs/aya-23-8B --prompts eng_Latn.devtest \\
        --prompts fra_Latn.devtest --prompts hin_Deva.devtest --out result
    """
    both = _Shared(**options)
    rules = ("chrf",) if no_spbleu else ("chrf", "spbleu")
    metrics = ("chrf", "chrf_difference", "spbleu", "spbleu_difference")
    both.run("translation", *metrics, kind="general", translate={"pivot": pivot}, scorers=rules)


@command.command("accuracy")
@shared
@click.option(
    "--scorer",
    type=click.Choice(["exact_match", "multiple_choice"]),
    help="Rule that says what is right (default: the option that is chosen if all prompts have options).",
)
def accuracy(scorer: str | None, **options: Any) -> None:
    """How many answers are right: multiple choice as in Global MMLU, or exact match with a reference answer.

    \b
    Examples:
      prism evaluate accuracy --model runs/dpo/model --prompts fr/test-00000-of-00001.parquet --out result
      prism evaluate accuracy --model openai/gpt-4o-mini --prompts questions.csv \\
        --map prompt=question,reference=answer --language sw --out result
    """
    both = _Shared(**options)
    metrics = ("multiple_choice", "choice_unread_rate", "exact_match")
    both.run("accuracy", *metrics, kind="general", scorers=(scorer,) if scorer else ())


def _arms(
    subject: SubjectOptions, model_url: str, replies: ReplyOptions
) -> tuple[ModelArm | RepliesArm | None, list[ModelArm | RepliesArm]]:
    """What the options compare with, and what they evaluate.

    Raises:
        InputError: neither or both of two options that stand for one another, or a file that cannot be read.
    """
    from alignment_prism.domain import BASE, InputError
    from alignment_prism.studies.arms import ModelArm, RepliesArm, arm_name

    model, generations, arm = subject.model, subject.generations, subject.arm
    base, base_generations = subject.base, subject.base_generations
    if (model is None) == (generations is None):
        raise InputError("neither or both of --model and --generations", fix="give the one or the other")
    if base is not None and base_generations is not None:
        raise InputError("both of --base and --base-generations", fix="give the one or the other")
    arms: list[ModelArm | RepliesArm] = []
    arms += [ModelArm(name=arm_name(arm), model=model, base_url=model_url)] if model is not None else []
    arms += replies.arms((generations,), arm) if generations is not None else []
    against: ModelArm | RepliesArm | None = None
    if base is not None:
        same_server = model is None or base.partition("/")[0] == model.partition("/")[0]
        against = ModelArm(name=BASE, model=base, base_url=model_url if same_server else "")
    elif base_generations is not None:
        stored = replies.arms((base_generations,), BASE)
        if len(stored) > 1:
            what = f"the file of base's replies has several arms: {', '.join(one.name for one in stored)}"
            raise InputError(what, where=base_generations, fix="give a file with one arm")
        against = stored[0].model_copy(update={"name": BASE})
    else:
        against = next((one for one in arms if one.name == BASE and isinstance(one, RepliesArm)), None)
    return against, [one for one in arms if one is not against]
