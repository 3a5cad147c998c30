"""Nodes of Ray that share no disk with the study, nor with one another: the same bytes, by way of a store.

Two real nodes on the loopback, each in a folder of its own. The study runs in a namespace of mounts, where its folder
is; the nodes do not see that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray._private import ray_constants
from ray.cluster_utils import Cluster
from s3_server import Bucket, bucket
from shared_store import made, run, write_study

pytestmark = pytest.mark.slow  # a cluster

NODE: dict[str, Any] = {
    "num_cpus": 1,
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
    "object_store_memory": 80 * 2**20,
}
PROGRAM = "from alignment_prism.cli.main import main; main()"
HIDDEN = """\
mount -t tmpfs prism desk && mkdir desk/work && cp *.jsonl spec.yaml desk/work && cd desk/work || exit 99
"$@"; code=$?
rm -rf ../../seen; cp -r out ../../seen
exit $code
"""


@pytest.fixture
def s3() -> Iterator[Bucket]:
    with pytest.MonkeyPatch.context() as patch, bucket(patch) as one:
        yield one


@pytest.fixture
def cluster(s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Its nodes have what the environment says of the bucket."""
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)  # or the loopback is taken for another address
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # in other processes too
    before, place = signal.signal(signal.SIGINT, signal.SIG_IGN), os.getcwd()
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        os.chdir(tmp_path / "one")
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        os.chdir(tmp_path / "two")
        cluster.add_node(**NODE)
    finally:
        os.chdir(place)
        signal.signal(signal.SIGINT, before)
    yield cluster
    cluster.shutdown()


@pytest.mark.skipif(
    subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="no namespace of mounts may be made here",
)
def test_nodes_without_a_common_disk_leave_what_one_machine_leaves(
    cluster: Cluster, s3: Bucket, tiny_model: Path, tmp_path: Path
) -> None:
    write_study(tmp_path, tiny_model)
    run(tmp_path, "alone")
    (tmp_path / "desk").mkdir()
    given = ["study", "run", "spec.yaml", "--out", "out", "--executor", "ray", "--address", cluster.address]
    command = ["unshare", "--mount", "sh", "-c", HIDDEN, "sh", sys.executable, "-c", PROGRAM, *given]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 5 and "does not see the study's folder" in told.stderr and "--store" in told.stderr
    command += ["--store", s3.url]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    (tmp_path / "seen").rename(tmp_path / "out")
    assert made(tmp_path) == made(tmp_path / "alone")
    there = [path.parent.name for name in ("one", "two") for path in (tmp_path / name).glob("out/train/*/model")]
    assert len(set(there)) == 2 and not list((tmp_path / "desk").iterdir())  # made here, and perhaps fetched there
