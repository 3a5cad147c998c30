"""Training by a method: the one entry, which everything that trains goes through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alignment_prism.domain import InputError, Pair
from alignment_prism.domain.progress import Progress
from alignment_prism.training.methods import find_method
from alignment_prism.training.results import TrainingResult
from alignment_prism.training.settings import DEFAULT_ENGINE, ENGINES, MethodConfig


def train_method(
    method: str,
    *,
    base: str | Path,
    pairs: Sequence[Pair],
    out: str | Path,
    config: MethodConfig | None = None,
    seed: int = 0,
    engine: str = DEFAULT_ENGINE,
    sft_checkpoint: str | Path | None = None,
    references: str | Path | None = None,
    resume: bool = True,
    progress: Progress | None = None,
    revision: str | None = None,
) -> TrainingResult:
    """Train a model on preference pairs.

    torch and transformers are imported when the method and its settings are known to be right.

    Args:
        method: name of one of `alignment_prism.training.METHODS`.
        base: folder of an instruction-tuned model, or its Hub id.
        pairs: to train on, in any order; those of unknown language are counted under `und`.
        out: the run folder to make: `model/` (safetensors, tokenizer, chat template, card), `log.jsonl`,
            `config.yaml`, `result.json`, `manifest.json`.
        config: settings; None takes those that the methods declare, for models of about 8 B parameters. Recipes of
            other methods than this one are not looked at.
        seed: of the data order, of SFT-Random's tosses and of adapters.
        engine: `transformers`, or `trl`, which needs the extra of that name. Both train
            on the same batches in the same order with the same losses: models differ by rounding.
        sft_checkpoint: folder of a model that the first stage of a method of several made of the same base and pairs
            (for `dpo_sft`, of an SFT-Preferred model): the method goes on from it instead of training that stage again.
        references: folder of reference log-probabilities, shared by runs from one base; None keeps them in the run.
        resume: go on with an unfinished run; False throws it away and begins anew.
        progress: called as `progress(step, total, message)`.
        revision: of a Hub id.

    Returns:
        The finished run. One that is finished already, with the same settings, is returned at once. Settings that
        do not change the model (`TrainingConfig.result_settings`) may be others than those it was begun with.

    Raises:
        InputError: no pair, a setting that does not fit, or an unknown method or engine.
        ModelError: the base cannot be trained: absent, no chat template, no safetensors.
        TrainingError: the engine is not installed, the loss is not finite, or policy and reference disagree before
            the first step.
        StoreError: `out` exists with other settings.
        TrainingInterrupted: Ctrl-C; the checkpoint is written, and the same call goes on.

    Example:
        >>> result = train_method("dpo_ift", base="models/aya-23-8b", pairs=pairs, out="runs/dpo_ift")
    """
    chosen = find_method(method)
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}", fix=f"use one of: {', '.join(ENGINES)}")
    if not pairs:
        raise InputError("the pool has no pair to train on", fix="check the pairs file and the mixture's share")
    if sft_checkpoint is not None and len(chosen.stages) == 1:
        fix = "leave out the SFT checkpoint"
        raise InputError(f"{chosen.title} is a single stage, which starts from the base", fix=fix)
    stages = chosen.stages if sft_checkpoint is None else chosen.stages[1:]
    config = (config or MethodConfig.model_validate({})).of(stages)
    adapter = config.training.adapter
    if adapter is not None and not adapter.merge and len(stages) > 1:
        raise InputError(
            f"{chosen.title} goes on from the model of its first stage, which an adapter that is kept apart is not",
            where="key training.adapter.merge",
            fix="set it to true; or train the first stage merged, and then the rest from it",
            settings={"overrides": "training.adapter.merge=true", "sft_checkpoint": "MODEL"},
        )
    from alignment_prism.training.backends import find_engine
    from alignment_prism.training.backends.arguments import check_trackers
    from alignment_prism.training.backends.quantised import check_quantised
    from alignment_prism.training.base_model import find_base
    from alignment_prism.training.run import Training, run_training

    check_trackers(config.training.report_to)
    check_quantised(None if adapter is None else adapter.bits)
    training = Training(
        method=chosen,
        stages=stages,
        engine=find_engine(engine),
        base=find_base(base, revision=revision),
        first=find_base(sft_checkpoint) if sft_checkpoint is not None else None,
        pairs=pairs,
        config=config,
        seed=seed,
        out=Path(out),
    )
    return run_training(training, references=references, resume=resume, progress=progress)
