"""`prism merge`: several models of one base into one."""

from __future__ import annotations

from pathlib import Path

import click

from alignment_prism.cli.console import echo

METHODS = ("linear", "slerp", "task_arithmetic", "ties", "dare_ties")
"""As `alignment_prism.models.merging.MERGES` has them, which a listing does not load."""

OF_A_BASE = METHODS[2:]
USED_BY = {
    "base": OF_A_BASE,
    "t": ("slerp",),
    "density": ("ties", "dare_ties"),
    "scale": OF_A_BASE,
    "seed": ("dare_ties",),
}
"""Option -> the methods that read it; beside another it would be passed over."""


@click.command("merge")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--method", type=click.Choice(METHODS), required=True, help="How; the last three merge changes of a base."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Model folder to make.")
@click.option("--base", help="For task_arithmetic, ties and dare_ties: what the models were trained from.")
@click.option(
    "--weight", "weights", type=float, multiple=True, help="Of each model, in their order; all alike if none."
)
@click.option(
    "--t", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="For slerp: 0 is the first model."
)
@click.option("--density", type=click.FloatRange(0, 1, min_open=True), default=0.2, show_default=True,
              help="For ties and dare_ties: share of the changes that is kept.")  # fmt: skip
@click.option("--scale", type=float, default=1.0, show_default=True, help="For changes of a base: factor on their sum.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="For dare_ties: of what is dropped.")
def command(
    models: tuple[str, ...],
    method: str,
    out: Path,
    base: str | None,
    weights: tuple[float, ...],
    t: float,
    density: float,
    scale: float,
    seed: int,
) -> None:
    """Merge each MODEL, a folder, a Hub id or nano, into one, tensor by tensor; none of them is loaded.

    Tokenizer, chat template and settings are those of the base, or of the first model where there is none. A merge that
    was stopped goes on with the tensor that it was at, by the same command. As an arm of a study: docs/align.md.

    \b
    Examples:
      prism merge --method slerp sft_0/model sft_100/model --t 0.5 --out merged/half
      prism merge --method ties --base CohereLabs/aya-23-8B en/model hi/model --density 0.2 --out merged/both
    """
    from alignment_prism.cli.progress import progress_bar
    from alignment_prism.models.folders import model_folder
    from alignment_prism.models.merging import Merge, merge_models
    from alignment_prism.models.names import resolve
    from alignment_prism.store import check_inputs, check_within
    from alignment_prism.store.locks import output_lock

    _refuse_unused(method)
    check_within(out)
    folders = [model_folder(resolve(model, local=True).id) for model in models]
    origin = None if base is None else model_folder(resolve(base, local=True).id)
    check_inputs([out], [*folders, *([] if origin is None else [origin])])
    merge = Merge(method, weights or None, t, density, scale, seed)
    with output_lock(out), progress_bar(f"merge by {method}") as progress:
        merge_models(merge, folders, out, base=origin, progress=progress)
    echo(f"model: {out}")


def _refuse_unused(method: str) -> None:
    from alignment_prism.domain import InputError

    given = click.get_current_context().get_parameter_source
    for option, methods in USED_BY.items():
        if method not in methods and given(option) is click.core.ParameterSource.COMMANDLINE:
            users = " and ".join(filter(None, (", ".join(methods[:-1]), methods[-1])))
            raise InputError(f"--{option} is for {users}, not for {method}", fix="leave it out, or name that method")
