"""The JSON Schema that editors check specs by, against specs that are right and wrong."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from prism_command import prism
from pydantic import ValidationError

from alignment_prism.studies import StudySpec
from alignment_prism.studies.loading import PRESETS

SPEC = {"name": "x", "arms": [{"name": "one", "method": "sft", "share": 0.5}]}


@cache
def schema() -> dict[str, Any]:
    ran = prism("study", "schema")
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def faults(spec: Any) -> list[str]:
    return [f"{list(fault.path)}: {fault.message}" for fault in Draft202012Validator(schema()).iter_errors(spec)]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_right(preset: str) -> None:
    assert faults(yaml.safe_load(prism("study", "show", preset).stdout)) == []


def test_specs_of_the_guide_are_right(repository: Path) -> None:
    found = 0
    for page in sorted((repository / "docs").rglob("*.md")):
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            content = yaml.safe_load(block)
            if isinstance(content, dict) and "name" in content and {"arms", "grid"} & set(content):
                StudySpec.model_validate(content)
                assert faults(content) == [], page
                found += 1
    assert found > 5


@pytest.mark.parametrize(
    "more",
    [
        {"base": "some/model"},
        {"base": {"model": "openai/gpt-4o"}},
        {"base": {"name": "old", "replies": ["a.csv", "b.csv"]}, "arms": [{"name": "new", "replies": "c.csv"}]},
        {"pairs": {"safety": ["a.jsonl", "b.jsonl"], "general": "c.jsonl"}},
        {"scores": "scores.parquet"},
        {"grid": {"methods": ["sft"], "shares": [0.15], "scopes": ["all", "local", ["global", "local"]]}},
        {"grid": [{"methods": ["sft"], "shares": [0.15], "languages": ["all", "en", ["hi", "fr"]]}]},
        {"grid": {"methods": ["sft"], "shares": [0.3], "on_policy": {"judges": [{"model": "o/m"}]}}},
        {"grid": {"methods": ["sft"], "shares": [0.3], "on_policy": [None, {"judges": [{"model": "o/m"}]}]}},
    ],
)
def test_every_way_to_write_a_value_is_right(more: dict[str, Any]) -> None:
    StudySpec.model_validate({**SPEC, **more})
    assert faults({**SPEC, **more}) == []


@pytest.mark.parametrize(
    "more",
    [
        {"bass": "nano"},
        {"base": 3},
        {"base": {"model": "a/b", "methd": 1}},
        {"pairs": {"safety": 3}},
        {"seeds": []},
        {"grid": {"methods": ["sft"], "shares": [1.5]}},
        {"grid": {"methods": ["sft"], "shares": [0.5], "scopes": ["everywhere"]}},
        {"arms": [{"name": "one", "method": "sft", "share": 0.5, "scope": "local"}]},
    ],
)
def test_what_a_study_refuses_is_wrong(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StudySpec.model_validate({**SPEC, **more})
    assert faults({**SPEC, **more})


def test_every_key_is_explained() -> None:
    parts = {"StudySpec": schema(), **schema()["$defs"]}
    silent = [
        f"{part}.{key}"
        for part, one in parts.items()
        for key, what in one.get("properties", {}).items()
        if not what.get("description")
    ]
    assert silent == []
    assert parts["MixtureSpec"]["properties"]["total"]["description"].startswith("pairs in each; None takes")
