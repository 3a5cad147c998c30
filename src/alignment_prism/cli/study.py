"""`prism study`: studies from YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from alignment_prism.studies import StudySpec

SPEC = click.argument("spec", metavar="SPEC")
OUT = click.option("--out", type=click.Path(path_type=Path),
                   help="Folder of the results, results/NAME if not given; run again with it to go on.")  # fmt: skip

REPLACE = click.option("--replace", is_flag=True,
                       help="Replace findings of another study in the folder; finished steps are kept.")  # fmt: skip


@click.group("study")
def command() -> None:
    """Studies: several models, aligned and evaluated in one go, from a YAML file.

    SPEC is the file, or the name of a preset: quickstart, micro. `prism study show quickstart` prints one to start
    from, every knob explained.
    """


@command.command("show")
@click.argument("preset", type=click.Choice(["quickstart", "micro"]))
def show(preset: str) -> None:
    """Print a preset, to begin a spec of your own with.

    \b
    Example:
      prism study show quickstart > mine.yaml
    """
    from importlib import resources

    text = resources.files("alignment_prism.studies").joinpath(f"presets/{preset}.yaml").read_text(encoding="utf-8")
    click.echo(text, nl=False)


@command.command("plan")
@SPEC
@OUT
def plan(spec: str, out: Path | None) -> None:
    """Check a spec and everything it names, and list its steps; trains and generates nothing.

    \b
    Examples:
      prism study plan mine.yaml
      prism study plan micro --out results/micro
    """
    from alignment_prism.domain import StoreError
    from alignment_prism.store import check_within
    from alignment_prism.studies import build_plan, load_sources, load_spec
    from alignment_prism.studies.checks import check_place, check_study

    study = load_spec(spec)
    folder = out or Path("results") / study.name
    sources = load_sources(study)
    check_study(study, sources)
    check_within(folder)
    whole = build_plan(study, sources)
    steps = whole.steps
    counts = f"{len(sources.safety)} safety and {len(sources.general)} general pairs, {len(sources.prompts)} prompts"
    click.echo(f"{study.name}: {counts}, {len(study.arms)} arms, seeds {', '.join(map(str, study.seeds))}")
    width = len(str(len(steps)))
    done = 0
    for number, step in enumerate(steps, start=1):
        is_done = step.is_done(folder)
        done += is_done
        click.echo(f"[{number:>{width}}/{len(steps)}] {step.title}{': done' if is_done else ''}")
    click.echo(f"{len(steps) - done} of {len(steps)} steps to do, into {folder}")
    try:
        check_place(folder, whole, study, replace=False)
    except StoreError as error:  # the plan stands; running it needs another folder, or leave
        click.echo(f"note: {error.what}: {error.fix}", err=True)


@command.command("run")
@SPEC
@OUT
@REPLACE
def run(spec: str, out: Path | None, replace: bool) -> None:
    """Run a study, or go on with one that was stopped.

    \b
    Examples:
      prism study run mine.yaml
      prism study run micro --out results/micro
    """
    from alignment_prism.studies import load_spec

    study = load_spec(spec)
    run_and_show(study, out or Path("results") / study.name, replace=replace)


def run_and_show(spec: StudySpec, out: Path, *, replace: bool = False) -> None:
    """Run a study with progress, print its tables, write its report, say where everything is."""
    import os
    import time

    if spec.base == "nano" or Path(spec.base).is_dir():
        # Nothing large is fetched, and the libraries' own bars for loading and saving would tear ours.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    from alignment_prism.reports import about_study, headline_table, seeds_table, summary_table, write_report
    from alignment_prism.store.names import FINDINGS, REPORT
    from alignment_prism.studies import Terminal, nano_bars, run_study

    began = time.monotonic()
    progress = Terminal()
    result = run_study(spec, out, progress=progress, replace=replace)
    report = write_report(
        result.findings,
        out / REPORT,
        title=spec.name,
        preface=result.notes,
        bars=nano_bars(spec, result.findings),
        examples=result.examples,
        about=about_study(spec.model_dump(mode="json")),
    )
    console = progress.console
    console.print()
    console.print(summary_table(result.findings, console.width))
    if together := seeds_table(result.findings):
        console.print(together)
    if by_language := headline_table(result.findings):
        console.print(by_language)
    for note in result.notes:
        progress.note(note)
    progress.note(f"finished in {time.monotonic() - began:.0f} s")
    progress.note(f"report:   {report}")
    progress.note(f"findings: {result.out / FINDINGS}")
