"""A study of trainings on a cluster of two nodes in network namespaces, one of which loses its power in the middle.

    python benchmarks/node_lost.py                     # as root on Linux, with iproute2

Each node is a `ray start` in a namespace of its own, with an address of its own, that shares nothing with the other but
the file system. `prism study run --executor ray --address ...` runs on the first. When both nodes train, every process
in the second one's namespace is killed with SIGKILL, and its link is taken down. The same study is run on this machine
by `--executor local`. Findings, replies, scores, comparisons and weights must be the same to the byte. Prints the table
of `node_lost.md`; leaves no namespace behind.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

SPEC = """\
name: lost
base: nano
pairs: {safety: nano, general: nano}
mixture: {total: 160}
training: {preset: micro, training: {save_every: 2}}
arms:
  - {name: one, method: sft, share: 0.5}
  - {name: two, method: sft_random, share: 0.5}
  - {name: three, method: dpo_ift, share: 0.25}
prompts: nano
prompt_limit: 1
generation: {max_tokens: 16}
judge: {model: nano/oracle}
compare: {model: nano/oracle}
"""
HEAD, LOST = "prism-head", "prism-lost"
ADDRESSES = {HEAD: "10.77.0.1", LOST: "10.77.0.2"}
PORT = 6399
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
PRISM = [sys.executable, "-m", "alignment_prism.cli.main", "study", "run", "study.yaml", "--out", "out"]
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "300",  # on a busy machine
    "RAY_AUTH_MODE": "disabled",  # nobody else is in these namespaces
}  # fmt: skip


def ip(*words: str) -> str:
    """Run `ip`, and return what it prints."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def end(namespace: str) -> int:
    """Kill every process in a namespace at once; how many there were."""
    pids = [int(line) for line in ip("netns", "pids", namespace).split()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


@contextmanager
def namespaces() -> Iterator[None]:
    """Two, with a link between them."""
    for name in ADDRESSES:
        ip("netns", "add", name)
    try:
        ip("link", "add", "prism0", "netns", HEAD, "type", "veth", "peer", "name", "prism0", "netns", LOST)
        for name, address in ADDRESSES.items():
            for words in (("addr", "add", f"{address}/24", "dev", "prism0"), ("link", "set", "prism0", "up"),
                          ("link", "set", "lo", "up")):  # fmt: skip
                ip("-n", name, *words)
        yield
    finally:
        for name in ADDRESSES:
            end(name)
            ip("netns", "delete", name)


def inside(namespace: str, command: list[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """A command in a namespace."""
    with log.open("ab") as file:
        return subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command], cwd=folder, env=ENVIRONMENT, stdout=file, stderr=file
        )


def node(namespace: str, work: Path, *words: str) -> subprocess.Popen[bytes]:
    """A node of the cluster, of one core."""
    own = ["--node-ip-address", ADDRESSES[namespace], "--num-cpus", "1", "--object-store-memory", str(80 * 2**20)]
    return inside(namespace, [*RAY, "start", *words, *own, "--block"], work, work / f"{namespace}.log")


def wait_for(cores: int, started: subprocess.Popen[bytes], work: Path) -> None:
    """Until the cluster has so many; ends where the node that was started last has ended."""
    status = ["ip", "netns", "exec", HEAD, *RAY, "status", "--address", f"{ADDRESSES[HEAD]}:{PORT}"]
    while (
        f"/{cores}.0 CPU"
        not in subprocess.run(status, env=ENVIRONMENT, capture_output=True, check=False, text=True).stdout
    ):
        if started.poll() is not None:
            sys.exit("".join(log.read_text() for log in work.glob("*.log")))


def training(out: Path) -> dict[str, int]:
    """Trainings under way: name of the folder -> steps done."""
    found = {}
    for log in out.glob("train/*.unfinished/log.jsonl"):
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        found[log.parent.name.removesuffix(".unfinished")] = sum(line.get("event") == "step" for line in lines)
    return found


def made(out: Path) -> dict[str, bytes]:
    """Tables and weights of a finished study."""
    files = [*out.glob("*.parquet"), *out.glob("train/*/model/*.safetensors")]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="prism") as folder:
        work = Path(folder)
        for name in ("cluster", "alone"):
            (work / name).mkdir()
            (work / name / "study.yaml").write_text(SPEC)
        out = work / "cluster" / "out"
        with namespaces():
            temporary = ["--temp-dir", str(work / "ray")]
            address = f"{ADDRESSES[HEAD]}:{PORT}"
            wait_for(
                1, node(HEAD, work, "--head", "--port", str(PORT), "--include-dashboard", "false", *temporary), work
            )
            wait_for(2, node(LOST, work, "--address", address), work)
            run = inside(
                HEAD, [*PRISM, "--executor", "ray", "--address", address], work / "cluster", work / "prism.log"
            )
            while sum(steps > 1 for steps in training(out).values()) < 2:
                if run.poll() is not None:
                    sys.exit((work / "prism.log").read_text())
                time.sleep(0.05)
            under_way = training(out)
            killed = end(LOST)
            ip("-n", HEAD, "link", "set", "prism0", "down")
            ip("-n", HEAD, "link", "set", "prism0", "up")
            code = run.wait()
        notes = [line for line in (work / "prism.log").read_text().splitlines() if "begun again" in line]
        subprocess.run([*PRISM, "--jobs", "1"], cwd=work / "alone", env=ENVIRONMENT, check=True, capture_output=True)
        one, two = made(work / "alone" / "out"), made(out)
        same = sum(one[name] == two.get(name) for name in one)
        print(f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
              f"alignment-prism {version('alignment-prism')}, ray {version('ray')}\n")  # fmt: skip
        print("| two nodes in network namespaces, one killed | |\n|---|---|")
        print(f"| trainings under way | {', '.join(f'{name}: step {steps}' for name, steps in under_way.items())} |")
        print(f"| processes killed | {killed} |")
        print(f"| steps begun again elsewhere | {len(notes)}: {'; '.join(note.split(':')[0] for note in notes)} |")
        print(f"| exit code of the study | {code} |")
        print(f"| files as by `--executor local`, to the byte | {same} of {len(one)} |")


if __name__ == "__main__":
    main()
