"""Presets load, unknown keys and wrong values are named with file, line, key, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from alignment_prism.domain import InputError
from alignment_prism.training import MethodConfig, dump_config, load_config, presets


def test_every_preset_loads_and_survives_writing(tmp_path: Path) -> None:
    assert {"aya-23-8b", "micro", "nano"} <= set(presets())
    for name in presets():
        config = load_config(name)
        (tmp_path / "again.yaml").write_text(dump_config(config), encoding="utf-8")
        assert load_config(tmp_path / "again.yaml") == config


def test_the_nano_recipe_is_the_frozen_one() -> None:
    config = load_config("nano")
    assert (config.sft.learning_rate, config.sft.epochs) == (2e-4, 1)
    assert (config.dpo_ift.learning_rate, config.dpo_ift.beta, config.dpo_ift.epochs) == (3e-4, 1.0, 2)
    assert (config.dpo_sft.learning_rate, config.dpo_sft.beta) == (5e-5, 1.0)
    assert (config.training.batch_size, config.training.max_grad_norm) == (32, 1.0)


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
    assert (config.training.batch_size, config.training.adapter.rank, config.dpo_ift.beta) == (8, 4, 0.5)  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"override training\.batch_size"):
        load_config("nano", {"training.batch_size": "many"})


def test_a_file_need_only_name_what_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("sft:\n  learning_rate: 1e-4\n", encoding="utf-8")
    config, default = load_config(path), MethodConfig()
    assert config.sft.learning_rate == 1e-4 and config.sft.epochs == default.sft.epochs
    assert config.dpo_sft == default.dpo_sft


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="aya-23-8b, micro, nano"):
        load_config("nanoo")
