"""Presets load, unknown keys and wrong values are named with file, line, key, value and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import InputError
from alignment_prism.training import METHODS, MethodConfig, dump_config, load_config, presets
from alignment_prism.training.objectives.dpo import DpoRecipe


def test_every_preset_loads_and_survives_writing(tmp_path: Path) -> None:
    assert {"aya-23-8b", "micro", "nano"} <= set(presets())
    for name in presets():
        config = load_config(name)
        (tmp_path / "again.yaml").write_text(dump_config(config), encoding="utf-8")
        assert load_config(tmp_path / "again.yaml") == config


def test_the_nano_recipe_is_the_frozen_one() -> None:
    config = load_config("nano")
    assert (config.recipes["sft"].learning_rate, config.recipes["sft"].epochs) == (2.7e-4, 1)
    assert config.recipes["dpo_ift"] == DpoRecipe(learning_rate=2.4e-4, beta=1.0, epochs=2)
    assert config.recipes["dpo_sft"] == DpoRecipe(learning_rate=5e-5, beta=1.0, epochs=1)
    assert (config.training.batch_size, config.training.max_grad_norm) == (16, 1.0)


def test_settings_cannot_be_changed_after_the_check() -> None:
    with pytest.raises(ValueError, match="frozen"):
        MethodConfig().training.batch_size = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sft:\n  learning_rate: 1e-4\ntrainig:\n  x: 1\n", ["trainig", "line 3", "did you mean 'training'"]),
        (
            "training:\n  batch_size: 0\n",
            ["training.batch_size: Input should", "to 1 (it is 0)", "line 2"],
        ),
        ("training:\n  adapter:\n    rnk: 4\n", ["training.adapter.rnk", "line 3", "did you mean 'rank'"]),
        (
            "dpo_sft:\n  beta: -1\n  learning_rate: 1.0e-6\n  epochs: 1\n",
            ["dpo_sft.beta", "(it is -1)", "line 2"],
        ),
        ("- a list\n", ["not a mapping"]),
        ("training: [\n", ["not valid YAML", "line"]),
    ],
)
def test_faults_are_named_with_their_place(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_config(path)
    for part in [*parts, str(path)]:
        assert part in str(caught.value)


def test_overrides_reach_nested_keys_and_are_checked() -> None:
    config = load_config("nano", {"training.batch_size": 8, "training.adapter.rank": 4, "dpo_ift.beta": 0.5})
    assert (config.training.batch_size, config.training.adapter.rank, config.recipes["dpo_ift"].beta) == (8, 4, 0.5)  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"override training\.batch_size"):
        load_config("nano", {"training.batch_size": "many"})


def test_a_file_need_only_name_what_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("sft:\n  learning_rate: 1e-4\n", encoding="utf-8")
    config, default = load_config(path), MethodConfig()
    ours, theirs = config.recipes, default.recipes
    assert ours["sft"] == theirs["sft"].model_copy(update={"learning_rate": 1e-4})
    assert ours["dpo_sft"] == theirs["dpo_sft"]


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="aya-23-8b, micro, nano"):
        load_config("nanoo")


def test_the_settings_of_a_training_are_those_of_the_stages_that_run() -> None:
    config = load_config("nano").of(METHODS["dpo_ift"].stages)
    assert list(config.model_dump()) == ["dpo_ift", "training"]
    assert config == config.of(METHODS["dpo_ift"].stages)


def test_settings_that_do_not_change_the_result_are_not_among_those_that_do() -> None:
    def result(**training: Any) -> dict[str, Any]:
        overrides = {f"training.{key}": value for key, value in training.items()}
        return load_config("nano", overrides).result_settings()

    known = result()
    assert result(log_every=3, save_every=7, micro_batch_size=2, row_tokens=64) == known
    assert result(gradient_checkpointing=True) == known
    for changed in ({"batch_size": 8}, {"weight_decay": 0.1}, {"precision": "fp32"}, {"adapter": {"rank": 3}}):
        assert result(**changed) != known
