"""A study's folder as one object: its spec, prompts, replies, scores, comparisons and findings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from alignment_prism.calls.budget import Usage
from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import (
    Comparison,
    Contrast,
    Finding,
    Generation,
    InputError,
    Outcome,
    Prompt,
    Score,
    StoreError,
    Transfer,
)
from alignment_prism.domain.records import OUTCOME
from alignment_prism.io import read_records
from alignment_prism.io.parquet import Only
from alignment_prism.reports import Findings
from alignment_prism.scoring.scorer import deciding
from alignment_prism.store.names import (
    CALLS,
    COMPARISONS,
    CONTRASTS,
    FINDINGS,
    GENERATIONS,
    PLAN,
    PROMPTS,
    REPORT,
    SCORES,
    STUDY,
    TRANSFER,
)
from alignment_prism.studies.plan import NO_SEED
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps.train import MODEL

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ArmRecords:
    """What a study knows of one arm and seed.

    Attributes:
        arm: its name.
        seed: of its alignment, -1 where there is none.
        model: folder of the model, for an arm that the study trained.
        generations: its replies.
        scores: of its replies, by the study's own scorers.
        comparisons: of its replies with base's.
        base: the arm that it is compared with, where that is not the study's base.
    """

    arm: str
    seed: int
    model: Path | None
    generations: list[Generation]
    scores: list[Score]
    comparisons: list[Comparison]
    base: str | None = None

    @property
    def is_trained(self) -> bool:
        """Whether the study trained it."""
        return self.model is not None


_OUTCOMES = Only(("name",), lambda name: name == OUTCOME)


class _PlannedArm(BaseModel):
    """What the plan says of an arm and seed: paths within the study's folder."""

    arm: str
    seed: int
    model: str | None
    replies: str | None
    scores: list[str]
    compare: str | None
    base: str | None = None


class _Planned(BaseModel):
    """What is read of a plan."""

    arms: list[_PlannedArm]
    base: str | None
    scores: str | None
    comparisons: str | None
    notes: list[str] = []
    steps: dict[str, str] = {}


class Study:
    """A study that was run, or that was stopped: what its folder holds.

    Args:
        out: the folder.

    Example:
        >>> study = Study.open("results/quickstart")
        >>> [row for row in study.findings() if row.metric == "harm_rate"]
    """

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out)

    @classmethod
    def open(cls, out: str | Path) -> Self:
        """The study in a folder.

        Raises:
            StoreError: the folder holds none.
        """
        study = cls(out)
        _ = study.spec, study._plan
        return study

    def __repr__(self) -> str:
        return f"Study({str(self.out)!r})"

    @cached_property
    def spec(self) -> StudySpec:
        """What was asked for.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return StudySpec.model_validate(self._json(STUDY))
        except ValidationError as error:
            what = f"the spec is not one of this version: {error.errors()[0]['msg']}"
            raise StoreError(what, where=str(self.out / STUDY), fix="run the study again") from error

    @property
    def name(self) -> str:
        """Of the study in findings."""
        return self.spec.name

    @property
    def base(self) -> str | None:
        """Name of the arm that the others are compared with, if there is one."""
        name = self._plan["base"]
        return None if name is None else str(name)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the arms that the study trained; none where it trained none."""
        return tuple(dict.fromkeys(int(arm["seed"]) for arm in self._plan["arms"] if arm["model"] is not None))

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines at the head of its report."""
        return tuple(map(str, self._plan.get("notes", ())))

    @property
    def steps(self) -> tuple[str, ...]:
        """Folders of the steps that its findings rest on, within its own, in the order of the plan."""
        return tuple(self._plan["steps"].values())

    @property
    def report(self) -> Path:
        """Its page, if it was written."""
        return self.out / REPORT

    def findings(self) -> Findings:
        """Every number, a list that also chooses rows, becomes a data frame and draws figures.

        Raises:
            InputError: the study was stopped before there were any.
        """
        rows = read_records(self.out / FINDINGS, Finding)
        return Findings(rows, contrasts=self.contrasts(), transfer=self.transfer())

    def contrasts(self) -> list[Contrast]:
        """What arms say of each other, as the spec declares; nothing where it declares nothing."""
        return read_records(self.out / CONTRASTS, Contrast) if (self.out / CONTRASTS).exists() else []

    def transfer(self) -> list[Transfer]:
        """What arms do in languages and scopes that they were not trained on; nothing where that cannot be told."""
        return read_records(self.out / TRANSFER, Transfer) if (self.out / TRANSFER).exists() else []

    def prompts(self) -> list[Prompt]:
        """What every arm was asked."""
        return read_records(self.out / PROMPTS, Prompt)

    def generations(self, seed: int | None = None) -> list[Generation]:
        """Replies of base and every arm.

        Args:
            seed: of the alignment; None where there is one only.

        Raises:
            InputError: there are several seeds and none is named.
        """
        return [reply for arm in self.arms(self._one_seed(seed)) for reply in arm.generations]

    def scores(self, seed: int | None = None) -> list[Score]:
        """What scorers said of the replies of base and every arm, scores that were there already among them.

        Args:
            seed: as in `generations`.
        """
        own = [score for arm in self.arms(self._one_seed(seed)) for score in arm.scores]
        return [*own, *self.given_scores()]

    def comparisons(self, seed: int | None = None) -> list[Comparison]:
        """Comparisons of every arm with base.

        Args:
            seed: as in `generations`.
        """
        own = [one for arm in self.arms(self._one_seed(seed)) for one in arm.comparisons]
        return [*own, *self.given_comparisons()]

    def models(self) -> dict[tuple[str, int], Path]:
        """(arm, seed) -> folder of the model that the study trained."""
        folders = {(str(arm["arm"]), int(arm["seed"])): arm["model"] for arm in self._plan["arms"]}
        return {key: self.out / folder / MODEL for key, folder in folders.items() if folder is not None}

    def usage(self) -> dict[str, Usage]:
        """Model behind an API -> what its calls came to, those of stopped runs and of answers asked for again included.

        Answers from a cache cost nothing and are not among them.
        """
        return CallJournal(self.out / CALLS).usage

    def unjudged(self) -> tuple[int, Counter[str]]:
        """How many replies were judged or should have been, and for those without a verdict how many for which reason.

        The reasons hold no word of the replies.
        """
        places = [*(folder for arm in self._plan["arms"] for folder in arm["scores"]), self._plan["scores"]]
        scores = [score for place in places for score in self._read(place, SCORES, Score, _OUTCOMES)]
        said = [score for score in deciding(scores) if score.outcome is not None]
        return len(said), Counter(score.error for score in said if score.outcome is Outcome.UNJUDGED)

    def arms(self, seed: int | None = None) -> list[ArmRecords]:
        """Records of base and every arm, base first.

        Args:
            seed: of the alignment: arms that were trained with another are left out; None leaves out none.
        """
        return [
            self._arm(arm)
            for arm in self._plan["arms"]
            if seed is None or arm["model"] is None or int(arm["seed"]) == seed
        ]

    def given_scores(self) -> list[Score]:
        """Scores that were there before the study."""
        return self._read(self._plan["scores"], SCORES, Score)

    def given_comparisons(self) -> list[Comparison]:
        """Comparisons that were there before the study."""
        return self._read(self._plan["comparisons"], COMPARISONS, Comparison)

    def _arm(self, arm: Mapping[str, Any]) -> ArmRecords:
        model = None if arm["model"] is None else self.out / arm["model"] / MODEL
        return ArmRecords(
            str(arm["arm"]),
            int(arm["seed"]),
            model,
            self._read(arm["replies"], GENERATIONS, Generation),
            [score for folder in arm["scores"] for score in self._read(folder, SCORES, Score)],
            self._read(arm["compare"], COMPARISONS, Comparison),
            arm["base"],
        )

    def _read(self, folder: str | None, name: str, record: type[R], only: Only | None = None) -> list[R]:
        return [] if folder is None else read_records(self.out / folder / name, record, only=only)

    def _one_seed(self, seed: int | None) -> int:
        seeds = self.seeds
        if seed is None and len(seeds) > 1:
            raise InputError(
                f"the study has the seeds {', '.join(map(str, seeds))}",
                where=str(self.out),
                fix=f"name one, as in seed={seeds[0]}",
            )
        if seed is not None and seeds and seed not in seeds:
            fix = f"name one of {', '.join(map(str, seeds))}"
            raise InputError(f"the study has no seed {seed}", where=str(self.out), fix=fix)
        return seed if seed is not None else seeds[0] if seeds else NO_SEED

    @cached_property
    def _plan(self) -> dict[str, Any]:
        try:
            return _Planned.model_validate(self._json(PLAN), strict=True).model_dump()
        except ValidationError as error:
            fix = "run the study again"
            raise StoreError("the plan is not one of this version", where=str(self.out / PLAN), fix=fix) from error

    def _json(self, name: str) -> dict[str, Any]:
        path = self.out / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            fix = "name the folder that a study or an evaluation was written to"
            raise StoreError(f"the folder holds no study: {name} is missing", where=str(self.out), fix=fix) from error
        except (OSError, ValueError, RecursionError) as error:
            raise StoreError(f"cannot be read: {error}", where=str(path), fix="run the study again") from error
        if not isinstance(content, dict):
            raise StoreError("not a JSON object", where=str(path), fix="run the study again")
        return content
