"""Commands of `prism annotate` that cannot be what somebody meant: each is refused, and nothing is made or lost."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from annotators import draw_sheet
from prism_command import prism

QUOTAS = "language,scope,category,wanted\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An annotation folder `people` with a project `Round` of one label an item, and files to go wrong with."""
    folder = tmp_path_factory.mktemp("wrong")
    draw_sheet(folder, prompts=40, number=10)
    (folder / "twice.csv").write_text(f"{QUOTAS}ar,global,,5\n", encoding="utf-8")
    (folder / "endless.csv").write_text(f"{QUOTAS}ar,global,,inf\n", encoding="utf-8")
    (folder / "set").mkdir()
    (folder / "set" / "README.md").write_text("who wrote this, and how they were paid", encoding="utf-8")
    prism("annotate", "init", "people", folder=folder)
    done = prism("annotate", "add", "people", "sheet.csv", "--project", "Round", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


def state(place: Path) -> tuple[str, dict[Path, bytes]]:
    """What the projects are, and every file beside the database."""
    files = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.parent.name != "people"}
    return prism("annotate", "status", "people", folder=place).stdout, files


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("add people sheet.csv --project Round --ask pairwise", "'Round' asks for outcome, not pairwise"),
        ("add people sheet.csv --project Round --overlap 3", "'Round' has an overlap of 1, not 3"),
        ("add people sheet.csv --project New --arm dpo", "leave that out (--arm dpo)"),
        ("add people sheet.csv --project New --seed 1", "leave that out (--seed 1)"),
        ("add people sheet.csv --project New --number 3", "a sheet is labelled whole"),
        ("add people sheet.csv --project Round --gold --number 3", "--gold takes all of SOURCE"),
        ("add people prompts.jsonl --project New --ask scope --arm dpo", "leave that out (--arm dpo)"),
        ("write people --project New --language ar", "give --global, --local or --quotas"),
        (
            "write people --project New --language ar --global 2 --quotas twice.csv",
            "two quotas of global prompts in ar",
        ),
        ("write people --project New --language ar --quotas endless.csv", "endless.csv, row 1"),
        ("backup people people/annotation.sqlite3 --replace", "the output is also an input"),
        ("export people Round people/annotation.sqlite3 --replace", "the output is also an input"),
        ("export people Round set --what dataset", "set/README.md"),
    ],
)
def test_it_is_refused_and_nothing_is_made_or_lost(place: Path, command: str, said: str) -> None:
    before = state(place)
    done = prism("annotate", *shlex.split(command), folder=place)
    assert done.returncode in (2, 5) and said in done.stderr, (done.returncode, done.stderr)
    assert "fix:" in done.stderr and "Traceback" not in done.stderr and "defect" not in done.stderr
    assert state(place) == before


def test_the_same_again_is_the_same(place: Path) -> None:
    again = ("add", "people", "sheet.csv", "--project", "Round", "--ask", "outcome", "--overlap", 1)
    assert "20 were there already" in prism("annotate", *again, folder=place).stdout


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ("ar,global,Hate Speech,3\nar,local,Self-Harm,1\n", 4),
        # Five global prompts of any category, three of which are to be hate, and two local ones of self-harm: 5 + 2.
        ("ar,global,,5\nar,global,Hate Speech,3\nar,local,Self-Harm,2\n", 7),
    ],
    ids=["alone", "beside a quota of any"],
)
def test_quotas_by_category_alone_count_in_the_table(tmp_path: Path, rows: str, wanted: int) -> None:
    (tmp_path / "quotas.csv").write_text(QUOTAS + rows, encoding="utf-8")
    prism("annotate", "init", "people", folder=tmp_path)
    prism(
        "annotate", "write", "people", "--project", "P", "--language", "ar", "--quotas", "quotas.csv", folder=tmp_path
    )
    assert f"| P | writing | ar | {wanted} | 0 | 0 |" in prism("annotate", "status", "people", folder=tmp_path).stdout
