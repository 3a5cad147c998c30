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
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, ModelError, Pair, StoreError, TrainingError, content_digest
from alignment_prism.domain.progress import Progress
from alignment_prism.io import write_text
from alignment_prism.models.chat_templates import template_date
from alignment_prism.models.threads import is_small, steady_threads
from alignment_prism.models.weights import weights_digest
from alignment_prism.store import folder_lock
from alignment_prism.store.artifacts import artifact_key, is_complete, read_manifest, write_artifact
from alignment_prism.store.locks import LOCK
from alignment_prism.store.names import RESULT
from alignment_prism.training.base_model import Base, find_base, resolve_precision
from alignment_prism.training.callbacks import Log, StopRequest, asked_anywhere
from alignment_prism.training.card import model_card
from alignment_prism.training.devices import check_launcher, processes, uses_deepspeed
from alignment_prism.training.examples import pairs_digest
from alignment_prism.training.methods import METHODS, Method, Stage
from alignment_prism.training.results import StageResult, TrainingInterrupted, TrainingResult
from alignment_prism.training.settings import MethodConfig, dump_config
from alignment_prism.training.stage import Engine, StageJob, finished_stage, run_stage

TRACKED = "runs"
"""Where transformers has TensorBoard write, within a stage's folder."""
KIND = "training"
KEY = "key"
REFERENCES = "references"
_NOISY = ("transformers", "accelerate", "trl", "datasets", "peft", "torch.distributed")


@dataclass(frozen=True, slots=True)
class Training:
    """Everything that a training is made from.

    Attributes:
        method: that is asked for.
        stages: those of its stages that run.
        engine: that trains.
        base: the model that the method starts from.
        first: the model that the first of `stages` starts from, where that is not the base.
        pairs: to train on.
        config: settings, with the recipes of `stages` alone.
        seed: of order, tosses and adapters.
        out: the run folder to make.
    """

    method: Method
    stages: tuple[Stage, ...]
    engine: Engine
    base: Base
    first: Base | None
    pairs: Sequence[Pair]
    config: MethodConfig
    seed: int
    out: Path

    @property
    def spec(self) -> dict[str, Any]:
        """Method, engine, the settings that change the model, and digests of losses that are of another package."""
        date = template_date(self.base.tokenizer)
        dated = {} if date is None else {"template_date": date}
        code = {stage.name: code for stage in self.stages if (code := METHODS.code(stage.objective))}
        return {
            "method": self.method.name,
            "engine": self.engine.name,
            "config": self.config.result_settings(),
            **dated,
            **({"code": code} if code else {}),
        }

    def inputs(self) -> dict[str, str]:
        """Digests of weights, pairs and chat template; reads them all."""
        inputs = {
            "base": weights_digest(self.base.folder),
            "pairs": pairs_digest(self.pairs),
            "template": content_digest(str(self.base.tokenizer.chat_template)),
        }
        return inputs if self.first is None else {**inputs, "sft": weights_digest(self.first.folder)}


def run_training(
    training: Training, *, references: str | Path | None, resume: bool, progress: Progress | None
) -> TrainingResult:
    """Train all stages, or go on with them; see `alignment_prism.training.train.train_method`."""
    _check_devices(training.base.folder)
    check_launcher(resolve_precision(training.config.training))
    inputs = training.inputs()
    key = artifact_key(KIND, training.spec, inputs, training.seed)  # a base that has moved is still the same base
    if is_complete(training.out):
        return _finished(training.out, key)
    with _held(training.out):
        if is_complete(training.out):  # who held it until now has just finished
            return _finished(training.out, key)
        with steady_threads(training.base.folder):
            return _train(training, inputs, key, references=references, resume=resume, progress=progress)


def _train(
    training: Training,
    inputs: dict[str, str],
    key: str,
    *,
    references: str | Path | None,
    resume: bool,
    progress: Progress | None,
) -> TrainingResult:
    """Train the stages that are not finished; the folder of the unfinished run is held by the caller.

    Whoever asks it to stop while a stage takes its last step or is being saved is heeded when that is done.
    """
    work = _work_folder(training.out, key, resume)
    log = Log(work / "log.jsonl", enabled=_is_main())
    stop = StopRequest()
    results: list[StageResult] = []
    current = training.first or training.base
    try:
        with stop.listening(), _quiet():
            for stage in training.stages:
                folder = work / stage.name
                job = StageJob(
                    stage=stage,
                    title=training.method.title,
                    base=current,
                    pairs=training.pairs,
                    config=training.config,
                    seed=training.seed,
                    folder=folder,
                    log=log,
                    progress=progress,
                    stop=stop,
                    references=Path(references) if references is not None else work / REFERENCES,
                )
                done = finished_stage(folder)
                results.append(done if done is not None else run_stage(job, training.engine))
                if asked_anywhere(stop):
                    raise TrainingInterrupted(work, results[-1].steps, results[-1].steps)
                # That of the last stage is nobody's base: the first process may have moved and removed it by now.
                if stage is not training.stages[-1] and (folder / "model" / "config.json").exists():
                    current = find_base(folder / "model")
    except (InputError, ModelError):
        _forget_untrained(work)
        raise
    if _is_main():
        _publish(training, work, inputs, key, results)
    _wait()
    return _read_result(training.out)


def _publish(training: Training, work: Path, inputs: dict[str, str], key: str, results: Sequence[StageResult]) -> None:
    """Put the run folder together, and remove the unfinished one."""
    method, engine, seed = training.method.name, training.engine.name, training.seed
    spec = {**training.spec, "base": training.base.name}
    with write_artifact(training.out, kind=KIND, spec=spec, inputs=inputs, seed=seed) as folder:
        shutil.copytree(work / training.stages[-1].name / "model", folder / "model", copy_function=_link)
        shutil.copy2(work / "log.jsonl", folder / "log.jsonl")
        for stage in training.stages:
            if (work / stage.name / TRACKED).is_dir():
                shutil.copytree(work / stage.name / TRACKED, folder / TRACKED / stage.name)
        (folder / "config.yaml").write_text(dump_config(training.config), encoding="utf-8")
        card = model_card(
            training.method,
            base=training.base.name,
            base_digest=inputs["base"],
            pairs=len(training.pairs),
            pairs_digest=inputs["pairs"][:16],
            seed=seed,
            engine=engine,
            config=training.config,
            stages=results,
            versions=_versions(training),
        )
        (folder / "model" / "README.md").unlink(missing_ok=True)  # PEFT writes an empty one
        (folder / "model" / "README.md").write_text(card, encoding="utf-8")
        result = {
            "key": key,
            "method": method,
            "engine": engine,
            "weights": weights_digest(folder / "model"),
            "base_weights": inputs["base"],
            "pairs": inputs["pairs"],
            "seed": seed,
            "stages": [asdict(stage) for stage in results],
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
            "the folder holds a training with other settings, loss, base, pairs or seed", where=str(out), fix=fix
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


def _work_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.unfinished")


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """The folder of the unfinished run, made if need be and held by the first process for all."""
    if not _is_main():
        yield
        return
    work = _work_path(out)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = "choose another folder"
        raise StoreError(f"cannot write there: {error.strerror}", where=str(work), fix=fix) from error
    try:
        with folder_lock(work):
            yield
    finally:
        with suppress(OSError):
            work.rmdir()  # nothing was begun


def _work_folder(out: Path, key: str, resume: bool) -> Path:
    """The folder of the unfinished run, made or found again."""
    work = _work_path(out)
    if out.exists() and any(out.iterdir()):
        raise StoreError(
            "the folder exists and is not a finished training", where=str(out), fix="choose another, or remove this one"
        )
    if _is_main():
        if out.exists():
            out.rmdir()
        if not resume:
            _empty(work)
        elif (work / KEY).exists() and (work / KEY).read_text(encoding="utf-8") != key and not _has_weights(work):
            _empty(work, but=REFERENCES)  # which are found by what they were computed with
        if not (work / KEY).exists():
            write_text(work / KEY, key)  # whole or not there: a torn one would be in the way for ever
    _wait()
    if (work / KEY).read_text(encoding="utf-8") != key:
        raise StoreError(
            "an unfinished training with other settings, loss, base, pairs or seed is in the way",
            where=str(work),
            fix="go back to its settings to finish it, or begin anew",
            settings={"resume": "False"},
        )
    return work


def _empty(work: Path, but: str = "") -> None:
    """Remove what is in the folder, all but the lock that holds it, and what has the name `but`."""
    for path in work.iterdir():
        if path.name == but:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _forget_untrained(work: Path) -> None:
    """Remove the folder of a run that was refused before it computed anything: the corrected one may take its place."""
    if _is_main() and not _has_weights(work) and not (work / REFERENCES).exists():
        shutil.rmtree(work)


def _has_weights(work: Path) -> bool:
    """Whether a step was taken that is not lost."""
    return any(path for pattern in ("checkpoint-*", "*.safetensors") for path in work.rglob(pattern))


def _check_devices(base: Path) -> None:
    """One process trains on one GPU: who has more of them and a model that is not small learns it before the hours."""
    import torch

    if torch.cuda.device_count() > 1 and "LOCAL_RANK" not in os.environ and not is_small(base):
        raise TrainingError(
            f"{torch.cuda.device_count()} GPUs are visible to one process",
            fix="start with `accelerate launch --config_file ... -m alignment_prism.cli.main align ...`, "
            "or make one visible with CUDA_VISIBLE_DEVICES=0",
            settings={"gpus": str(torch.cuda.device_count())},
        )


def _is_main() -> bool:
    return bool(processes().is_main_process)


def _wait() -> None:
    processes().wait_for_everyone()


def _versions(training: Training) -> dict[str, str]:
    adapter = training.config.training.adapter
    four_bits = () if adapter is None or adapter.bits is None else ("bitsandbytes",)
    launched = ("deepspeed",) if uses_deepspeed() else ()
    names = (
        "alignment-prism",
        "torch",
        "transformers",
        training.engine.name,
        "peft",
        "accelerate",
        *launched,
        *four_bits,
    )
    return {name: found for name in dict.fromkeys(names) if (found := _version(name))}


@cache
def _version(name: str) -> str:
    """Of an installed distribution; empty where there is none of that name."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


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
