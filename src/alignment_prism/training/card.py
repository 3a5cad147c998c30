"""The model card of a run: what was trained from what, on what, and how, in the words of its manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from alignment_prism.training.methods import Method
from alignment_prism.training.results import StageResult
from alignment_prism.training.settings import MethodConfig, dump_config


def model_card(
    method: Method,
    *,
    base: str,
    base_digest: str,
    pairs: int,
    pairs_digest: str,
    seed: int,
    engine: str,
    config: MethodConfig,
    stages: Sequence[StageResult],
    versions: Mapping[str, str],
) -> str:
    """The card as Markdown with the header that model hubs read.

    Args:
        method: that was trained.
        base: folder or Hub id it was trained from.
        base_digest: of the base's weights.
        pairs: how many.
        pairs_digest: of their content, in their order.
        seed: of the training.
        engine: that trained it.
        config: all settings.
        stages: their results.
        versions: distribution -> version.
    """
    adapter = config.training.adapter
    how = "all weights" if adapter is None else f"LoRA of rank {adapter.rank}, {'merged' if adapter.merge else 'apart'}"
    if adapter is not None and adapter.bits is not None:
        how += f", on weights in {adapter.bits} bits"
    facts = [
        ("method", f"{method.title}: {method.summary}"),
        ("base", f"`{base}` (weights {base_digest})"),
        ("trained", how),
        ("pairs", f"{pairs} (digest {pairs_digest})"),
        ("seed", str(seed)),
        ("engine", engine),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    header = ["---", "library_name: transformers", "tags:", "- alignment-prism", f"- {method.name}", "---"]
    lines = [*header, "", f"# {method.title}", "", "Trained with Alignment Prism.", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts]
    for stage in stages:
        kept = "" if stage.kept is None else f", weights of step {stage.kept}"
        lines += ["", f"## Stage {stage.name}: {stage.steps} steps{kept}", "", *_groups(stage), "", *_counts(stage)]
        worst = stage.sums.worst("loss")
        if worst is not None:
            lines.append(f"- highest loss: {' / '.join(worst)}, {_number(stage.sums.mean('loss', worst))}")
        lines += [f"- {notice}" for notice in stage.notices]
    lines += ["", "## Settings", "", "```yaml", dump_config(config).rstrip(), "```", ""]
    lines += [
        "Means over the whole stage, first steps included; they say how training went, not how good the model is."
    ]
    return "\n".join(lines) + "\n"


def _groups(stage: StageResult) -> list[str]:
    sums = stage.sums
    names = sorted(sums.pooled())
    lines = ["| language | scope | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for language, scope in sums:
        cells = [_number(sums.mean(name, (language, scope))) for name in names]
        lines.append(f"| {language} | {scope} | " + " | ".join(cells) + " |")
    return lines


def _counts(stage: StageResult) -> list[str]:
    if not stage.counts:
        return []
    names = [name for name in stage.counts[0] if name != "language"]
    lines = ["| language | " + " | ".join(name.replace("_", " ") for name in names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    lines += [f"| {row['language']} | " + " | ".join(str(row[name]) for name in names) + " |" for row in stage.counts]
    return lines


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"
