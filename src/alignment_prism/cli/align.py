"""`prism align`: train a model on preference pairs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.options import complete_method
from alignment_prism.domain import InputError, StoreError
from alignment_prism.domain.progress import Progress

if TYPE_CHECKING:
    from alignment_prism.training.results import TrainingResult

EPILOG = """\b
Examples:
  DPO from the supervised model, all weights, settings for about 8 B parameters:
    prism align --method dpo_sft --base CohereLabs/aya-23-8B --pairs pairs.jsonl --out runs/dpo_sft
  The same with adapters, on one GPU:
    prism align --method dpo_sft --base CohereLabs/aya-23-8B --pairs pairs.jsonl --out runs/lora --lora \\
      --set dpo_sft.learning_rate=5e-6
  The small model that ships, on a CPU (a folder called nano is ./nano):
    prism align --method dpo_ift --base nano --pairs pairs.parquet --out runs/nano --config nano
  What can be trained, and by which settings:
    prism align --methods
  Settings to copy and change (each knob says what it costs):
    prism align --show-config aya-23-8b > mine.yaml
  Several GPUs, with the FSDP2 settings that ship:
    accelerate launch --config_file $(prism align --fsdp-config) -m alignment_prism.cli.main align ...

\b
Pairs: JSONL or Parquet, as TRL has them (prompt, chosen, rejected; texts or conversations), or hh-rlhf transcripts;
columns language, scope and categories are used where there are any.
Ctrl-C saves a checkpoint; the same command goes on from it.
"""


def _show_config(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is None or context.resilient_parsing:
        return
    from importlib import resources

    from alignment_prism.training.settings import presets

    if value not in presets():
        raise InputError(f"no such preset: {value}", fix=f"use one of: {', '.join(presets())}")
    preset = resources.files("alignment_prism.training") / "presets" / f"{value}.yaml"
    click.echo(preset.read_text(encoding="utf-8"), nl=False)
    context.exit()


def _show_methods(context: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from alignment_prism.training.methods import METHODS

    for method in METHODS.values():
        click.echo(f"{method.name}: {method.title}, {method.summary}")
        for stage in method.stages:
            settings = ", ".join(f"{name}={value}" for name, value in stage.recipe.model_dump().items())
            click.echo(f"  {stage.section}: {settings}")
    context.exit()


def _show_fsdp(context: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from importlib import resources

    click.echo(str(resources.files("alignment_prism.training") / "configs" / "fsdp2.yaml"))
    context.exit()


@click.command("align", epilog=EPILOG)
@click.option("--method", required=True, shell_complete=complete_method, help="What to train; --methods lists them.")
@click.option(
    "--base", required=True, help="Folder of an instruction-tuned model with chat template, its Hub id, or nano."
)
@click.option("--revision", help="Of a Hub id: branch, tag or commit.")
@click.option("--pairs", "pairs_file", required=True, help="File of preference pairs.")
@click.option("--out", required=True, help="Run folder to make; it appears when the training is complete.")
@click.option("--config", "config_source", default="aya-23-8b", show_default=True, help="Preset, or a YAML file.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key, e.g. sft.epochs=2.")
@click.option(
    "--engine", default="transformers", show_default=True, help="transformers, or trl: SFT and DPO by TRL's trainers."
)
@click.option("--lora", is_flag=True, help="Train low-rank adapters instead of all weights, and merge them.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of data order, SFT-Random's tosses, adapters."
)
@click.option(
    "--sft-checkpoint", help="For methods of two stages: a model of the first to go on from (dpo_sft: of sft)."
)
@click.option("--references", help="Folder of reference log-probabilities to share between runs.")
@click.option("--restart", is_flag=True, help="Throw an unfinished run away and begin anew.")
@click.option("--methods", is_flag=True, callback=_show_methods, is_eager=True, expose_value=False,
              help="List the methods with their settings and exit.")  # fmt: skip
@click.option("--show-config", callback=_show_config, is_eager=True, expose_value=False, metavar="PRESET",
              help="Print a preset with its comments and exit.")  # fmt: skip
@click.option("--fsdp-config", is_flag=True, callback=_show_fsdp, is_eager=True, expose_value=False,
              help="Print the path of the accelerate settings for FSDP2 and exit.")  # fmt: skip
def command(
    method: str,
    base: str,
    revision: str | None,
    pairs_file: str,
    out: str,
    config_source: str,
    settings: tuple[str, ...],
    engine: str,
    lora: bool,
    seed: int,
    sft_checkpoint: str | None,
    references: str | None,
    restart: bool,
) -> None:
    """Train a model on preference pairs: by SFT, DPO, one after the other, or another method (--methods)."""
    from alignment_prism.training.methods import find_method
    from alignment_prism.training.results import TrainingInterrupted
    from alignment_prism.training.settings import ENGINES, AdapterConfig, load_config

    find_method(method)  # before anything slow is imported
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}", fix=f"use one of: {', '.join(ENGINES)}")
    overrides = dict(map(_setting, settings))
    if lora and not any(key.startswith("training.adapter") for key in overrides):
        overrides["training.adapter"] = AdapterConfig().model_dump()
    config = load_config(config_source, overrides)
    from alignment_prism.models.folders import model_folder
    from alignment_prism.models.names import resolve
    from alignment_prism.preferences.pairs import read_pairs

    if sft_checkpoint is not None:
        if len(find_method(method).stages) == 1:
            fix = "leave --sft-checkpoint out"
            raise InputError(f"{find_method(method).title} is a single stage, which starts from the base", fix=fix)
        model_folder(sft_checkpoint)
    _check_run_folder(out, restart, (pairs_file, base, sft_checkpoint, references))
    base = resolve(base, local=True).id
    if Path(base).is_dir():
        model_folder(base, revision)  # a Hub id is looked for when everything else is known to be right

    pairs = read_pairs(pairs_file)
    from alignment_prism.training.train import train_method

    with _progress_bar() as progress:
        try:
            result = train_method(
                method,
                engine=engine,
                base=base,
                revision=revision,
                pairs=pairs,
                out=out,
                config=config,
                seed=seed,
                sft_checkpoint=sft_checkpoint,
                references=references,
                resume=not restart,
                progress=progress,
            )
        except TrainingInterrupted as stop:
            click.echo(f"\nstopped after step {stop.step} of {stop.total}; what is done is in {stop.folder}", err=True)
            raise
    _report(result)


def _check_run_folder(out: str, restart: bool, inputs: Sequence[str | None]) -> None:
    """Refuse a run folder that cannot be used, before anything slow is imported.

    Whether a finished training is the one that is wanted is looked at later.

    Raises:
        InputError: it is one of the inputs.
        StoreError: it cannot be written, or it or the folder of the unfinished run holds something else.
    """
    from alignment_prism.store import check_folder, check_inputs, is_complete, read_manifest

    folder = Path(out)
    check_inputs([folder], inputs)
    work = folder.with_name(f"{folder.name}.unfinished") if folder.name else folder
    elsewhere = "choose another --out, or move what is there away"
    if not (is_complete(folder) and read_manifest(folder).kind == "training"):
        try:
            check_folder(folder, kind="training")
        except StoreError as error:
            if "replace" in error.settings:  # a manifest without its files: the training will not be taken up
                raise StoreError("a file of the finished training is missing", where=out, fix=elsewhere) from error
            raise
    if restart and work.exists() and not (work / "key").is_file():
        raise StoreError("this is no unfinished training to throw away", where=str(work), fix=elsewhere)


def _setting(text: str) -> tuple[str, Any]:
    from alignment_prism.io.yaml import YamlDocument

    key, separator, value = text.partition("=")
    if not separator or not key:
        raise InputError(f"--set {text!r} is not KEY=VALUE", fix="write for example --set training.batch_size=16")
    return key.strip(), YamlDocument(value, f"--set {key}").content


def _report(result: TrainingResult) -> None:
    for stage in result.stages:
        loss = stage.sums.mean("loss")
        click.echo(f"{stage.name}: {stage.steps} steps in {stage.seconds:.1f} s, mean loss {loss:.4f}")
    for notice in result.notices:
        click.echo(f"note: {notice}")
    click.echo(f"engine: {result.engine}")
    click.echo(f"model: {result.model}")


def _progress_bar() -> AbstractContextManager[Progress | None]:
    """A bar with what and how long; only of the first process."""
    import os

    if os.environ.get("RANK", "0") != "0":
        return nullcontext(None)
    return _Bar()


class _Bar:
    """One line on stderr that says which stage is at which step, and how long it still takes."""

    def __enter__(self) -> Progress:
        from rich import progress
        from rich.console import Console

        columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn())
        self._bar = progress.Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("loading the model", total=None)
        self._bar.start()
        return self._show

    def _show(self, done: int, total: int, words: str = "", /) -> None:
        self._bar.update(self._task, completed=done, total=total, description=words)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
