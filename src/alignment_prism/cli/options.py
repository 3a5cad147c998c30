"""Options that commands share, in groups: a group is a frozen dataclass, and a command is handed one value for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from alignment_prism.studies.arms import RepliesArm
    from alignment_prism.studies.generation import GenerationSpec
    from alignment_prism.studies.judges import CompareSpec, JudgeSpec
    from alignment_prism.studies.spec import StudySpec

F = TypeVar("F", bound=Callable[..., Any])

REPLIES_HELP = "Replies that are there already, of one model or of several."

RETRY_HELP = "Where there are results already: ask again for replies that failed and missing verdicts, no more."


def complete_method(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of methods for the shell."""
    from alignment_prism.training.methods import METHODS

    found = [method for method in METHODS.values() if method.name.startswith(incomplete)]
    return [CompletionItem(method.name, help=method.title) for method in found]


def option(*names: str, **attributes: Any) -> Any:
    """A field of a group, and the option that it is; arguments are those of `click.option`."""
    return field(metadata={"option": (names, attributes)})


def group(name: str, kind: type) -> Callable[[F], F]:
    """A decorator that adds the options of a group to a command, and hands them to it as one value.

    Args:
        name: of the command's parameter.
        kind: the group: a dataclass whose fields are made by `option`.
    """

    def decorate(command: F) -> F:
        parts = fields(kind)

        @wraps(command)
        def with_group(**values: Any) -> Any:
            values[name] = kind(**{part.name: values.pop(f"{name}_{part.name}") for part in parts})
            return command(**values)

        decorated: Any = with_group
        for part in reversed(parts):
            names, attributes = part.metadata["option"]
            decorated = click.option(*names, f"{name}_{part.name}", **attributes)(decorated)
        done: F = decorated
        return done

    return decorate


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """Which prompts are asked, and how they are read."""

    prompts: tuple[str, ...] = option(
        "--prompts",
        required=True,
        multiple=True,
        help="File of prompts, or a set by name or Hub id; may be given several times.",
    )
    mapping: tuple[str, ...] = option(
        "--map", multiple=True, metavar="FIELD=COLUMN[,...]", help="Columns of the prompts file."
    )
    language: str | None = option("--language", help="Language of prompts that do not say theirs.")
    kind: str | None = option(
        "--kind", help="Kind of prompts that do not say theirs: harmful, general, ... (default: the format's)."
    )
    language_file: str | None = option("--languages", type=click.Path(), help="YAML file with further languages.")
    part: str | None = option("--part", help="Only this part of a split (prism prompts split), such as eval.")
    limit: int | None = option(
        "--limit",
        type=click.IntRange(1),
        help="Only so many prompts of each kind, subset, scope and language, always the same ones.",
    )

    def spec(self) -> dict[str, Any]:
        """The keys of a spec that they are.

        Raises:
            InputError: a column map is not FIELD=COLUMN.
        """
        from alignment_prism.cli.parse import parse_mapping
        from alignment_prism.studies.spec import PromptFile

        defaults = {name: value for name, value in (("language", self.language), ("kind", self.kind)) if value}
        mapping = parse_mapping(self.mapping)
        files = tuple(PromptFile(file=file, map=mapping, defaults=defaults, part=self.part) for file in self.prompts)
        return {"prompts": files, "prompt_limit": self.limit, "languages": self.language_file}


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """How replies that are there already are read."""

    reply_map: tuple[str, ...] = option(
        "--reply-map", multiple=True, metavar="FIELD=COLUMN[,...]", help="Columns of a foreign file of replies."
    )
    keep_going: bool = option(
        "--keep-going", is_flag=True, help="Leave out replies to none of the prompts, and prompts without a reply."
    )

    def arms(self, files: tuple[str, ...], arm: str, seed: int = -1) -> list[RepliesArm]:
        """The arms of some files of replies, in the order in which they begin.

        Args:
            files: of replies; an arm may stand in several.
            arm: name for replies whose row has none.
            seed: of the alignment of the arms.

        Raises:
            InputError: a file cannot be read, or a column map is not FIELD=COLUMN.
        """
        from alignment_prism.cli.parse import parse_mapping
        from alignment_prism.studies.arms import stored_arms

        return stored_arms(files, arm=arm, mapping=parse_mapping(self.reply_map, "--reply-map"), seed=seed)


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How replies are drawn."""

    samples: int = option(
        "--samples", type=click.IntRange(1), default=1, show_default=True, help="Replies per prompt (k)."
    )
    temperature: float = option(
        "--temperature", type=click.FloatRange(0), default=0.0, show_default=True, help="0 is greedy."
    )
    top_p: float = option(
        "--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True, help="Nucleus."
    )
    max_tokens: int = option(
        "--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="Most tokens of a reply."
    )
    seed: int = option("--seed", type=int, default=0, show_default=True, help="Of the draws; ignored when greedy.")


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is run."""

    model_url: str = option(
        "--model-url", default="", help="Address of a server: of an Inspect id of one's own, or of vLLM for a folder."
    )
    device: str = option(
        "--device", default="auto", show_default=True, help="For a local model: cpu, cuda, cuda:1, mps."
    )
    batch_tokens: int | None = option(
        "--batch-tokens",
        type=click.IntRange(1),
        help="For a local model: positions of a batch; less needs less memory.",
    )


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How models behind an API are called."""

    connections: int = option(
        "--connections", type=click.IntRange(1), default=32, show_default=True, help="API calls at once."
    )
    retries: int = option(
        "--retries", type=click.IntRange(0), default=5, show_default=True, help="Of a failed API call."
    )
    timeout: float | None = option(
        "--timeout",
        type=click.FloatRange(0, 86400, min_open=True),
        help="Seconds that one attempt of an API call may take (default: 60, and 0.2 for each token of an answer).",
    )


@dataclass(frozen=True, slots=True)
class MoneyOptions:
    """What calls may cost, and what need not be paid twice."""

    dry_run: bool = option(
        "--dry-run", is_flag=True, help="Say how many calls, tokens and dollars it takes, by model; call nobody."
    )
    budget: float | None = option(
        "--budget",
        type=click.FloatRange(0),
        metavar="DOLLARS",
        help="Stop before all calls of this output cost more; the same command with more goes on.",
    )
    prices: str | None = option(
        "--prices",
        type=click.Path(),
        help="YAML file with prices in place of those that ship: models: {NAME: [IN, OUT]}.",
    )
    cache: str | None = option(
        "--cache",
        type=click.Path(),
        envvar="PRISM_CACHE",
        metavar="FOLDER",
        help="Folder of answers that runs share: what one paid for costs the others nothing. [env: PRISM_CACHE]",
    )

    def options(self) -> dict[str, Any]:
        """As `run_study` takes them."""
        return {"budget": self.budget, "prices": self.prices, "cache": self.cache}

    def echo_dry_run(self, spec: StudySpec, out: str | Path, **options: Any) -> None:
        """Show what a study would cost.

        Args:
            spec: of the study.
            out: its folder.
            options: as of `alignment_prism.studies.dry_run`.
        """
        from alignment_prism.cli.dry_run import echo_dry_run
        from alignment_prism.studies import dry_run

        echo_dry_run(dry_run(spec, out, prices=self.prices, cache=self.cache, **options), out, self.budget)


@dataclass(frozen=True, slots=True)
class PassportOptions:
    """What is known of the judge."""

    passport: str | None = option("--passport", type=click.Path(), help="Of the judge (`prism labels passport`): adds "
                                  "rates and changes without its errors.")  # fmt: skip
    min_sensitivity: float = option("--min-sensitivity", type=click.FloatRange(0, 1), default=0.0, show_default=True,
                                    help="Refuse a judge whose passport does not show as much in every "
                                    "language.")  # fmt: skip
    origin: str = option("--origin", default="all", show_default=True, help="Of the prompts, as the passport names it: "
                         "native, translated.")  # fmt: skip

    def spec(self) -> dict[str, Any]:
        """As a study's spec has it."""
        from alignment_prism.domain import InputError

        if self.passport is None:
            given = {"--min-sensitivity": self.min_sensitivity > 0, "--origin": self.origin != "all"}
            if without := [name for name, is_given in given.items() if is_given]:
                raise InputError(f"{without[0]} without --passport", fix="give the judge's passport")
            return {}
        known = {"file": self.passport, "min_sensitivity": self.min_sensitivity, "origin": self.origin}
        return {"passport": known}


@dataclass(frozen=True)
class JudgeOptions:
    """Who judges."""

    judge: tuple[str, ...] = option(
        "--judge",
        required=True,
        multiple=True,
        help="Inspect id of the judge, a model folder or hub:OWNER/NAME, or a YAML file of a judge or a panel. Several "
        "are a panel, of which the majority counts.",
    )
    adjudicator: str | None = option(
        "--adjudicator", help="Judge who decides where the two of --judge do not agree, and is not asked otherwise."
    )
    rubric: str = option(
        "--rubric",
        default="standalone@2",
        show_default=True,
        help="Id of a shipped rubric or guard model's format, or a YAML file.",
    )
    policy: str = option(
        "--policy",
        default="",
        type=click.Path(),
        help="For --rubric policy@1: what counts as harm, a text, or a folder with one for each language or country.",
    )
    instructions: str = option(
        "--instructions",
        type=click.Choice(["english", "prompt"]),
        default="english",
        show_default=True,
        help="Language of the judge's instructions: English, or that of each prompt.",
    )
    judge_tokens: int | None = option(
        "--judge-tokens", type=click.IntRange(1), help="Most tokens of an answer, in place of the rubric's."
    )
    thought_tokens: int = option(
        "--thought-tokens", type=click.IntRange(0), default=0, help="For a judge that thinks: most tokens before it."
    )
    translator: str | None = option("--translator", help="Inspect id of who translates what the judge is shown.")
    translator_url: str = option("--translator-url", default="", help="Address of the translator's server.")
    judge_url: str = option("--judge-url", default="", help="Address of the judge's server, for one's own server.")
    judge_batch: bool = option(
        "--judge-batch",
        is_flag=True,
        help="Judge through the provider's batch API: about half the price, an answer within a day.",
    )

    @property
    def files(self) -> tuple[str, ...]:
        """What is read, and may be no file."""
        return (self.rubric, *([self.policy] if self.policy else []), *self.judge)

    def spec(self, calls: CallOptions) -> JudgeSpec:
        """Who judges single replies.

        Raises:
            InputError: the options describe no judge.
        """
        from alignment_prism.studies.judge_files import judge_of

        shared = {
            "rubric": self.rubric,
            "policies": self.policy,
            "instructions": self.instructions,
            "max_tokens": self.judge_tokens,
            "thought_tokens": self.thought_tokens,
            "translator": self.translator and {"model": self.translator, "base_url": self.translator_url},
            **self._called(calls),
        }
        return judge_of(self.judge, self.adjudicator, **shared)

    def pairwise(self, calls: CallOptions) -> CompareSpec:
        """The same judge as one who compares.

        Raises:
            InputError: there are several.
        """
        from alignment_prism.domain import InputError
        from alignment_prism.studies.judges import CompareSpec

        if len(self.judge) > 1 or Path(self.judge[0]).is_file():
            raise InputError("replies are compared by one judge, and there is a panel", fix="name one, by its id")
        return CompareSpec(model=self.judge[0], **self._called(calls))

    def _called(self, calls: CallOptions) -> dict[str, Any]:
        asked = {"max_connections": calls.connections, "retries": calls.retries, "timeout": calls.timeout}
        return {"base_url": self.judge_url, "batch": self.judge_batch, **asked}


def generation_spec(sampling: SamplingOptions, model: ModelOptions, calls: CallOptions) -> GenerationSpec:
    """How replies are drawn, as a spec has it.

    Raises:
        InputError: several replies of a prompt would be the same.
    """
    from alignment_prism.io.yaml import YamlDocument, validated
    from alignment_prism.studies.generation import GenerationSpec

    values = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "samples": sampling.samples,
        "seed": sampling.seed,
        "batch_tokens": model.batch_tokens,
        "device": model.device,
        "max_connections": calls.connections,
        "retries": calls.retries,
        "timeout": calls.timeout,
    }
    return validated(GenerationSpec, values, YamlDocument("", "the options"))
