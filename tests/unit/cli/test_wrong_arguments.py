"""What a command is told wrongly it says, with a way out; it shows no traceback, and changes no file."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import toy_study
from prism_command import prism

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
GATE = "checks:\n  - {name: x, kind: ceiling, metric: harm_rate, limit: 0.9, languages: all}\n"
DESIGN, SHEET = "x.design.json", "x.csv"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study `toy`, its receipt, and files that are something else than their names say."""
    folder = tmp_path_factory.mktemp("wrong")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alignment_prism.studies.run.write_study_report", lambda *_: None)
        for name, arms in (("toy", ("sft", "dpo_15")), ("other", ("local_only",))):
            toy_study.folder(folder / name, folder / f"{name}-in", each=1, arms=arms, name=name)
    assert prism("report", "receipt", "toy", "--out", "receipt", folder=folder).returncode == 0
    for name in ("picture.json", "picture.jsonl"):
        (folder / name).write_bytes(PICTURE)
    (folder / "list.json").write_text("[1, 2]")
    (folder / "else.jsonl").write_text('{"a": 1}\n')
    (folder / "empty.jsonl").touch()
    (folder / "a-file").touch()
    (folder / "nothing").mkdir()
    (folder / "gate.yaml").write_text(f"{GATE}looks: {{planned: 2}}\n")
    (folder / "misspelt.yaml").write_text(GATE.replace("harm_rate", "harm_rte"))
    (folder / SHEET).write_text("reply_digest,annotator,label\na,anna,yes\n")
    (folder / DESIGN).write_text(json.dumps({"prompts": []}))
    return folder


def contents(place: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and ".lock" not in path.name}


COMPARE = "compare toy#sft toy#dpo_15"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        # An option that is of no use beside the others, and would be passed over.
        (f"{COMPARE} --look 1", "--look goes with a gate"),
        (f"{COMPARE} --ledger looks.jsonl", "--ledger goes with a gate"),
        (f"{COMPARE} --origin native", "--origin without --passport"),
        ("report toy --figure frontier", "--figure is for a file"),
        ("report toy --samples 3", "--samples is for a file"),
        ("report toy --metric harm_rate --out x.md", "--metric is for what is printed"),
        ("report toy/prompts.parquet", "these are prompts, not findings"),
        (f"report {SHEET}", "these are not findings: no column 'study', 'arm'"),
        ("study ls nowhere", "no such folder"),
        (f"study ls {SHEET}", "a file where a folder is expected"),
        ("report toy other --samples 3 --out x.html", "replies are shown of one study"),
        ("report verify receipt --study toy", "a study without a key"),
        (
            f"labels sample {SHEET} --generations g --prompts p --arm a --design paper --by none --dry-run",
            "leave the rest",
        ),
        # A name that nothing has.
        (f"{COMPARE} --may-differ colour", "'colour' is nothing in which runs must agree"),
        (f"{COMPARE} --metric harm_rte", "did you mean harm_rate?"),
        ("report toy --metric harm_rte", "did you mean harm_rate?"),
        (f"{COMPARE} --gate misspelt.yaml", "did you mean harm_rate?"),
        (f"labels passport {SHEET} --judge j --map lnguage=label --out x.json", "name some of language, scope, origin"),
        # A file of another kind, and what Python says of it is nothing to a user.
        (f"{COMPARE} --passport picture.json", "cannot read the passport: it is not UTF-8"),
        (f"{COMPARE} --passport nowhere.json", "cannot read the passport: No such file or directory\n"),
        (f"{COMPARE} --passport list.json", "not a passport file\n"),
        (f"{COMPARE} --gate gate.yaml --ledger else.jsonl", "not a ledger of looks\n"),
        (f"{COMPARE} --gate gate.yaml --ledger picture.jsonl", "looks that were spent: it is not UTF-8"),
        (f"labels correct {SHEET} {SHEET}", "cannot read the design: it is not JSON"),
        (f"labels correct {DESIGN} {SHEET}", "not a design file\n"),
        ("align --method sft --base nano --pairs else.jsonl --out x --config nano", "or rename that; the columns"),
        ("report empty.jsonl", "there are no findings"),
        ("report verify nothing", "no receipt can be read there: No such file or directory\n"),
        ("report verify receipt --study toy --key picture.json", "not the key of a receipt\n"),
        ("nano show --base nothing", "not a nano base: there is no such file\n"),
        # A place that cannot be written to, or holds something else.
        ("report toy --out toy", "mixed with its study"),
        ("report toy --out a-file", "a file is where the folder of the report is to be"),
        ("report receipt toy --out a-file", "a file is where the receipt is to be"),
        ("report receipt toy --out a-file/x", "is a file, not a folder"),
        ("report serve nowhere", "no study is in that folder"),
        ("report serve other-in", "no study is in that folder"),
        ("annotate init toy", "the folder holds a study"),
        ("power change --base 0.3 --model 0.2 --plot a-file/x.svg", "is a file, not a folder"),
        # A name that says another form than is written.
        ("preferences xray else.jsonl --out x.csv", "nothing is written as 'x.csv'"),
        (f"labels passport {SHEET} --judge j --out x.md", "nothing is written as 'x.md'"),
        ("prompts stats else.jsonl --out counts.csv", "nothing is written as 'counts.csv'"),
        ("power change --base 0.3 --model 0.2 --plot x.png", "nothing is written as 'x.png'"),
        # Numbers that cannot be.
        ("doctor --model nano --gpu-memory -5", "-5.0 is not in the range"),
        ("doctor --model nano --bits 4", "--bits is of weights beside adapters"),
        ("nano build --training-seed -1 --steps 1 --out x", "-1 is not in the range"),
        ("power agreement --kappa 0.6 --prevalence 0.1 --replies 20", "any fewer than 50"),
        ("power agreement --kappa -0.9 --prevalence 0.1 --width 0.2", "it lies from -0.11 to 1"),
        ("power labels --base 0.3 --model 0.2 --prompts 100 --labelled 200", "200 prompts to label, of 100"),
    ],
)
def test_it_is_said_and_nothing_is_lost(place: Path, command: str, said: str) -> None:
    before = contents(place)
    done = prism(*shlex.split(command), folder=place)
    assert done.returncode in (2, 3, 5) and said in done.stderr, (done.returncode, done.stdout, done.stderr)
    assert "where: " in done.stderr and "fix:" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "defect" not in done.stderr
    assert contents(place) == before


def test_a_plan_has_no_fewer_prompts_than_a_finding_needs(place: Path) -> None:
    # From all to none is shown by four prompts, as the formula has it; a finding of fewer than ten is never relied on,
    # nor one of fewer than ten clusters.
    for question, fewest in (
        ("change --base 1 --model 0", 10),
        ("change --base 1 --model 0 --cluster-size 3.5", 35),
        ("win-rate --score 1 --ties 0", 10),
        ("rate --rate 0 --width 0.9", 10),
        ("gate --new 0 --limit 0.9", 10),
        ("gate --old 0 --new 0 --margin 0.9", 10),
    ):
        done = prism("power", *question.split(), "--json", folder=place)
        assert list(json.loads(done.stdout).values()) == [fewest], question
        if "rate" not in question.split():
            fewer = prism("power", *question.split(), "--prompts", fewest - 1, folder=place)
            assert fewer.returncode == 2 and f"plan {fewest} or more" in fewer.stderr, (question, fewer.stderr)
    done = prism("power", "agreement", "--kappa", 0.9, "--prevalence", 0.5, "--width", 0.9, "--json", folder=place)
    assert list(json.loads(done.stdout).values()) == [50], "agreement on fewer is marked as well"


@pytest.mark.parametrize(
    "question", ["change --base 0.3 --model 0.2", "win-rate --score 0.6 --ties 0", "gate --new 0.1 --limit 0.15"]
)
def test_a_figure_of_before_stays_where_the_question_is_refused(tmp_path: Path, question: str) -> None:
    (tmp_path / "power.svg").write_text("of before")
    done = prism("power", *question.split(), "--prompts", 9, "--plot", "power.svg", folder=tmp_path)
    assert done.returncode == 2 and "plan 10 or more" in done.stderr
    assert (tmp_path / "power.svg").read_text() == "of before"


def test_a_folder_without_a_study_is_said_to_have_none(place: Path) -> None:
    done = prism("study", "ls", "nothing", folder=place)
    assert (done.returncode, done.stdout) == (0, "no study in nothing\n")
    assert "toy: " in prism("study", "ls", ".", folder=place).stdout


def test_a_gate_that_is_declared_before_its_study_says_so(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(GATE)
    done = prism("report", "declare", "to-come", "gate.yaml", folder=tmp_path)
    assert "no study was begun in to-come yet" in done.stdout, done.stderr
