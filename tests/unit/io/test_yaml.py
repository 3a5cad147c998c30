"""YAML: faults are reported with file, line, key path, value and fix, whatever the file is and however wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import InputError
from alignment_prism.gates.spec import read_gate
from alignment_prism.io.languages import read_languages
from alignment_prism.io.yaml import MAX_VALUES, YamlDocument, key_path, overlay
from alignment_prism.scoring import load_rubric
from alignment_prism.studies import load_spec
from alignment_prism.training import load_config

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
    document = YamlDocument(GOOD, "f.yaml")
    assert document.line(("name",)) == 1
    assert document.line(("arms", 1, "config", "dpo_sft", "beta")) == 9
    assert document.line(("arms", 1, "config", "absent")) == 8  # that of the nearest key that is there
    assert key_path(("arms", 1, "config", "beta")) == "arms[1].config.beta"
    assert document.where(("arms", 0, "share")) == "f.yaml, line 4, arms[0].share"
    document.override(("arms",), 5)
    assert document.where(("arms",)) == "override arms"


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = "[no, on, 5e-7, .5, 012, -3, 2020-13-99, 1:30, ~, true, '5', 0x1F, null, 1_000]"
    wanted = ["no", "on", 5e-7, 0.5, 12, -3, "2020-13-99", "1:30", None, True, "5", "0x1F", None, "1_000"]
    assert YamlDocument(text, "f").content == wanted


def test_aliases_and_merges_of_a_sane_size_are_taken() -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\n"
    assert YamlDocument(text, "f").content == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}}


def test_settings_over_settings() -> None:
    below = {"a": {"x": 1, "y": 2}, "b": 1}
    assert overlay(below, {"a": {"y": 3}, "c": {}}) == {"a": {"x": 1, "y": 3}, "b": 1, "c": {}}
    assert below == {"a": {"x": 1, "y": 2}, "b": 1}


@pytest.mark.parametrize(
    ("old", "new", "what", "where"),
    [
        ("share: 0.15", "share: 1.5", "arms[0].share: Input should be less than or equal to 1 (it is 1.5)", "line 4"),
        ("share: 0.15", "shrae: 0.15", "unknown key 'arms[0].shrae'", "line 4"),
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
        ("name: mine", "name: a/b", "a study's name is 1 to 80 letters", "line 1, name"),
        ("name: mine", "name: mine\nprompts: [{file: p, formt: csv}]", "unknown key 'prompts[0].formt'", "line 2"),
        ("name: mine", "name: no\nprompt_limit: many", "prompt_limit: Input should be a valid integer", "line 2"),
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


def test_a_key_that_was_meant_for_a_missing_one_is_one_fault(tmp_path: Path) -> None:
    # `prompts` may be a text or a list: both say their own, and the entry lacks `file` and has `fil`.
    error = fault(tmp_path, GOOD + "prompts: [{fil: x.jsonl}]\n")
    assert (error.what, error.fix) == ("unknown key 'prompts[0].fil'", "did you mean 'file'?")


@pytest.mark.parametrize("where", ["grid: {methods: [sft], shares: [§]}", "grid: [{methods: [§], shares: [0]}]"])
def test_a_list_that_may_not_be_empty_is_said_to_be(tmp_path: Path, where: str) -> None:
    error = fault(tmp_path, GOOD + where.replace("§", "") + "\n")
    name = "grid.shares" if "shares: [§]" in where else "grid[0].methods"
    assert (error.what, error.fix) == (f"{name}: an empty list", "write at least 1 entry")


def test_a_judge_has_a_rubric_unless_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    judges = "judge: {model: openai-api/mine/j, base_url: http://localhost:1/v1}\ncompare: {model: nano/oracle}\n"
    path.write_text(GOOD[: GOOD.index("judge:")] + judges, encoding="utf-8")
    spec = load_spec(path)
    assert spec.judge.rubric == "standalone@2" and spec.compare is not None and spec.compare.rubric == "pairwise@2"


READERS: dict[str, Callable[[Path], Any]] = {
    "spec": load_spec,
    "settings": load_config,
    "gate": read_gate,
    "rubric": lambda path: load_rubric(str(path)),
    "languages": read_languages,
}
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 13)
)
"""Twelve lines that stand for 10^13 texts."""

HOSTILE = {
    "alias bomb": (BOMB, f"more than {MAX_VALUES:,} values", "line 4"),  # a3 is the first of more than 10,000: 11,111
    "an alias of itself": ("a: &a [*a]\n", "stands within what it means", "line 1"),
    "many values": ("- a\n" * 40_000, "more than 10,000 values", "line"),
    "deep in brackets": ("[" * 20_000, "more than 40 values within values", "line 1"),
    "deep by indentation": ("".join(" " * level + "b:\n" for level in range(400)), "within values", "line 40"),
    "a list for a key": ("name: x\n? [a]\n: 1\n", "a key that is a list", "line 2"),
    "a number that is none": ("name: !!int abc\n", "a tag (int)", "line 1"),
    "an object": ("name: !!python/object/apply:os.getcwd []\n", "a tag", "line 1"),
    "a number without end": ("name: x\nalpha: " + "9" * 5_000, "a number of 5,000 digits", "line 2"),
    "too long a file": ("# " + "x" * 300_000, "characters", ""),
    "no characters": ("name: \x07\n", "special characters", ""),
    "two documents": ("a: 1\n---\nb: 2\n", "another document", "line 2"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_file_hangs_or_breaks_a_reader(tmp_path: Path, reader: str, text: str) -> None:
    path = tmp_path / "f.yaml"
    content, what, where = HOSTILE[text]
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        READERS[reader](path)
    assert what in caught.value.what and caught.value.fix
    assert str(path) in (caught.value.where or "") and where in (caught.value.where or "")
    assert len(str(caught.value)) < 500 + len(str(path))


SWAHILI = "- {code: sw, name: Swahili, iso639_3: swh, scripts: [Latn], aliases: [kiswahili], identified_as: [swc]}\n"


def test_languages_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "languages.yaml"
    path.write_text(SWAHILI + "- {code: no, name: Norwegian, iso639_3: nor, scripts: [Latn]}\n", encoding="utf-8")
    languages = read_languages(path)
    assert languages.find("Kiswahili").scripts == ("Latn",) and languages.find("no").name == "Norwegian"
    assert "fr" in languages


@pytest.mark.parametrize(
    ("old", "new", "what", "fix"),
    [
        ("scripts: [Latn]", "scripts: Latn", "[1].scripts: Input should be a list (it is 'Latn')", "['Latn']"),
        ("scripts: [Latn]", "scripts: []", "[1].scripts: an empty list", ""),
        ("aliases: [kiswahili]", "aliases: 5", "[1].aliases: Input should be a list (it is 5)", "[5]"),
        ("identified_as: [swc]", "flores: 5", "[1].flores: Input should be a valid string (it is 5)", "quotes"),
        ("iso639_3: swh", "iso_639: swh", "unknown key '[1].iso_639'", "did you mean 'iso639_3'?"),
        ("aliases:", "alias:", "unknown key '[1].alias'", "did you mean 'aliases'?"),
        ("name: Swahili", "name: French", "share the spelling 'French'", "its own code"),
    ],
)
def test_faults_of_a_language(tmp_path: Path, old: str, new: str, what: str, fix: str) -> None:
    path = tmp_path / "languages.yaml"
    path.write_text("- {code: xx, name: X, iso639_3: xxx, scripts: [Latn]}\n" + SWAHILI.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_languages(path)
    assert what in caught.value.what and fix in (caught.value.fix or "")
    assert (caught.value.where or "").startswith(str(path))
    assert "line 2" in (caught.value.where or "") or "French" in what


def test_limits_of_a_gate_are_finite(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text("checks:\n  - {name: a, kind: ceiling, metric: harm_rate,\n     limit: .nan}\n")
    with pytest.raises(InputError, match="finite number") as caught:
        read_gate(path)
    assert "line 3, checks[0].limit" in (caught.value.where or "")
