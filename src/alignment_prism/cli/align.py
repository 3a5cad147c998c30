"""`prism align`: train a model on preference pairs."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.options import complete_method
from alignment_prism.domain import InputError
from alignment_prism.domain.progress import Progress

if TYPE_CHECKING:
    from alignment_prism.training.results import TrainingResult
    from alignment_prism.training.settings import MethodConfig

LAUNCHES = ("fsdp2", "deepspeed")
"""Settings of `accelerate launch` that ship."""

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
  Several GPUs, with the FSDP2 settings that ship (or those for DeepSpeed):
    accelerate launch --config_file $(prism align --launch-config fsdp2) -m alignment_prism.cli.main align ...

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
    echo(preset.read_text(encoding="utf-8"), nl=False)
    context.exit()


def _show_methods(context: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from alignment_prism.training.methods import METHODS
    from alignment_prism.training.recipe import Recipe

    for method in METHODS.values():
        echo(f"{method.name}: {method.title}, {method.summary}")
        for stage in method.stages:
            values = ", ".join(f"{name}={getattr(stage.recipe, name)}" for name in Recipe.model_fields)
            echo(f"  {stage.section}: {values}")
            for name, field in type(stage.recipe).model_fields.items():
                if name not in Recipe.model_fields:
                    words = " ".join((field.description or "").split())
                    echo(f"    {stage.section}.{name}={getattr(stage.recipe, name)}: {words}")
    context.exit()


def _show_launch(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if not value or context.resilient_parsing:
        return
    from importlib import resources

    echo(str(resources.files("alignment_prism.training") / "configs" / f"{value}.yaml"))
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
    "--engine", default="transformers", show_default=True, help="transformers, or trl: the same through TRL's trainers."
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
@click.option("--launch-config", type=click.Choice(LAUNCHES), callback=_show_launch, is_eager=True, expose_value=False,
              help="Print the path of accelerate's settings for several GPUs and exit.")  # fmt: skip
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
    from alignment_prism.training.run_folder import check_run_folder
    from alignment_prism.training.settings import ENGINES

    chosen = find_method(method)  # before anything slow is imported
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}", fix=f"use one of: {', '.join(ENGINES)}")
    if sft_checkpoint is not None and len(chosen.stages) == 1:
        what = f"{chosen.title} is a single stage, which starts from the base"
        raise InputError(what, fix="leave --sft-checkpoint out")
    config = _config(config_source, settings, lora)
    check_run_folder(out, resume=not restart, inputs=(pairs_file, base, sft_checkpoint, references))
    base = _folder_of(base, revision, sft_checkpoint)

    from alignment_prism.preferences import read_pairs
    from alignment_prism.training.results import TrainingInterrupted
    from alignment_prism.training.train import train_method

    pairs = read_pairs(pairs_file)
    with _bar(chosen.title) as progress:
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
            echo(f"\nstopped after step {stop.step} of {stop.total}; what is done is in {stop.folder}", err=True)
            raise
    if _is_first():
        _echo_result(result)


def _config(source: str, settings: tuple[str, ...], lora: bool) -> MethodConfig:
    from alignment_prism.training.settings import AdapterConfig, load_config

    overrides = dict(map(_setting, settings))
    if lora and not any(key.startswith("training.adapter") for key in overrides):
        overrides["training.adapter"] = AdapterConfig().model_dump()
    return load_config(source, overrides)


def _folder_of(base: str, revision: str | None, checkpoint: str | None) -> str:
    """What the base's name stands for; folders are looked into now, a Hub id when everything else is known."""
    from alignment_prism.models.folders import model_folder
    from alignment_prism.models.names import resolve

    if checkpoint is not None:
        model_folder(checkpoint)
    found = resolve(base, local=True).id
    if Path(found).is_dir():
        model_folder(found, revision)
    return found


def _setting(text: str) -> tuple[str, Any]:
    from alignment_prism.io.yaml import YamlDocument

    key, separator, value = text.partition("=")
    if not separator or not key:
        raise InputError(f"--set {text!r} is not KEY=VALUE", fix="write for example --set training.batch_size=16")
    return key.strip(), YamlDocument(value, f"--set {key}").content


def _echo_result(result: TrainingResult) -> None:
    for stage in result.stages:
        loss = stage.sums.mean("loss")
        kept = "" if stage.kept is None else f", weights of step {stage.kept}"
        echo(f"{stage.name}: {stage.steps} steps in {stage.seconds:.1f} s, mean loss {loss:.4f}{kept}")
    for notice in result.notices:
        echo(f"note: {notice}")
    echo(f"engine: {result.engine}")
    echo(f"model: {result.model}")


def _bar(title: str) -> AbstractContextManager[Progress | None]:
    """A bar of the first process; the others of a training on several devices have none."""
    from alignment_prism.cli.progress import progress_bar

    return progress_bar(title) if _is_first() else nullcontext(None)


def _is_first() -> bool:
    """Whether this is the only process of a training, or the first of those that a launcher has started."""
    return os.environ.get("RANK", "0") == "0"
