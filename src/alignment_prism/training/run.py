"""A whole training: the stages of a method, one after the other, into a run folder that is complete or not there.

While it lasts, everything is in `NAME.unfinished` beside the run folder; a run that is started again with the same
settings goes on from there, one with others is refused.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, ModelError, Pair, StoreError, TrainingError, content_digest
from alignment_prism.domain.progress import Progress
from alignment_prism.models.chat_templates import template_date
from alignment_prism.models.weights import weights_digest
from alignment_prism.store.artifacts import artifact_key, is_complete, read_manifest, write_artifact
from alignment_prism.training.base_model import Base, find_base
from alignment_prism.training.callbacks import Log, StopRequest
from alignment_prism.training.card import model_card
from alignment_prism.training.devices import processes
from alignment_prism.training.examples import pairs_digest
from alignment_prism.training.methods import Method, find_method
from alignment_prism.training.results import StageResult, TrainingResult
from alignment_prism.training.settings import MethodConfig, dump_config
from alignment_prism.training.stage import Engine, StageJob, finished_stage, run_stage

KIND = "training"
RESULT = "result.json"
KEY = "key"
_NOISY = ("transformers", "accelerate", "trl", "datasets", "peft", "torch.distributed")


def train_method(
    method: str,
    *,
    engine: Engine,
    base: str | Path,
    pairs: Sequence[Pair],
    out: str | Path,
    config: MethodConfig | None = None,
    seed: int = 0,
    sft_checkpoint: str | Path | None = None,
    references: str | Path | None = None,
    resume: bool = True,
    progress: Progress | None = None,
    revision: str | None = None,
) -> TrainingResult:
    """Train a model on preference pairs.

    Args:
        method: name of one of `alignment_prism.training.METHODS`.
        engine: that trains.
        base: folder of an instruction-tuned model, or its Hub id.
        pairs: to train on, in any order; those of unknown language are counted under `und`.
        out: the run folder to make: `model/` (safetensors, tokenizer, chat template, card), `log.jsonl`,
            `config.yaml`, `result.json`, `manifest.json`.
        config: settings; None takes the defaults for models of about 8 B parameters.
        seed: of the data order, of SFT-Random's tosses and of adapters.
        sft_checkpoint: folder of a model that the first stage of a method of several made of the same base and pairs
            (for `dpo_sft`, of an SFT-Preferred model): the method goes on from it instead of training that stage again.
        references: folder of reference log-probabilities, shared by runs from one base; None keeps them in the run.
        resume: go on with an unfinished run; False throws it away and begins anew.
        progress: called as `progress(step, total, message)`.
        revision: of a Hub id.

    Returns:
        The finished run. One that is finished already, with the same settings, is returned at once.

    Raises:
        InputError: no pair, a setting that does not fit, or an unknown method.
        ModelError: the base cannot be trained: absent, no chat template, no safetensors.
        TrainingError: the loss is not finite, or policy and reference disagree before the first step.
        StoreError: `out` exists with other settings.
        TrainingInterrupted: Ctrl-C; the checkpoint is written, and the same call goes on.
    """
    chosen = find_method(method)
    config = config or MethodConfig.model_validate({})
    if not pairs:
        raise InputError("the pool has no pair to train on", fix="check the pairs file and the mixture's share")
    if sft_checkpoint is not None and len(chosen.stages) == 1:
        raise InputError(
            f"{chosen.title} is a single stage, which starts from the base", fix="leave out the SFT checkpoint"
        )
    wanted = chosen.stages if sft_checkpoint is None else chosen.stages[1:]
    config = config.of(wanted)
    adapter = config.training.adapter
    if adapter is not None and not adapter.merge and len(wanted) > 1:
        raise InputError(
            f"{chosen.title} goes on from the model of its first stage, which an adapter that is kept apart is not",
            where="key training.adapter.merge",
            fix="set it to true; or train the first stage merged, and then the rest from it with --sft-checkpoint",
        )
    _check_devices()
    start = find_base(base, revision=revision)
    first = find_base(sft_checkpoint) if sft_checkpoint is not None else None
    out = Path(out)
    inputs = {"base": weights_digest(start.folder), "pairs": pairs_digest(pairs)}
    inputs["template"] = content_digest(str(start.tokenizer.chat_template))
    if first is not None:
        inputs["sft"] = weights_digest(first.folder)
    spec = {"method": chosen.name, "engine": engine.name, "config": config.result_settings()}
    date = template_date(start.tokenizer)
    if date is not None:
        spec["template_date"] = date
    key = artifact_key(KIND, spec, inputs, seed)  # without the base's name: one that has moved is still the same
    if is_complete(out):
        return _finished(out, key)
    work = _work_folder(out, key, resume)
    log = Log(work / "log.jsonl", enabled=_is_main())
    stop = StopRequest()
    stages: list[StageResult] = []
    current = start if first is None else first
    try:
        with stop.listening(), _quiet():
            for stage in wanted:
                folder = work / stage.name
                job = StageJob(
                    stage=stage,
                    title=chosen.title,
                    base=current,
                    pairs=pairs,
                    config=config,
                    seed=seed,
                    folder=folder,
                    log=log,
                    progress=progress,
                    stop=stop,
                    references=Path(references) if references is not None else work / "references",
                )
                done = finished_stage(folder)
                stages.append(done if done is not None else run_stage(job, engine))
                current = find_base(folder / "model") if (folder / "model" / "config.json").exists() else current
    except (InputError, ModelError):
        _forget_untrained(work)
        raise
    if _is_main():
        trained = work / wanted[-1].name / "model"
        spec = {**spec, "base": start.name}
        _publish(out, work, trained, chosen, start, config, spec, inputs, seed, engine, stages, len(pairs), key)
    _wait()
    return _read_result(out)


def _publish(
    out: Path,
    work: Path,
    trained: Path,
    method: Method,
    base: Base,
    config: MethodConfig,
    spec: dict[str, Any],
    inputs: dict[str, str],
    seed: int,
    engine: Engine,
    stages: Sequence[StageResult],
    pairs: int,
    key: str,
) -> None:
    """Put the run folder together, and remove the unfinished one."""
    with write_artifact(out, kind=KIND, spec=spec, inputs=inputs, seed=seed) as folder:
        shutil.copytree(trained, folder / "model", copy_function=_link)
        shutil.copy2(work / "log.jsonl", folder / "log.jsonl")
        (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
        card = model_card(
            method,
            base=base.name,
            base_digest=inputs["base"],
            pairs=pairs,
            pairs_digest=inputs["pairs"][:16],
            seed=seed,
            engine=engine.name,
            config=config,
            stages=stages,
            versions=_versions(),
        )
        (folder / "model" / "README.md").unlink(missing_ok=True)  # PEFT writes an empty one
        (folder / "model" / "README.md").write_text(card, encoding="utf-8")
        result = {
            "key": key,
            "method": method.name,
            "engine": engine.name,
            "weights": weights_digest(folder / "model"),
            "base_weights": inputs["base"],
            "pairs": inputs["pairs"],
            "seed": seed,
            "stages": [asdict(stage) for stage in stages],
        }
        (folder / RESULT).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.rmtree(work, ignore_errors=True)


def _finished(out: Path, key: str) -> TrainingResult:
    """The run that is already there, if it is the one that is wanted."""
    fix = "choose another folder, or remove this one"
    if read_manifest(out).kind != KIND:
        raise StoreError("the folder holds something else than a training", where=str(out), fix=fix)
    content = json.loads((out / RESULT).read_text(encoding="utf-8"))
    if content["key"] != key:
        raise StoreError(
            "the folder holds a training with other settings, base, pairs or seed", where=str(out), fix=fix
        )
    return _read_result(out)


def _read_result(out: Path) -> TrainingResult:
    content = json.loads((out / RESULT).read_text(encoding="utf-8"))
    stages = []
    for stage in content["stages"]:
        listed = {name: tuple(stage[name]) for name in ("counts", "groups", "notices")}
        stages.append(StageResult(**{**stage, **listed}))
    return TrainingResult(
        method=content["method"],
        folder=out,
        model=out / "model",
        weights=content["weights"],
        base_weights=content["base_weights"],
        pairs=content["pairs"],
        seed=content["seed"],
        stages=tuple(stages),
        engine=content["engine"],
    )


def _work_folder(out: Path, key: str, resume: bool) -> Path:
    """The folder of the unfinished run, made or found again."""
    work = out.with_name(f"{out.name}.unfinished")
    if out.exists() and any(out.iterdir()):
        raise StoreError(
            "the folder exists and is not a finished training", where=str(out), fix="choose another, or remove this one"
        )
    if _is_main():
        if out.exists():
            out.rmdir()
        if work.exists() and not resume:
            shutil.rmtree(work)
        work.mkdir(parents=True, exist_ok=True)
        if not (work / KEY).exists():
            (work / KEY).write_text(key, encoding="utf-8")
    _wait()
    if (work / KEY).read_text(encoding="utf-8") != key:
        raise StoreError(
            "an unfinished training with other settings, base, pairs or seed is in the way",
            where=str(work),
            fix="go back to its settings to finish it, or begin anew with --restart (resume=False)",
        )
    return work


def _forget_untrained(work: Path) -> None:
    """Remove the folder of a run that was refused before it computed anything: the corrected one may take its place."""
    computed = ("checkpoint-*", "*.safetensors", "references")
    if _is_main() and not any(path for pattern in computed for path in work.rglob(pattern)):
        shutil.rmtree(work)


def _check_devices() -> None:
    """Several GPUs and one process would be split in a way that TRL does not support."""
    import torch

    if torch.cuda.device_count() > 1 and "LOCAL_RANK" not in os.environ:
        raise TrainingError(
            f"{torch.cuda.device_count()} GPUs are visible to one process",
            fix="start with `accelerate launch --config_file ... -m alignment_prism.cli.main align ...`, "
            "or make one visible with CUDA_VISIBLE_DEVICES=0",
        )


def _is_main() -> bool:
    return bool(processes().is_main_process)


def _wait() -> None:
    processes().wait_for_everyone()


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("alignment-prism", "torch", "transformers", "trl", "peft", "accelerate"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _link(source: str, target: str) -> None:
    """A second name for the same bytes where the file system allows it: large weights are not copied."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' remarks off the terminal; errors still come as exceptions."""
    import warnings

    loggers = [logging.getLogger(name) for name in _NOISY]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
