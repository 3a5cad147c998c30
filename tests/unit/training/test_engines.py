"""Both engines beyond plain training: memory savers, adapters, counts, references, fallbacks, real pairs."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import InputError, ModelError, Pair, TrainingError, user
from alignment_prism.training import MethodConfig, load_config
from alignment_prism.training.settings import ENGINES
from alignment_prism.training.train import train_method


@pytest.fixture(scope="module")
def config() -> MethodConfig:
    return load_config("micro", {"training.precision": "fp32", "training.batch_size": 16, "training.log_every": 2})


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


def _log(folder: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["event"] == event]


def _apart(left: dict[str, Any], right: dict[str, Any], start: dict[str, Any]) -> float:
    """How far two trainings came apart, as a share of the way that they went.

    AdamW divides gradients by their size, so that what rounding does to the smallest of them moves single weights.
    """
    away = sum(float((left[name].double() - right[name].double()).pow(2).sum()) for name in start)
    moved = sum(float((left[name].double() - start[name].double()).pow(2).sum()) for name in start)
    assert moved > 0
    return math.sqrt(away / moved)


def _distance(left: dict[str, Any], right: dict[str, Any]) -> float:
    assert left.keys() == right.keys()
    return max(float((left[name].double() - right[name].double()).abs().max()) for name in left)


@pytest.mark.parametrize("engine", ENGINES)
def test_results_card_and_log_say_which_engine(
    engine: str, tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = train_method("dpo_ift", engine=engine, base=tiny_model, pairs=pairs[:16], out=out, config=config)
    assert result.engine == engine
    assert json.loads((out / "result.json").read_text(encoding="utf-8"))["engine"] == engine
    assert f"| engine | {engine} |" in (out / "model" / "README.md").read_text(encoding="utf-8")
    assert _log(out, "start")[0]["engine"] == engine
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["spec"]["engine"] == engine


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown engine 'torchtune'"):
        train_method("sft", engine="torchtune", base="nowhere", pairs=[], out=tmp_path)


def test_an_engine_whose_library_is_not_installed_says_how_to_get_it(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)  # as where it is not installed: it cannot be found or imported
    options: dict[str, Any] = {"base": "nowhere", "pairs": pairs, "out": tmp_path / "run"}
    with pytest.raises(TrainingError, match="needs the package trl") as caught:
        train_method("dpo_ift", engine="trl", **options)
    assert "alignment-prism[trl]" in str(caught.value.fix)
    with pytest.raises(ModelError, match="nowhere"):  # the default engine does not need it
        train_method("dpo_ift", **options)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", ["sft", "dpo_ift"])
def test_gradient_checkpointing_changes_nothing(
    method: str, engine: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.cohere.modeling_cohere import CohereMLP

    passes = [0]
    inherited = CohereMLP.forward

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        passes[0] += 1
        return inherited(self, *args, **kwargs)

    monkeypatch.setattr(CohereMLP, "forward", counted)
    found, seen = [], []
    for name, settings in (
        ("plain", {}),
        ("saving", {"training.gradient_checkpointing": True}),
        ("flat", {"training.gradient_checkpointing": True, "training.layout": "flat"}),
    ):
        config = load_config("micro", {"training.precision": "fp64", "training.length_horizon": 0, **settings})
        passes[0] = 0
        train_method(method, engine=engine, base=tiny_model, pairs=pairs[:16], out=tmp_path / name, config=config)
        found.append(_weights(tmp_path / name))
        seen.append(passes[0])
    assert seen[1] > seen[0]  # activations were computed again
    assert _distance(found[0], found[1]) < 1e-12
    assert _apart(found[0], found[2], _base(tiny_model)) < 1e-3


def _base(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("layout", ["trees", "flat", "padded"])
def test_bfloat16_trains_close_to_float32_and_keeps_the_weights_whole(
    layout: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    import torch

    moves, ends = {}, []
    for precision in ("fp32", "bf16"):
        settings = {"training.precision": precision, "training.layout": layout, "dpo_ift.learning_rate": 1e-4}
        out = tmp_path / precision
        train_method(
            "dpo_ift",
            engine="transformers",
            base=tiny_model,
            pairs=pairs,
            out=out,
            config=load_config("micro", settings),
        )
        after, before = _weights(out), _base(tiny_model)
        assert {tensor.dtype for tensor in after.values()} == {torch.float32}
        moves[precision] = torch.cat([(after[name] - before[name]).flatten() for name in sorted(after)])
        assert _log(out, "start")[0]["precision"] == precision
        losses = [line["loss"] for line in _log(out, "step")]
        assert losses[0] == pytest.approx(math.log(2), abs=2e-3)
        ends.append(sum(losses[-2:]))
    assert ends[1] == pytest.approx(ends[0], abs=0.02)
    # AdamW's first steps are the signs of the gradients: rounding turns those of small ones only.
    cosine = torch.nn.functional.cosine_similarity(moves["bf16"], moves["fp32"], dim=0)
    assert not torch.equal(moves["bf16"], moves["fp32"])
    assert float(cosine) > 0.5


@pytest.mark.parametrize("merge", [True, False])
def test_both_engines_train_the_same_adapter(merge: bool, tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    config = load_config(
        "micro",
        {"training.adapter": {"rank": 4, "alpha": 8, "merge": merge}, "training.precision": "fp64",
         "training.save_precision": "fp32", "dpo_ift.learning_rate": 3e-3, "training.gradient_checkpointing": True},
    )  # fmt: skip
    found = {}
    for engine in ENGINES:
        out = tmp_path / engine
        train_method("dpo_ift", engine=engine, base=tiny_model, pairs=pairs, out=out, config=config, seed=3)
        (weights,) = (out / "model").glob("*.safetensors")
        found[engine] = load_file(weights)
        assert _log(out, "step")[-1]["loss"] < math.log(2)
    assert found["trl"].keys() == found["transformers"].keys()
    assert merge == (found["transformers"].keys() == _base(tiny_model).keys())
    assert _distance(found["trl"], found["transformers"]) < 1e-6


def test_an_adapter_is_no_base_and_a_second_stage_needs_a_whole_model(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    apart = load_config("micro", {"training.adapter": {"rank": 2, "merge": False}, "training.precision": "fp32"})
    options: dict[str, Any] = {"pairs": pairs[:16]}
    first = train_method("sft", base=tiny_model, out=tmp_path / "sft", config=apart, **options)
    assert (first.model / "adapter_config.json").is_file()
    with pytest.raises(ModelError, match=f"an adapter of .*{tiny_model.name}, not a whole model"):
        train_method("dpo_ift", base=first.model, out=tmp_path / "next", **options)
    with pytest.raises(ModelError, match="not a whole model"):
        train_method("dpo_sft", base=tiny_model, out=tmp_path / "next", sft_checkpoint=first.model, **options)
    with pytest.raises(InputError, match="goes on from the model of its first stage"):
        train_method("dpo_sft", base=tiny_model, out=tmp_path / "next", config=apart, **options)


def test_flat_trees_train_what_padded_rows_train(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    found = []
    for layout in ("padded", "flat"):
        settings = {"training.layout": layout, "training.precision": "fp64", "training.length_horizon": 0}
        out = tmp_path / layout
        train_method(
            "dpo_ift",
            engine="transformers",
            base=tiny_model,
            pairs=pairs,
            out=out,
            config=load_config("micro", settings),
        )
        found.append(_weights(out))
        assert _log(out, "start")[0]["layout"] == layout
    assert _apart(found[0], found[1], _base(tiny_model)) < 1e-3
    saved = json.loads((tmp_path / "flat" / "model" / "config.json").read_text(encoding="utf-8"))
    assert "prism_flat" not in json.dumps(saved)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "flat" / "model").config._attn_implementation == "sdpa"


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_cut_left_out_and_counted_is_in_log_results_and_card(
    engine: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    long = " ".join(["old river"] * 60)
    hindi = "पुरानी नदी छोटी लाल नाव को रात से पहले"
    chosen = [
        *pairs[:6],
        dataclasses.replace(pairs[0], id="cut", chosen=f"{pairs[0].chosen} {long}", language="en"),
        dataclasses.replace(pairs[2], id="no room", messages=user(" ".join([hindi] * 20)), language="hi"),
    ]
    limit = 100
    settings = {"training.precision": "fp32", "training.max_length": limit, "training.row_tokens": 32}
    out = tmp_path / "run"
    result = train_method(
        "dpo_ift", engine=engine, base=tiny_model, pairs=chosen, out=out, config=load_config("micro", settings)
    )
    counts = {row["language"]: row for row in result.stages[0].counts}
    assert [(counts[one]["pairs"], counts[one]["trained"]) for one in ("en", "hi", "ru")] == [(3, 3), (3, 2), (2, 2)]
    assert [(counts[one]["too_long"], counts[one]["truncated"]) for one in ("en", "hi")] == [(0, 1), (1, 0)]
    expected = {"prompt_tokens": 0, "gradient_tokens": 0}
    for pair in chosen[:7]:
        if pair.language == "en":
            turns = [{"role": "user", "content": pair.messages[0].content}]
            prompt = len(tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"])
            expected["prompt_tokens"] += prompt
            for reply in (pair.chosen, pair.rejected):
                whole = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": reply}])["input_ids"]
                expected["gradient_tokens"] += min(len(whole), limit) - prompt
    assert {name: counts["en"][name] for name in expected} == expected
    assert counts["en"]["tokens_per_prompt"] == pytest.approx(expected["prompt_tokens"] / 3, abs=0.05)
    assert _log(out, "start")[0]["counts"] == list(result.stages[0].counts)
    assert any("1 of 8 pairs left out" in notice and "hi 1" in notice for notice in result.notices)
    assert any("1 of 8 pairs cut" in notice and "en 1" in notice for notice in result.notices)
    card = (out / "model" / "README.md").read_text(encoding="utf-8")
    assert "gradient tokens" in card and "tokens per prompt" in card
    # Every kept pair is in the loss, the one that is longer than a row of 32 positions too.
    assert sum(row["metrics"]["loss"][1] for row in result.stages[0].groups) == 7


def test_a_model_that_cannot_be_packed_trains_on_padded_rows_and_says_so_once(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignment_prism.training.layouts import prepare as layouts

    options: dict[str, Any] = {"base": tiny_model, "pairs": pairs}
    padded = load_config(
        "micro",
        {"training.precision": "fp32", "training.batch_size": 16, "training.log_every": 2, "training.layout": "padded"},
    )
    train_method("dpo_sft", out=tmp_path / "asked", config=padded, **options)
    monkeypatch.setattr(layouts, "why_not_packed", lambda *_: "CohereForCausalLM does not follow a mask of our own")
    result = train_method("dpo_sft", out=tmp_path / "fallback", config=config, **options)
    assert [notice for notice in result.notices if "not packed" in notice] == [
        "pairs are not packed: CohereForCausalLM does not follow a mask of our own"
    ]
    assert [line["layout"] for line in _log(tmp_path / "fallback", "start")] == ["padded", "padded"]
    assert _distance(_weights(tmp_path / "asked"), _weights(tmp_path / "fallback")) == 0


def test_references_are_kept_apart_by_all_that_they_depend_on(
    tiny_model: Path, pairs: list[Pair], config: MethodConfig, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    store = tmp_path / "references"
    runs = 0

    def spaces(base: Path, some: list[Pair], **changes: Any) -> int:
        nonlocal runs
        runs += 1
        settings = {"training.precision": "fp32", **{f"training.{key}": value for key, value in changes.items()}}
        train_method(
            "dpo_ift", base=base, pairs=some, out=tmp_path / f"run-{runs}", references=store,
            config=load_config("micro", settings),
        )  # fmt: skip
        return len(list(store.glob("*.jsonl")))

    def values() -> int:
        return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in store.glob("*.jsonl"))

    assert spaces(tiny_model, pairs[:8]) == 1 and values() == 16
    assert spaces(tiny_model, pairs[4:12]) == 1 and values() == 24  # token ids: four pairs are new, four are known
    assert spaces(tiny_model, pairs[:8], precision="fp64") == 2  # compute dtype
    assert spaces(tiny_model, pairs[:8], attention="sdpa") == 3  # attention kernel
    assert spaces(tiny_model, pairs[:8], layout="flat") == 4  # likewise
    assert spaces(tiny_model, pairs[:8], layout="padded") == 5  # layout
    moved = tmp_path / "moved"
    shutil.copytree(tiny_model, moved)
    assert spaces(moved, pairs[:8]) == 5  # the same weights in another folder
    template = moved / "chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8") + "{# the same words #}", encoding="utf-8")
    assert spaces(moved, pairs[:8]) == 6  # chat template
    weights = load_file(moved / "model.safetensors")
    name = next(iter(weights))
    weights[name] = torch.nextafter(weights[name], torch.full_like(weights[name], 9.0))
    save_file(weights, moved / "model.safetensors", metadata={"format": "pt"})
    assert spaces(moved, pairs[:8]) == 7  # weights digest


@pytest.mark.parametrize("layout", ["trees", "flat"])
def test_real_preference_pairs_train_on_both_engines(
    layout: str, tiny_model: Path, realdata: Path, tmp_path: Path
) -> None:
    from alignment_prism.preferences.pairs import read_pairs

    source = realdata / "hh_rlhf" / "harmless-base.test.jsonl.gz"
    if not source.is_file():
        pytest.skip(f"no real preference pairs: {source} is absent")
    rows = gzip.decompress(source.read_bytes()).splitlines()[:12]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join(rows) + b"\n")
    pairs = read_pairs(str(file))
    config = load_config(
        "micro", {"training.precision": "fp64", "training.max_length": 256, "training.layout": layout,
                  "training.row_tokens": 512, "training.length_horizon": 0, "dpo_ift.learning_rate": 3e-4,
                  "dpo_ift.epochs": 4},
    )  # fmt: skip
    found = {}
    for engine in ENGINES:
        out = tmp_path / engine
        result = train_method("dpo_ift", engine=engine, base=tiny_model, pairs=pairs, out=out, config=config)
        found[engine] = _weights(out)
        (counts,) = result.stages[0].counts
        assert counts["pairs"] == len(pairs) == counts["trained"] + counts["too_long"]
        assert sum(row["metrics"]["loss"][1] for row in result.stages[0].groups) == 4 * counts["trained"]
        losses = [line["loss"] for line in _log(out, "step")]
        assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
        last = losses[-len(losses) // 4 :]
        assert sum(last) / len(last) < 0.6
    assert _distance(found["trl"], found["transformers"]) < 1e-6
