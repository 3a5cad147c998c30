"""Twelve independent arms by one worker and by several: how much of the workers' time is used.

    python benchmarks/arms_at_once.py                  # pools of 1 and 2 processes, then a cluster of Ray of 2 nodes
    python benchmarks/arms_at_once.py --workers 4 --pairs 800 --skip-ray

Each arm is a training of the lab's base by one thread, on a mixture of its own, and its replies. What is timed is what
an executor does of a study, from handing out the first step to the end of the last, the imports of its workers
included; mixtures are drawn before. Each way is a process of its own and begins with an empty folder, so nothing is
shared but the machine: the figures are worth what its calm is. Bar: k workers are at least 0.85 k times as fast as one.
Weights must be the same to the byte, and replies to the letter. Prints the table of `arms_at_once.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ARMS, BAR = 12, 0.85
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", RAY_USAGE_STATS_ENABLED="0")


def the_spec(pairs: int) -> Any:
    """Twelve arms without a step in common: each has a share of its own."""
    from alignment_prism.studies import StudySpec

    arms = [{"name": f"arm{number}", "method": "dpo_ift", "share": (number + 1) / (ARMS + 1)} for number in range(ARMS)]
    return StudySpec.model_validate({
        "name": "at-once", "base": "nano", "training": "nano", "mixture": {"total": pairs}, "arms": arms,
        "prompt_limit": 1, "generation": {"max_tokens": 32},
    })  # fmt: skip


def one_way(out: Path, pairs: int, workers: int, on_ray: bool) -> None:
    """Body of a process: do everything in one way, and print the seconds and a digest of what was made."""
    from alignment_prism.domain import Generation
    from alignment_prism.io import read_records, write_json
    from alignment_prism.store.names import GENERATIONS, PLAN
    from alignment_prism.studies import build_plan
    from alignment_prism.studies.executors.at_once import run_at_once
    from alignment_prism.studies.executors.local import run_steps
    from alignment_prism.studies.executors.pool import Pool
    from alignment_prism.studies.progress import Silent
    from alignment_prism.studies.sources import fetch_models, load_sources
    from alignment_prism.studies.steps import Context

    spec = the_spec(pairs)
    plan = build_plan(spec, fetch_models(load_sources(spec)))
    write_json(out / PLAN, plan.as_json())
    for source in plan.sources:
        source.write(out)
    context, quiet = Context(out, None), Silent()
    run_steps([step for step in plan.steps if step.kind == "mix"], context, quiet)
    steps = [step for step in plan.steps if step.arm != "base" and step.kind in ("train", "reply")]
    keys = {step.key for step in steps}
    cluster = started(workers) if on_ray else None
    begin = time.perf_counter()
    if cluster is None:
        run_at_once(steps, keys, set(), keys, context, quiet, Pool(workers, context))
    else:
        import ray

        from alignment_prism.studies.executors.ray import RayCrew

        run_at_once(steps, keys, set(), keys, context, quiet, RayCrew(ray, context, quiet))
    took = time.perf_counter() - begin
    whole = hashlib.sha256()
    for step in steps:
        for file in sorted(step.folder(out).rglob("*.safetensors")):
            whole.update(file.read_bytes())
        if step.kind == "reply":  # all but the folder that its model lies in, which is another one each time
            found = read_records(step.folder(out) / GENERATIONS, Generation)
            whole.update(repr([(one.prompt_id, one.sample, one.reply) for one in found]).encode())
    print(json.dumps([took, whole.hexdigest()]))
    if cluster is not None:
        ray.shutdown()
        cluster.shutdown()


def started(nodes: int) -> Any:
    """A cluster of so many nodes of one core each, on this machine."""
    import ray
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    ray_constants.ENABLE_RAY_CLUSTER = False  # or the loopback is taken for another address
    node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "include_dashboard": False,
            "object_store_memory": 80 * 2**20}  # fmt: skip
    cluster = Cluster(initialize_head=True, head_node_args=node)
    for _ in range(nodes - 1):
        cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    return cluster


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200, help="of each training")
    parser.add_argument("--workers", type=int, default=2, help="k")
    parser.add_argument("--skip-ray", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        out, workers, kind = options.one
        one_way(Path(out), options.pairs, int(workers), kind == "ray")
        return
    names = ("alignment-prism", "torch", "transformers", "ray")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
          f"Python {platform.python_version()}, {versions}; {ARMS} arms of {options.pairs} pairs\n")  # fmt: skip
    k = options.workers
    ways = [("one process", 1, "pool"), (f"{k} processes", k, "pool")]
    ways += [] if options.skip_ray else [(f"Ray, {k} nodes of one core", k, "ray")]
    print(f"| | seconds | times as fast as one | share of k | bar {BAR} |\n|---|---|---|---|---|", flush=True)
    first, digests = 0.0, set()
    for name, workers, kind in ways:
        with tempfile.TemporaryDirectory() as folder:
            own = [sys.executable, __file__, "--pairs", str(options.pairs), "--one", folder, str(workers), kind]
            said = subprocess.run(own, stdout=subprocess.PIPE, text=True, check=True).stdout
        took, digest = json.loads(said.splitlines()[-1])
        digests.add(digest)
        first = first or took
        share = first / took / workers
        met = "" if workers == 1 else "met" if share >= BAR else "missed"
        print(f"| {name} | {took:.1f} | {first / took:.2f} | {share:.2f} | {met} |", flush=True)
    print(f"\nWeights and replies: {'the same' if len(digests) == 1 else 'NOT the same'} in all ways.")


if __name__ == "__main__":
    main()
