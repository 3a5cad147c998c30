"""A spec's faults are reported with file, line, key path, value and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from alignment_prism.domain import InputError
from alignment_prism.io.yaml import Located, key_path
from alignment_prism.studies import load_spec

GOOD = """\
name: mine
training: micro
arms:
  - {name: one, method: sft, share: 0.15}
  - name: two
    method: DPO(SFT)
    share: 1
    config:
      dpo_sft: {beta: 0.2}
judge: {model: nano/oracle, rubric: standalone@1}
"""


def fault(tmp_path: Path, text: str) -> InputError:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_spec(path)
    assert caught.value.where is not None and str(path) in caught.value.where
    assert caught.value.fix
    return caught.value


def test_lines_and_key_paths() -> None:
    located = Located(GOOD, "f.yaml")
    assert located.line(("name",)) == 1
    assert located.line(("arms", 1, "config", "dpo_sft", "beta")) == 9
    assert located.line(("arms", 1, "config", "absent")) == 9  # the block mapping begins at its first key
    assert key_path(("arms", 1, "config", "beta")) == "arms[1].config.beta"
    assert located.where(("arms", 0, "share")) == "f.yaml, line 4, arms[0].share"


@pytest.mark.parametrize(
    ("old", "new", "what", "where"),
    [
        ("share: 0.15", "share: 1.5", "arms[0].share: Input should be less than or equal to 1 (it is 1.5)", "line 4"),
        ("share: 0.15", "shrae: 0.15", "the key 'arms[0].share' is missing", "line 4"),
        ("method: DPO(SFT)", "method: PPO", "unknown method 'PPO'", "line 6"),
        ("beta: 0.2", "beta: -1", "arms[1].config.dpo_sft.beta: Input should be greater than 0 (it is -1)", "line 9"),
        ("beta: 0.2", "betta: 1", "unknown key 'arms[1].config.dpo_sft.betta'", "line 9"),
        ("name: two", "name: one", "two arms are called 'one'", "line 5, arms[1].name"),
        ("name: two", "name: base", "an arm is called 'base'", "line 5, arms[1].name"),
        ("training: micro", "training: mircro", "mircro", "line 2"),
        ("training: micro", "training: {preset: micro, sft: {epochs: 0}}", "training.sft.epochs", "line 2"),
        ("name: mine", "name: mine\nseeds: []", "seeds", "line 2"),
        ("name: mine", "name: mine\nseeds: [1, 1]", "a seed is there twice", "line 2, seeds"),
        ("name: mine", "name: mine\nbase: ./absent", "no such model folder: './absent'", "line 2, base"),
        ("name: mine", "name: mine\nworld: absent", "no such folder: 'absent'", "line 2, world"),
        ("name: mine", "name: mine\npairs: {safety: [nano, a.jsonl]}", "no such file: 'a.jsonl'", "pairs.safety[1]"),
        ("name: mine", "name: mine\nprompts: [{file: p.csv}]", "no such file: 'p.csv'", "line 2, prompts[0].file"),
        ("name: mine", "name: mine\nprompts: []", "there are no prompts", "line 2, prompts"),
        ("name: mine", "name: mine\nname: yours", "the key 'name' is there twice", "line 2"),
        ("name: mine", "name: [mine", "not valid YAML", "line 2"),
        ("name: mine", "name: a/b", "name: String should match pattern", "line 1, name"),
    ],
)
def test_faults_name_their_place(tmp_path: Path, old: str, new: str, what: str, where: str) -> None:
    error = fault(tmp_path, GOOD.replace(old, new, 1))
    assert what in error.what and "it is dict" not in error.what
    assert where in (error.where or "")


@pytest.mark.parametrize("text", ["", "- a\n", "just words\n"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    assert "not a mapping" in fault(tmp_path, text).what


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_spec(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_spec(tmp_path / "binary.yaml")


def test_several_faults_are_counted(tmp_path: Path) -> None:
    error = fault(tmp_path, GOOD.replace("share: 0.15", "share: 2").replace("share: 1\n", "share: -1\n"))
    assert (error.fix or "").endswith("; 1 more fault after this one")


def test_a_judge_has_a_rubric_unless_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    judges = "judge: {model: openai-api/mine/j, base_url: http://localhost:1/v1}\ncompare: {model: nano/oracle}\n"
    path.write_text(GOOD[: GOOD.index("judge:")] + judges, encoding="utf-8")
    spec = load_spec(path)
    assert spec.judge.rubric == "standalone@1" and spec.compare is not None and spec.compare.rubric == "pairwise@1"
