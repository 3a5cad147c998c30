"""A cluster of two nodes does the steps of a study: the same bytes as one machine, also where a node is killed.

The steps are mixtures, as in `test_at_once`; a seed that is looked at waits at a pipe until the test lets it go. The
cluster is real: two nodes with their own processes, which listen on the loopback alone.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from mixture_steps import mixtures
from prism_command import prism
from ray import cloudpickle
from ray._private import ray_constants
from ray.cluster_utils import Cluster

from alignment_prism.domain import InputError, StoreError
from alignment_prism.store.names import CLUSTER
from alignment_prism.studies.executors.at_once import run_at_once
from alignment_prism.studies.executors.local import run_steps
from alignment_prism.studies.executors.ray import RayCrew, run_steps_on_ray
from alignment_prism.studies.executors.spread import check_gpus
from alignment_prism.studies.steps import KINDS, Context, Step

pytestmark = pytest.mark.slow  # clusters of several nodes

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # nodes know the package, and not its tests

NODE: dict[str, Any] = {
    "num_cpus": 1,
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
    "object_store_memory": 80 * 2**20,
}


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def skip(self, number: int, total: int, title: str) -> None: ...

    def step(self, number: int, total: int, title: str) -> Any:
        from contextlib import nullcontext

        return nullcontext(lambda done, total, words="", /: None)


class LateSeed(int):
    """A seed that says when it is looked at, and is known when it is told to go on."""

    gate: str

    def __bool__(self) -> bool:
        with open(f"{self.gate}.begun", "wb") as begun, open(f"{self.gate}.go", "rb", 0) as go:
            begun.write(b".")
            begun.flush()
            for _ in range(1200):  # Ray interrupts Python, as it computes in a training, and no system call
                if select.select([go], [], [], 0.05)[0]:
                    os.read(go.fileno(), 1)
                    return False
        raise TimeoutError("nobody opened the gate, and nobody interrupted")


class Gate:
    """Pipes that late seeds wait at: open at both ends, so that it does not matter who comes first."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate"
        names = [f"{self.path}.{name}" for name in ("begun", "go")]
        for name in names:
            os.mkfifo(name)
        self._begun, self._go = (os.open(name, os.O_RDWR) for name in names)

    def wait(self, seeds: int) -> None:
        """Until so many seeds are looked at."""
        for _ in range(seeds):
            os.read(self._begun, 1)

    def open(self, seeds: int) -> None:
        """Let so many of them go on."""
        os.write(self._go, b"." * seeds)

    def late(self, step: Step) -> Step:
        """The step with such a seed."""
        seed = LateSeed(step.seed or 0)
        seed.gate = str(self.path)
        return replace(step, seed=seed)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)  # or the loopback is taken for another address
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as where `nohup` or a service starts the nodes
        try:
            cluster = Cluster(initialize_head=True, head_node_args=NODE)
            cluster.add_node(**NODE)
        finally:
            signal.signal(signal.SIGINT, before)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def do(steps: list[Step], out: Path) -> list[str]:
    """Do all of them on the cluster; what the reporter was told."""
    keys, context, told = {step.key for step in steps}, Context(out, None), Notes()
    run_at_once(steps, keys, set(), keys, context, told, RayCrew(ray, context, told))
    return told.notes


def files(out: Path, steps: list[Step]) -> dict[str, bytes]:
    found = [path for step in steps for path in step.folder(out).iterdir() if path.name != "manifest.json"]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def lose_power(cluster: Cluster) -> None:
    """Kill every process of the second node at once."""
    (node,) = cluster.worker_nodes
    raylet = node.all_processes["raylet"][0].process.pid
    children = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
    for process in (raylet, *map(int, children)):
        os.kill(process, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)


def test_an_error_on_a_node_is_that_of_the_step(cluster: Cluster, tmp_path: Path) -> None:
    (bad,) = mixtures(tmp_path, 1, total=10**6)
    with pytest.raises(InputError, match="safety"):
        do([bad], tmp_path)
    assert not bad.folder(tmp_path).exists()


def test_a_step_that_fails_on_a_node_takes_no_other_with_it(cluster: Cluster, tmp_path: Path) -> None:
    steps = mixtures(tmp_path, 0, 0.5)
    (bad,) = mixtures(tmp_path, 1, total=10**6)
    needs_it = replace(steps[1], title="in need", needs={**steps[1].needs, "late": bad})
    with pytest.raises(InputError, match="safety"):
        do([bad, needs_it, *steps], tmp_path)
    assert [step.is_done(tmp_path) for step in (bad, needs_it, *steps)] == [False, False, True, True]


def test_a_node_that_does_not_see_the_folder_says_so(cluster: Cluster, tmp_path: Path) -> None:
    steps = mixtures(tmp_path, 1)
    keys, context, told = {step.key for step in steps}, Context(tmp_path, None), Notes()
    crew = RayCrew(ray, context, told)
    (tmp_path / CLUSTER).unlink()
    with pytest.raises(StoreError, match="does not see the study's folder"):
        run_at_once(steps, keys, set(), keys, context, told, crew)


def test_ctrl_c_stops_what_is_under_way(cluster: Cluster, tmp_path: Path) -> None:
    steps, gate = mixtures(tmp_path, 0.5), Gate(tmp_path)
    waiting = gate.late(steps[0])

    def stop() -> None:
        gate.wait(1)
        os.kill(os.getpid(), signal.SIGINT)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(KeyboardInterrupt, match="stopped; mixture"):
        do([waiting], tmp_path)
    stopper.join()
    assert not waiting.folder(tmp_path).exists()
    do(steps, tmp_path)
    assert steps[0].is_done(tmp_path)


def test_two_nodes_leave_what_one_machine_leaves_though_one_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    steps = mixtures(one, 0, 0.5, 1)
    mixtures(two)
    run_steps(steps, Context(one, None), Notes())
    gate = Gate(two)

    def kill() -> None:
        gate.wait(2)  # both nodes are at work
        lose_power(cluster)
        gate.open(2)

    killer = threading.Thread(target=kill)
    killer.start()
    notes = do([*map(gate.late, steps[:2]), steps[2]], two)
    killer.join()
    assert [note.partition(": ")[2] for note in notes] == ["its node or process was lost, and it is begun again"]
    assert files(two, steps) == files(one, steps)
    assert len(files(one, steps)) == 6 and all(step.is_done(two) for step in steps)


def test_a_training_over_several_gpus_has_them_on_one_node_and_gives_them_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The node says that it has two GPUs, which Ray believes; the task tells where it is and what it sees."""
    from alignment_prism.domain import ModelError

    base = tmp_path / "base"
    base.mkdir()
    with (base / "model.safetensors").open("wb") as weights:
        weights.truncate(10**8)  # larger than what computes on one core
    (mixture,) = mixtures(tmp_path, 1)
    training = Step("train", "a training", "x", {}, {"mixture": mixture}, options={"base": str(base)})

    def look(*arguments: Any) -> tuple[str, str]:
        place = ray.get_runtime_context().get_node_id()
        return "stopped", f"{place} {os.environ['CUDA_VISIBLE_DEVICES']} {arguments[-1]}"

    crew = RayCrew(ray, Context(tmp_path, None, gpus=2), Notes())
    with pytest.raises(ModelError, match="spread over 2 GPUs of one machine, and there are 0"):
        check_gpus([training], 2, lambda: crew.gpus, Notes())
    node = cluster.add_node(**{**NODE, "num_cpus": 2, "num_gpus": 2})
    bell, ring = os.pipe()
    try:
        crew = RayCrew(ray, Context(tmp_path, None, gpus=2), Notes())
        crew._remote = ray.remote(max_retries=0)(look)
        for _ in range(2):  # the second one waits for the first one's GPUs, and has them then
            crew.hand_out(training, earlier=False)
        told = []
        while crew.at_work:
            told += crew.wait(bell)
        places = [str(one.rest[0]).split() for one in told]
        assert {place for place, _, _ in places} == {node.node_id} and len(places) == 2
        assert [(sorted(seen.split(",")), gpus) for _, seen, gpus in places] == [(["0", "1"], "2")] * 2
    finally:
        cluster.remove_node(node)
        os.close(bell)
        os.close(ring)


def test_findings_of_a_cluster_are_those_of_one_machine(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignment_prism.studies import StudySpec, load_spec, run_study

    monkeypatch.setattr("alignment_prism.studies.executors.ray._connected", lambda address: ray)
    monkeypatch.setattr("alignment_prism.studies.run.write_study_report", lambda *_: None)
    arms = [{"name": "sft", "method": "sft", "share": 0.15}]
    spec = load_spec("micro").model_dump(exclude_unset=True) | {"arms": arms, "kinds": ["harmful"], "compare": None}
    tables = {}
    for name, where in (("one", None), ("cluster", "")):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        run_study(StudySpec.model_validate(spec), "out", cluster=where)
        tables[name] = {path.name: path.read_bytes() for path in Path("out").glob("*.parquet")}
    assert tables["cluster"] == tables["one"] and {"findings.parquet", "generations.parquet"} <= tables["one"].keys()


def test_nothing_is_started_where_nothing_needs_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignment_prism.studies.executors.ray._connected", None)
    steps = mixtures(tmp_path, 1)
    assert all(KINDS[step.kind].computes_with(step) is None for step in steps)
    run_steps_on_ray(steps, Context(tmp_path, None), Notes(), address="127.0.0.1:1")
    assert steps[0].is_done(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--executor", "ray", "--address", "127.0.0.1:1"], "no cluster of Ray could be used"),
        (["--executor", "ray", "--address", "somewhere"], "'somewhere' is no HOST:PORT"),
        (["--address", "127.0.0.1:6379"], "--executor ray"),
        (["--executor", "ray", "--jobs", "2"], "--jobs is of this machine"),
    ],
)
def test_a_cluster_that_there_is_not_is_an_error_at_once(options: list[str], words: str, tmp_path: Path) -> None:
    told = prism("study", "run", "micro", "--out", tmp_path / "out", *options)
    assert told.returncode in (2, 3) and words in told.stderr
