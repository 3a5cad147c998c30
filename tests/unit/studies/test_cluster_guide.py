"""What the guide has schedulers do, as far as it can be seen without one: words of commands, and fields of a manifest.

Slurm's commands are functions of bash that say or do what the real ones would; what comes out is read by the parsers of
Ray and of `prism`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from ray.scripts.scripts import cli as ray_cli
from ray.scripts.symmetric_run import curate_and_validate_ray_start_args

from alignment_prism.cli.main import cli

STUBS = """\
scontrol() { [ "$1 $2" = "show hostnames" ] && printf '%s\\n' "${3%%-*}-1" "${3%%-*}-2"; }
srun() { "$@"; }
ray() { [ "$1" = get-auth-token ] || printf '%q ' "$@"; }
sbatch() { [ "$1" = --parsable ] && echo 77 || printf '%q ' "$@"; }
"""


def guide(repository: Path, mark: str) -> str:
    """The block of the guide below a mark."""
    text = (repository / "docs/cluster.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {mark} -->\n```\w+\n(.*?)```", text, re.S)
    assert found is not None
    return found[1]


def said(script: str, **variables: str) -> list[str]:
    """Words that a script's last command would be given."""
    command = ["bash", "-euo", "pipefail", "-c", STUBS + script]
    run = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return shlex.split(run.stdout)


def parsed(root: click.Command, words: list[str]) -> dict[str, Any]:
    """Options of a command, by the parser that would read it; words that it does not know are an error."""
    context = click.Context(root)
    while isinstance(root, click.Group):
        name, command, words = root.resolve_command(context, words)
        assert name is not None and command is not None
        root = command
        context = root.make_context(name, list(words), parent=context)
        words = [*context._protected_args, *context.args] if isinstance(root, click.Group) else []
    return context.params


def test_one_job_of_several_nodes_starts_ray_and_the_study_on_its_head(repository: Path) -> None:
    words = said(guide(repository, "slurm-ray"), SLURM_JOB_NODELIST="node-[1-2]", SLURM_JOB_NUM_NODES="2")
    assert words[:5] == ["symmetric-run", "--address", "node-1:6379", "--min-nodes", "2"]
    place = words.index("--")
    assert parsed(ray_cli, words[:place])["min_nodes"] == 2
    assert curate_and_validate_ray_start_args(words[1:place]) == []  # of which the nodes of workers would refuse some
    assert words[place + 1] == "prism"
    options = parsed(cli, words[place + 2 :])
    assert (options["executor"], options["address"], options["out"]) == ("ray", "node-1:6379", Path("/shared/mine"))


def test_the_command_after_an_array_waits_for_all_of_it(repository: Path) -> None:
    text = (repository / "docs/cluster.md").read_text(encoding="utf-8")
    found = re.search(r"^    (job=\$\(sbatch.*)\n    (sbatch .*)$", text, re.M)
    assert found is not None
    words = said("\n".join(found.groups()))
    assert words[:2] == ["--dependency=afterok:77", "--wrap"]
    prism, *rest = shlex.split(words[2])
    assert prism == "prism" and parsed(cli, rest)["shard"] is None


# Fields that KubeRay's API reference (ray.io/v1) gives these types, and Kubernetes' of a pod, as far as a manifest of
# this project can need them; `dict` stands for a value that is not looked into.
TEXTS = {str: str}
POD: dict[Any, Any] = {
    "metadata": {"labels": TEXTS, "annotations": TEXTS},
    "spec": {
        "containers": [{
            "name": str, "image": str, "imagePullPolicy": str, "command": [str], "args": [str],
            "env": [{"name": str, "value": str, "valueFrom": dict}],
            "resources": {"requests": TEXTS, "limits": TEXTS},
            "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool, "subPath": str}],
        }],
        "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str, "readOnly": bool}}],
        "nodeSelector": TEXTS, "tolerations": [dict], "imagePullSecrets": [dict], "serviceAccountName": str,
    },
}  # fmt: skip
JOB: dict[Any, Any] = {
    "apiVersion": str, "kind": str, "metadata": {"name": str, "namespace": str, "labels": TEXTS},
    "spec": {
        "entrypoint": str, "runtimeEnvYAML": str, "shutdownAfterJobFinishes": bool, "ttlSecondsAfterFinished": int,
        "activeDeadlineSeconds": int, "backoffLimit": int, "submissionMode": str, "suspend": bool,
        "entrypointNumCpus": float, "entrypointNumGpus": float, "submitterPodTemplate": POD,
        "rayClusterSpec": {
            "rayVersion": str, "enableInTreeAutoscaling": bool, "authOptions": {"mode": str},
            "headGroupSpec": {"rayStartParams": TEXTS, "serviceType": str, "template": POD},
            "workerGroupSpecs": [{
                "groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int, "idleTimeoutSeconds": int,
                "rayStartParams": TEXTS, "template": POD,
            }],
        },
    },
}  # fmt: skip


def faults(value: Any, fields: Any, path: str = "") -> list[str]:
    """Where a manifest has a field that there is not, or a value of another type."""
    if isinstance(fields, type):
        return [] if type(value) is fields else [f"{path}: {value!r}"]
    if isinstance(fields, list):
        return [fault for n, one in enumerate(value) for fault in faults(one, fields[0], f"{path}[{n}]")]
    found = []
    for key, one in value.items():
        known = fields.get(str) or fields.get(key)
        found += [f"{path}.{key}: no such field"] if known is None else faults(one, known, f"{path}.{key}")
    return found


def test_the_manifest_has_fields_that_kuberay_documents_and_a_command_that_prism_reads(repository: Path) -> None:
    job = yaml.safe_load(guide(repository, "kuberay"))
    assert faults(job, JOB) == []
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    workers = cluster["workerGroupSpecs"]
    assert all(one["minReplicas"] <= one["replicas"] <= one["maxReplicas"] for one in workers)
    pods = [one["template"]["spec"] for one in (cluster["headGroupSpec"], *workers)]
    images, places = set(), set()
    for pod in pods:
        (container,) = pod["containers"]
        images.add(container["image"])
        (mount,) = container["volumeMounts"]
        assert mount["name"] in {volume["name"] for volume in pod["volumes"]}
        places.add((mount["mountPath"], repr(pod["volumes"])))
        # Kubernetes wants the same number of GPUs in both.
        assert container["resources"]["requests"] == container["resources"]["limits"]
    assert len(images) == len(places) == 1  # one version, and one folder by one path
    prism, *words = shlex.split(job["spec"]["entrypoint"])
    options = parsed(cli, words)
    assert prism == "prism" and (options["executor"], options["address"]) == ("ray", "auto")
    ((place, _),) = places
    assert options["out"].is_relative_to(place) and Path(options["spec"]).is_relative_to(place)


@pytest.mark.parametrize("wrong", ["replica: 3", 'replicas: "3"', "template: {spec: {containers: [{img: x}]}}"])
def test_a_wrong_field_is_seen(wrong: str) -> None:
    spec = {"spec": {"rayClusterSpec": {"workerGroupSpecs": [yaml.safe_load(wrong)]}}}
    assert len(faults(spec, JOB)) == 1
