"""Every command and every line of Python in the README and the guide works.

A comment before a block says how it is tested: `<!-- test: micro -->` runs it with the micro preset in place of the
quickstart, which shares one folder of results; `<!-- test: parse -->` checks commands, options and their values
without running them, where a block needs real weights; without a comment the block is run as it stands.
"""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml
from forked import Forks, forks
from prism_command import prism

from alignment_prism.cli.main import cli
from alignment_prism.studies import StudySpec
from alignment_prism.studies.synthesis.spec import BuildSpec

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:<!-- test: (\w+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    mode: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text[: match.start(2)].count("\n") + 1
            found.append(Block(str(page.relative_to(ROOT)), line, match[1] or "run", match[2], match[3]))
    return found


def commands(block: Block) -> list[list[str]]:
    return [shlex.split(line, comments=True) for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]


SHELL = [block for block in blocks() if block.language in ("sh", "bash")]
PYTHON = [block for block in blocks() if block.language == "python"]
SPECS = [block for block in blocks() if block.language == "yaml"]


def test_the_pages_have_blocks_of_known_kinds() -> None:
    assert {block.page for block in SHELL} >= {"README.md", "docs/quickstart.md"}
    assert {block.page for block in PYTHON} >= {"README.md"}
    assert {block.mode for block in blocks()} <= {"run", "micro", "parse"}
    assert {block.language for block in blocks()} <= {"sh", "bash", "python", "yaml", "toml", "text", "json"}


def test_the_api_of_the_readme_has_four_lines() -> None:
    (block,) = [block for block in PYTHON if block.page == "README.md"]
    assert len([line for line in block.text.splitlines() if line.strip()]) == 4


def remaining(context: click.Context) -> list[str]:
    """What a group has not parsed: click keeps the command's name apart from its arguments."""
    return [*getattr(context, "_protected_args", ()), *context.args]


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_and_options_exist(block: Block) -> None:
    for words in commands(block):
        if words[0] == "make":
            done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            continue
        assert words[0] == "prism", f"{block}: test this kind of command too: {words}"
        arguments = words[1 : words.index(">")] if ">" in words else words[1:]
        context = cli.make_context("prism", list(arguments))
        command: click.Command = cli
        while isinstance(command, click.Group):
            assert remaining(context), f"{block}: no command in {words}"
            name, command_found, rest = command.resolve_command(context, remaining(context))
            assert command_found is not None and name is not None, f"{block}: no command {words}"
            command = command_found
            context = command.make_context(name, rest, parent=context)  # raises where an option is unknown or missing


@pytest.mark.parametrize("block", SPECS, ids=str)
def test_specs_have_keys_that_exist(block: Block) -> None:
    content = yaml.safe_load(block.text)
    (BuildSpec if "complete" in content else StudySpec).model_validate(content)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the quickstart was run with the micro preset, with the table that the page on logs shows."""
    folder = tmp_path_factory.mktemp("docs")
    (shown,) = [block for block in blocks() if block.page == "docs/logs.md" and block.text.startswith("qid,")]
    (folder / "wide.csv").write_text(shown.text, encoding="utf-8")
    # One job: this process has loaded all that a training needs, others would load it anew.
    run(["quickstart", "--preset", "micro", "--out", "results/quickstart", "--jobs", "1"], folder)
    return folder


def run(arguments: list[str], folder: Path) -> str:
    done = prism(*arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("block", [block for block in SHELL if block.mode != "parse"], ids=str)
def test_commands_run(block: Block, workplace: Path) -> None:
    for words in commands(block):
        if words[0] == "make":
            continue  # installs; its recipe runs what is run here
        arguments, target = words[1:], None
        if ">" in arguments:
            at = arguments.index(">")
            arguments, target = arguments[:at], arguments[at + 1]
        if arguments[0] == "quickstart":
            arguments += ["--preset", "micro"]
        output = run(arguments, workplace)
        if target is not None:
            (workplace / target).write_text(output, encoding="utf-8")


@pytest.fixture(scope="module")
def processes() -> Iterator[Forks]:
    """Of which each has loaded what most blocks need."""
    with forks(
        "alignment_prism.studies.run", "alignment_prism.generation.backends.decoding",
        "alignment_prism.generation.backends.transformers", "transformers.models.cohere.modeling_cohere",
        "inspect_ai.model", "altair",
    ) as started:  # fmt: skip
        yield started


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs(block: Block, workplace: Path, processes: Forks) -> None:
    text = block.text.replace('run_study("quickstart"', 'run_study("micro"') if block.mode == "micro" else block.text
    # A process of its own: blocks register methods and rules.
    done = processes.run("-c", text, folder=workplace)
    assert done.returncode == 0, done.stderr
    if "print" in text:
        assert done.stdout.strip()


def test_the_notebook_runs_and_shows_its_figures(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ROOT / "docs" / "notebooks"
    script = runpy.run_path(str(folder / "run.py"))
    kept = json.loads((folder / "quickstart.ipynb").read_text(encoding="utf-8"))
    monkeypatch.chdir(workplace)
    made = script["run"](json.loads(json.dumps(kept)))
    kinds = [[sorted(one["data"]) for one in cell["outputs"]] for cell in made["cells"] if cell["cell_type"] == "code"]
    assert kinds == [[sorted(one["data"]) for one in cell["outputs"]] for cell in kept["cells"] if "outputs" in cell]
    assert sum("image/svg+xml" in kind for (kind,) in kinds) == 2


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_no_name_stands_where_a_number_belongs(name: str) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b", prose) == []
