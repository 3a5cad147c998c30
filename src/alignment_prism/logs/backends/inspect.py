"""Logs of Inspect AI, `.eval` or `.json`, through its own `read_eval_log` (inspect_ai 0.3, log format 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, StopReason
from alignment_prism.io import FieldError, Intake, Row
from alignment_prism.logs.columns import LogColumns, conversation, prompt_from
from alignment_prism.logs.entry import Entry, Opened, Said
from alignment_prism.prompts.plain import FIELDS

STOPS = {
    "stop": StopReason.STOP,
    "max_tokens": StopReason.MAX_TOKENS,
    "model_length": StopReason.CONTEXT,
}
GRADES = {"C", "I", "P", "N"}
"""What Inspect's scorers write for correct, incorrect, partial and no answer."""


def open_inspect(path: Path, columns: LogColumns, intake: Intake) -> Opened:
    """The samples of a log, or of all logs in a folder; epochs are samples of ours.

    Raises:
        InputError: Inspect cannot read it, or the evaluation was not finished and has no samples.
    """
    facts: dict[str, str] = {}

    def entries() -> Iterator[Entry]:
        for log in sorted(path.glob("*.eval")) if path.is_dir() else [path]:
            yield from _log(log, columns, intake, facts)

    return Opened(entries(), facts)


def _log(path: Path, columns: LogColumns, intake: Intake, facts: dict[str, str]) -> Iterator[Entry]:
    from inspect_ai.log import read_eval_log

    try:
        log = read_eval_log(str(path), resolve_attachments=True)
    except Exception as error:  # whatever its readers of zip and JSON raise
        what = f"Inspect cannot read the log: {type(error).__name__}: {str(error)[:120]}"
        raise InputError(
            what, where=str(path), fix="give a whole log, of this version of inspect_ai or an older one"
        ) from error
    if not log.samples:
        fix = "let the evaluation finish"
        raise InputError(f"the log has no samples; its status is {log.status!r}", where=str(path), fix=fix)
    config = log.plan.config.model_dump(exclude_none=True) if log.plan else {}
    told = {
        "task": f"{log.eval.task}@{log.eval.task_version}",
        "sampling": ", ".join(f"{name} {value}" for name, value in sorted(config.items()) if name in _SAMPLING),
        "solvers": ", ".join(step.solver for step in log.plan.steps) if log.plan else "",
    }
    for name, value in told.items():
        if value and value not in facts.get(name, "").split("; "):
            facts[name] = "; ".join(filter(None, (facts.get(name), value)))
    temperature = float(config.get("temperature") or 0.0)
    for number, sample in enumerate(log.samples, start=1):
        intake.read()
        row = Row(str(path), number, _plain(sample))
        try:
            prompt = prompt_from(row, _own(sample), columns, f"{log.eval.task}@{log.eval.task_id[:8]}")
        except FieldError as error:
            intake.reject(row, error)
            continue
        failed = sample.error is not None
        yield Entry(
            row,
            prompt,
            columns.arm or log.eval.model,
            None if failed else sample.output.completion,
            sample.epoch - 1,
            dict(_said(sample.scores or {})),
            stop=StopReason.ERROR if failed else STOPS.get(str(sample.output.stop_reason), StopReason.STORED),
            error=f"the sample failed: {sample.error.message[:80]}" if sample.error is not None else "",
            temperature=temperature,
        )


_SAMPLING = {"temperature", "top_p", "top_k", "max_tokens", "seed", "num_choices", "stop_seqs", "reasoning_effort"}


def _plain(sample: Any) -> dict[str, Any]:
    """What a user may map of a sample."""
    scores = {
        name: score.model_dump(include={"value", "answer", "explanation", "metadata"})
        for name, score in (sample.scores or {}).items()
    }
    return {
        "id": sample.id,
        "epoch": sample.epoch,
        "metadata": dict(sample.metadata),
        "target": sample.target,
        "scores": scores,
    }


def _own(sample: Any) -> dict[str, object]:
    """Fields of the prompt: those that the task wrote into the sample's metadata under our names, and the sample's."""
    own: dict[str, object] = {name: sample.metadata[name] for name in FIELDS if name in sample.metadata}
    if isinstance(sample.input, str):
        own["prompt"] = sample.input
        own.pop("messages", None)
    else:
        own.pop("prompt", None)
        own["messages"] = conversation((str(turn.role), turn.text) for turn in sample.input)
    target = sample.target if isinstance(sample.target, str) else "\n".join(sample.target)
    return {**own, "id": str(sample.id), "reference": own.get("reference") or target}


def _said(scores: Mapping[str, Any]) -> Iterator[tuple[str, Said]]:
    for scorer, score in scores.items():
        raw = score.explanation or ""
        if isinstance(score.value, Mapping):
            for part, value in score.value.items():
                yield f"{scorer}.{part}", Said(value, raw, value in GRADES)
        elif isinstance(score.value, (list, tuple)):
            for number, value in enumerate(score.value):
                yield f"{scorer}.{number}", Said(value, raw, value in GRADES)
        else:
            yield scorer, Said(score.value, raw, score.value in GRADES)
