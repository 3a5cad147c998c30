"""What the arms of a study were trained on, as tables: what was drawn, what the tokenizer made of it, losses."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from alignment_prism.domain import LANGUAGES
from alignment_prism.reports import Curve, Sheet
from alignment_prism.store.names import MIXTURE, RESULT
from alignment_prism.studies.study import Study
from alignment_prism.training.groups import NO_SCOPE, Group, GroupSums, sums_from_rows

LOG = "log.jsonl"
PARTS = {"step": "trained", "held_out": "held out"}
"""Events of a training's log that have losses."""

COUNTS = ("pairs", "trained", "too_long", "truncated", "identical", "tokens_per_prompt")
"""Of a training's counts by language, those that say whether languages were treated alike."""


def training_tables(study: Study) -> list[tuple[str, Sheet]]:
    """Tables with their titles; none where the study trained nothing."""
    return [(title, sheet) for title, sheet in (_mixtures(study), _losses(study), _tokenizer(study)) if sheet.rows]


def training_curves(study: Study) -> list[Curve]:
    """The losses of every stage, from the logs of its trainings: of all pairs, and of each language and scope."""
    curves: dict[tuple[str, str, str, str], list[tuple[int, float]]] = {}
    for folder, name in _named(study, "train"):
        for line in _lines(folder / LOG):
            if (part := PARTS.get(line.get("event", ""))) is None:
                continue
            sums = sums_from_rows(line["groups"])
            for group in (None, *sums):
                if math.isfinite(loss := sums.mean("loss", group)):
                    words = "" if group is None else _group(group)
                    key = (name, str(line["stage"]), part, words)
                    curves.setdefault(key, []).append((int(line["step"]), loss))
    return [Curve(*key, tuple(points)) for key, points in curves.items()]


def _group(group: Group) -> str:
    language, scope = group
    name = LANGUAGES.find(language).name if language in LANGUAGES else language
    return name if scope == NO_SCOPE else f"{name}, {scope}"


def _mixtures(study: Study) -> tuple[str, Sheet]:
    rows = []
    for folder, name in _named(study, "mix"):
        found = _json(folder / MIXTURE)
        for side, drawn in found.get("sides", {}).items():
            for stratum in drawn.get("strata", ()):
                if stratum.get("drawn"):
                    names = (name, side, stratum.get("scope") or "", stratum["language"])
                    rows.append((tuple(map(str, names)), (str(stratum["pool"]), str(stratum["drawn"]))))
    heads, caption = ("pairs in the pool", "drawn"), "Exact counts, from the manifest of each mixture."
    return "Mixtures, as they were drawn", Sheet(("mixture", "side", "scope", "language"), heads, tuple(rows), caption)


def _losses(study: Study) -> tuple[str, Sheet]:
    """The loss of every training at the first and the last line of its log, and of the group that is worst then."""
    rows: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for folder, name in _named(study, "train"):
        lines: dict[tuple[str, str], list[GroupSums]] = {}
        kept: dict[str, int] = {}
        for line in _lines(folder / LOG):
            if line.get("event") in PARTS:
                key = (str(line["stage"]), PARTS[line["event"]])
                lines.setdefault(key, []).append(sums_from_rows(line["groups"]))
            elif line.get("event") == "end" and "kept" in line:
                kept[str(line["stage"])] = line["kept"]
        for key, sums in lines.items():
            worst = sums[-1].worst("loss")
            shown = [f"{one.mean('loss'):.4f}" for one in (sums[0], sums[-1])]
            shown += ["", ""] if worst is None else [" / ".join(worst), f"{sums[-1].mean('loss', worst):.4f}"]
            rows.append(((name, *key), (*shown, str(kept.get(key[0], "")))))
    heads: tuple[str, ...] = ("first loss", "last loss", "worst group at the end", "its loss", "weights of step")
    caption = (
        "Means over the pairs (or tokens) of the first and the last line of each log, of what was trained on and of "
        "what was held out; groups are language and scope. Losses of different methods are not on one scale. Where a "
        "step is named, the model has the weights of that one, at which what was held out was best, and not the last."
    )
    if not any(values[-1] for _, values in rows):
        heads, rows = heads[:-1], [(names, values[:-1]) for names, values in rows]
    return "Losses while training", Sheet(("training", "stage", "pairs"), heads, tuple(rows), caption)


def _tokenizer(study: Study) -> tuple[str, Sheet]:
    rows = []
    for folder, name in _named(study, "train"):
        for stage in _json(folder / RESULT).get("stages", ()):
            for count in stage.get("counts", ()):
                names = name, str(stage["name"]), str(count["language"])
                rows.append((names, tuple(str(count.get(name, "")) for name in COUNTS)))
    caption = (
        "A language whose prompts take more tokens is cut and dropped more often at the same limit: where these "
        "columns differ by language, the arms were not trained alike."
    )
    heads = tuple(name.replace("_", " ") for name in COUNTS)
    return "Tokenizer fairness, by language", Sheet(("training", "stage", "language"), heads, tuple(rows), caption)


def _named(study: Study, kind: str) -> Iterator[tuple[Path, str]]:
    """Folders of the finished steps of one kind, in the order of the plan, each with a name that no other has.

    That is the folder's without the digits of its key; of steps that differ in their settings or bases alone, with the
    arms whose model it is, or the digits where it is no arm's.
    """
    folders = [study.out / folder for folder in study.steps if folder.split("/")[0] == kind]
    called = Counter(folder.name.rpartition("-")[0] for folder in folders)
    arms: dict[Path, list[str]] = {}
    for (arm, _), model in study.models().items():
        arms.setdefault(model.parent, []).append(arm)
    for folder in folders:
        name, _, digits = folder.name.rpartition("-")
        yield folder, name if called[name] == 1 else f"{name} ({', '.join(arms.get(folder, [digits]))})"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log that are whole."""
    if path.is_file():
        for text in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                yield json.loads(text)


def _json(path: Path) -> dict[str, Any]:
    """What a file says; nothing where it cannot be read, since a report is not the place to find that out."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
