"""`prism quickstart`: the whole way in the nano lab."""

from __future__ import annotations

from pathlib import Path

import click

from alignment_prism.cli.study import JOBS, REPLACE


@click.command("quickstart")
@click.option("--preset", type=click.Choice(["quickstart", "micro"]), default="quickstart", show_default=True,
              help="micro runs every part in seconds and means nothing.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/quickstart"),
              show_default=True, help="Folder of the results; run again with it to go on.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of mixtures and trainings.")
@REPLACE
@JOBS
def command(preset: str, out: Path, seed: int, replace: bool, jobs: int | None) -> None:
    """Align a small model by the paper's methods and evaluate it, language by language.

    Trains SFT-Preferred, SFT-Random, DPO(IFT) and DPO(SFT) on 15 % safety pairs, and DPO(SFT) on none; asks every
    model the same prompts; judges the replies; writes OUT/findings.parquet and OUT/report.html. Ctrl-C stops
    cleanly, and the same command goes on. The model is a toy that ships with the package; see the first line printed.

    \b
    Examples:
      prism quickstart
      prism quickstart --preset micro --out results/micro
    """
    from alignment_prism.cli.study import run_and_show
    from alignment_prism.studies import load_spec

    run_and_show(load_spec(preset, seeds=(seed,)), out, replace=replace, jobs=jobs)
