"""A stage in its corners: references kept apart, short schedules, empty replies, seeds, logs, saved precision."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment_prism.domain import InputError, Pair, StoreError
from alignment_prism.training import TrainingInterrupted, load_config
from alignment_prism.training.train import train_method


def _train(method: str, base: Path, pairs: list[Pair], out: Path, settings: dict[str, Any], **options: Any) -> Any:
    config = load_config("micro", {"training.precision": "fp32", **settings})
    return train_method(method, **options, base=base, pairs=pairs, out=out, config=config)


def _make_pairs() -> Any:
    """The maker of pairs of conftest.py, which cannot be imported by name."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("tiny_models", Path(__file__).with_name("conftest.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_pairs


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def _same(left: Path, right: Path) -> bool:
    ours, theirs = _weights(left), _weights(right)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def _log(folder: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["event"] == event]


def test_references_of_adapters_are_not_those_of_a_full_training_in_bfloat16(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    store = tmp_path / "references"
    options: dict[str, Any] = {"references": store}
    adapter = {"rank": 4, "alpha": 8}
    for number, (precision, settings, spaces) in enumerate(
        [
            ("bf16", {}, 1),
            ("bf16", {"training.adapter": adapter}, 2),  # weights are held in bfloat16, no longer in float32
            ("fp32", {}, 3),
            ("fp32", {"training.adapter": adapter}, 3),  # the same numbers
        ]
    ):
        settings = {"training.precision": precision, **settings}
        _train("dpo_ift", tiny_model, pairs[:8], tmp_path / f"run-{number}", settings, **options)
        assert len(list(store.glob("*.jsonl"))) == spaces
        assert _log(tmp_path / f"run-{number}", "step")[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)


@pytest.mark.parametrize(
    ("engine", "schedule"),
    [("trl", "linear"), ("transformers", "linear"), ("transformers", "cosine"), ("transformers", "constant")],
)
def test_a_run_of_a_single_step_learns(
    engine: str, schedule: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    result = _train("sft", tiny_model, pairs[:8], tmp_path / "run", {"sft.schedule": schedule}, engine=engine)
    assert result.stages[0].steps == 1
    assert _log(tmp_path / "run", "step")[0]["learning_rate"] > 0
    assert not _same(tiny_model, result.model)


def test_longer_schedules_warm_up_from_0_as_transformers_does(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    settings = {"training.batch_size": 2, "sft.warmup": 0.12, "sft.learning_rate": 1e-3}
    _train("sft", tiny_model, pairs[:40], tmp_path / "run", settings)
    rates = [line["learning_rate"] for line in _log(tmp_path / "run", "step")]
    # 20 steps, of which ceil(0.12 * 20) = 3 warm up; then down in a line to 0 after the last.
    assert rates == pytest.approx([1e-3 * step / 3 for step in range(3)] + [1e-3 * (20 - n) / 17 for n in range(3, 20)])


ENDLESS = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}<|bot|>{{ message['content'] }}"
    "{% else %}<|{{ message['role'] }}|>{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|bot|>{% endif %}"
)


@pytest.mark.parametrize(
    ("engine", "layout"),
    [("trl", "padded"), ("transformers", "padded"), ("transformers", "trees"), ("transformers", "flat")],
)
@pytest.mark.parametrize("method", ["sft", "dpo_ift"])
def test_replies_without_a_token_are_trained_on_without_harm(
    method: str, layout: str, engine: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    (base / "chat_template.jinja").write_text(ENDLESS.replace("['content']", "['content']|trim"), encoding="utf-8")
    some = [dataclasses.replace(pairs[0], chosen=" ", rejected="  ", id="empty"), *pairs[1:4]]
    settings = {"training.layout": layout, "training.batch_size": 1, "training.log_every": 1}
    result = _train(method, base, some, tmp_path / "run", settings, engine=engine)
    losses = [line["loss"] for line in _log(tmp_path / "run", "step")]
    assert len(losses) == 4
    if method == "sft":  # a step of no token has no mean, and the weights stay numbers
        assert losses.count(None) == 1 and all(loss > 0 for loss in losses if loss is not None)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in _weights(result.model).values())


def test_another_seed_is_another_order_and_another_toss(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    orders: dict[int, Any] = {}
    for seed in (1, 2):
        out = tmp_path / f"sft-{seed}"
        settings = {"training.batch_size": 4, "sft.learning_rate": 1e-12}
        _train("sft", tiny_model, pairs[:24], out, settings, seed=seed)
        orders[seed] = [line["loss"] for line in _log(out, "step")]
    assert orders[1] != pytest.approx(orders[2], rel=1e-3)
    tosses = []
    for seed in (1, 2):
        out = tmp_path / f"random-{seed}"
        result = _train("sft_random", tiny_model, pairs[:24], out, {"sft.learning_rate": 1e-12}, seed=seed)
        tosses.append(result.stages[0].sums.pooled()["loss"])
    assert tosses[0] != pytest.approx(tosses[1], rel=1e-3)  # over all pairs: the order makes no difference to it


@pytest.mark.parametrize(("asked", "stored"), [("bf16", torch.bfloat16), ("fp32", torch.float32), ("base", None)])
def test_weights_are_saved_in_the_precision_that_is_asked_for(
    asked: str, stored: torch.dtype | None, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    result = _train("sft", tiny_model, pairs[:8], tmp_path / "run", {"training.save_precision": asked})
    expected = stored or next(iter(_weights(tiny_model).values())).dtype
    assert {tensor.dtype for tensor in _weights(result.model).values()} == {expected}
    named = json.loads((result.model / "config.json").read_text(encoding="utf-8"))["dtype"]
    assert named == str(expected).removeprefix("torch.")


def _interrupt_at(step: int) -> Any:
    import signal

    def stop(now: int, total: int, message: str) -> None:
        if now == step and "reference" not in message:
            signal.raise_signal(signal.SIGINT)

    return stop


def test_a_resumed_dpo_without_its_references_is_refused(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    store = tmp_path / "references"
    with pytest.raises(TrainingInterrupted):
        _train("dpo_ift", tiny_model, pairs[:24], tmp_path / "run", {}, references=store, progress=_interrupt_at(2))
    shutil.rmtree(store)
    with pytest.raises(InputError, match="references of 24 pairs are gone"):
        _train("dpo_ift", tiny_model, pairs[:24], tmp_path / "run", {}, references=store)


def _reference_batches(
    told: list[tuple[int, int]], at: int | None = None, fault: type[BaseException] | None = None
) -> Any:
    """Notes batches of the reference pass, and at one of them asks to stop, or dies."""
    import signal

    def watch(now: int, total: int, message: str) -> None:
        if "reference" in message:
            told.append((now, total))
            if now == at and fault is None:
                signal.raise_signal(signal.SIGINT)
            elif now == at:
                raise fault

    return watch


def test_ctrl_c_in_the_reference_pass_stops_there_and_loses_nothing(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    settings = {"training.micro_batch_size": 2, "training.precision": "bf16"}  # which company matters for
    whole = _train("dpo_ift", tiny_model, pairs[:48], tmp_path / "whole", settings)
    told: list[tuple[int, int]] = []
    with pytest.raises(TrainingInterrupted, match="stopped after step 0 of 6") as stopped:
        progress = _reference_batches(told, at=3)
        _train("dpo_ift", tiny_model, pairs[:48], tmp_path / "parts", settings, progress=progress)
    assert told == [(1, 24), (2, 24), (3, 24)]
    assert stopped.value.folder == tmp_path / "parts.unfinished"
    with pytest.raises(SystemError):  # killed in the 18th of the 21 that are left: 16 of them are written down
        progress = _reference_batches(told, at=18, fault=SystemError)
        _train("dpo_ift", tiny_model, pairs[:48], tmp_path / "parts", settings, progress=progress)
    told.clear()
    parts = _train("dpo_ift", tiny_model, pairs[:48], tmp_path / "parts", settings, progress=_reference_batches(told))
    assert told == [(n, 5) for n in range(1, 6)]
    assert _same(whole.model, parts.model)


def test_seeds_share_references_in_bfloat16(tiny_model: Path, tmp_path: Path) -> None:
    """Packed with others, a reply's log-probability differs by what bfloat16 rounds, and that is no fault."""
    long = _make_pairs()(8, seed=3, words=40)
    settings = {
        "training.precision": "bf16", "training.attention": "sdpa", "training.micro_batch_size": 2,
        "training.row_tokens": 1024, "training.max_length": 500, "training.length_horizon": 0, "dpo_ift.beta": 1.0,
    }  # fmt: skip
    off = {}
    for seed in (0, 2):
        told: list[tuple[int, int]] = []
        _train(
            "dpo_ift", tiny_model, long, tmp_path / f"seed-{seed}", settings, seed=seed,
            references=tmp_path / "references", progress=_reference_batches(told),
        )  # fmt: skip
        assert bool(told) == (seed == 0)
        first = _log(tmp_path / f"seed-{seed}", "step")[0]["groups"]
        off[seed] = sum(abs(row["metrics"]["margin"][0]) for row in first)
    assert off[2] > 0  # policy and references did not meet in the same company


@pytest.mark.parametrize(("launched", "precision"), [("bf16", "fp32"), ("fp16", "bf16"), ("bf16", "fp64")])
def test_a_launcher_that_computes_in_another_precision_is_refused_before_anything_is_done(
    launched: str, precision: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    with pytest.raises(InputError, match=f"the launcher computes in {launched}, and the settings say {precision}"):
        _train("sft", tiny_model, pairs[:8], tmp_path / "run", {"training.precision": precision})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    _train("sft", tiny_model, pairs[:8], tmp_path / "run", {"training.precision": "bf16"})


def test_deepspeed_is_not_asked_to_train_in_float64(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(InputError, match="DeepSpeed trains no weights in float64"):
        _train("sft", tiny_model, pairs[:8], tmp_path / "run", {"training.precision": "fp64"})
    assert list(tmp_path.iterdir()) == []


LAYOUTS: list[dict[str, Any]] = [
    {"training.layout": "trees", "training.row_tokens": 96},
    {"training.layout": "flat"},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["rows", "flat"])
@pytest.mark.parametrize("method", ["sft", "dpo_ift"])
def test_the_packed_engine_resumes_to_the_same_weights_and_keeps_how_it_started(
    method: str, layout: dict[str, Any], tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    settings = {**layout, "training.log_every": 3, "training.micro_batch_size": 4, "sft.epochs": 2, "dpo_ift.epochs": 2}
    options: dict[str, Any] = {"seed": 4}
    whole = _train(method, tiny_model, pairs[:32], tmp_path / "whole", settings, **options)
    for step in (3, 6):  # twice, the second time in the second epoch
        with pytest.raises(TrainingInterrupted, match=f"stopped after step {step} of 8"):
            _train(
                method, tiny_model, pairs[:32], tmp_path / "parts", settings, **options, progress=_interrupt_at(step)
            )
    parts = _train(method, tiny_model, pairs[:32], tmp_path / "parts", settings, **options)
    assert _same(whole.model, parts.model)
    (start,) = _log(tmp_path / "parts", "start")
    assert start["counts"] == _log(tmp_path / "whole", "start")[0]["counts"]
    assert [line["step"] for line in _log(tmp_path / "parts", "resume")] == [3, 6]
    for group, metrics in whole.stages[0].sums.totals.items():
        for name, cell in metrics.items():
            assert parts.stages[0].sums.totals[group][name] == pytest.approx(cell, rel=1e-9)


def _weights_of_groups(folder: Path) -> list[list[float]]:
    lines = _log(folder, "step")
    cells = [[row["metrics"]["weight"] for row in line["groups"]] for line in lines]
    return [[total / count for total, count in row] for row in cells]


def test_an_objective_with_a_state_resumes_to_the_same_weights(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    settings = {
        "training.micro_batch_size": 4, "training.log_every": 1, "dpo_ift.learning_rate": 1e-3,
        "dpo_ift.epochs": 2, "dpo_ift.beta": 0.5, "training.groups.step_size": 2.0,
    }  # fmt: skip
    whole = _train("dpo_ift", tiny_model, pairs[:32], tmp_path / "whole", settings)
    for step in (3, 6):  # twice, the second time in the second epoch
        with pytest.raises(TrainingInterrupted, match=f"stopped after step {step} of 8"):
            options = {"progress": _interrupt_at(step)}
            _train("dpo_ift", tiny_model, pairs[:32], tmp_path / "parts", settings, **options)
    parts = _train("dpo_ift", tiny_model, pairs[:32], tmp_path / "parts", settings)
    assert _same(whole.model, parts.model)
    weights = _weights_of_groups(tmp_path / "whole")
    assert weights == _weights_of_groups(tmp_path / "parts")
    assert len(set(weights[0])) == 1 and max(weights[-1]) > 1.05 * min(weights[-1])  # equal at first, then they moved


@pytest.mark.parametrize("method", ["dpo_ift", "sft"])  # a mean over pairs, and one over tokens
def test_micro_batches_do_not_change_what_groups_with_weights_learn(
    method: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    found = []
    for micro in (8, 2):
        settings = {
            "training.precision": "fp64", "training.micro_batch_size": micro, "training.length_horizon": 1,
            f"{method}.learning_rate": 1e-3, f"{method}.epochs": 2, "training.groups": {"step_size": 2.0},
        }  # fmt: skip
        # 21 pairs: the last batch has 5 of 8, spread over micro-batches of 2, 2 and 1.
        result = _train(method, tiny_model, pairs[:21], tmp_path / f"micro-{micro}", settings)
        found.append(_weights(result.model))
    for name, tensor in found[0].items():
        assert torch.allclose(tensor, found[1][name], rtol=0, atol=1e-6), name


def test_settings_that_do_not_change_the_model_may_change_while_a_run_is_unfinished(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    settings = {"training.precision": "fp64", "training.length_horizon": 1}
    whole = _train("dpo_ift", tiny_model, pairs[:32], tmp_path / "whole", settings)
    with pytest.raises(TrainingInterrupted):
        _train("dpo_ift", tiny_model, pairs[:32], tmp_path / "parts", settings, progress=_interrupt_at(2))
    others = {
        "training.save_every": 1, "training.log_every": 1, "training.micro_batch_size": 2, "sft.epochs": 7,
        "training.gradient_checkpointing": True,
    }  # fmt: skip
    saved: list[Path] = []

    def look(step: int, total: int, message: str) -> None:
        saved.extend((tmp_path / "parts.unfinished").glob("*/checkpoint-3"))

    parts = _train("dpo_ift", tiny_model, pairs[:32], tmp_path / "parts", settings | others, progress=look)
    assert saved  # every step from the third on
    ours, theirs = _weights(parts.model), _weights(whole.model)
    assert all(torch.allclose(ours[name], theirs[name], rtol=0, atol=1e-6) for name in theirs)
    again = _train("dpo_ift", tiny_model, pairs[:32], tmp_path / "parts", settings)
    assert again.weights == parts.weights
    with pytest.raises(StoreError, match="other settings"):
        _train("dpo_ift", tiny_model, pairs[:32], tmp_path / "parts", settings | {"dpo_ift.beta": 0.7})


def test_a_run_killed_between_checkpoints_goes_on_from_the_last_one_with_exact_sums(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    # Checkpoints after steps 2 and 4, lines of the log after 3 and 6: the sums of steps 1 and 2, and of 4, are
    # written by the checkpoints. The process dies in step 5.
    settings = {"training.save_every": 2, "training.log_every": 3, "training.layout": "trees"}

    class Killed(BaseException):
        pass

    def kill(step: int, total: int, message: str) -> None:
        if step == 5 and "reference" not in message:
            raise Killed

    whole = _train("dpo_ift", tiny_model, pairs[:48], tmp_path / "whole", settings)
    with pytest.raises(Killed):
        _train("dpo_ift", tiny_model, pairs[:48], tmp_path / "parts", settings, progress=kill)
    assert (tmp_path / "parts.unfinished" / "dpo" / "checkpoint-4" / "complete").exists()
    parts = _train("dpo_ift", tiny_model, pairs[:48], tmp_path / "parts", settings)
    assert [line["step"] for line in _log(tmp_path / "parts", "resume")] == [4]
    assert _same(whole.model, parts.model)
    ours = parts.stages[0].sums.pooled()
    for name, cell in whole.stages[0].sums.pooled().items():
        assert ours[name] == pytest.approx(cell, rel=1e-9)
    assert ours["loss"][1] == 48


def test_a_run_killed_before_its_first_checkpoint_starts_its_log_anew(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    def kill(step: int, total: int, message: str) -> None:
        if step == 2:
            raise SystemError

    with pytest.raises(SystemError):
        _train("sft", tiny_model, pairs[:32], tmp_path / "run", {}, progress=kill)
    result = _train("sft", tiny_model, pairs[:32], tmp_path / "run", {})
    assert len(_log(tmp_path / "run", "start")) == 1 and not _log(tmp_path / "run", "resume")
    assert [line["step"] for line in _log(tmp_path / "run", "step")] == [1, 2, 3, 4]
    assert result.stages[0].sums.pooled()["loss"][1] > 0
