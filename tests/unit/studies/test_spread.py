"""A training that is spread over GPUs, as processes see it: what each is told, and that none outlives another.

The step is a mixture, which is drawn in moments and may be written twice; its seed, when it is looked at, says what the
process was given, and waits where a test wants it to.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from mixture_steps import mixtures

from alignment_prism.cli.align import LAUNCHES
from alignment_prism.domain import ModelError
from alignment_prism.studies.executors import pool
from alignment_prism.studies.executors.local import run_steps
from alignment_prism.studies.executors.spread import do_spread
from alignment_prism.studies.progress import Silent
from alignment_prism.studies.steps import Context, Step


@pytest.fixture(autouse=True)
def light_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is trained: workers need no torch."""
    monkeypatch.setattr(pool, "PRELOADED", ())


class Seed(int):
    """Writes the process's variables to a folder, and waits at a pipe there if there is one."""

    folder: str

    def __bool__(self) -> bool:
        place = Path(self.folder)
        (place / f"{os.environ['RANK']}.{os.getpid()}").write_text(json.dumps(dict(os.environ)), encoding="utf-8")
        if (place / "pipe").exists():
            with (place / "pipe").open("rb") as pipe:
                pipe.read()
        return False


def step_in(out: Path, *, waits: bool = False) -> Step:
    seed = Seed(0)
    seed.folder = str(out)
    if waits:
        os.mkfifo(out / "pipe")
    (step,) = mixtures(out, 0.5)
    return Step(step.kind, "late mixture", "late", step.settings, step.needs, seed=seed)


def spread(step: Step, out: Path) -> None:
    do_spread(step, Context(out, None, gpus=2), lambda done, total, words="", /: None)


def ranks(out: Path) -> dict[int, int]:
    """Rank -> process."""
    return {int(path.stem): int(path.suffix[1:]) for path in out.glob("[01].*")}


def test_every_process_gets_what_accelerate_would_give_it(tmp_path: Path) -> None:
    from importlib import resources

    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    step = step_in(tmp_path)
    spread(step, tmp_path)
    assert step.is_done(tmp_path) and ranks(tmp_path).keys() == {0, 1}
    seen = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(tmp_path.glob("[01].*"))]
    file = resources.files("alignment_prism.training") / "configs" / f"{LAUNCHES[0]}.yaml"
    arguments = launch_command_parser().parse_args(["--config_file", str(file), "--num_processes", "2", "x.py"])
    wanted = prepare_multi_gpu_env(_validate_launch_command(arguments)[0])
    sharding = {name: value for name, value in wanted.items() if name.startswith(("FSDP_", "ACCELERATE_USE_FSDP"))}
    own = {name: value for name, value in seen[0].items() if name.startswith(("FSDP_", "ACCELERATE_USE_FSDP"))}
    assert own.items() <= sharding.items() and own["FSDP_VERSION"] == "2" and len(own) == 8
    assert [one["LOCAL_RANK"] for one in seen] == ["0", "1"] and {one["WORLD_SIZE"] for one in seen} == {"2"}
    assert len({one["MASTER_PORT"] for one in seen}) == 1


@pytest.mark.parametrize("end", ["one is killed", "Ctrl-C"])
def test_what_ends_one_process_ends_all(end: str, tmp_path: Path) -> None:
    step = step_in(tmp_path, waits=True)
    reached = threading.Event()

    def stop() -> None:
        with (tmp_path / "pipe").open("wb"):  # opens when the first process has begun to read
            while len(ranks(tmp_path)) < 2 and not reached.wait(0.01):
                pass
            os.kill(ranks(tmp_path)[1] if end == "one is killed" else os.getpid(),
                    signal.SIGKILL if end == "one is killed" else signal.SIGINT)  # fmt: skip
            reached.wait(60)

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        with pytest.raises(ModelError if end == "one is killed" else KeyboardInterrupt) as error:
            spread(step, tmp_path)
    finally:
        reached.set()
        stopper.join()
    if end == "one is killed":
        assert "killed by SIGKILL" in str(error.value)
    for process in ranks(tmp_path).values():
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert not step.folder(tmp_path).exists()


class Notes(Silent):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("small", [True, False], ids=["small", "larger"])
def test_gpus_that_are_not_there_or_not_used_are_told_before_any_step(small: bool, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    with (base / "model.safetensors").open("wb") as weights:
        weights.truncate(10**6 if small else 10**8)  # one core computes with up to 32 MB
    (mixture,) = mixtures(tmp_path, 1)
    training = Step("train", "a training", "x", {}, {"mixture": mixture}, options={"base": str(base)})
    told, most = Notes(), 10**4
    with pytest.raises(Exception) as error:  # the small one is begun, and says nothing of how to train
        run_steps([training], Context(tmp_path, None, gpus=most), told)
    assert isinstance(error.value, ModelError) is not small
    if small:
        assert told.notes[0].startswith(f"no training is spread over {most} GPUs: ")
    else:
        assert f"spread over {most} GPUs of one machine, and there are" in str(error.value) and told.notes == []
    (other,) = mixtures(tmp_path, 0.5)
    told = Notes()
    run_steps([other], Context(tmp_path, None, gpus=most), told)
    assert told.notes == [] and other.is_done(tmp_path)
