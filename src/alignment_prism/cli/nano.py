"""`prism nano`: build a base for the embedded lab, check one, look at its world."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alignment_prism.cli.console import console, echo

if TYPE_CHECKING:
    from alignment_prism.nano.base.criteria import Criterion


@click.group("nano")
def command() -> None:
    """The embedded lab: a small world in which the truth is known.

    \b
    Examples:
      prism nano show --language fr
      prism nano build --seed 7 --out results/base-7
      prism nano check
    """


@command.command("build")
@click.option("--seed", default=0, show_default=True, help="Seed of the world; 0 is the one that ships.")
@click.option(
    "--training-seed", type=click.IntRange(0), help="Of first weights and examples (default: --seed; 2 for what ships)."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--steps", type=click.IntRange(1), default=None, help="Training steps; time is proportional to them.")
@click.option("--threads", type=click.IntRange(1), default=None, help="CPU threads; other numbers give other digests.")
@click.option("--sign-share", type=click.FloatRange(0, 1), default=None, help="The transfer dial, 0 to 1.")
@click.option(
    "--refusal-median", type=click.FloatRange(0, 1), default=None, help="Declared rate of refusal in the base."
)
@click.option("--force", is_flag=True, help="Write the base even if it misses a criterion.")
@click.option("--replace", is_flag=True, help="Replace a base that was built in that folder before, and nothing else.")
def build(
    seed: int,
    training_seed: int | None,
    out: Path,
    steps: int | None,
    threads: int | None,
    sign_share: float | None,
    refusal_median: float | None,
    force: bool,
    replace: bool,
) -> None:
    """Train a base from scratch in the world of a seed and hold it against its criteria.

    \b
    Example:
      prism nano build --seed 7 --out results/base-7
    """
    from alignment_prism.cli.progress import progress_bar
    from alignment_prism.nano.base.build import KIND, build_base, describe
    from alignment_prism.nano.base.train import BaseRecipe
    from alignment_prism.nano.world import WorldSpec
    from alignment_prism.store import check_folder

    check_folder(out, kind=KIND, replace=replace)
    spec = WorldSpec(seed=seed)
    if sign_share is not None:
        spec = dataclasses.replace(spec, sign_share=sign_share)
    if refusal_median is not None:
        spec = dataclasses.replace(spec, refusal_median=refusal_median)
    sizes = {"steps": steps, "threads": threads}
    training_seed = seed if training_seed is None else training_seed
    recipe = BaseRecipe(seed=training_seed, **{key: value for key, value in sizes.items() if value is not None})
    echo(describe(spec))
    with progress_bar("pre-training the base") as progress:
        criteria = build_base(spec, recipe, out, progress, force=force, replace=replace)
    _print_criteria(criteria)
    echo(f"written: {out}")


@command.command("check")
@click.option(
    "--base", type=click.Path(path_type=Path), default=None, help="A base folder; the shipped one by default."
)
def check(base: Path | None) -> None:
    """Hold a base against its criteria again; exits with 4 if it misses one.

    \b
    Examples:
      prism nano check
      prism nano check --base results/base-7
    """
    from alignment_prism.domain import TrainingError
    from alignment_prism.models.shipped import shipped_base
    from alignment_prism.nano.base.build import check_base, describe, read_world

    folder = base or shipped_base()
    echo(describe(read_world(folder)))
    criteria = check_base(folder)
    _print_criteria(criteria)
    missed = [criterion.name for criterion in criteria if not criterion.passed]
    if missed:
        raise TrainingError(f"the base misses {len(missed)} criteria: {', '.join(missed)}", where=str(folder))


@command.command("show")
@click.option(
    "--base", type=click.Path(path_type=Path), default=None, help="A base folder; the shipped one by default."
)
@click.option("--language", default="en", show_default=True, help="Language of the examples.")
@click.option("--number", type=click.IntRange(1), default=3, show_default=True, help="Examples of each kind.")
def show(base: Path | None, language: str, number: int) -> None:
    """Show evaluation prompts of each kind with the answer that would be right.

    \b
    Example:
      prism nano show --language fr
    """
    from alignment_prism.domain import InputError, PromptKind
    from alignment_prism.nano import world

    lab = world(base=base)
    if language not in lab.spec.languages:
        raise InputError(
            f"the lab does not speak {language!r}",
            where="--language",
            fix=f"use one of: {', '.join(lab.spec.languages)}",
        )
    echo(lab.describe())
    prompts = lab.evaluation_prompts()
    for kind in PromptKind:
        of_kind = [p for p in prompts if p.kind is kind and p.language == language]
        echo(f"\n{kind.value}: {len(of_kind)} prompts")
        for prompt in of_kind[:number]:
            echo(f"  {prompt.text}\n    -> {prompt.reference or '(a refusal)'}")


def _print_criteria(criteria: list[Criterion]) -> None:
    from rich.table import Table

    table = Table("criterion", "measured", "allowed", "")
    for each in criteria:
        verdict = "ok" if each.passed else "MISSED"
        table.add_row(each.name, f"{each.value:.4f}", f"{each.low:g} to {each.high:g}", verdict)
    console().print(table)
