"""The design of a label sample: which prompts could have been drawn, with the judge's verdicts, and which were.

A rate is taken over prompts of one kind, so its correction is too: benign prompts, on which both arms do next to no
harm, would only draw a difference of harm towards zero. The design travels beside the sheet as a file, because labels
without their design cannot correct anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alignment_prism.domain import InputError, Label, Outcome, Prompt, PromptKind, Score, content_digest
from alignment_prism.io import write_json
from alignment_prism.labels.sealed import read_sealed
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
        replies: keys of the arms' replies, base's first; one twice where two arms replied alike.
        judged: by arm, 1 if the judge says that the reply has the outcome, 0 if not or if it gave no verdict.
        soft: by arm, the judge's probability that it has, its verdict where it gave none; empty where it gives none.
    """

    prompt_id: str
    language: str
    scope: str
    cluster: str
    stratum: str
    chosen: bool
    replies: tuple[str, ...]
    judged: tuple[int, ...]
    soft: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Design:
    """A label sample.

    Attributes:
        kind: of the prompts.
        arms: their names, base first, with which the others are compared.
        judge: whose verdicts.
        rubric: that it was asked.
        seed: of the draw.
        rows: every prompt of that kind with a first reply of all arms, in order of their identifiers.
        extends: digests of the designs that this one continues; labels of their sheets are of this one too.
    """

    kind: PromptKind
    arms: tuple[str, ...]
    judge: str
    rubric: str
    seed: int
    rows: tuple[FrameRow, ...]
    extends: tuple[str, ...] = ()

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
        rows = [asdict(row) for row in self.rows]
        return content_digest(rows, self.kind, self.arms, self.judge, self.rubric, self.seed, self.extends)

    def weights(self, labelled: Collection[str]) -> dict[str, float]:
        """How many replies each labelled reply of the sheet stands for: prompts of its stratum over labelled ones.

        Args:
            labelled: keys of the replies that have a label; a drawn prompt without any counts as not drawn, and its
                stratum's other prompts stand for it.
        """
        known = [row for row in self.chosen if any(reply in labelled for reply in row.replies)]
        sizes, drawn = Counter(row.stratum for row in self.rows), Counter(row.stratum for row in known)
        return {reply: sizes[row.stratum] / drawn[row.stratum] for row in known for reply in row.replies}

    def between(self, a: str, b: str) -> Design:
        """The sample as one of two of its arms, of which the first is compared with in base's place.

        Raises:
            InputError: the sheet has not both.
        """
        if a == b or not {a, b} <= set(self.arms):
            raise InputError(
                f"the sheet has replies of {', '.join(self.arms)}, not of {a} and {b}",
                fix="compare two arms whose replies were labelled on one sheet",
            )
        places = [self.arms.index(name) for name in (a, b)]

        def two(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[place] for place in places) if values else ()

        rows = tuple(
            replace(row, replies=two(row.replies), judged=two(row.judged), soft=two(row.soft)) for row in self.rows
        )
        return replace(self, arms=(a, b), rows=rows, extends=(*self.extends, self.digest))

    def write(self, path: str | Path) -> None:
        """Write the design as JSON."""
        content = {name: getattr(self, name) for name in ("kind", "arms", "judge", "rubric", "seed", "extends")}
        write_json(path, {"design": self.digest, **content, "prompts": [asdict(row) for row in self.rows]})

    @classmethod
    def read(cls, path: str | Path) -> Design:
        """Read what `write` wrote.

        Raises:
            InputError: it cannot be read, is not a design, or was altered.
        """

        def make(content: dict[str, Any]) -> Design:
            lists = ("replies", "judged", "soft")
            rows = tuple(
                FrameRow(**{**row, **{name: tuple(row[name]) for name in lists}}) for row in content.pop("prompts")
            )
            content |= {"kind": PromptKind(content["kind"]), "arms": tuple(content["arms"])}
            content["extends"] = tuple(content["extends"])
            return cls(**content, rows=rows)

        fix = "give the .design.json file that was written beside the sheet"
        return read_sealed(
            path, "design", make, what="design", altered="the design was altered after the draw", fix=fix
        )


def build_frame(
    scores: Iterable[Score],
    prompts: Iterable[Prompt],
    *,
    arms: Sequence[str],
    base: str = "base",
    kind: PromptKind = PromptKind.HARMFUL,
    soft: str = "",
    by_verdict: bool = True,
    by_language: bool = False,
) -> tuple[Design, Counter[str]]:
    """A design of which nothing is drawn yet, and how many prompts of which other kinds are not in it.

    Args:
        scores: outcomes by one judge, and its probabilities; first replies count.
        prompts: those that were judged; they say which are of the kind.
        arms: the models.
        base: what they are compared with.
        kind: of the prompts.
        soft: name of the scores that are the judge's probability, from 0 to 1, of the outcome.
        by_verdict: strata by the judge's verdicts.
        by_language: strata within languages.

    Raises:
        InputError: an arm has no outcomes, they have no prompt of that kind in common, or there are no probabilities.
    """
    by_id = {prompt.id: prompt for prompt in prompts}
    names = tuple(dict.fromkeys((base, *arms)))
    if len(names) < 2:
        raise InputError("no arm beside base", fix="name the models that are compared with base")
    verdicts: dict[str, dict[str, Score]] = {name: {} for name in names}
    chances: dict[str, float] = {}
    there, judges = set(), set()
    for score in scores:
        if soft and score.name == soft and score.value == score.value:
            if not 0.0 <= score.value <= 1.0:
                raise InputError(f"{soft} of {score.value}", fix="give scores that are probabilities, from 0 to 1")
            chances[score.reply_digest] = score.value
        if score.outcome is None:
            continue
        there.add(score.arm)
        if score.arm in verdicts and score.sample == 0:
            judges.add((score.scorer, score.rubric))
            verdicts[score.arm][score.prompt_id] = score
    for name, found in verdicts.items():
        if not found:
            raise InputError(f"no outcomes of arm {name!r}", fix=f"use one of {', '.join(sorted(there)) or '(none)'}")
    if len(judges) > 1:
        named = ", ".join(sorted(f"{judge} with {rubric}" for judge, rubric in judges))
        raise InputError(f"outcomes of several judges: {named}", fix="give those of one judge and one rubric")
    if soft and not chances:
        raise InputError(f"no scores of the name {soft!r}", fix="name those that are the judge's probability")
    common = sorted(set.intersection(*(set(found) for found in verdicts.values())))
    shown = " and ".join(map(repr, (*names[1:], base)))
    if not common:
        raise InputError(f"{shown} have no judged prompt in common", fix="judge all of them on the same prompts")
    kinds = {key: by_id[key].kind.value if key in by_id else UNKNOWN for key in common}
    excluded = Counter(value for value in kinds.values() if value != kind)
    common = [key for key in common if kinds[key] == kind]
    if not common:
        raise InputError(
            f"none of the prompts that {shown} have in common is {kind}: {describe_kinds(excluded)}",
            fix="give the file of the prompts that were judged; its column kind says which is which",
        )
    judge, rubric = judges.pop()
    design = Design(kind, names, judge, rubric, 0, ())
    given = [tuple(verdicts[name][key] for name in names) for key in common]
    says = np.array([[float(score.outcome is design.outcome) for score in found] for found in given])
    strata = verdict_strata(says).tolist() if by_verdict else ["any"] * len(common)
    rows = []
    for key, own, stratum, said in zip(common, given, strata, says.astype(int).tolist(), strict=True):
        if by_verdict and any(score.outcome is Outcome.UNJUDGED for score in own):
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
                replies=tuple(score.reply_digest for score in own),
                judged=tuple(said),
                soft=tuple(chances.get(score.reply_digest, float(v)) for score, v in zip(own, said, strict=True))
                if soft
                else (),
            )
        )
    return Design(kind, names, judge, rubric, 0, tuple(rows)), excluded


def require_design(labels: Iterable[Label], design: Design | None) -> None:
    """Refuse labels of a drawn sheet without the design of the draw, or with another.

    Raises:
        InputError: in both cases.
    """
    drawn = {label.design for label in labels if label.design}
    if drawn and design is None:
        raise InputError(
            "the labels are on a drawn sheet, where replies that the judge finds hard are more frequent than they are",
            fix="give the design file beside the sheet, so that each reply counts as often as the draw says",
            settings={"design": "SHEET.design.json"},
        )
    if design is not None and (foreign := drawn - {design.digest, *design.extends}):
        raise InputError(
            f"the sheet was drawn by another design ({sorted(foreign)[0]}, not {design.digest})",
            fix="give the design file that was written beside this sheet",
        )


def describe_kinds(kinds: Mapping[str, int]) -> str:
    """Prompts by kind, in words: `250 benign_mention, 3 in no prompts file`."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
