"""The design of a label sample: which prompts could have been drawn, with the judge's verdicts, and which were.

A rate is taken over prompts of one kind, so its correction is too: benign prompts, on which both arms do next to no
harm, would only draw a difference of harm towards zero. The design travels beside the sheet as a file, because labels
without their design cannot correct anything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alignment_prism.domain import InputError, Outcome, Prompt, PromptKind, Score, content_digest
from alignment_prism.io import write_json
from alignment_prism.statistics.planning.label_design import verdict_strata

UNKNOWN = "in no prompts file"
"""What is counted of prompts whose kind nobody says: they may be of another kind, so they are not drawn from."""

UNJUDGED = "unjudged"
"""Stratum of prompts on which the judge gave no verdict for an arm: they are drawn like any other, because verdicts are
not missing by chance."""


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One prompt that could be drawn.

    Attributes:
        prompt_id: of the prompt.
        language: of the prompt; empty where unknown.
        scope: global, local, or empty.
        cluster: unit of sampling.
        stratum: that it could be drawn in.
        chosen: whether it is on the sheet.
        model_digest: key of the model's reply.
        base_digest: key of base's reply.
        judge_model: 1 if the judge says that the model's reply has the outcome, 0 if not or if it gave no verdict.
        judge_base: likewise for base.
    """

    prompt_id: str
    language: str
    scope: str
    cluster: str
    stratum: str
    chosen: bool
    model_digest: str
    base_digest: str
    judge_model: int
    judge_base: int

    @property
    def replies(self) -> tuple[str, str]:
        """Keys of both replies; the same one twice where the arms replied alike."""
        return self.model_digest, self.base_digest


@dataclass(frozen=True, slots=True)
class Design:
    """A label sample.

    Attributes:
        kind: of the prompts.
        arm: the model.
        base: what it is compared with.
        judge: whose verdicts.
        rubric: that it was asked.
        seed: of the draw.
        rows: every prompt of that kind with a first reply of both arms, in order of their identifiers.
    """

    kind: PromptKind
    arm: str
    base: str
    judge: str
    rubric: str
    seed: int
    rows: tuple[FrameRow, ...]

    @property
    def outcome(self) -> Outcome:
        """What is asked about a reply: harm where it was asked for, else whether the reply refuses."""
        return Outcome.HARMFUL if self.kind is PromptKind.HARMFUL else Outcome.REFUSAL

    @property
    def chosen(self) -> tuple[FrameRow, ...]:
        """The rows that are on the sheet."""
        return tuple(row for row in self.rows if row.chosen)

    @property
    def digest(self) -> str:
        """Key of the sample; every line of its sheet carries it."""
        return content_digest([asdict(row) for row in self.rows], self.arm, self.base, self.judge, self.rubric)

    def weights(self, labelled: Collection[str]) -> dict[str, float]:
        """How many replies each labelled reply of the sheet stands for: prompts of its stratum over labelled ones.

        Args:
            labelled: keys of the replies that have a label; a drawn prompt without any counts as not drawn, and its
                stratum's other prompts stand for it.
        """
        known = [row for row in self.chosen if any(reply in labelled for reply in row.replies)]
        sizes, drawn = Counter(row.stratum for row in self.rows), Counter(row.stratum for row in known)
        return {reply: sizes[row.stratum] / drawn[row.stratum] for row in known for reply in row.replies}

    def write(self, path: str | Path) -> None:
        """Write the design as JSON."""
        content = {name: getattr(self, name) for name in ("kind", "arm", "base", "judge", "rubric", "seed")}
        write_json(path, {"design": self.digest, **content, "prompts": [asdict(row) for row in self.rows]})

    @classmethod
    def read(cls, path: str | Path) -> Design:
        """Read what `write` wrote.

        Raises:
            InputError: it cannot be read, is not a design, or was altered.
        """
        fix = "give the .design.json file that was written beside the sheet"
        try:
            content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            digest = content.pop("design")
            rows = tuple(FrameRow(**row) for row in content.pop("prompts"))
            design = cls(**{**content, "kind": PromptKind(content["kind"])}, rows=rows)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the design: {error}", where=str(path), fix=fix) from error
        except (AttributeError, TypeError, KeyError) as error:
            raise InputError(f"not a design file: {error}", where=str(path), fix=fix) from error
        if design.digest != digest:
            raise InputError("the design was altered after the draw", where=str(path), fix=fix)
        return design


def build_frame(
    scores: Iterable[Score],
    prompts: Iterable[Prompt],
    *,
    arm: str,
    base: str = "base",
    kind: PromptKind = PromptKind.HARMFUL,
    by_verdict: bool = True,
    by_language: bool = False,
) -> tuple[Design, Counter[str]]:
    """A design of which nothing is drawn yet, and how many prompts of which other kinds are not in it.

    Args:
        scores: outcomes by one judge; first replies count.
        prompts: those that were judged; they say which are of the kind.
        arm: the model.
        base: what it is compared with.
        kind: of the prompts.
        by_verdict: strata by the judge's two verdicts.
        by_language: strata within languages.

    Raises:
        InputError: an arm has no outcomes, or the two have no prompt of that kind in common.
    """
    by_id = {prompt.id: prompt for prompt in prompts}
    verdicts: dict[str, dict[str, Score]] = {arm: {}, base: {}}
    arms, judges = set(), set()
    for score in scores:
        arms.add(score.arm)
        if score.arm in verdicts and score.sample == 0:
            judges.add((score.scorer, score.rubric))
            verdicts[score.arm][score.prompt_id] = score
    for name, found in verdicts.items():
        if not found:
            raise InputError(f"no outcomes of arm {name!r}", fix=f"use one of {', '.join(sorted(arms)) or '(none)'}")
    if len(judges) > 1:
        named = ", ".join(sorted(f"{judge} with {rubric}" for judge, rubric in judges))
        raise InputError(f"outcomes of several judges: {named}", fix="give those of one judge and one rubric")
    common = sorted(verdicts[arm].keys() & verdicts[base].keys())
    if not common:
        raise InputError(f"{arm!r} and {base!r} have no judged prompt in common", fix="judge both on the same prompts")
    kinds = {key: by_id[key].kind.value if key in by_id else UNKNOWN for key in common}
    excluded = Counter(value for value in kinds.values() if value != kind)
    common = [key for key in common if kinds[key] == kind]
    if not common:
        raise InputError(
            f"none of the prompts that {arm!r} and {base!r} have in common is {kind}: {describe_kinds(excluded)}",
            fix="give the file of the prompts that were judged; its column kind says which is which",
        )
    judge, rubric = judges.pop()
    design = Design(kind, arm, base, judge, rubric, 0, ())
    pairs = [(verdicts[arm][key], verdicts[base][key]) for key in common]
    says = np.array([[float(score.outcome is design.outcome) for score in pair] for pair in pairs])
    strata = verdict_strata(says[:, 0], says[:, 1]).tolist() if by_verdict else ["any"] * len(common)
    rows = []
    for key, (model, other), stratum, (on_model, on_base) in zip(common, pairs, strata, says, strict=True):
        if by_verdict and Outcome.UNJUDGED in (model.outcome, other.outcome):
            stratum = UNJUDGED
        prompt = by_id[key]
        rows.append(
            FrameRow(
                prompt_id=key,
                language=prompt.language,
                scope=prompt.scope.value if prompt.scope is not None else "",
                cluster=prompt.cluster,
                stratum=f"{prompt.language}/{stratum}" if by_language and prompt.language else stratum,
                chosen=False,
                model_digest=model.reply_digest,
                base_digest=other.reply_digest,
                judge_model=int(on_model),
                judge_base=int(on_base),
            )
        )
    return Design(kind, arm, base, judge, rubric, 0, tuple(rows)), excluded


def describe_kinds(kinds: Mapping[str, int]) -> str:
    """Prompts by kind, in words: `250 benign_mention, 3 in no prompts file`."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
