"""What the commands of the three stages share: options, reading of prompts, calling of models, progress, the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from alignment_prism.domain import Finding, Generation, InputError, Outcome, Prompt, Sampling, Score

if TYPE_CHECKING:
    from rich.console import Console

    from alignment_prism.calls.runner import Journal
    from alignment_prism.domain.progress import Progress

F = TypeVar("F", bound=Callable[..., Any])


def complete_method(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of methods for the shell."""
    from alignment_prism.training.methods import METHODS

    found = [method for method in METHODS.values() if method.name.startswith(incomplete)]
    return [CompletionItem(method.name, help=method.title) for method in found]


def _all(*options: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


prompt_options = _all(
    click.option("--prompts", "prompts_file", required=True, help="File of prompts, or a set by name or Hub id."),
    click.option("--map", "mapping", multiple=True, metavar="FIELD=COLUMN[,...]", help="Columns of the prompts file."),
    click.option("--language", help="Language of prompts that do not say theirs."),
    click.option(
        "--kind", help="Kind of prompts that do not say theirs: harmful, general, ... (default: the format's)."
    ),
    click.option("--languages", "language_file", type=click.Path(), help="YAML file with further languages."),
    click.option("--limit", type=click.IntRange(1), help="Only the first so many prompts of each language."),
)
sampling_options = _all(
    click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="Replies per prompt (k)."),
    click.option("--temperature", type=click.FloatRange(0), default=0.0, show_default=True, help="0 is greedy."),
    click.option(
        "--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True, help="Nucleus."
    ),
    click.option(
        "--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="Most tokens of a reply."
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of the draws; ignored when greedy."),
)
model_options = _all(
    click.option(
        "--model-url", default="", help="Address of the model's server, for an Inspect id of one's own server."
    ),
    click.option("--device", default="auto", show_default=True, help="For a local model: cpu, cuda, cuda:1, mps."),
    click.option(
        "--batch-tokens",
        type=click.IntRange(1),
        help="For a local model: positions of a batch; less needs less memory.",
    ),
)
judge_options = _all(
    click.option("--rubric", default="standalone@1", show_default=True, help="Id of a shipped rubric, or a YAML file."),
    click.option("--judge-url", default="", help="Address of the judge's server, for one's own server."),
)
call_options = _all(
    click.option("--connections", type=click.IntRange(1), default=32, show_default=True, help="API calls at once."),
    click.option("--retries", type=click.IntRange(0), default=5, show_default=True, help="Of a failed API call."),
)


keep_going_option = click.option(
    "--keep-going", is_flag=True, help="Leave out replies to none of the prompts, and prompts without a reply."
)
retry_option = click.option(
    "--retry-unjudged", is_flag=True, help="Ask the judge again, only for replies of a finished OUT without a verdict."
)


def say_left_out(replies: Sequence[str], prompts: int, remaining: int) -> None:
    """How many replies belong to no prompt, and how many prompts have not all their replies, with `--keep-going`.

    Raises:
        InputError: nothing is left.
    """
    if replies:
        shown = ", ".join(replies[:5]) + (", ..." if len(replies) > 5 else "")
        click.echo(f"left out: {len(replies)} replies to none of the prompts ({shown})", err=True)
    if prompts > remaining:
        click.echo(f"left out: {prompts - remaining} of {prompts} prompts, which have no reply", err=True)
    if not remaining:
        raise InputError("no prompt has a reply", fix="give the prompts that were answered, or --reply-map")


def load(
    prompts_file: str,
    mapping: Sequence[str],
    language: str | None,
    kind: str | None,
    language_file: str | None,
    limit: int | None,
) -> list[Prompt]:
    """The prompts that the options name."""
    from alignment_prism.cli.console import echo_unknown_languages
    from alignment_prism.cli.parse import parse_mapping, registry
    from alignment_prism.io import Intake
    from alignment_prism.prompts import load_prompts

    defaults = {name: value for name, value in (("language", language), ("kind", kind)) if value}
    intake = Intake()
    prompts = load_prompts(
        prompts_file,
        mapping=parse_mapping(mapping) or None,
        defaults=defaults or None,
        languages=registry(language_file),
        intake=intake,
    )
    echo_unknown_languages([intake])
    prompts = first(prompts, limit)
    if not prompts:
        raise InputError("no prompts", where=prompts_file, fix="check that the file is the right one and not empty")
    return prompts


def first(prompts: Sequence[Prompt], limit: int | None) -> list[Prompt]:
    """The first prompts of each language, all of them where there is no limit."""
    taken: Counter[str] = Counter()
    kept = []
    for prompt in prompts:
        taken[prompt.language] += 1
        if limit is None or taken[prompt.language] <= limit:
            kept.append(prompt)
    return kept


def generate(
    model: str,
    prompts: Sequence[Prompt],
    *,
    arm: str,
    sampling: Sampling,
    journal: Journal,
    connections: int = 32,
    retries: int = 5,
    model_url: str = "",
    device: str = "auto",
    batch_tokens: int | None = None,
) -> list[Generation]:
    """Replies of a model in a folder, on the Hub or behind an Inspect id: whichever the name is."""
    from alignment_prism.generation import reply

    with progress(f"generating ({arm})") as tick:
        return reply(
            model,
            prompts,
            sampling,
            arm=arm,
            journal=journal,
            progress=tick,
            base_url=model_url,
            connections=connections,
            retries=retries,
            device=device,
            batch_tokens=batch_tokens,
        )


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A progress bar on the error stream; yields the function that moves it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total, words="": bar.update(task, completed=done, total=total)


def say_unjudged(scores: Sequence[Score]) -> None:
    """How many replies have no verdict, and why, without a word of the replies."""
    outcomes = [score for score in scores if score.outcome is not None]
    reasons = Counter(score.error for score in outcomes if score.outcome is Outcome.UNJUDGED)
    if reasons:
        click.echo(f"{sum(reasons.values())} of {len(outcomes)} replies are unjudged and in no rate:", err=True)
        for reason, count in reasons.most_common(5):
            click.echo(f"  {count}: {reason[:160]}", err=True)


def show(findings: Sequence[Finding], console: Console | None = None) -> None:
    """Outcomes by arm, kind of prompts and (harmful ones) language, and the change against base, on the terminal."""
    from alignment_prism.cli.console import console as terminal
    from alignment_prism.reports import outcomes_table

    (console or terminal()).print(outcomes_table(findings))


def say_generations(generations: Sequence[Generation]) -> None:
    """How the replies ended."""
    for arm in dict.fromkeys(generation.arm for generation in generations):
        ends = Counter(generation.stop_reason.value for generation in generations if generation.arm == arm)
        click.echo(f"{arm}: {sum(ends.values())} replies; " + ", ".join(f"{n} {end}" for end, n in ends.most_common()))
