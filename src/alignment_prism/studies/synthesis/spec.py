"""The spec of a build of preference pairs: seeds, who rephrases, who completes, who ranks, by which rules.

A spec is a YAML file, typed, frozen and checked before any work starts; paths in it are relative to its own folder. The
word `nano` stands for the embedded lab where prompts or a model are asked for.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from alignment_prism.domain import Sampling
from alignment_prism.io.yaml import KeyFault
from alignment_prism.preferences.seeds import NEAR
from alignment_prism.preferences.templates import REPHRASE, REVISE, SAFE
from alignment_prism.studies.arms import ArmName
from alignment_prism.studies.generation import Calls, Retries, Seconds
from alignment_prism.studies.judges import CompareSpec, JudgeSpec
from alignment_prism.studies.parts import Address, Files, Part
from alignment_prism.studies.spec import NANO, Name, PromptFile

Share = Annotated[float, Field(ge=0, le=1)]
Prompts = Literal["nano"] | tuple[PromptFile, ...]


class SeedsSpec(Part):
    """Which prompts are seeds.

    Attributes:
        prompts: the set that they are drawn from: `nano`, or files and sets as in a study.
        evaluation: sets that nothing may be near; a study that starts from the build adds its own prompts.
        per_language: seeds in each language; null takes every prompt that may be one.
        threshold: least similarity (Jaccard of character 5-grams) of neighbours; 1 for sets made from templates. Lower
            than where sets are compared: what is wrongly taken for a neighbour costs a seed, what is missed a claim
            (`benchmarks/preference_thresholds.md`).
        seed: of the draw.
    """

    prompts: Prompts = "nano"
    evaluation: Prompts | tuple[()] = ()
    per_language: Annotated[int, Field(gt=0)] | None = 100
    threshold: Annotated[float, Field(gt=0, le=1)] = NEAR
    seed: int = 0


class WriterSpec(Part):
    """A model that writes, and how its texts are drawn.

    Attributes:
        model: a folder, `nano`, a Hub id or an Inspect id.
        base_url: of a model behind an API: address of its server, where it is not the provider's own.
        temperature: 0 is greedy.
        top_p: nucleus; 1 keeps everything.
        max_tokens: most tokens of a text.
        seed: of the draws.
        instructions: `english`, or `prompt`: in the language of each prompt, where the template has it.
        device: of a model on this machine.
        max_connections: of a model behind an API: calls under way at once.
        retries: of a call that failed for a passing reason.
        timeout: seconds that an attempt of a call may take.
    """

    model: Annotated[str, Field(min_length=1)]
    base_url: Address = ""
    temperature: Annotated[float, Field(ge=0)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(gt=0)] = 512
    seed: int = 0
    instructions: Literal["english", "prompt"] = "english"
    device: str = "auto"
    max_connections: Calls | None = None
    retries: Retries | None = None
    timeout: Seconds | None = None

    def sampling(self, samples: int = 1) -> Sampling:
        """As generation takes it."""
        return Sampling(self.temperature, self.top_p, self.max_tokens, samples, self.seed)

    def how(self) -> dict[str, Any]:
        """How it is called, for `generation.reply`."""
        names = {"max_connections": "connections", "retries": "retries", "timeout": "timeout"}
        found = {theirs: value for ours, theirs in names.items() if (value := getattr(self, ours)) is not None}
        return {**found, "device": self.device, "base_url": self.base_url}


class RephraseSpec(WriterSpec):
    """Who rephrases seeds.

    Attributes:
        per_seed: wordings that are asked for of each.
        include_seeds: whether seeds themselves are answered too.
        template: what is asked, `rephrase@1` or a file of one's own.
    """

    per_seed: Annotated[int, Field(gt=0)] = 5
    include_seeds: bool = True
    max_tokens: Annotated[int, Field(gt=0)] = 1024
    template: str = REPHRASE


class SideSpec(WriterSpec):
    """Who completes prompts, and in which way.

    Attributes:
        name: of the side in tables.
        way: `plain`; `safe`: asked to help as far as is safe; `revise`: its own reply, criticised and written again.
        of: for `revise`, the side whose replies are revised.
        samples: replies to each prompt.
        template: for `safe` and `revise`, what is asked; that which ships if empty.
    """

    name: ArmName
    way: Literal["plain", "safe", "revise"] = "plain"
    of: str = ""
    samples: Annotated[int, Field(gt=0)] = 1
    template: str = ""

    @property
    def asks(self) -> tuple[str, tuple[str, ...]]:
        """Template and the texts that it must have; empty for none."""
        if self.way == "plain":
            return "", ()
        roles = ("instruction",) if self.way == "safe" else ("critique", "revision")
        return self.template or (SAFE if self.way == "safe" else REVISE), roles


class RankSpec(Part):
    """Who says which reply is better, and which couples become pairs.

    Attributes:
        judges: one, or a panel; each compares in both orders.
        labels: file of comparisons by people, which take precedence.
        outcomes: who judges each candidate alone, so that a harmful one is never preferred; None for nobody.
        couples: most couples of replies to a prompt that are judged.
        per_prompt: most pairs of a prompt.
        refusal_cap: largest share of refusals among the chosen replies of a language.
        seed: of the lots.
    """

    judges: Annotated[tuple[CompareSpec, ...], Field(min_length=1)]
    labels: Files = ()
    outcomes: JudgeSpec | None = None
    couples: Annotated[int, Field(gt=0)] = 1
    per_prompt: Annotated[int, Field(gt=0)] = 1
    refusal_cap: Share = 0.8
    seed: int = 0


class BuildSpec(Part):
    """A build of preference pairs.

    Attributes:
        name: of the build.
        seeds: which prompts it starts from.
        rephrase: who rephrases them; null answers the seeds alone.
        complete: the sides: two models, or one model in two ways, or several samples of one.
        rank: who ranks.
        world: where anything is `nano`: the world that ships, or a folder that `prism nano build` wrote.
        languages: a YAML file with further languages.
        licences: source or model -> its licence, for the card of what is exported.
    """

    name: Name
    seeds: SeedsSpec = SeedsSpec()
    rephrase: RephraseSpec | None = None
    complete: Annotated[tuple[SideSpec, ...], Field(min_length=1)]
    rank: RankSpec
    world: str = NANO
    languages: str | None = None
    licences: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sides_fit_together(self) -> BuildSpec:
        names = [side.name for side in self.complete]
        for number, side in enumerate(self.complete):
            if side.name in names[:number]:
                raise KeyFault(f"two sides are called {side.name!r}", "complete", number, "name")
            if "/" in side.name:
                raise KeyFault("the name of a side has no /", "complete", number, "name")
            if (side.way == "revise") != bool(side.of):
                raise KeyFault("a side that revises says of which side the replies are", "complete", number, "of")
            if side.of and side.of not in names[:number]:
                raise KeyFault(f"no side before it is called {side.of!r}", "complete", number, "of")
            if side.samples > 1 and side.temperature == 0:
                raise KeyFault("several samples without a temperature are one", "complete", number, "samples")
        if len(self.complete) == 1 and self.complete[0].samples < 2:
            raise KeyFault("one side with one sample makes no couple", "complete")
        return self

    @property
    def writers(self) -> tuple[WriterSpec, ...]:
        """Everyone who writes."""
        return (*((self.rephrase,) if self.rephrase else ()), *self.complete)

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that is used, each once: writers, then judges."""
        judges = [judge.model for judge in self.rank.judges]
        judges += [one.model for one in self.rank.outcomes.everyone] if self.rank.outcomes else []
        return tuple(dict.fromkeys([*(writer.model for writer in self.writers), *judges]))
