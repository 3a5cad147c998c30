"""Two gloo processes on CPUs train what one process trains, also when pairs do not divide evenly between them.

DDP runs as it is. FSDP2 is torch's own on CPUs as well, but accelerate 1.15 takes its plugin for accelerators only
(`AcceleratorState.__init__` asks for MULTI_GPU and the like, not for MULTI_CPU). The test opens that one door;
sharding, gathering, clipping, optimiser and the gathered state that is saved are accelerate's and torch's own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from alignment_prism.store import is_complete
from alignment_prism.training import dump_config, load_config

SCRIPT = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("tiny_models", sys.argv[1])
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
if os.environ.get("ACCELERATE_USE_FSDP"):
    from accelerate.state import AcceleratorState, DistributedType
    from torch.distributed.tensor import DTensor
    inherited = AcceleratorState.__init__
    def with_fsdp_on_cpus(self, *args, fsdp_plugin=None, **kwargs):
        inherited(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        plugin = fsdp_plugin or vars(self).get("fsdp_plugin")
        if plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, plugin
    AcceleratorState.__init__ = with_fsdp_on_cpus
    from alignment_prism.training.backends.transformers import LossTrainer
    step = LossTrainer.training_step
    def checked(self, *args, **kwargs):
        parameters = [one for name, one in self.model.named_parameters() if ".layers." in name]
        assert parameters
        assert all(isinstance(one, DTensor) and one.to_local().numel() < one.numel() for one in parameters)
        return step(self, *args, **kwargs)
    LossTrainer.training_step = checked
from alignment_prism.training import load_config
from alignment_prism.training.train import train_method
train_method(sys.argv[5], base=sys.argv[2], pairs=tiny.make_pairs(21), out=sys.argv[3], config=load_config(sys.argv[4]))
"""
FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}
SETTINGS = {
    "training.precision": "fp64",
    "training.micro_batch_size": 2,
    "training.log_every": 1,
    "group_dro.learning_rate": 3e-4,
    "group_dro.epochs": 1,
    "group_dro.step_size": 2.0,  # so that the second step shows whether the groups of both processes were counted
    "training.max_grad_norm": 1e9,  # measured and never clipped: AdamW alone would forgive gradients of another size
}


def _gradient_norms(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["grad_norm"] for line in lines if line["event"] == "step"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiny_models", Path(__file__).with_name("conftest.py"))
    assert spec is not None and spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    return tiny


@pytest.mark.parametrize(
    ("how", "method", "tied"),
    [
        ("ddp", "dpo_ift", True),
        ("ddp", "group_dro", True),
        ("fsdp2", "dpo_ift", True),
        ("fsdp2", "dpo_ift", False),
        ("fsdp2", "sft", True),
    ],
)  # fmt: skip
def test_two_processes_train_what_one_does(how: str, method: str, tied: bool, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from alignment_prism.training.train import train_method

    tiny = _tiny()
    base = tiny.save_tiny_model(tmp_path / "base", tied=tied)
    config = load_config("micro", SETTINGS)
    settings = tmp_path / "settings.yaml"
    settings.write_text(dump_config(config), encoding="utf-8")
    alone = train_method(method, base=base, pairs=tiny.make_pairs(21), out=tmp_path / "one", config=config)
    port = _free_port()
    paths = [str(path) for path in (Path(__file__).with_name("conftest.py"), base, tmp_path / "two", settings)]
    workers = []
    for rank in range(2):
        world = {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1",
            **(FSDP2 if how == "fsdp2" else {}),
        }  # fmt: skip
        arguments = [sys.executable, "-c", SCRIPT, *paths, method]
        workers.append(subprocess.Popen(arguments, env={**os.environ, **world}, stderr=subprocess.PIPE, text=True))
    try:
        faults = [worker.communicate(timeout=600)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], faults
    assert is_complete(tmp_path / "two")
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    start = load_file(base / "model.safetensors")
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], rtol=0, atol=1e-6), name
    assert any(float((tensor - start[name]).abs().max()) > 1e-4 for name, tensor in one.items())  # they did learn
    norms = _gradient_norms(tmp_path / "one")
    assert len(norms) == 3 and _gradient_norms(tmp_path / "two") == pytest.approx(norms, rel=1e-4)
    both = json.loads((tmp_path / "two" / "result.json").read_text(encoding="utf-8"))["stages"][0]
    for ours, theirs in zip(alone.stages[0].groups, both["groups"], strict=True):
        assert (ours["language"], ours["scope"]) == (theirs["language"], theirs["scope"])
        for metric, cell in ours["metrics"].items():
            assert theirs["metrics"][metric] == pytest.approx(cell, rel=1e-6)
