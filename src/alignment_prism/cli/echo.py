"""What the commands that run a study say of it when it is done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from alignment_prism.studies import Study, StudySpec


def echo_unjudged(study: Study) -> None:
    """How many replies have no verdict, and why, without a word of the replies."""
    judged, reasons = study.unjudged()
    if reasons:
        click.echo(f"{reasons.total()} of {judged} replies are unjudged and in no rate:", err=True)
        for reason, count in reasons.most_common(5):
            click.echo(f"  {count}: {reason[:160]}", err=True)


def quiet_hub(spec: StudySpec) -> None:
    """Where nothing large is fetched, keep the libraries' own bars for loading and saving from tearing ours."""
    models = [getattr(arm, "model", "nano") for arm in spec.existing]
    if all(model == "nano" or Path(model).is_dir() for model in models):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
