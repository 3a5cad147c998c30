"""Settings of a training, typed and checked before any work starts.

A `MethodConfig` has a recipe for each stage of the methods (what is learnt: rates, epochs, beta) and one
`TrainingConfig` for all of them (how it is computed: batch, length, precision, memory). Presets are YAML files in
`training/presets`, whose comments say what each knob costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    SerializationInfo,
    ValidationInfo,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)

from alignment_prism.domain import InputError
from alignment_prism.io.yaml import YamlDocument, overlay, validated
from alignment_prism.training.methods import METHODS, Stage
from alignment_prism.training.recipe import Recipe, Settings

DEFAULT_PRESET = "aya-23-8b"
TRACKERS = Literal["tensorboard", "wandb", "trackio"]
"""What a training may report to, by the names of their packages."""
ENGINES = ("transformers", "trl")
"""What can train: transformers' own trainer with our loss, or TRL's with the same."""
DEFAULT_ENGINE = "transformers"
SAME_RESULT: dict[str, Any] = {"changes_result": False}
"""Mark of a setting that changes memory, speed or what is written on the way, but not the model, rounding apart."""


class AdapterConfig(Settings):
    """Low-rank adapters (LoRA) in place of all weights.

    Attributes:
        rank: of each adapter.
        alpha: the update is scaled by alpha / rank.
        dropout: on the adapters' input in supervised stages. DPO leaves it out, and says so: policy and reference have
            to be the same function before the first step.
        targets: names of the linear layers that get one, or `all-linear`: all but the output embedding.
        layers: how many layers get one, drawn by the seed: a baseline for claims about layers; None for all.
        merge: whether the saved model has the update added to its weights (it then loads like any other); otherwise
            only the adapter is saved, small, and the base is needed to load it.
        bits: 4 holds the frozen weights in four bits while adapters are trained (QLoRA), which needs the extra
            `qlora`; not run by us on GPUs yet. A merge is with the whole base.
    """

    rank: int = Field(default=32, ge=1)
    alpha: float = Field(default=64, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    layers: int | None = Field(default=None, ge=1)
    merge: bool = True
    bits: Literal[4] | None = None


class GroupsConfig(Settings):
    """How much groups of pairs (language x scope) count in the loss of a step.

    Attributes:
        weights: of groups, by `hi/local`, or by language or scope alone; 1 where nothing fits. The loss is the mean
            with these weights.
        step_size: above 0, the loss is that of the worst groups (group DRO): each counts as a whole, whatever its size,
            and gains weight as its mean loss is high, by a factor of exp(step_size * loss) a step (eta in the paper).
    """

    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    step_size: float = Field(default=0.0, ge=0)


class TrainingConfig(Settings):
    """How training is computed, whatever is learnt.

    Attributes:
        batch_size: pairs of one optimiser step, over all devices and accumulation.
        micro_batch_size: pairs that pass through one device together; None takes `batch_size` spread over the
            devices. Lower saves memory and costs time; the result is the same. Memory follows the longest pairs, packed
            or not: at most twice `max_length` tokens each.
        micro_tokens: in place of `micro_batch_size`: at most so many positions pass through one device at once, where
            all pairs would be as long as the longest; a pair that is longer goes alone.
        max_length: most tokens of prompt and completion; longer ones are cut or left out, and counted.
        precision: `fp32`; `bf16`: weights in float32, computing in bfloat16; `fp64` for checks; `auto`: bfloat16
            where the device computes it natively, else float32.
        attention: implementation: `eager`, `sdpa`, `flash_attention_2` (needs its package, packs nothing),
            `flex_attention` (CUDA: block masks, so that long packed rows cost no more than their pairs), or `auto`:
            eager for rows of less than 200 tokens in bfloat16 on a CPU, where it is faster, else sdpa. The layout
            `flat` has its own.
        gradient_checkpointing: recompute activations in the backward pass: about a third more time, far less memory.
        layout: `trees` computes the prompt of a pair once and packs pairs into rows; `flat` puts all of them into one
            sequence without padding, whose attention runs pair by pair with a kernel of our own, meant for CPUs;
            `padded` gives every reply a row with its own copy of the prompt; `auto` times them on the first micro-batch
            and takes the fastest, which the log says. Same results up to rounding. Models that
            cannot be packed fall back to padded rows and an attention of transformers' own, which is said once.
        row_tokens: positions of a packed row (`trees`); longer rows waste less and pay attention quadratic in the
            row. A pair that is longer goes alone. 0 gives every tree its own row, which is best for pairs of some
            dozens of tokens on a CPU.
        length_horizon: over how many batches examples are sorted by length, 0 for none. Makes batches less random, and
            saves padding where rows are not packed (`padded`, or `row_tokens: 0`), for which 8 to 16 is enough. It
            changes which pairs share a step, and does so in every layout: results do not depend on the layout.
        held_out: about this share of the pairs is not trained on, translations together; their loss and metrics by
            language and scope are in the log.
        eval_every: steps between two evaluations of what is held out, which also comes after the last step.
        patience: evaluations without a lower loss of what is held out after which a stage ends; 0 for never. The model
            is then that of the lowest, also where the stage comes to its end. It is refused where nothing is held out.
        watch: which loss that is: the `mean` over all that is held out, or that of its `worst` group, the language and
            scope where it is highest.
        weight_decay: of AdamW.
        betas: of AdamW.
        max_grad_norm: gradients are clipped to this norm; 0 for never.
        log_every: steps between two lines of the log.
        report_to: trackers that get the log too, none unless named. TensorBoard writes into the run folder, `runs/`;
            the others send it where their own settings say, and that is the only thing that a training sends.
        save_every: steps between two checkpoints, 0 for none; Ctrl-C always writes one. Each holds weights and
            optimiser: 12 bytes a trained parameter.
        save_precision: of the weights of the finished model: `fp32` keeps every digit, `bf16` half the size, `base`
            as the base's files have it.
        groups: weights of languages and scopes in the loss, whatever the method; None counts every pair alike.
        adapter: train low-rank adapters instead of all weights.
    """

    batch_size: int = Field(default=32, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1, json_schema_extra=SAME_RESULT)
    micro_tokens: int | None = Field(default=None, ge=1, json_schema_extra=SAME_RESULT)
    max_length: int = Field(default=2048, ge=2)
    precision: Literal["auto", "bf16", "fp32", "fp64"] = "auto"
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2", "flex_attention"] = "auto"
    gradient_checkpointing: bool = Field(default=False, json_schema_extra=SAME_RESULT)
    layout: Literal["auto", "trees", "flat", "padded"] = "trees"
    row_tokens: int = Field(default=512, ge=0, json_schema_extra=SAME_RESULT)
    length_horizon: int = Field(default=0, ge=0)
    held_out: float = Field(default=0.0, ge=0, lt=1)
    eval_every: int = Field(default=50, ge=1)
    patience: int = Field(default=0, ge=0)
    watch: Literal["mean", "worst"] = "mean"
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    max_grad_norm: float = Field(default=1.0, ge=0)
    log_every: int = Field(default=10, ge=1, json_schema_extra=SAME_RESULT)
    report_to: tuple[TRACKERS, ...] = Field(default=(), json_schema_extra=SAME_RESULT)
    save_every: int = Field(default=0, ge=0, json_schema_extra=SAME_RESULT)
    save_precision: Literal["base", "fp32", "bf16"] = "base"
    groups: GroupsConfig | None = None
    adapter: AdapterConfig | None = None

    @field_validator("patience")
    @classmethod
    def _has_pairs_to_wait_for(cls, patience: int, known: ValidationInfo) -> int:
        if patience and known.data.get("held_out") == 0:
            raise InputError("nothing is held out, so that no stage would end by it", fix="set training.held_out too")
        return patience

    @field_validator("watch")
    @classmethod
    def _has_an_end_to_watch_for(cls, watch: str, known: ValidationInfo) -> str:
        if watch != "mean" and known.data.get("patience") == 0:
            raise InputError("no stage ends early, so that nothing is watched", fix="set training.patience too")
        return watch

    def result_settings(self) -> dict[str, Any]:
        """Plain values of the fields that change the model which is trained: all but those marked `SAME_RESULT`."""
        fields = type(self).model_fields
        same = {name for name, field in fields.items() if field.json_schema_extra == SAME_RESULT}
        if not self.patience:
            same.add("watch")  # which nothing does
        return self.model_dump(mode="json", exclude=same)


class MethodConfig(Settings):
    """Everything that shapes an alignment, besides method, base, pairs and seed.

    Read and written with a section for each recipe, and one for all of them:

        {"sft": {...}, "dpo_ift": {"beta": 0.3}, "training": {"batch_size": 8}}

    Sections and keys that are absent have the values that their method declares, which are for models of about 8 B
    parameters. The paper's own values (its appendix D) are not known to us: these follow public near-replications and
    are ours. SFT 2e-5 with a cosine schedule; DPO 5e-7, batch 32, 2 epochs, with beta 0.1, the usual one (0.5 has been
    reported for Aya 23 8B, arXiv 2407.02552).

    Attributes:
        recipes: section -> how the stages that name it learn.
        training: how all of them are computed.
    """

    recipes: dict[str, Recipe]
    training: TrainingConfig

    @model_validator(mode="before")
    @classmethod
    def _from_sections(cls, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return content
        defaults = {name: recipe.model_dump() for name, recipe in METHODS.sections().items()}
        found = cls.written_as().model_validate(overlay(defaults, content))  # its errors name sections and keys
        return {"recipes": {name: getattr(found, name) for name in defaults}, "training": vars(found)["training"]}

    @model_serializer
    def _as_sections(self, info: SerializationInfo) -> dict[str, Any]:
        recipes = {name: recipe.model_dump(mode=info.mode) for name, recipe in self.recipes.items()}
        return {**recipes, "training": self.training.model_dump(mode=info.mode)}

    @classmethod
    def written_as(cls) -> type[BaseModel]:
        """A model whose fields are the sections: those of every method, and `training`."""
        return _model_of(tuple((name, type(recipe)) for name, recipe in METHODS.sections().items()))

    def recipe(self, stage: Stage) -> Recipe:
        """How a stage learns."""
        return self.recipes[stage.section]

    def of(self, stages: Iterable[Stage]) -> MethodConfig:
        """The settings with the recipes of these stages alone."""
        return self.model_copy(update={"recipes": {stage.section: self.recipe(stage) for stage in stages}})

    def result_settings(self) -> dict[str, Any]:
        """Plain values of all that changes the model which is trained, for the key of a training.

        What only says how it is computed, logged or saved on the way is not in it (see `TrainingConfig`).
        """
        return {**self.model_dump(mode="json"), "training": self.training.result_settings()}


@cache
def _model_of(sections: tuple[tuple[str, type[Recipe]], ...]) -> type[Settings]:
    fields: dict[str, Any] = {name: (recipe, ...) for name, recipe in sections}
    return create_model("Sections", __base__=Settings, training=(TrainingConfig, TrainingConfig()), **fields)


def presets() -> list[str]:
    """Names of the presets that ship."""
    folder = resources.files("alignment_prism.training") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_config(source: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> MethodConfig:
    """The settings of a preset or of a YAML file.

    Args:
        source: name of a preset (`nano`), or path of a YAML file, which need only name what differs from the
            defaults of `MethodConfig`; None takes the preset `aya-23-8b`.
        overrides: dotted key -> value, applied last (`{"training.batch_size": 16}`).

    Raises:
        InputError: there is no such preset or file, or a key or value is wrong: file, line, key, value and remedy.
    """
    document = _document(DEFAULT_PRESET if source is None else source)
    for key, value in (overrides or {}).items():
        document.override(key.split("."), value)
    content = document.mapping(fix="write keys such as sft: and training:") if document.content is not None else {}
    return validated(MethodConfig, content, document)


def dump_config(config: MethodConfig) -> str:
    """The settings as YAML that `load_config` reads back."""
    import yaml

    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _document(source: str | Path) -> YamlDocument:
    if str(source) in presets():
        entry = resources.files("alignment_prism.training") / "presets" / f"{source}.yaml"
        return YamlDocument(entry.read_text(encoding="utf-8"), f"preset {source}")
    if not Path(source).is_file():
        fix = f"name a YAML file or one of the presets: {', '.join(presets())}"
        raise InputError(f"no such preset, and no such file: {source}", fix=fix)
    return YamlDocument.from_file(source)
