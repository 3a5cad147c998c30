"""What is exported is loaded by `datasets`, and its card says what may be done with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard
from prism_command import prism

from alignment_prism.domain import InputError, Message, Pair, PairKind, Role, Scope, user
from alignment_prism.io import write_records
from alignment_prism.preferences import read_pairs
from alignment_prism.preferences.export import export_pairs

TALK = (Message(Role.USER, "क्यों?"), Message(Role.ASSISTANT, "क्या?"), Message(Role.USER, "बताओ\nना"))
ABOUT = {
    "chosen_model": "hf/facebook/nllb-200-3.3B",
    "rejected_model": "nano",
    "judges": ["openai/gpt-4o: a"],
    "order": 3,
}
PAIRS = [
    Pair("1", TALK, "अच्छा", "बुरा", "hi", PairKind.SAFETY, Scope.LOCAL, ("A", "B"), "seed1", "aya@12345678", ABOUT),
    Pair("2", user("Why?"), "good", "bad", "en"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_records(tmp_path / "pairs.parquet", PAIRS, Pair)
    said = prism("preferences", "export", "pairs.parquet", "--name", "Mine", "--licence", "aya@12345678=apache-2.0",
                 "--out", "mine", folder=tmp_path)  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert "licence unknown: openai/gpt-4o" in said.stderr
    return tmp_path / "mine"


def test_datasets_loads_each_language(folder: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    rows = load_dataset(str(folder), "hi", cache_dir=str(tmp_path / "cache"))["train"].to_list()
    assert rows[0]["prompt"] == [turn.as_dict() for turn in TALK]
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "अच्छा"}] and rows[0]["categories"] == ["A", "B"]
    assert json.loads(rows[0]["metadata"])["order"] == 3 and rows[0]["chosen_model"] == "hf/facebook/nllb-200-3.3B"
    assert [row["id"] for row in load_dataset(str(folder), "en", cache_dir=str(tmp_path / "cache"))["train"]] == ["2"]


def test_what_is_exported_is_read_back(folder: Path) -> None:
    for name in ("data/hi.parquet", "jsonl/hi.jsonl"):
        (pair,) = read_pairs(folder / name)
        assert (pair.messages, pair.chosen, pair.rejected, pair.scope) == (TALK, "अच्छा", "बुरा", Scope.LOCAL)
        assert pair.group == "seed1" and pair.language == "hi"


def test_the_card_has_languages_licences_and_a_warning(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---")[1])
    assert header["language"] == ["en", "hi"] and "not-for-all-audiences" in header["tags"]
    assert header["license"] == "other" and [one["config_name"] for one in header["configs"]] == ["en", "hi"]
    assert (
        "| hf/facebook/nllb-200-3.3B | writes | cc-by-nc-4.0 |" in text
        and "| openai/gpt-4o | judges | unknown |" in text
    )
    read = DatasetCard(text).data  # as the Hub's own client reads it
    assert (read.license, read.license_name, read.size_categories) == ("other", "mixed", ["n<1K"])
    assert "non-commercial (cc-by-nc-4.0)" in text and "अच्छा" not in text
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "data/hi.parquet" in json.dumps(manifest) and manifest["kind"] == "dataset"


def test_one_licence_is_that_of_the_whole_and_half_a_pair_is_refused(tmp_path: Path) -> None:
    export_pairs(
        [Pair("1", user("q"), "a", "b", "en", source="mine")], tmp_path / "x", name="X", licences={"mine": "mit"}
    )
    assert yaml.safe_load((tmp_path / "x" / "README.md").read_text().split("---")[1])["license"] == "mit"
    own = [Pair("1", user("q"), "a", "b", "en", source="mine")]
    export_pairs(own, tmp_path / "z", name="Z", licences={"mine": "Our House Licence"})
    said = yaml.safe_load((tmp_path / "z" / "README.md").read_text().split("---")[1])
    assert (said["license"], said["license_name"]) == ("other", "our-house-licence")
    with pytest.raises(InputError, match="lacks a side"):
        export_pairs([Pair("1", user("q"), "a", "", "en")], tmp_path / "y", name="Y")
