"""KTO end to end: single replies and pairs in, the divergence over the whole batch, the same by every way to train."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from prism_command import prism

from alignment_prism.domain import InputError, Pair
from alignment_prism.io import write_records
from alignment_prism.training import Example, load_config
from alignment_prism.training.base_model import find_base, load_model
from alignment_prism.training.divergence import with_other_replies
from alignment_prism.training.examples import make_examples
from alignment_prism.training.objectives import each
from alignment_prism.training.train import train_method

EXACT: dict[str, Any] = {
    "training.precision": "fp64", "training.batch_size": 8, "training.length_horizon": 0, "training.max_grad_norm": 0,
    "kto.learning_rate": 1e-2, "kto.schedule": "constant", "kto.warmup": 0, "kto.beta": 0.1, "kto.undesirable": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def single(twelve_pairs: list[Pair]) -> list[Pair]:
    """Sixteen replies: eight of pairs, four that are good, four that are bad."""
    pairs = twelve_pairs
    good = [replace(pair, rejected="") for pair in pairs[4:8]]
    return [*pairs[:4], *good, *(replace(pair, chosen="") for pair in pairs[8:])]


def _logp(model: Any, example: Example) -> torch.Tensor:
    """Log-probability of a reply, by the model's own logits, alone."""
    ids = torch.tensor([[*example.prompt, *example.completions[0]]])
    logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    count = len(example.completions[0])
    return logps.gather(1, ids[0, 1:, None])[-count:].sum()


def _losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if line["event"] == "step"]


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def run(tiny_model: Path, single: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kto") / "run"
    train_method("kto", base=tiny_model, pairs=single, out=out, config=load_config("micro", EXACT))
    return out


def test_kto_learns_as_a_loop_written_by_hand(run: Path, tiny_model: Path, single: list[Pair]) -> None:
    """Two steps of eight replies: losses of plain KTO on each sequence alone, and AdamW of torch's own."""
    from alignment_prism.training.layouts.batches import OrderSampler

    base = find_base(tiny_model)
    examples = make_examples(single, [each(pair, 0) for pair in single], base.tokenizer, max_length=256).examples
    others = with_other_replies(examples, 0)
    order = OrderSampler([1] * 16, batch_size=8, micro_batch=8, horizon=0, seed=0, processes=1).order(0)
    model = load_model(tiny_model, "fp64", "eager")
    with torch.no_grad():
        known = [(_logp(model, one), _logp(model, other)) for one, other in zip(examples, others, strict=True)]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    expected, divergences = [], []
    for step in (order[:8], order[8:]):
        with torch.no_grad():
            moved = [_logp(model, others[index]) - known[index][1] for index in step]
        divergences.append(max(0.0, float(sum(moved)) / 8))
        loss = torch.zeros((), dtype=torch.float64)
        for index in step:
            gain = 0.1 * (_logp(model, examples[index]) - known[index][0] - divergences[-1])
            good = examples[index].label == 1
            loss = loss + (1 - gain.sigmoid() if good else 0.5 * (1 - (-gain).sigmoid())) / 8
        expected.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert divergences[1] > 0.01  # so that the second step tells whether it is in the loss
    assert _losses(run) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("engine", "changed"),
    [
        ("transformers", {"training.micro_batch_size": 2}),
        ("transformers", {"training.layout": "flat"}),
        ("transformers", {"training.layout": "padded"}),
        ("trl", {}),
    ],
)
def test_no_way_to_compute_changes_what_is_learnt(
    engine: str, changed: dict[str, Any], run: Path, tiny_model: Path, single: list[Pair], tmp_path: Path
) -> None:
    config = load_config("micro", {**EXACT, **changed})
    train_method("kto", engine=engine, base=tiny_model, pairs=single, out=tmp_path / "run", config=config)
    assert _losses(tmp_path / "run") == pytest.approx(_losses(run), rel=1e-6)
    expected, found = _weights(run), _weights(tmp_path / "run")
    assert max(float((expected[name] - found[name]).abs().max()) for name in expected) < 1e-4  # they moved by 2e-2


def test_kto_trains_adapters_and_resumes_where_it_was(
    tiny_model: Path, single: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignment_prism.training.callbacks import Watcher
    from alignment_prism.training.results import TrainingInterrupted

    config = load_config("micro", {**EXACT, "training.adapter": {"rank": 4, "alpha": 8}})
    options: dict[str, Any] = {"base": tiny_model, "pairs": single, "config": config}
    whole = train_method("kto", out=tmp_path / "whole", **options)
    asked = Watcher.all_agree_to_stop
    monkeypatch.setattr(Watcher, "all_agree_to_stop", lambda self: self._first_step == 0 and self._began > 0)
    with pytest.raises(TrainingInterrupted):
        train_method("kto", out=tmp_path / "run", **options)
    monkeypatch.setattr(Watcher, "all_agree_to_stop", asked)
    resumed = train_method("kto", out=tmp_path / "run", **options)
    assert resumed.weights == whole.weights != whole.base_weights


def test_replies_of_a_file_with_labels_are_trained_through_the_command(tiny_model: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": "how can the old river", "completion": "carry a small boat", "label": True, "language": "en"},
        {"prompt": "how can a boat", "completion": "many stones", "label": False, "language": "en"},
    ]
    (tmp_path / "replies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    options = ["--base", tiny_model, "--pairs", tmp_path / "replies.jsonl", "--config", "micro"]
    done = prism("align", "--method", "kto", *options, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    (stage,) = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["stages"]
    assert stage["counts"][0]["pairs"] == stage["counts"][0]["trained"] == 2
    assert stage["groups"][0]["metrics"]["good"] == [1.0, 2.0]
    refused = prism("align", "--method", "dpo_ift", *options, "--out", tmp_path / "dpo")
    assert refused.returncode == 2
    assert "2 of 2 pairs have one reply only" in refused.stderr and "kto" in refused.stderr


def test_pairs_files_keep_single_replies(single: list[Pair], tmp_path: Path) -> None:
    from alignment_prism.preferences import read_pairs

    for name in ("pairs.jsonl", "pairs.parquet"):
        write_records(tmp_path / name, single)
        assert read_pairs(tmp_path / name, source="s") == [replace(pair, source="s") for pair in single]


def test_every_prompt_has_the_reply_to_another_prompt_whatever_the_order() -> None:
    examples = [Example(f"{n}", ("en", "none"), (1, n // 2), ((5, n),), float(n % 2)) for n in range(10)]
    others = with_other_replies(examples, 0)
    for example, other in zip(examples, others, strict=True):
        source = next(one for one in examples if one.completions == other.completions)
        assert other.prompt == example.prompt and source.prompt != example.prompt
    assert with_other_replies(examples[::-1], 0) == others[::-1]
    assert with_other_replies(examples, 1) != others
    long = Example("long", ("en", "none"), (1,) * 9, ((2,) * 3,), 1.0)
    assert max(one.padded_length for one in with_other_replies([*examples, long], 0)) <= long.padded_length
    assert with_other_replies(examples[:1], 0) == examples[:1]


def test_a_method_that_learns_nothing_from_any_pair_says_so(
    tiny_model: Path, single: list[Pair], tmp_path: Path
) -> None:
    harmful = [replace(pair, chosen_harmful=True, rejected_harmful=True) for pair in single[:4]]
    options: dict[str, Any] = {"base": tiny_model, "config": load_config("micro"), "out": tmp_path / "run"}
    with pytest.raises(InputError, match="learns nothing from any of 4 pairs"):
        train_method("safe_dpo", pairs=harmful, **options)
    flagged = [replace(pair, chosen_harmful=True, rejected_harmful=False) for pair in single[:3]]
    result = train_method("safe_dpo", pairs=[*harmful[3:], *flagged], **options)
    assert any("1 of 4 pairs left out, the method learns nothing from them" in note for note in result.notices)
    assert not any("SafeDPO is DPO" in note for note in result.notices)
    silent = [replace(pair, chosen_harmful=None, rejected_harmful=None) for pair in flagged]
    result = train_method("safe_dpo", pairs=silent, **{**options, "out": tmp_path / "silent"})
    assert any("no pair says which of its replies are harmful" in note for note in result.notices)
