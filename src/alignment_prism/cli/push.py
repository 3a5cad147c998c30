"""`prism push`: a model or a data set with its card onto the Hugging Face Hub, when it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from alignment_prism.cli.console import echo


@click.command("push")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("repo", metavar="WHO/NAME")
@click.option("--kind", type=click.Choice(["model", "dataset"]), help="Told from the files if not given.")
@click.option("--public", is_flag=True, help="Let everybody read it; private if not given.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and ask nobody.")
def command(
    folder: Path, repo: str, kind: Literal["model", "dataset"] | None, public: bool, dry_run: bool
) -> None:  # fmt: skip
    """Send a FOLDER to the repository WHO/NAME of the Hugging Face Hub, as one commit; private unless --public.

    A model is safetensors and what belongs to them (`runs/x/model`), a data set is rows (`prism preferences export`);
    both need a card, README.md. Whatever else lies in the folder is refused, and so are harmful texts whose card lacks
    the tag not-for-all-audiences. The token is that of HF_TOKEN, or of `hf auth login`.

    \b
    Examples:
      prism push runs/dpo/model me/aya-dpo --dry-run
      prism push my-pairs me/my-pairs
    """
    from alignment_prism.io.push import push, read_push

    what = read_push(folder, repo, kind=kind, public=public)
    echo(f"{what.kind} {what.repo}, {what.visibility}")
    for name, size in what.files:
        echo(f"  {size:>14,} bytes  {name}")
    for name in what.hidden:
        echo(f"  not sent, hidden:     {name}")
    echo(f"{len(what.files)} files, {what.size:,} bytes")
    echo("nothing was sent" if dry_run else f"pushed: {push(what)}")
