"""Shell completion, asked as the shells ask: in the shells themselves where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from alignment_prism.cli.completion import SHELLS
from alignment_prism.cli.main import COMMANDS, cli

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

ASK = {
    "bash": """
        source <(prism completion bash)
        COMP_WORDS=({words}); COMP_CWORD={last}
        _prism_completion prism
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "zsh": """
        compdef() {{ }}
        _describe() {{ print -rl -- ${{(P)3}} }}
        compadd() {{ print -rl -- ${{(P)@[-1]}} }}
        _path_files() {{ print FILES }}
        source <(prism completion zsh)
        words=({words}); CURRENT=$(({last} + 1))
        _prism_completion
    """,
    "fish": """
        prism completion fish | source
        complete -C "{line}"
    """,
}
"""What each shell does on Tab, with zsh's own display functions printing plainly."""


def tab(shell: str, line: str, folder: Path) -> list[str]:
    """What a shell offers for the last word of a line."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    script = ASK[shell].format(words=quoted, last=len(words) - 1, line=line)
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, cwd=folder,
                          env={**os.environ, "PATH": PATH, "HOME": str(folder)}, check=False)  # fmt: skip
    assert "Traceback" not in done.stderr
    # Behind each comes what it is: a tab and words (fish), or a colon and words (zsh).
    return [entry.split("\t")[0].partition(":")[0] for entry in done.stdout.splitlines() if entry]


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_commands_subcommands_options_values_and_sets(shell: str, tmp_path: Path) -> None:
    assert tab(shell, "prism pro", tmp_path) == ["prompts"]
    assert set(tab(shell, "prism prompts s", tmp_path)) == {"split", "stats"}
    assert set(tab(shell, "prism doctor --ju", tmp_path)) == {"--judge", "--judge-url"}
    assert set(tab(shell, "prism align --method dpo", tmp_path)) == {"dpo_ift", "dpo_sft"}
    assert set(tab(shell, "prism prompts stats --language fi", tmp_path)) == {"fi", "fil"}
    assert "xsafety" in tab(shell, "prism prompts convert --format xs", tmp_path)
    assert "aya" in tab(shell, "prism prompts stats ay", tmp_path)


def test_a_file_that_begins_so_is_not_hidden_by_a_name(tmp_path: Path) -> None:
    (tmp_path / "aya_eng.jsonl").write_text("")
    assert tab("bash", "prism prompts stats ay", tmp_path) == []  # nothing of ours: bash's own files take over


@pytest.mark.parametrize("shell", SHELLS)
def test_the_lines_for_a_shell_name_its_question(shell: str) -> None:
    done = subprocess.run([sys.executable, "-m", "alignment_prism.cli.main", "completion", shell],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert f"_PRISM_COMPLETE={shell}_complete" in done.stdout and "_prism_completion" in done.stdout


def test_completing_names_of_commands_imports_none_of_them() -> None:
    code = (
        "import sys\nfrom alignment_prism.cli.main import cli\nimport click\n"
        "names = [item.value for item in cli.shell_complete(click.Context(cli), '')]\n"
        "print(*names)\nprint([name for name in sys.modules if name.startswith('alignment_prism.cli.')])"
    )
    names, modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert names.split()[: len(COMMANDS)] == list(COMMANDS)
    assert modules == "['alignment_prism.cli.main']"


def test_options_of_the_group_are_offered() -> None:
    assert {"--debug", "--version"} <= {item.value for item in cli.shell_complete(click.Context(cli), "--")}
