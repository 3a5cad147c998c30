"""Judges as a command or a file names them: one, or several that are a panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from alignment_prism.domain import InputError
from alignment_prism.io.yaml import YamlDocument, validated
from alignment_prism.studies.judges import JudgeSpec

_FILES = (".yaml", ".yml")


def judge_of(names: Sequence[str], adjudicator: str | None = None, **shared: Any) -> JudgeSpec:
    """The judge of some names: one, or a panel of several.

    Args:
        names: each an Inspect id, a model folder, `hub:OWNER/NAME`, or a YAML file with the keys of a `JudgeSpec`;
            paths in it are relative to the working folder.
        adjudicator: likewise, who decides where two do not agree.
        shared: keys of every judge that is no file.

    Raises:
        InputError: a name is given twice, a file is no judge, or the names make no panel.

    Example:
        >>> judge_of(["openai/a", "openai/b"]).rule
        'majority'
    """
    if len(set(names)) < len(names):
        raise InputError("a judge is named twice", fix="name each once")
    judges = [_judge(name, shared) for name in names]
    decides = None if adjudicator is None else _judge(adjudicator, shared)
    if len(judges) == 1 and decides is None:
        return judges[0]
    try:
        return JudgeSpec(panel=tuple(judges), rule="majority" if decides is None else "adjudicate", adjudicator=decides)
    except ValidationError as error:
        fault = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise InputError(fault, fix="name two judges or more; beside an adjudicator two") from error


def _judge(name: str, shared: dict[str, Any]) -> JudgeSpec:
    if Path(name).suffix in _FILES and Path(name).is_file():
        document = YamlDocument.from_file(name)
        content = document.mapping(fix="write the keys of a judge: model, or panel and rule")
        return validated(JudgeSpec, content, document)
    return JudgeSpec(model=name, **shared)
