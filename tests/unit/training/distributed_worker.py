"""Several processes that train together, each under the variables that a launcher sets; run by `test_distributed.py`.

    python distributed_worker.py WORLD...

Each WORLD is a JSON file: `conftest` is a path, `processes` the variables of each of its processes, `jobs` the
trainings that they run together, one after the other, each with `method`, `base`, `config`, `out` and `environment`,
and in `stops` after which step of which stage somebody presses Ctrl-C: the training is then begun again.
The first process writes `OUT.json` for each, with the error that it ended with, if any. All processes are forked from
this one once it has loaded the libraries: loading them takes longer than the trainings.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


def open_the_door_to_fsdp_on_cpus() -> None:
    """FSDP2 on CPUs as on GPUs.

    accelerate 1.15 takes its plugin for accelerators only (`AcceleratorState.__init__` asks for MULTI_GPU and the like,
    not for MULTI_CPU). What it does there is done here: `set_mixed_precision` too, which replaces the policy.
    """
    from accelerate.state import AcceleratorState, DistributedType

    inherited = AcceleratorState.__init__

    def with_fsdp(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        inherited(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        plugin = fsdp_plugin or vars(self).get("fsdp_plugin")
        if plugin is None:
            return
        if vars(self).get("fsdp_plugin") is not plugin and self._mixed_precision != "no":
            plugin.set_mixed_precision(self._mixed_precision)
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, plugin

    AcceleratorState.__init__ = with_fsdp


def leave_out_deepspeeds_kernels() -> None:
    """Gloo in place of DeepSpeed's reductions in shared memory, which it would compile first: 75 seconds of a CPU."""
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def check_the_engine_in_every_step() -> None:
    """Every step of a training under DeepSpeed is its engine's, of the ZeRO stage that the launcher asks for."""
    from alignment_prism.training.backends.transformers import LossTrainer

    step = LossTrainer.training_step

    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        from deepspeed import DeepSpeedEngine

        assert isinstance(self.model_wrapped, DeepSpeedEngine)
        assert self.model_wrapped.zero_optimization_stage() == int(os.environ["ACCELERATE_DEEPSPEED_ZERO_STAGE"])
        return step(self, *args, **kwargs)

    LossTrainer.training_step = checked


def press_ctrl_c(stops: list[tuple[str, int]]) -> Any:
    """A progress function, which the first process alone calls, that interrupts it after these steps of stages."""

    def progress(done: int, total: int, message: str) -> None:
        if any(f", {stage}" in message and done == step for stage, step in stops):
            signal.raise_signal(signal.SIGINT)

    return progress


def check_shards_in_every_step() -> None:
    """Every step of a training under FSDP sees shards of layers and not the whole."""
    from torch.distributed.tensor import DTensor

    from alignment_prism.training.backends.transformers import LossTrainer

    step = LossTrainer.training_step

    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        parameters = [one for name, one in self.model.named_parameters() if ".layers." in name]
        assert parameters
        assert all(isinstance(one, DTensor) and one.to_local().numel() < one.numel() for one in parameters)
        return step(self, *args, **kwargs)

    LossTrainer.training_step = checked


def check_that_only_the_first_process_tries_models() -> None:
    from alignment_prism.training import heads
    from alignment_prism.training.layouts import prepare

    def refuse(*_: Any) -> Any:
        raise AssertionError("this process was not to try the model")

    if os.environ["RANK"] != "0":
        heads._agrees = refuse
        prepare.why_not_packed = refuse


def read_trained_models_late() -> None:
    """The first process puts a run together and removes what was under way while the others are still busy."""
    from alignment_prism.training import run

    find = run.find_base

    def late(folder: Any) -> Any:
        time.sleep(1.0)
        return find(folder)

    if os.environ["RANK"] != "0":
        run.find_base = late


def check_that_the_others_learn_of_a_fault() -> None:
    import torch

    from alignment_prism.domain import TrainingError
    from alignment_prism.training.devices import ask_first

    def fail() -> None:
        assert torch.get_num_threads() == len(os.sched_getaffinity(0))
        raise ValueError("no")

    threads = torch.get_num_threads()
    try:
        ask_first(torch.nn.Linear(1, 1), fail)
    except (ValueError, TrainingError) as error:
        expected = "no" if os.environ["RANK"] == "0" else "the first process could not try the model: ValueError: no"
        assert str(error) == expected, error
    assert torch.get_num_threads() == threads


LIBRARIES = ("training.run", "training.backends.transformers", "training.backends.arguments", "training.heads",
             "training.layouts.prepare", "training.base_model")  # fmt: skip


def train(world: dict[str, Any], variables: dict[str, str], launch: int) -> None:
    """All jobs that are launched so often, as one of the processes."""
    faulthandler.dump_traceback_later(400, exit=True)  # says where processes wait for one another for ever
    os.environ.update(variables)
    spec = importlib.util.spec_from_file_location("tiny_models", world["conftest"])
    assert spec is not None and spec.loader is not None
    tiny: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    if os.environ.get("ACCELERATE_USE_FSDP"):
        open_the_door_to_fsdp_on_cpus()
        check_shards_in_every_step()
    if os.environ.get("ACCELERATE_USE_DEEPSPEED"):
        leave_out_deepspeeds_kernels()
        check_the_engine_in_every_step()
    from alignment_prism.domain import PrismError
    from alignment_prism.training import TrainingInterrupted, load_config, train_method

    check_that_only_the_first_process_tries_models()
    read_trained_models_late()
    for job in world["jobs"]:
        if launch > len(job["stops"]):
            continue
        os.environ.update(job["environment"])
        out = Path(job["out"])
        error = ""
        try:
            with suppress(TrainingInterrupted):
                train_method(
                    job["method"],
                    base=job["base"],
                    pairs=tiny.grouped_pairs(21),
                    out=out,
                    config=load_config(job["config"]),
                    progress=press_ctrl_c(job["stops"]),
                )
        except PrismError as refusal:
            error = f"{type(refusal).__name__}: {refusal}"
        finally:
            for name in job["environment"]:
                del os.environ[name]
        said = out.with_name(f"{out.name}-said-by-{os.environ['RANK']}.json")
        said.write_text(json.dumps({"error": error}), encoding="utf-8")
    if not launch:
        check_that_the_others_learn_of_a_fault()


def main() -> None:
    """Trains in all worlds at once; what was interrupted goes on in new processes, as it does for a user."""
    for name in LIBRARIES:
        importlib.import_module(f"alignment_prism.{name}")
    worlds = [json.loads(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:]]
    fork = multiprocessing.get_context("fork")
    for launch in range(1 + max(len(job["stops"]) for world in worlds for job in world["jobs"])):
        processes = [
            fork.Process(target=train, args=(world, each, launch)) for world in worlds for each in world["processes"]
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            sys.exit(1)


if __name__ == "__main__":
    main()
