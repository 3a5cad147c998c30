"""Methods of other packages: found by their entry points, as documented, and named where they cannot be loaded."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest
from method_stages import trainings
from prism_command import prism

import alignment_prism
from alignment_prism.domain import InputError, Pair, TrainingError
from alignment_prism.io import write_records
from alignment_prism.studies.steps import KINDS, Context
from alignment_prism.training import METHODS, load_config
from alignment_prism.training.methods import Methods


def _install(folder: Path, name: str, content: str, value: str) -> None:
    """A package as pip leaves it, with an entry point for objectives."""
    (folder / f"{name}.py").write_text(content, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[alignment_prism.objectives]\nt = {value}\n", encoding="utf-8")


def _documented() -> tuple[str, str]:
    """The example of the documentation: its module and its pyproject.toml, word by word."""
    page = (Path(__file__).parents[3] / "docs" / "align.md").read_text(encoding="utf-8")
    own = page.partition("## A method of your own")[2]
    return own.partition("```python\n")[2].partition("```")[0], own.partition("```toml\n")[2].partition("```")[0]


@pytest.fixture
def slic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Methods:
    """The example of the documentation as pip leaves it."""
    module, toml = _documented()
    project = tomllib.loads(toml)["project"]
    ((group, points),) = project["entry-points"].items()
    package = tmp_path / "site"
    info = package / "my_losses-1.0.dist-info"
    for folder in (package / "my_losses", info):
        folder.mkdir(parents=True)
    (package / "my_losses" / "slic.py").write_text(module, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-losses\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setattr(METHODS, "_methods", None)  # as in a process that begins
    return METHODS


def _keys(arms: list[dict[str, Any]]) -> dict[str, str]:
    return {method: step.key for method, step in trainings(arms).items()}


def test_the_documented_objective_of_another_package_trains_by_its_entry_point(
    slic: Methods, tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(tmp_path / "pairs.jsonl", pairs[:8])
    options = ["--base", tiny_model, "--pairs", tmp_path / "pairs.jsonl", "--config", "micro"]
    done = prism("align", "--method", "slic", *options, "--set", "slic.margin=2", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["method"] == "slic" and result["weights"] != result["base_weights"]
    assert load_config(tmp_path / "run" / "config.yaml").recipes["slic"].model_dump()["margin"] == 2.0
    assert "slic" in prism("align", "--methods").stdout and list(slic)[:2] == ["sft", "sft_random"]
    # A loss that is changed is another: in a study it is trained anew, and the run that is there is not taken for it.
    arms = [{"name": name, "method": name, "share": 0.5} for name in ("slic", "dpo_ift")]
    before = _keys(arms)
    file = tmp_path / "site" / "my_losses" / "slic.py"
    file.write_text(
        file.read_text(encoding="utf-8").replace("recipe.margin -", "2 * recipe.margin -"), encoding="utf-8"
    )
    assert _keys(arms) == before  # the loss of this process is the one that it has imported
    planned = trainings(arms)["slic"]
    monkeypatch.setattr(METHODS, "_methods", None)  # as in a process that begins now
    monkeypatch.delitem(sys.modules, "my_losses.slic")
    with pytest.raises(TrainingError, match="not the one that the study was planned with"):  # as in a worker
        KINDS["train"].do(
            planned, {}, tmp_path / "step", Context(tmp_path, None), lambda done, total, words="", /: None
        )
    after = _keys(arms)
    assert after["slic"] != before["slic"] and after["dpo_ift"] == before["dpo_ift"]
    again = prism("align", "--method", "slic", *options, "--set", "slic.margin=2", "--out", tmp_path / "run")
    assert again.returncode == 5 and "other settings, loss" in again.stderr


@pytest.mark.slow
def test_the_documented_package_is_installed_by_pip_and_trains(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    """In an environment of its own, which sees this package and the libraries of the one that runs the tests."""
    module, toml = _documented()
    source, environment = tmp_path / "source", tmp_path / "environment"
    (source / "my_losses").mkdir(parents=True)
    (source / "my_losses" / "slic.py").write_text(module, encoding="utf-8")
    (source / "pyproject.toml").write_text(toml, encoding="utf-8")
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    (site,) = environment.glob("lib/python*/site-packages")
    seen = [Path(alignment_prism.__file__).parents[1], sysconfig.get_path("purelib")]
    (site / "shared.pth").write_text("".join(f"{path}\n" for path in seen), encoding="utf-8")
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", *offline, str(source)]
    subprocess.run(pip, check=True, timeout=300)
    write_records(tmp_path / "pairs.jsonl", pairs[:8])
    command = [python, "-m", "alignment_prism.cli.main", "align", "--method", "SLiC", "--base", tiny_model]
    command += ["--pairs", "pairs.jsonl", "--config", "micro", "--set", "slic.margin=2", "--out", "run"]
    subprocess.run(list(map(str, command)), cwd=tmp_path, check=True, timeout=300)
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["method"] == "slic" and result["weights"] != result["base_weights"]


@pytest.mark.parametrize(
    ("content", "value", "what"),
    [
        ("import nothing_of_this_name", "broken_loss", "nothing_of_this_name"),
        ("METHODS = ('dpo',)", "broken_loss", "neither a module with METHODS nor a Method"),
        ("LOSS = 1", "broken_loss:LOSS", "neither a module with METHODS nor a Method"),
        ("METHODS = ()", "broken_loss", "neither a module with METHODS nor a Method"),
    ],
)
def test_a_package_whose_methods_cannot_be_loaded_is_named(
    content: str, value: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, "broken_loss", content, value)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_loss", raising=False)
    with pytest.raises(InputError, match=rf"{what}(.|\n)*entry point t = {value} of broken_loss 1.0"):
        len(Methods())
