"""Real trainings of a tiny model: what a run leaves, exact metrics, resume, interruption, faults."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.calls.journal import journal_line
from alignment_prism.domain import InputError, ModelError, Pair, StoreError, TrainingError
from alignment_prism.store import verify
from alignment_prism.training import METHODS, MethodConfig, TrainingInterrupted, load_config
from alignment_prism.training.settings import ENGINES
from alignment_prism.training.train import train_method

OVERRIDES = {"training.precision": "fp32", "training.batch_size": 16, "training.log_every": 2}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training from a folder must never open a connection to anywhere."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a training reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def config() -> MethodConfig:
    return load_config("micro", OVERRIDES)


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def _same(left: Path, right: Path) -> bool:
    import torch

    ours, theirs = _weights(left), _weights(right)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def _steps(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["event"] == "step"]


def test_dpo_sft_leaves_a_complete_run(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from alignment_prism.store import verify

    told: list[tuple[int, int, str]] = []
    result = train_method(
        "dpo_sft",
        base=tiny_model,
        pairs=pairs,
        out=tmp_path / "run",
        config=config,
        seed=1,
        progress=lambda *news: told.append(news),
    )
    run = tmp_path / "run"
    assert verify(run).kind == "training"
    assert not (tmp_path / "run.unfinished").exists()
    present = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {
        "log.jsonl", "config.yaml", "result.json", "manifest.json", "model/model.safetensors", "model/config.json",
        "model/tokenizer.json", "model/chat_template.jinja", "model/README.md",
    } <= present  # fmt: skip
    assert not [name for name in present if name.endswith((".bin", ".pt", ".pth", ".pkl"))]  # nothing pickled
    stages = METHODS["dpo_sft"].stages
    assert load_config(run / "config.yaml").of(stages) == config.of(stages)
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    for fact in (
        "DPO(SFT)",
        str(tiny_model),
        result.base_weights,
        result.pairs[:16],
        "| seed | 1 |",
        "transformers 5.",
    ):
        assert fact in card
    assert AutoTokenizer.from_pretrained(run / "model").chat_template
    assert AutoModelForCausalLM.from_pretrained(run / "model").config.model_type == "cohere"
    assert [stage.name for stage in result.stages] == ["sft", "dpo"]
    assert result.weights != result.base_weights
    assert (told[-1][0], told[-1][1]) == (3, 3) and "DPO(SFT), dpo" in told[-1][2] and "left" in told[-1][2]
    assert any("reference" in message for _, _, message in told)


def test_a_finished_run_is_returned_and_one_with_other_settings_refused(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    first = train_method("sft", base=tiny_model, pairs=pairs[:16], out=tmp_path / "run", config=config)
    before = (tmp_path / "run" / "log.jsonl").stat().st_mtime_ns
    assert train_method("sft", base=tiny_model, pairs=pairs[:16], out=tmp_path / "run", config=config) == first
    assert (tmp_path / "run" / "log.jsonl").stat().st_mtime_ns == before
    with pytest.raises(StoreError, match="other settings"):
        train_method("sft", base=tiny_model, pairs=pairs[:16], out=tmp_path / "run", config=config, seed=9)


def test_metrics_are_exact_sums_over_every_pair(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    # 45 pairs in batches of 16: the last step is smaller, where means of means go wrong.
    result = train_method("dpo_ift", base=tiny_model, pairs=pairs[:45], out=tmp_path / "run", config=config)
    stage = result.stages[0]
    counted = {(row["language"], row["scope"]): row["metrics"]["loss"][1] for row in stage.groups}
    expected: dict[tuple[str, str], float] = {}
    for pair in pairs[:45]:
        group = (pair.language, pair.scope.value if pair.scope else "none")
        expected[group] = expected.get(group, 0) + 1
    assert counted == expected
    assert {row["language"]: row["trained"] for row in stage.counts} == {"en": 15, "ru": 15, "hi": 15}
    logged = sum(cell["metrics"]["loss"][0] for line in _steps(tmp_path / "run") for cell in line["groups"])
    assert math.isclose(logged, stage.sums.pooled()["loss"][0], rel_tol=1e-9)
    assert [line["step"] for line in _steps(tmp_path / "run")] == [2, 3]


def test_the_first_dpo_loss_is_ln_2(tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path) -> None:
    frozen = load_config("micro", {"training.precision": "fp32", "dpo_ift.warmup": 0.9})
    train_method("dpo_ift", base=tiny_model, pairs=pairs, out=tmp_path / "run", config=frozen)
    assert _steps(tmp_path / "run")[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)  # at rate 0 nothing has moved


def test_wrong_references_stop_the_training(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    store = tmp_path / "references"
    train_method("dpo_ift", base=tiny_model, pairs=pairs, out=tmp_path / "a", config=config, references=store)
    (journal,) = store.glob("*.jsonl")
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2 * len(pairs)
    # 0.01 nats on a whole reply are enough to be noticed; a line whose checksum is wrong would be computed anew.
    journal.write_bytes(b"".join(journal_line(line["key"], line["value"] + 0.01) + b"\n" for line in lines))
    with pytest.raises(TrainingError, match="policy and reference differ"):
        train_method("dpo_ift", base=tiny_model, pairs=pairs, out=tmp_path / "b", config=config, references=store)


def test_a_tracker_gets_the_log_where_it_is_named(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reporting = load_config("micro", {**OVERRIDES, "training.report_to": ["tensorboard"]})
    train_method("sft", base=tiny_model, pairs=pairs, out=tmp_path / "told", config=reporting)
    train_method("sft", base=tiny_model, pairs=pairs, out=tmp_path / "untold", config=config)
    assert _same(tmp_path / "told" / "model", tmp_path / "untold" / "model")
    assert not (tmp_path / "untold" / "runs").exists()
    verify(tmp_path / "told")
    (events,) = (tmp_path / "told" / "runs").rglob("events.out.tfevents.*")
    tracked = EventAccumulator(str(events.parent))
    tracked.Reload()
    steps = _steps(tmp_path / "told")
    losses = {one.step: one.value for one in tracked.Scalars("train/loss")}
    assert losses == pytest.approx({step["step"]: step["loss"] for step in steps}, rel=1e-4)
    worst = [one.value for one in tracked.Scalars("train/worst_loss")]
    assert worst == pytest.approx([step["worst"]["loss"] for step in steps], rel=1e-4)
    assert "train/en-local/loss" in tracked.Tags()["scalars"]
    absent = load_config("micro", {**OVERRIDES, "training.report_to": ["trackio"]})
    with pytest.raises(TrainingError, match="trackio, which is not installed"):
        train_method("sft", base=tiny_model, pairs=pairs, out=tmp_path / "absent", config=absent)
    assert not (tmp_path / "absent").exists()


def test_stored_references_give_the_same_training(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    store = tmp_path / "references"
    train_method("dpo_ift", base=tiny_model, pairs=pairs, out=tmp_path / "a", config=config, references=store)
    told: list[str] = []
    train_method(
        "dpo_ift",
        base=tiny_model,
        pairs=pairs,
        out=tmp_path / "b",
        config=config,
        references=store,
        progress=lambda step, total, message: told.append(message),
    )
    assert not any("reference" in message for message in told)
    assert _same(tmp_path / "a" / "model", tmp_path / "b" / "model")


@pytest.mark.parametrize("method", ["sft", "dpo_ift"])
def test_a_resumed_training_equals_an_uninterrupted_one(
    method: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    import signal

    # Two epochs of six steps; the stop falls into the second one, between two lines of the log.
    config = load_config(
        "micro",
        {"training.precision": "fp32", "training.log_every": 3, "training.micro_batch_size": 4,
         "sft.epochs": 2, "dpo_ift.epochs": 2},
    )  # fmt: skip

    def stop_at_eight(step: int, total: int, message: str) -> None:
        if step == 8 and "reference" not in message:
            signal.raise_signal(signal.SIGINT)

    options: dict[str, Any] = {"base": tiny_model, "pairs": pairs, "config": config, "seed": 4}
    whole = train_method(method, out=tmp_path / "whole", **options)
    with pytest.raises(TrainingInterrupted, match="stopped after step 8 of 12") as stopped:
        train_method(method, out=tmp_path / "parts", progress=stop_at_eight, **options)
    assert stopped.value.folder == tmp_path / "parts.unfinished"
    assert not (tmp_path / "parts").exists()
    parts = train_method(method, out=tmp_path / "parts", **options)
    assert _same(tmp_path / "whole" / "model", tmp_path / "parts" / "model")
    ours, theirs = whole.stages[0].sums.totals, parts.stages[0].sums.totals
    for group, metrics in ours.items():
        for name, cell in metrics.items():
            assert theirs[group][name] == pytest.approx(cell, rel=1e-9)


def test_resuming_with_other_settings_is_refused_and_restarting_is_not(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    (tmp_path / "run.unfinished" / "sft" / "checkpoint-3").mkdir(parents=True)
    (tmp_path / "run.unfinished" / "key").write_text("another", encoding="utf-8")
    with pytest.raises(StoreError, match="unfinished training with other settings"):
        train_method("sft", base=tiny_model, pairs=pairs[:16], out=tmp_path / "run", config=config)
    train_method("sft", base=tiny_model, pairs=pairs[:16], out=tmp_path / "run", config=config, resume=False)


def test_a_checkpoint_that_was_cut_off_is_not_taken(tmp_path: Path) -> None:
    from alignment_prism.training.callbacks import last_checkpoint

    for step, complete in ((2, True), (10, True), (12, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if complete:
            (tmp_path / f"checkpoint-{step}" / "complete").touch()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"


def test_dpo_sft_goes_on_from_a_given_sft_model(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    sft = train_method("sft", base=tiny_model, pairs=pairs, out=tmp_path / "sft", config=config)
    whole = train_method("dpo_sft", base=tiny_model, pairs=pairs, out=tmp_path / "whole", config=config)
    parts = train_method(
        "dpo_sft", base=tiny_model, pairs=pairs, out=tmp_path / "parts", config=config, sft_checkpoint=sft.model
    )
    assert [stage.name for stage in parts.stages] == ["dpo"]
    assert parts.weights == whole.weights
    with pytest.raises(InputError, match="a single stage"):
        train_method("dpo_ift", base=tiny_model, pairs=pairs, out=tmp_path / "x", sft_checkpoint=sft.model)


@pytest.mark.parametrize("merge", [True, False])
def test_a_lora_run_saves_a_model_that_loads_and_has_learnt(
    merge: bool, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    config = load_config(
        "micro",
        {"training.adapter": {"rank": 4, "alpha": 8, "merge": merge}, "training.precision": "fp32",
         "dpo_ift.learning_rate": 3e-3},
    )  # fmt: skip
    train_method("dpo_ift", base=tiny_model, pairs=pairs, out=tmp_path / "run", config=config)
    folder = tmp_path / "run" / "model"
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    ids = torch.arange(6, 30)[None]
    before = base(ids).logits
    tuned: Any
    if merge:
        tuned = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        assert not list(folder.glob("adapter*"))
    else:
        assert not list(folder.glob("model.safetensors"))
        tuned = PeftModel.from_pretrained(base, folder)
    assert float((tuned(ids).logits - before).detach().abs().max()) > 1e-3
    assert _steps(tmp_path / "run")[-1]["loss"] < math.log(2)


def test_sft_random_differs_from_sft_and_both_raise_the_likelihood_of_what_they_imitate(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    config = load_config("micro", {"training.precision": "fp32", "sft.epochs": 4, "sft.learning_rate": 3e-3})
    runs = {
        name: train_method(name, base=tiny_model, pairs=pairs, out=tmp_path / name, config=config)
        for name in ("sft", "sft_random")
    }
    assert runs["sft"].weights != runs["sft_random"].weights
    for name in runs:
        losses = [line["loss"] for line in _steps(tmp_path / name)]
        assert losses[-1] < 0.9 * losses[0]


def test_a_loss_that_is_not_finite_stops_the_training(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    wild = load_config("micro", {"training.precision": "fp32", "sft.learning_rate": 1e30, "training.max_grad_norm": 0})
    with pytest.raises(TrainingError, match="not finite at step"):
        train_method("sft", base=tiny_model, pairs=pairs, out=tmp_path / "run", config=wild)
    assert not (tmp_path / "run").exists()


def test_bases_that_cannot_be_trained_are_refused(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        train_method("sft", base=bare, pairs=pairs, out=tmp_path / "run", config=config)
    with pytest.raises(ModelError, match="model folder does not exist"):
        train_method("sft", base=tmp_path / "absent", pairs=pairs, out=tmp_path / "run", config=config)
    (bare / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no safetensors"):
        train_method("sft", base=bare, pairs=pairs, out=tmp_path / "run", config=config)
    with pytest.raises(InputError, match="no pair"):
        train_method("sft", base=tiny_model, pairs=[], out=tmp_path / "run", config=config)
    assert list(tmp_path.iterdir()) == [bare]


def test_a_batch_that_cannot_be_split_is_refused(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    uneven = load_config("micro", {"training.batch_size": 8, "training.micro_batch_size": 3})
    with pytest.raises(InputError, match="micro-batches of 3"):
        train_method("sft", base=tiny_model, pairs=pairs, out=tmp_path / "run", config=uneven)
    assert list(tmp_path.glob("run*")) == []  # nothing was computed, so nothing is in the corrected command's way
    mended = load_config("micro", {"training.batch_size": 8, "training.micro_batch_size": 4})
    train_method("sft", base=tiny_model, pairs=pairs[:8], out=tmp_path / "run", config=mended)


def test_micro_batches_do_not_change_what_is_learnt(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    import torch

    found = {}
    for micro in (8, 2):
        config = load_config(
            "micro",
            {"training.precision": "fp64", "training.micro_batch_size": micro, "training.save_precision": "fp32",
             "training.length_horizon": 1},
        )  # fmt: skip
        out = tmp_path / f"micro-{micro}"
        # 45 pairs: the last batch has 5 of 8, spread over micro-batches of 2, 2 and 1.
        train_method("dpo_ift", base=tiny_model, pairs=pairs[:45], out=out, config=config)
        found[micro] = _weights(out / "model")
    for name, tensor in found[8].items():
        assert torch.allclose(tensor, found[2][name], rtol=0, atol=1e-6), name


def test_pairs_of_unknown_language_are_trained_and_counted(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    unknown = [dataclasses.replace(pair, language="und", scope=None) for pair in pairs[:16]]
    result = train_method("sft", base=tiny_model, pairs=unknown, out=tmp_path / "run", config=config)
    assert list(result.stages[0].sums) == [("und", "none")]


@pytest.mark.parametrize("method", ["sft", "dpo_ift"])
def test_both_engines_train_the_same(
    method: str, tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    import torch

    for engine in ENGINES:
        train_method(method, engine=engine, base=tiny_model, pairs=pairs, out=tmp_path / engine, config=config)
    ours = _weights(tmp_path / "transformers" / "model")
    for name, tensor in _weights(tmp_path / "trl" / "model").items():
        assert torch.allclose(tensor, ours[name], rtol=0, atol=1e-6), name


def test_every_layout_trains_the_same_pairs_in_the_same_steps(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    """Sorted by length over three batches, of pairs whose prompts and replies differ in length."""
    long = [dataclasses.replace(pair, chosen=" ".join([pair.chosen] * (1 + n % 5))) for n, pair in enumerate(pairs)]
    found = []
    for layout, row_tokens in (("padded", 0), ("trees", 0), ("trees", 96), ("flat", 0)):
        settings = {"layout": layout, "row_tokens": row_tokens, "precision": "fp64", "length_horizon": 3}
        config = load_config("micro", {f"training.{key}": value for key, value in settings.items()})
        out = tmp_path / f"{layout}-{row_tokens}"
        train_method("dpo_ift", base=tiny_model, pairs=long, out=out, config=config)
        found.append(_weights(out / "model"))
        (start,) = (json.loads(line) for line in (out / "log.jsonl").read_text().splitlines() if '"start"' in line)
        assert start["layout"] == layout
    base = _weights(tiny_model)
    moved = math.sqrt(sum(float((found[0][name] - base[name]).double().pow(2).sum()) for name in base))
    for other in found[1:]:
        away = math.sqrt(sum(float((found[0][name] - other[name]).double().pow(2).sum()) for name in base))
        assert away < 1e-3 * moved  # AdamW amplifies what rounding does to the smallest gradients
