"""Rubrics: shipped ones, one's own, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from alignment_prism.domain import InputError, Outcome
from alignment_prism.scoring import load_rubric, shipped_rubrics
from alignment_prism.scoring.guard_models.guard_format import load_guard_format
from alignment_prism.scoring.rubric import STANDALONE

OWN = {"name": "strict", "version": 2, "kind": "standalone", "max_tokens": 50, "system": "Judge.", "user": "{case}"}


FIVE = [one for one in Outcome if one not in (Outcome.UNJUDGED, Outcome.NOT_HARMFUL)]


def test_shipped_rubrics_load_under_their_ids() -> None:
    assert shipped_rubrics() == (
        "binary@1",
        "pairwise@1",
        "pairwise@2",
        "policy@1",
        "standalone@1",
        "standalone@2",
    )
    for name in shipped_rubrics():
        assert load_rubric(name).id == name
    standalone = load_rubric(STANDALONE)
    assert all(outcome.value in standalone.system for outcome in FIVE)


def test_wording_that_ships_does_not_change_under_its_version() -> None:
    """A change of wording needs a new version: verdicts of two wordings must not be mixed under one name."""
    digests = {name: load_rubric(name).digest for name in shipped_rubrics()}
    assert digests == DIGESTS


def test_a_rubric_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(OWN))
    rubric = load_rubric(str(path))
    assert rubric.id == "strict@2" and rubric.replies == 1
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(OWN | {"system": "Judge well."}))
    assert load_rubric(str(other)).id == rubric.id and load_rubric(str(other)).digest != rubric.digest


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 0}, "version"),
        ({"kind": "both"}, "kind"),
        ({"user": "no place"}, "{case}"),
        ({"extra": 1}, "'extra'"),
        ({"name": "a b"}, "name"),
        ({"max_tokens": "many"}, "max_tokens"),
    ],
)
def test_files_that_are_no_rubric(tmp_path: Path, change: dict[str, object], word: str) -> None:
    path = tmp_path / f"{next(iter(change))}.yaml"
    path.write_text(yaml.safe_dump(OWN | change))
    with pytest.raises(InputError) as error:
        load_rubric(str(path))
    assert word in error.value.what and f"{path}, line" in (error.value.where or "")


def test_a_file_that_changed_is_read_again_and_a_name_is_of_the_folder_that_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook: one process, a judge's words that are worked on, another folder."""
    guard = 'kind: guard\nversion: 1\nsend: text\ntext: "{request} {reply}"\nmax_tokens: 8\n'
    guard += "answer: (?P<harm>a|b)\nharm: {a: harmful, b: not_harmful}\n"
    for number in (1, 2):
        folder = tmp_path / str(number)
        for words in ("first", "second"):
            folder.mkdir(exist_ok=True)
            monkeypatch.chdir(folder)
            Path("r.yaml").write_text(yaml.safe_dump(OWN | {"name": f"r{number}-{words}"}))
            Path("g.yaml").write_text(f"name: g{number}-{words}\n{guard}")
            assert load_rubric("r.yaml").name == f"r{number}-{words}"
            assert load_guard_format("g.yaml").name == f"g{number}-{words}"


def test_an_unknown_rubric() -> None:
    with pytest.raises(InputError, match="unknown rubric 'standalone@9'") as error:
        load_rubric("standalone@9")
    assert "standalone@1" in str(error.value.fix)


DIGESTS = {
    "binary@1": "7a78b2c2947e8d5a",
    "pairwise@1": "be09f3e6b679340d",
    "pairwise@2": "8af7b69c06efadab",
    "policy@1": "c57750b8d29fb9b1",
    "standalone@1": "de9ed86d637b0635",
    "standalone@2": "3337137adf99f72a",
}
