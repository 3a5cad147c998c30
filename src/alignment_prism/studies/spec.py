"""The spec of a study: which models, trained or there already, reply to what, and who scores the replies.

A spec is a YAML file, typed, frozen and checked before any work starts. Paths in it are relative to its own folder.
The word `nano` stands for the embedded lab, wherever a base, pairs or prompts are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from alignment_prism.domain import BASE, InputError, PromptKind
from alignment_prism.io.yaml import KeyFault, overlay
from alignment_prism.studies.arms import (
    Arm,
    Base,
    BaseFrom,
    MergedArm,
    ModelArm,
    RepliesArm,
    TrainedArm,
    TranslateSpec,
)
from alignment_prism.studies.generation import GenerationSpec
from alignment_prism.studies.grid import Grids, grid_arms
from alignment_prism.studies.judges import CalledSpec, CompareSpec, JudgeSpec
from alignment_prism.studies.merges import check_merges
from alignment_prism.studies.method_settings import training_of
from alignment_prism.studies.pair_sources import PairsSource
from alignment_prism.studies.parts import Files, Part
from alignment_prism.training.settings import DEFAULT_ENGINE, DEFAULT_PRESET, ENGINES, MethodConfig

NANO = "nano"


def _name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise ValueError("a study's name is 1 to 80 letters, digits, '.', '_' and '-', the first a letter or a digit")
    return name


def _engine(name: str) -> str:
    if name not in ENGINES:
        raise InputError(f"unknown engine {name!r}", fix=f"use one of: {', '.join(ENGINES)}")
    return name


Name = Annotated[str, AfterValidator(_name)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class PromptFile(Part):
    """Prompts to evaluate on.

    Attributes:
        file: its path; or a set known by name (`aya`), or a Hub dataset (`owner/name`).
        format: its name where the file itself does not say (`alignment_prism.prompts.FORMATS`).
        map: our field to the file's column, for a file of no known format: `{prompt: text}`.
        defaults: our field to a value for rows that have none: `{language: en, kind: general, subset: mine}`.
        part: of a split that is taken (`eval`), so that seeds are not evaluated on; None takes all.
    """

    file: str
    format: str | None = None
    map: dict[str, str] = Field(default_factory=dict)
    defaults: dict[str, str] = Field(default_factory=dict)
    part: Annotated[str, Field(min_length=1)] | None = None


class MixtureSpec(Part):
    """How mixtures are drawn.

    Attributes:
        total: pairs in each; None takes as many as the pools can fill at the arm's share.
        balance: `pool` keeps the pools' proportions of scope x language; `equal` gives each the same number; a number
            of at least 1 is a temperature T: n pairs count as n ** (1 / T), between the two.
    """

    total: Annotated[int, Field(gt=0)] | None = None
    balance: Literal["pool", "equal"] | Annotated[float, Field(ge=1, allow_inf_nan=False)] = "pool"


class PassportSpec(Part):
    """What is known of the judge from labels of people.

    Attributes:
        file: that `prism labels passport` wrote.
        min_sensitivity: least sensitivity that it must show in every language of the prompts; 0 refuses nobody.
        origin: of the prompts, as the passport names it: `native`, `translated`, `all`.
    """

    file: str
    min_sensitivity: Annotated[float, Field(ge=0, le=1)] = 0.0
    origin: str = "all"


class ContrastSpec(Part):
    """Two arms that are compared with each other, declared before the study is run.

    Attributes:
        name: of the contrast.
        a: arm that is subtracted, or the base's name.
        b: arm that it is subtracted from.
    """

    name: Annotated[str, Field(min_length=1)]
    a: str
    b: str


class StudySpec(Part):
    """A study.

    Attributes:
        name: of the study in findings.
        base: what the arms are compared with, and what is trained: `nano`, a model folder, a Hub id, or an arm that
            exists (`{model: openai/gpt-4o}`, `{replies: base.csv}`); null for none.
        world: where pairs or prompts are `nano`: `nano` is the world that ships; a folder that `prism nano build`
            wrote is the world of that base. Judges from the lab (`nano/oracle`) that name no world of their own
            judge by it.
        pairs: where preference pairs come from; read only if an arm is trained.
        mixture: size of the mixtures.
        training: settings of the methods: the name of a preset, or keys of `alignment_prism.training.MethodConfig`
            laid over the preset under `preset` (`aya-23-8b` if there is none).
        engine: what trains: `transformers`, or `trl`, which gives the same models up to rounding.
        arms: what is evaluated beside the base: methods to train, models that exist, stored replies.
        grid: further arms to train, combination by combination, see `alignment_prism.studies.grid.GridSpec`; one or
            several. They follow the other arms, among which they are when a spec has been read.
        seeds: of the alignment: of mixtures and trainings.
        prompts: what is evaluated: `nano` or a list of files.
        kinds: of the prompts that are asked; empty for all.
        translate: make translation tasks of the prompts, which are parallel sentences; None asks them as they are.
        prompt_limit: most prompts of a kind, subset, scope and language, picked by their ids' digests; None takes all.
        languages: a YAML file with further languages.
        keep_going: leave out stored replies to none of the prompts, and prompts that lack a stored reply.
        generation: how replies are drawn.
        judge: who judges single replies, alone or as a panel; None for nobody.
        scorers: rules that score replies besides, by name.
        scores: files of scores that are there already.
        passport: of the judge: findings get rates and changes without its errors beside those that it gives.
        compare: who compares replies to general prompts with base's; None leaves comparisons out.
        comparisons: files of comparisons that are there already.
        contrasts: pairs of arms that are compared prompt by prompt, beside the comparisons with base.
        examples: how many prompts with replies the report shows, folded away.
        notes: lines at the head of the report.
    """

    name: Name
    base: Annotated[Base | None, BaseFrom] = ModelArm(name=BASE, model=NANO)
    world: str = NANO
    pairs: PairsSource = PairsSource()
    mixture: MixtureSpec = MixtureSpec()
    training: str | dict[str, Any] = DEFAULT_PRESET
    engine: Annotated[str, AfterValidator(_engine)] = DEFAULT_ENGINE
    arms: tuple[Arm, ...] = ()
    grid: Grids = Field(default=(), exclude=True)
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    prompts: Literal["nano"] | tuple[PromptFile, ...] = "nano"
    kinds: tuple[PromptKind, ...] = ()
    translate: TranslateSpec | None = None
    prompt_limit: Annotated[int, Field(gt=0)] | None = None
    languages: str | None = None
    keep_going: bool = False
    generation: GenerationSpec = GenerationSpec()
    judge: JudgeSpec | None = None
    scorers: tuple[str, ...] = ()
    scores: Files = ()
    passport: PassportSpec | None = None
    compare: CompareSpec | None = None
    comparisons: Files = ()
    contrasts: tuple[ContrastSpec, ...] = ()
    examples: Annotated[int, Field(ge=0)] = 6
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _grid_is_arms(self) -> StudySpec:
        """The arms of the grid among the others, so that nobody else needs to know that there was one."""
        if self.grid:
            base = None if self.base is None else self.base.name
            for number, grid in enumerate(self.grid):
                for at, name in enumerate(grid.bases):
                    self._check_base(name, "the grid", "grid", number, "bases", at)
            arms = (*self.arms, *grid_arms(self.grid, {arm.name for arm in self.arms}, base))
            for name, value in (("arms", arms), ("grid", ())):
                object.__setattr__(self, name, value)  # the spec is frozen once it is made
            self.__pydantic_fields_set__.add("arms")
        return self

    @model_validator(mode="after")
    def _parts_fit_together(self) -> StudySpec:
        if self.base is None and not self.arms:
            raise KeyFault("there is neither a base nor an arm, so there is nothing to evaluate", "arms")
        names = [arm.name for arm in self.arms]
        for number, arm in enumerate(self.arms):
            if self.base is not None and arm.name == self.base.name:
                what = f"an arm is called {arm.name!r}, which is the name of what the arms are compared with"
                raise KeyFault(what, "arms", number, "name")
            if arm.name in names[:number]:
                raise KeyFault(f"two arms are called {arm.name!r}", "arms", number, "name")
            if isinstance(arm, TrainedArm):
                self._check_base(arm.base, f"arm {arm.name!r}", *(("arms", number, "base") if arm.base else ("base",)))
        check_merges(self.base, self.arms)
        if self.compare is not None and self.base is None:
            raise KeyFault("replies are to be compared with those of a base, and there is none", "compare")
        self._check_contrasts([*([] if self.base is None else [self.base.name]), *names])
        if len(set(self.seeds)) < len(self.seeds):
            raise KeyFault(f"a seed is there twice: {list(self.seeds)}", "seeds")
        return self

    def _check_base(self, name: str | None, who: str, *place: str | int) -> None:
        """Check that there is a model of that name, or the study's base is one, to train from."""
        if name is None:
            if not isinstance(self.base, ModelArm):
                raise KeyFault(f"{who} is trained, and the base is no model to train", *place)
            return
        if name in self.made:
            return
        models = [one.name for one in self.existing if isinstance(one, ModelArm)]
        if name not in models:
            there = f"; there are {', '.join(models)}" if models else ""
            raise KeyFault(f"{who} trains from {name!r}, and no model among base and arms is called so{there}", *place)

    def _check_contrasts(self, known: list[str]) -> None:
        for number, one in enumerate(self.contrasts):
            for key, arm in (("a", one.a), ("b", one.b)):
                if arm not in known:
                    raise KeyFault(f"no arm is called {arm!r}; there are {', '.join(known)}", "contrasts", number, key)
            if one.a == one.b:
                raise KeyFault(f"a contrast of {one.a!r} with itself", "contrasts", number)
            if one.name in [other.name for other in self.contrasts[:number]]:
                raise KeyFault(f"two contrasts are called {one.name!r}", "contrasts", number, "name")
        if self.contrasts and self.judge is None and not self.scorers and not self.scores:
            raise KeyFault("nobody scores the replies that are to be compared", "contrasts")

    @property
    def trained(self) -> tuple[TrainedArm, ...]:
        """The arms that the study trains."""
        return tuple(arm for arm in self.arms if isinstance(arm, TrainedArm))

    @property
    def merged(self) -> tuple[MergedArm, ...]:
        """The arms that are merged of others."""
        return tuple(arm for arm in self.arms if isinstance(arm, MergedArm))

    @property
    def made(self) -> tuple[str, ...]:
        """Names of the arms whose model the study makes."""
        return tuple(arm.name for arm in self.arms if isinstance(arm, TrainedArm | MergedArm))

    @property
    def needs_pairs(self) -> bool:
        """Whether anything is trained, or steered by the pairs' prompts."""
        return bool(self.trained) or any(isinstance(arm, ModelArm) and arm.steer for arm in self.existing)

    @property
    def existing(self) -> tuple[ModelArm | RepliesArm, ...]:
        """Base, if there is one, and the arms that exist."""
        base = () if self.base is None else (self.base,)
        return (*base, *(arm for arm in self.arms if isinstance(arm, ModelArm | RepliesArm)))

    def base_of(self, arm: TrainedArm) -> ModelArm:
        """The model that an arm is compared with: what it is trained from, or what that was trained from; the study's
        base where it starts from a merge."""
        started = next((one for one in self.trained if one.name == arm.base), None)
        if started is not None:
            return self.base_of(started)
        named = None if arm.base in self.made else arm.base
        (found,) = (one for one in self.existing if one.name == (named or (self.base and self.base.name)))
        assert isinstance(found, ModelArm)  # a spec whose arm is trained from anything else is none
        return found

    @property
    def bases(self) -> tuple[ModelArm | RepliesArm, ...]:
        """What arms are compared with: the study's base, if there is one, and the others that arms are trained from."""
        names = {self.base_of(arm).name for arm in self.trained}
        return tuple(one for one in self.existing if one is self.base or one.name in names)

    @property
    def judges(self) -> tuple[CalledSpec, ...]:
        """Everyone who judges, and who compares, replies that are trained on among them."""
        judges: tuple[CalledSpec, ...] = () if self.judge is None else self.judge.everyone
        judges = judges if self.compare is None else (*judges, self.compare)
        for arm in self.trained:
            if arm.on_policy is not None:
                alone = arm.on_policy.outcomes
                judges = (*judges, *arm.on_policy.judges, *(() if alone is None else alone.everyone))
        return tuple(dict.fromkeys(judges))

    @property
    def uses_nano(self) -> bool:
        """Whether any number of the study comes from the nano lab."""
        files = (*self.pairs.safety, *self.pairs.general) if self.needs_pairs else ()
        models = [arm.model for arm in self.existing if isinstance(arm, ModelArm)]
        named = [*models, *(judge.model for judge in self.judges)]
        return NANO in (self.prompts, *files, *models) or any(model.startswith("nano/") for model in named)

    @property
    def uses_nano_prompts(self) -> bool:
        """Whether the evaluation set is that of the nano lab."""
        return self.prompts == NANO

    def method_config(self, arm: TrainedArm) -> MethodConfig:
        """The arm's settings: the study's, with its own laid over them."""
        return MethodConfig.model_validate(overlay(training_of(self.training), arm.config))


def training_settings(spec: StudySpec) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Every set of training settings, with the key path that its faults are reported under."""
    if not spec.trained:
        return
    training = training_of(spec.training)
    yield ("training",), training
    for number, arm in enumerate(spec.arms):
        if isinstance(arm, TrainedArm):
            yield ("arms", number, "config"), overlay(training, arm.config)
