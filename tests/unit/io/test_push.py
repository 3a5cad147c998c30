"""What is sent to the Hub is said before it is asked; what nobody means to send is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alignment_prism.domain import InputError
from alignment_prism.io.push import push, read_push

CARD = "---\nlicense: mit\ntags:\n- preference\n---\n\n# Pairs\n"
PAIR = {"prompt": "a", "chosen": "b", "rejected": "c"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(CARD.replace("preference", "not-for-all-audiences"), encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "en.jsonl").write_text(json.dumps(PAIR) + "\n", encoding="utf-8")
    return tmp_path


def test_files_sizes_and_visibility_are_known_beforehand(folder: Path) -> None:
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_text("secret")
    found = read_push(folder, "me/pairs")
    length = (folder / "data" / "en.jsonl").stat().st_size
    assert found.files == (("README.md", (folder / "README.md").stat().st_size), ("data/en.jsonl", length))
    assert (found.kind, found.visibility, found.hidden) == ("dataset", "private", (".cache/x",))
    assert read_push(folder, "me/pairs", public=True).visibility == "public"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("README.md", CARD, "has the column rejected"),
        ("README.md", "# Pairs\n", "no header"),
        ("README.md", "---\n- a\n---\n# Pairs\n", "no header"),
        ("README.md", "---\na: [\n---\n# Pairs\n", "YAML"),
        ("weights.bin", "x", "weights.bin is not sent"),
        ("my.receipt.key", "ab", "my.receipt.key is not sent"),
        ("adapter_config.json", "{}", "may be a model or a data set"),
        ("data/ru.jsonl", "not JSON", "cannot be read"),
        ("data/ru.jsonl", '{"text": "x"}\n{"text": "y", "rejected": "z"}\n', "has the column rejected"),
    ],
)
def test_what_nobody_means_to_send_is_refused(folder: Path, name: str, content: str, words: str) -> None:
    if name == "data/ru.jsonl":  # only a card without the mark makes one look into files
        (folder / "README.md").write_text(CARD, encoding="utf-8")
        (folder / "data" / "en.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_push(folder, "me/pairs")


def test_links_and_names_that_are_none_are_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("pairs", "me/", "a/b/c", "https://huggingface.co/me/pairs", "../me/x"):
        with pytest.raises(InputError, match="is no repository"):
            read_push(folder, name)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret.json"
    elsewhere.write_text("{}")
    (folder / "more.json").symlink_to(elsewhere)
    with pytest.raises(InputError, match="a link is not sent"):
        read_push(folder, "me/pairs")


def test_harmless_rows_need_no_mark_and_a_run_folder_says_where_its_model_is(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "data" / "en.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    assert read_push(folder, "me/texts").kind == "dataset"
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "model" / "README.md").write_text(CARD)
    with pytest.raises(InputError, match="its model is in"):
        read_push(run, "me/model")


def test_offline_nothing_is_sent(folder: Path) -> None:
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):  # as it is for every test
        push(read_push(folder, "me/pairs"))


def test_a_folder_that_is_not_there_and_one_without_a_card_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_push(tmp_path / "nowhere", "me/pairs")
    with pytest.raises(InputError, match="the folder has no card"):
        read_push(tmp_path, "me/pairs")
