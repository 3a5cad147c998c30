"""What `prism` says of models and bases that are not there, not whole or not what they are taken for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    row = {"id": "p0", "prompt": "What about number 0?", "language": "en", "kind": "harmful"}
    (tmp_path / "prompts.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return tmp_path / "prompts.jsonl"


def test_nano_is_a_model_and_a_folder_of_weights_is_whole(
    prompts: Path, tiny_model: Path, tmp_path: Path, prism: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copytree(tiny_model, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": "a", "chosen": f"b{n}", "rejected": "c"} for n in range(4)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    align = ("align", "--method", "sft", "--pairs", pairs, "--config", "micro", "--out")
    code, said = prism(*align, tmp_path / "run", "--base", tmp_path / "cut")
    assert code == 3 and "cut off" in said and "model.safetensors" in said
    code, said = prism("generate", "--model", tmp_path / "cut", "--prompts", prompts, "--out", tmp_path / "g.jsonl")
    assert code == 3 and "cut off" in said
    assert not list(tmp_path.glob("run*"))

    def stop(method: str, **options: Any) -> None:
        raise InterruptedError(options["base"])

    monkeypatch.setattr("alignment_prism.training.train.train_method", stop)
    assert "nano" in prism(*align, tmp_path / "run", "--base", "nano")[1].split("InterruptedError")[1]
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years")
    (tmp_path / "run.unfinished").mkdir()
    (tmp_path / "run.unfinished" / "thesis.txt").write_text("years")
    for out, more, expected in (
        (tmp_path / "precious", (), 5),
        (pairs / "x", (), 5),
        (tmp_path / "run", ("--restart",), 5),
        (tmp_path / "new", ("--seed", "-1"), 2),
        (tmp_path / "new", ("--sft-checkpoint", tmp_path), 2),
    ):
        code, said = prism(*align, out, "--base", "nano", *more)
        assert code == expected and "InterruptedError" not in said and "defect" not in said, said
    given = ("--sft-checkpoint", tmp_path / "nothing", "--method", "dpo_sft")
    assert prism(*align, tmp_path / "new", "--base", "nano", *given)[0] == 3
    assert (tmp_path / "precious" / "thesis.txt").exists() and (tmp_path / "run.unfinished" / "thesis.txt").exists()
    code, said = prism("generate", "--model", "nano", "--prompts", prompts, "--limit", 1, "--max-tokens", 2,
                       "--out", tmp_path / "g.jsonl")  # fmt: skip
    assert code == 0, said


def test_a_base_replaces_a_base_and_nothing_else(tmp_path: Path, prism: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from alignment_prism.store import write_artifact

    monkeypatch.setattr("alignment_prism.nano.base.build.build_base", lambda *_, **__: pytest.fail("the work began"))
    (tmp_path / "nb").mkdir()
    (tmp_path / "nb" / "thesis.txt").write_text("years")
    with write_artifact(tmp_path / "model", kind="training") as folder:
        (folder / "a").write_text("x")
    for out in (tmp_path / "nb", tmp_path / "model", tmp_path / "nb" / "thesis.txt"):
        for more in (("--force",), ("--replace",), ("--force", "--replace")):
            code, said = prism("nano", "build", "--steps", 1, "--out", out, *more)
            assert code == 5, said
    assert (tmp_path / "nb" / "thesis.txt").read_text() == "years"


def test_a_folder_that_is_no_base_of_the_lab_is_said_plainly(tmp_path: Path, prism: Any) -> None:
    for content, words in (
        (None, "there is no such file"),
        ("{", "it is not JSON"),
        ("{}", "its record has no criteria, facts, world"),
    ):
        if content is not None:
            (tmp_path / "nano.json").write_text(content)
        code, said = prism("nano", "show", "--base", tmp_path)
        assert code == 3 and words in said and "Errno" not in said and "nano build" in said, said


def test_a_model_that_the_hub_cannot_give_because_this_machine_is_offline(
    prompts: Path, tmp_path: Path, prism: Any
) -> None:
    given = ("--prompts", prompts, "--out", tmp_path / "g.jsonl")
    code, said = prism("generate", "--model", "nobody/no-such-model-0", *given)
    assert code == 3 and "offline" in said and "LocalEntryNotFoundError" not in said, said
    code, said = prism("generate", "--model", "./nodir", *given)
    assert code == 3 and "does not exist" in said
    code, said = prism("generate", "--model", prompts, *given)
    assert code == 3 and "a file, not a folder" in said
