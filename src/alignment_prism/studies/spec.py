"""The spec of a study: what is trained on what, how it is evaluated, by whom it is judged.

A spec is a YAML file, typed, frozen and checked before any work starts. Paths in it are relative to its own folder.
The word `nano` stands for the embedded lab, wherever a base, pairs or prompts are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alignment_prism.domain import Sampling, Scope
from alignment_prism.io.yaml import KeyFault, overlay
from alignment_prism.training.methods import find_method
from alignment_prism.training.settings import DEFAULT_PRESET, MethodConfig, load_config, presets

NANO = "nano"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
Files = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _method(name: str) -> str:
    return find_method(name).name


class PairsSource(_Part):
    """Where preference pairs come from: `nano`, or files that `prism mix` reads."""

    safety: Files = (NANO,)
    general: Files = (NANO,)


class PromptFile(_Part):
    """A file of prompts to evaluate on.

    Attributes:
        file: its path.
        format: its name where the file does not tell by itself (see `prism prompts --help`).
        map: our field to the file's column, for a file of no known format: `{prompt: text}`.
        defaults: our field to a value for rows that have none: `{language: en, kind: general, subset: mine}`.
    """

    file: str
    format: str | None = None
    map: dict[str, str] = Field(default_factory=dict)
    defaults: dict[str, str] = Field(default_factory=dict)


class MixtureSpec(_Part):
    """How mixtures are drawn.

    Attributes:
        total: pairs in each; None takes as many as the pools can fill at the arm's share.
        balance: `pool` keeps the pools' proportions of scope x language; `equal` gives each the same number.
    """

    total: Annotated[int, Field(gt=0)] | None = None
    balance: Literal["pool", "equal"] = "pool"


class Arm(_Part):
    """One model of the study.

    Attributes:
        name: of the arm in findings.
        method: `sft`, `sft_random`, `dpo_ift` or `dpo_sft`.
        share: of safety pairs in its mixture, 0 to 1.
        scopes: take safety pairs of these scopes only: `[global]` and `[local]` are the paper's ablations.
        config: settings that differ from the study's `training`.
    """

    name: Name
    method: Annotated[str, AfterValidator(_method)]
    share: Annotated[float, Field(ge=0, le=1)]
    scopes: tuple[Scope, ...] | None = None
    config: dict[str, Any] = Field(default_factory=dict)


class GenerationSpec(_Part):
    """How replies are drawn; temperature 0 is greedy."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(gt=0)] = 512
    samples: Annotated[int, Field(gt=0)] = 1
    seed: int = 0
    batch_tokens: Annotated[int, Field(gt=0)] | None = None

    def sampling(self) -> Sampling:
        """As generation takes it."""
        return Sampling(self.temperature, self.top_p, self.max_tokens, self.samples, self.seed)


class JudgeSpec(_Part):
    """Who judges.

    Attributes:
        model: Inspect model id.
        rubric: one that ships, or a YAML file of one's own; `standalone@1`, for comparisons `pairwise@1`, unless named.
        base_url: address of the judge's server, where it is not the provider's own.
        max_connections: calls under way at once.
    """

    model: str
    rubric: str = "standalone@1"
    base_url: str = ""
    max_connections: Annotated[int, Field(gt=0)] | None = None


class CompareSpec(JudgeSpec):
    """Who compares replies with base's."""

    rubric: str = "pairwise@1"


class StudySpec(_Part):
    """A study.

    Attributes:
        name: of the study in findings.
        base: `nano`, a model folder, or a Hub id.
        world: where pairs or prompts are `nano`: `nano` is the world that ships; a folder that `prism nano build`
            wrote is the world of that base. Judges from the lab (`nano/oracle`) that name no world of their own
            judge by it.
        pairs: where preference pairs come from.
        mixture: size of the mixtures.
        training: settings of the methods: the name of a preset, or keys of `alignment_prism.training.MethodConfig`
            laid over the preset under `preset` (`aya-23-8b` if there is none).
        engine: what trains: `transformers`, or `trl`, which gives the same models up to rounding.
        arms: what is trained; `base` is always evaluated.
        seeds: of the alignment: of mixtures and trainings.
        prompts: what is evaluated: `nano` or a list of files.
        prompt_limit: most prompts of a kind, subset, scope and language; None takes all.
        generation: how replies are drawn.
        judge: who judges single replies.
        compare: who compares replies with base's; None leaves comparisons out.
        examples: how many prompts with replies the report shows, folded away.
        notes: lines at the head of the report.
    """

    name: Name
    base: str = NANO
    world: str = NANO
    pairs: PairsSource = PairsSource()
    mixture: MixtureSpec = MixtureSpec()
    training: str | dict[str, Any] = DEFAULT_PRESET
    engine: Literal["transformers", "trl"] = "transformers"
    arms: tuple[Arm, ...]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    prompts: Literal["nano"] | tuple[PromptFile, ...] = "nano"
    prompt_limit: Annotated[int, Field(gt=0)] | None = None
    generation: GenerationSpec = GenerationSpec()
    judge: JudgeSpec
    compare: CompareSpec | None = None
    examples: Annotated[int, Field(ge=0)] = 6
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _arms_and_seeds_are_distinct(self) -> StudySpec:
        names = [arm.name for arm in self.arms]
        for number, name in enumerate(names):
            if name == "base":
                what = "an arm is called 'base', which is the name of the model that alignment starts from"
                raise KeyFault(what, "arms", number, "name")
            if name in names[:number]:
                raise KeyFault(f"two arms are called {name!r}", "arms", number, "name")
        if len(set(self.seeds)) < len(self.seeds):
            raise KeyFault(f"a seed is there twice: {list(self.seeds)}", "seeds")
        return self

    @property
    def uses_nano(self) -> bool:
        """Whether any number of the study comes from the nano lab."""
        files = (*self.pairs.safety, *self.pairs.general)
        judges = (self.judge.model, self.compare.model if self.compare else "")
        return NANO in (self.base, self.prompts, *files) or any(model.startswith("nano/") for model in judges)

    @property
    def uses_nano_prompts(self) -> bool:
        """Whether the evaluation set is that of the nano lab."""
        return self.prompts == NANO

    def method_config(self, arm: Arm) -> MethodConfig:
        """The arm's settings: the study's, with its own laid over them."""
        return MethodConfig.model_validate(overlay(_training(self), arm.config))


def training_settings(spec: StudySpec) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Every set of training settings, with the key path that its faults are reported under."""
    training = _training(spec)
    yield ("training",), training
    for number, arm in enumerate(spec.arms):
        yield ("arms", number, "config"), overlay(training, arm.config)


def _training(spec: StudySpec) -> dict[str, Any]:
    """The study's training settings, those of its preset included."""
    own = {"preset": spec.training} if isinstance(spec.training, str) else dict(spec.training)
    name = own.pop("preset", DEFAULT_PRESET)
    below = _preset(name) if name in presets() else load_config(name)
    return overlay(below.model_dump(), own)


@lru_cache
def _preset(name: str) -> MethodConfig:
    return load_config(name)
