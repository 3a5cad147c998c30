"""`prism study`: studies from YAML files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.options import RETRY_HELP, MoneyOptions, group

if TYPE_CHECKING:
    from rich.console import Console

    from alignment_prism.domain import Contrast, Finding
    from alignment_prism.studies import Study, StudySpec
    from alignment_prism.studies.housekeeping import Status

SPEC = click.argument("spec", metavar="SPEC")
OUT = click.option("--out", type=click.Path(path_type=Path),
                   help="Folder of the results, results/NAME if not given; run again with it to go on.")  # fmt: skip

REPLACE = click.option("--replace", is_flag=True,
                       help="Replace findings of another study in the folder; finished steps are kept.")  # fmt: skip

JOBS = click.option("--jobs", type=click.IntRange(1), metavar="N",
                    help="Trainings and replies of small models under way at once, on a core each; as many as there "
                         "are cores if not given. 1: whatever the model, one thing after the other.")  # fmt: skip
PRESETS = (
    *("quickstart", "micro", "nano-paper", "nano-transfer", "nano-methods"),
    *("aya-23-8b", "tiny-aya", "qwen2.5-1.5b"),
)
"""As in `studies.loading`, which loads what no help text needs."""

EXECUTOR = click.option("--executor", type=click.Choice(["local", "ray"]), default="local",
                        help="Who trains and replies: this machine, or a cluster of Ray (an extra).")  # fmt: skip
ADDRESS = click.option("--address", default="", metavar="HOST:PORT",
                       help="Of a running cluster of Ray, or auto on one of its nodes; without it one is started on "
                            "this machine.")  # fmt: skip
GPUS = click.option("--gpus", type=click.IntRange(1), default=1, metavar="N",
                    help="GPUs of one machine, or one node, that each training of a larger model (over 32 MB) is "
                         "spread over; 1 if not given, an error where there are fewer.")  # fmt: skip
SHARD = click.option("--shard", metavar="I/N",
                     help="Do part I of N of the trainings and replies, and no more: of processes that share the "
                          "folder or a store. The command without it does the rest.")  # fmt: skip
STORE = click.option("--store", metavar="URL",
                     help="Store of finished steps that machines share, such as s3://bucket/path: what it has is "
                          "fetched and not done again, what is done is sent there.")  # fmt: skip
UNJUDGED = "unjudged_rate"
"""The metric that says whether any reply has no verdict."""

RETRY = click.option("--retry-unjudged", is_flag=True, help=RETRY_HELP)


@click.group("study")
def command() -> None:
    """Studies: several models, aligned and evaluated in one go, from a YAML file.

    SPEC is the file, or the name of a preset: quickstart, micro, nano-paper, nano-transfer and nano-methods in the nano
    lab; aya-23-8b, tiny-aya and qwen2.5-1.5b with pairs and prompts of your own. `prism study show quickstart` prints
    one to start from, every knob explained.
    """


@command.command("show")
@click.argument("preset", type=click.Choice(PRESETS))
def show(preset: str) -> None:
    """Print a preset, to begin a spec of your own with.

    \b
    Example:
      prism study show quickstart > mine.yaml
    """
    from importlib import resources

    text = resources.files("alignment_prism.studies").joinpath(f"presets/{preset}.yaml").read_text(encoding="utf-8")
    echo(text, nl=False)


@command.command("plan")
@SPEC
@OUT
@click.option("--prices", type=click.Path(path_type=Path),
              help="YAML file with prices and speeds in place of those that ship.")  # fmt: skip
@click.option("--cache", type=click.Path(path_type=Path), envvar="PRISM_CACHE",
              help="Folder of answers that runs share, as of `prism study run`.")  # fmt: skip
@STORE
def plan(spec: str, out: Path | None, prices: Path | None, cache: Path | None, store: str | None) -> None:
    """Check a spec and everything it names, list its steps, and reckon what those that are not done take.

    Trains and generates nothing. Calls are counted, without those whose answers the folder or the cache has; tokens,
    hours of a GPU and US dollars are reckoned from lengths in characters, parameters and a table of prices and speeds,
    as printed below them.

    \b
    Examples:
      prism study plan mine.yaml
      prism study plan micro --out results/micro
    """
    from alignment_prism.cli.dry_run import echo_dry_run
    from alignment_prism.studies import dry_run, load_spec

    study = load_spec(spec)
    folder = out or Path("results") / study.name
    echo_dry_run(dry_run(study, folder, prices=prices, cache=cache, store=store), folder)


@command.command("run")
@SPEC
@OUT
@REPLACE
@RETRY
@JOBS
@EXECUTOR
@ADDRESS
@GPUS
@SHARD
@STORE
@group("money", MoneyOptions)
def run(
    spec: str,
    out: Path | None,
    replace: bool,
    retry_unjudged: bool,
    jobs: int | None,
    executor: str,
    address: str,
    gpus: int,
    shard: str | None,
    store: str | None,
    money: MoneyOptions,
) -> None:
    """Run a study, or go on with one that was stopped.

    A step that fails takes with it what needs what it makes; the others are done, and what failed is told at the end.

    Findings do not depend on --jobs and --executor. Models of more than 32 MB are trained and asked on a GPU each, here
    and in a cluster, or trained on --gpus of them; one after the other where this machine has one GPU or none.

    \b
    Examples:
      prism study run mine.yaml
      prism study run micro --out results/micro
      prism study run mine.yaml --out /shared/mine --executor ray --address head:6379
    """
    from alignment_prism.domain import InputError
    from alignment_prism.studies import load_spec

    if executor == "local" and address:
        raise InputError("--address is of a cluster", fix="add --executor ray, or leave it out")
    if executor == "ray" and jobs:
        raise InputError("--jobs is of this machine", fix="leave it out: a cluster does as much as it has cores")
    study = load_spec(spec)
    folder = out or Path("results") / study.name
    if money.dry_run:
        money.echo_dry_run(study, folder, replace=replace, retry_unjudged=retry_unjudged, store=store)
        return
    if shard is not None:
        if replace or retry_unjudged or executor == "ray":
            raise InputError("--shard trains and replies", fix="give other options to the command that does the rest")
        _run_shard(study, folder, shard, jobs, gpus=gpus, store=store, **money.options())
        return
    options = {"cluster": address if executor == "ray" else None, "gpus": gpus, "store": store, **money.options()}
    run_and_show(study, folder, replace=replace, retry_unjudged=retry_unjudged, jobs=jobs, **options)


def _run_shard(spec: StudySpec, out: Path, shard: str, jobs: int | None, **how: Any) -> None:
    """Do one part of a study, and say what is left to be done by whom."""
    from alignment_prism.cli.progress import Terminal
    from alignment_prism.domain import InputError
    from alignment_prism.studies.executors.local import available_cores
    from alignment_prism.studies.shards import run_shard

    number, slash, of = shard.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal()):
        raise InputError(f"no part of a study: {shard!r}", fix="write --shard 1/4 for the first of four")
    progress = Terminal()
    steps = run_shard(spec, out, int(number), int(of), progress=progress, jobs=jobs or available_cores(), **how)
    progress.note(f"shard {shard}: {len(steps)} steps are done; after all shards, run the command without --shard")


def run_and_show(
    spec: StudySpec,
    out: Path,
    *,
    replace: bool = False,
    retry_unjudged: bool = False,
    jobs: int | None = None,
    **how: Any,
) -> None:
    """Run a study with progress, print its tables, say where everything is."""
    import time

    from alignment_prism.cli.dry_run import echo_usage
    from alignment_prism.cli.echo import echo_unjudged, quiet_hub
    from alignment_prism.cli.progress import Terminal
    from alignment_prism.domain import Finding
    from alignment_prism.io import read_records
    from alignment_prism.reports.terminal import IN_TABLES
    from alignment_prism.store.names import CONTRASTS, FINDINGS
    from alignment_prism.studies import run_study
    from alignment_prism.studies.executors.local import available_cores

    quiet_hub(spec)
    began = time.monotonic()
    progress = Terminal()
    jobs = jobs or available_cores()
    options: dict[str, Any] = {"replace": replace, "retry_unjudged": retry_unjudged, "jobs": jobs, **how}
    study = run_study(spec, out, progress=progress, **options)
    findings = read_records(study.out / FINDINGS, Finding, only=IN_TABLES)
    contrasts = study.contrasts()
    _show_tables(study, findings, contrasts, progress.console)
    for note in study.notes:
        progress.note(note)
    if any(row.metric == UNJUDGED and row.estimate > 0 for row in findings) or not findings:
        echo_unjudged(study)
    echo_usage(study.usage(), how.get("prices"))
    progress.note(f"finished in {time.monotonic() - began:.0f} s")
    progress.note(f"report:   {study.report}")
    progress.note(f"findings: {study.out / FINDINGS}")
    if contrasts:
        progress.note(f"contrasts by language, scope and seed, {len(contrasts):,} rows: {study.out / CONTRASTS}")


def _show_tables(study: Study, findings: Sequence[Finding], contrasts: Sequence[Contrast], console: Console) -> None:
    """Print the tables of a finished study: a screen or two of each."""
    from alignment_prism.reports import contrasts_table, headline_table, seeds_table, summary_table, transfer_tables
    from alignment_prism.reports.contrasts import told_first

    console.print()
    console.print(summary_table(findings, console.width))
    if together := seeds_table(findings):
        console.print(together)
    if by_language := headline_table(findings):
        console.print(by_language)
    for title, sheet in transfer_tables(study.transfer()):
        console.print(title)
        console.print(sheet)
    if contrasts:
        console.print(contrasts_table(told_first(contrasts)))


@command.command("status")
@click.argument("folder", type=click.Path(path_type=Path))
def show_status(folder: Path) -> None:
    """How far a study is: steps that are done, begun, waiting, and what the last one that failed said.

    Running the same command again does what is missing, and nothing else.

    \b
    Example:
      prism study status results/mine
    """
    from alignment_prism.studies.housekeeping import status

    found = status(folder)
    echo(f"{folder}: {_progress(found)}")
    for step, number in found.begun.items():
        echo(f"begun:   {step}, at step {number}")
    for step in found.waiting:
        echo(f"waiting: {step}")
    for title, error in found.failed.items():
        echo(f"failed:  {title}: {error}")
    if (found.begun or found.waiting) and not found.is_running:
        echo("to go on: run the same command again; what is done is not done again")


@command.command("ls")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("results"))
def list_studies(folder: Path) -> None:
    """The studies in a folder, results if none is given, and how far each is.

    \b
    Example:
      prism study ls results
    """
    from alignment_prism.domain import InputError
    from alignment_prism.studies.housekeeping import studies_in

    if not folder.is_dir():
        what = "a file where a folder is expected" if folder.exists() else "no such folder"
        raise InputError(what, where=str(folder), fix="name the folder that studies were written into")
    found = list(studies_in(folder))
    for one in found:
        echo(f"{one.out}: {_progress(one)}")
    if not found:
        echo(f"no study in {folder}")


@command.command("gc")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Remove them; without it they are only listed.")
def collect(folder: Path, yes: bool) -> None:
    """Artifacts in a study's folder that its findings do not rest on: what an earlier spec left.

    Nothing but steps of ours that the study's plan does not know is listed or removed.

    \b
    Examples:
      prism study gc results/mine
      prism study gc results/mine --yes
    """
    from alignment_prism.studies.housekeeping import remove_unused, unused

    found = remove_unused(folder) if yes else unused(folder)
    for one in found:
        echo(f"{one.bytes / 1e6:10,.1f} MB  {one.folder}")
    what = "removed" if yes else "to remove with --yes"
    echo(f"{len(found)} folders, {sum(one.bytes for one in found) / 1e6:,.1f} MB {what}")


@command.command("schema")
def schema() -> None:
    """The JSON Schema of a spec, by which editors complete, explain and check one.

    An editor with a YAML language server takes it for a spec that begins with the line
    # yaml-language-server: $schema=study.schema.json

    \b
    Example:
      prism study schema > study.schema.json
    """
    import json

    from alignment_prism.studies import StudySpec

    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **StudySpec.model_json_schema()}
    echo(json.dumps(whole, indent=1, ensure_ascii=False))


def _progress(found: Status) -> str:
    total = len(found.done) + len(found.begun) + len(found.waiting)
    parts = [f"{len(found.done)} of {total} steps done", "findings" if found.has_findings else "no findings yet"]
    if found.failed:
        parts.append(f"{len(found.failed)} failed")
    return ", ".join(parts + (["a process is at work here"] if found.is_running else []))
