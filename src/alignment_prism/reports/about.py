"""What a study was: arms, base, judge and decoding, from its specification, for the head of a report.

Numbers come from findings alone. These are no numbers: they say what the names in the findings stand for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.domain import Finding, InputError, Signature
from alignment_prism.domain.metrics import Share
from alignment_prism.scoring.metrics import find_metric
from alignment_prism.store.names import STUDY


@dataclass(frozen=True, slots=True)
class ArmNote:
    """What an arm is.

    Attributes:
        name: as in the findings.
        method: in words.
        share: of safety pairs in its mixture, in words.
        seeds: of its alignment, in words.
    """

    name: str
    method: str
    share: str
    seeds: str


@dataclass(frozen=True, slots=True)
class About:
    """What a study was.

    Attributes:
        facts: name and value, in the order in which they are shown.
        arms: base first.
    """

    facts: tuple[tuple[str, str], ...]
    arms: tuple[ArmNote, ...]


def about_study(spec: Mapping[str, Any], *, date: str = "") -> About:
    """From a study's specification as plain values (`StudySpec.model_dump(mode="json")`); unknown parts are left out.

    Args:
        spec: of the study.
        date: when it was run, if somebody knows.
    """
    base, arms = spec.get("base") or {}, list(spec.get("arms", ()))
    trained = any("method" in arm for arm in arms)
    seeds = [str(seed) for seed in spec.get("seeds", ())] if trained else []
    facts = {
        "base": _source(base),
        "seeds": f"{len(seeds)} ({', '.join(seeds)})" if seeds else "",
        "decoding": _decoding(spec.get("generation") or {}) if any("replies" not in a for a in (base, *arms)) else "",
        "judge": _judge(spec.get("judge") or {}),
        "scored by": ", ".join(map(str, spec.get("scorers", ()))),
        "compared by": _judge(spec.get("compare") or {}),
        "pairs in a mixture": str((spec.get("mixture") or {}).get("total") or "") if trained else "",
        "run on": date,
    }
    notes = [_arm(arm, seeds) for arm in arms]
    if base:
        words = ("not aligned; " if trained else "") + "what the others are compared with"
        words += ", but for those that say from which other arm" if any(arm.get("base") for arm in arms) else ""
        notes.insert(0, ArmNote(str(base.get("name", "base")), words, "", ""))
    return About(tuple((name, value) for name, value in facts.items() if value), tuple(notes))


def read_about(folder: str | Path) -> About | None:
    """From the folder of a study; None where it has no specification.

    Raises:
        InputError: the specification cannot be read.
    """
    path = Path(folder) / STUDY
    if not path.is_file():
        return None
    try:
        return about_study(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"cannot read what was run: {error}", where=str(path), fix="move the file away, or run again"
        ) from error


def facts_of_findings(findings: Iterable[Finding]) -> tuple[tuple[str, str], ...]:
    """What the signatures say of judge, rubric and prompts, where there is no specification."""
    parts: dict[str, dict[str, None]] = {"judge": {}, "rubric": {}, "prompts": {}, "k": {}}
    for row in findings:
        for name, value in Signature.parts(row.signature):
            if name in parts and isinstance(find_metric(row.metric).estimator, Share):
                parts[name].setdefault(value)
    names = {"k": "replies to each prompt"}
    return tuple((names.get(name, name), ", ".join(values)) for name, values in parts.items() if values)


def _source(arm: Mapping[str, Any]) -> str:
    """The model of an arm that exists, or the file of its replies."""
    if "model" in arm:
        steer = arm.get("steer") or {}
        parts = [
            "with a system prompt" if arm.get("system") else "",
            f"steered by a {steer['direction']} direction" if steer else "",
        ]
        return ", ".join([_named(arm["model"]), *filter(None, parts)])
    return f"replies in {', '.join(map(_named, arm['replies']))}" if "replies" in arm else ""


HOME = re.compile(r"^/(?:root|(?:home|Users)/[^/]+)/")
"""A person's own folder, which names them."""


def _named(place: Any) -> str:
    """A model or a file by the last two parts of its path, which tell apart folders that are all called `model`; where
    on the machine it lies stands in the spec alone, to be run again."""
    text = str(place)
    return "/".join(Path(HOME.sub("/", text)).parts[1:][-2:]) if Path(text).is_absolute() else text


def _arm(arm: Mapping[str, Any], seeds: list[str]) -> ArmNote:
    from alignment_prism.training.methods import METHODS  # loads pydantic, which no table of findings needs

    if merge := arm.get("merge"):
        words = f"{merge['method']} of {' and '.join(map(_named, merge['models']))}"
        return ArmNote(str(arm.get("name", "")), words, "", ", ".join(seeds))
    if "method" not in arm:
        return ArmNote(str(arm.get("name", "")), _source(arm), "", "")
    share = float(arm.get("share", 0.0))
    text = f"{100 * share:g} % safety pairs" if share else "no safety pairs (a control)"
    scopes = arm.get("scopes")
    if scopes and share:
        text += f", {' and '.join(str(scope) for scope in scopes)} harms only"
    if share and (languages := arm.get("languages")):
        text += f", in {' and '.join(map(str, languages))} only"
    text += ", preferences drawn by a coin" if arm.get("shuffled") else ""
    if rounds := arm.get("on_policy"):
        judges = " and ".join(_named(judge["model"]) for judge in rounds["judges"])
        text += f": their prompts, with {rounds['rounds']} x {rounds['samples']} replies of its own, ranked by {judges}"
    name = str(arm.get("method", ""))
    method = f"{METHODS[name].title}: {METHODS[name].summary}" if name in METHODS else name
    settings = ", ".join(_settings(arm.get("config") or {}))
    method += f"; from {arm['base']}" if arm.get("base") else ""
    method += f"; {settings}" if settings else ""
    return ArmNote(str(arm.get("name", "")), method, text, ", ".join(seeds))


def _settings(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """`dpo_ift.beta 0.3` for each value of nested settings."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{above}{name}.")
        else:
            yield f"{above}{name} {value}"


def _decoding(generation: Mapping[str, Any]) -> str:
    if "temperature" not in generation:
        return ""
    temperature, samples = float(generation["temperature"]), int(generation.get("samples", 1))
    how = f"temperature {temperature:g}, top-p {generation.get('top_p', 1.0):g}" if temperature else "greedy"
    replies = f"{samples} replies to each prompt" if samples > 1 else "one reply to each prompt"
    return f"{how}, at most {generation.get('max_tokens', '?')} tokens, {replies}"


def _judge(judge: Mapping[str, Any]) -> str:
    """A judge, or the members of a panel and how they decide."""
    if not (panel := judge.get("panel")):
        return f"{_named(judge['model'])} by {_named(judge.get('rubric', '?'))}" if judge.get("model") else ""
    members = " and ".join(map(_judge, panel))
    last = judge.get("adjudicator")
    return f"{members}; {f'where they differ {_judge(last)}' if last else 'the majority decides'}"
