"""The command line: quick help, one style of error, exit codes."""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from rich.table import Table

from alignment_prism.cli.console import console, echo
from alignment_prism.cli.main import COMMANDS, cli, main
from alignment_prism.cli.remedies import advice, command_of
from alignment_prism.domain import InputError, ModelError, PrismError, StoreError, TrainingError

SOURCE = Path(__file__).parents[3] / "src" / "alignment_prism"
ALLOWED = ("--query-gpu", "--format=csv", "accelerate launch", "--copy_files", "--f-")
"""Options of other programs, and the custom properties of a page's style."""

HEAVY = (
    "torch transformers trl peft accelerate datasets inspect_ai openai numpy pandas pyarrow scipy "
    "jinja2 pydantic rich yaml huggingface_hub sacrebleu"
).split()


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["study", "--help"], ["quickstart", "--help"]])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    loaded = run(f"""
        import sys
        from alignment_prism.cli.main import main
        try:
            main({argv!r})
        except SystemExit as end:
            assert end.code == 0, end.code
        print("LOADED", *[name for name in {HEAVY!r} if name in sys.modules])
        """).splitlines()[-1]
    assert loaded == "LOADED"


def test_the_package_is_light_to_import() -> None:
    assert (
        run(f"""
        import sys
        import alignment_prism, alignment_prism.domain, alignment_prism.store, alignment_prism.studies
        import alignment_prism.reports, alignment_prism.evaluation
        print(*[name for name in {HEAVY!r} if name in sys.modules])
        """).split()
        == []
    )


@pytest.mark.parametrize("name", sorted(cli.lazy))  # type: ignore[attr-defined]
def test_every_command_that_is_listed_is_there_and_helps_without_heavy_imports(name: str) -> None:
    module, _, attribute = COMMANDS[name][0].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.help, name
    loaded = run(f"""
        import sys
        from alignment_prism.cli.main import main
        try:
            main([{name!r}, "--help"])
        except SystemExit as end:
            assert end.code == 0
        print("LOADED", *[name for name in {HEAVY!r} if name in sys.modules])
        """).splitlines()[-1]
    assert loaded == "LOADED"


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that lead to it."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, (*path, name))


def test_every_command_shows_examples_that_parse() -> None:
    for path, command in leaves(cli):
        text = f"{command.help or ''}\n{command.epilog or ''}".partition("Example")[2].replace("\\\n", " ")
        lines = [line.strip() for line in text.splitlines()]
        examples = [shlex.split(line, comments=True) for line in lines if line.startswith("prism ")]
        assert examples, f"prism {' '.join(path)} has no example"
        for words in examples:
            assert tuple(words[1 : len(path) + 1]) == path, words
            end = next((place for place, word in enumerate(words) if word in (">", ">>")), len(words))
            with contextlib.suppress(click.exceptions.Exit):  # options that print and end
                command.make_context(
                    path[-1], words[len(path) + 1 : end]
                )  # raises where an option is unknown or missing


def test_help_of_every_command_and_bare_groups_import_nothing_heavy() -> None:
    asked = [[*path, "--help"] for path, _ in leaves(cli)] + [[], ["prompts"], ["study"], ["labels"], ["nano"]]
    loaded = run(f"""
        import sys
        from alignment_prism.cli.main import main
        for words in {asked!r}:
            try:
                main(words)
            except SystemExit as end:
                assert end.code == (0 if "--help" in words else 2), (words, end.code)
            found = [name for name in {HEAVY!r} if name in sys.modules]
            assert not found, (words, found)
        print("LOADED", len({asked!r}))
        """).splitlines()[-1]
    assert loaded == f"LOADED {len(asked)}"


def outcome(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException | None, *argv: str
) -> tuple[int, str]:
    """Exit code and stderr of a command that ends in `error`."""

    @click.command("fail")
    @click.option("--number", type=int)
    def fail(number: int | None) -> str:
        if error is not None:
            raise error
        return "ignored"

    monkeypatch.setitem(cli.commands, "fail", fail)
    monkeypatch.setattr(type(cli), "get_command", lambda self, ctx, name: self.commands.get(name))
    with pytest.raises(SystemExit) as end:
        main(["fail", *argv])
    return int(end.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PrismError("w"), 1),
        (InputError("w"), 2),
        (ModelError("w"), 3),
        (TrainingError("w"), 4),
        (StoreError("w"), 5),
    ],
)
def test_our_errors_have_their_exit_codes(monkeypatch, capsys, error: PrismError, code: int) -> None:  # type: ignore[no-untyped-def]
    error.where, error.fix = "f.csv, row 3", "mend it"
    found, text = outcome(monkeypatch, capsys, error)
    assert found == code
    assert text == "error: w\nwhere: f.csv, row 3\nfix:   mend it\n"


SETTINGS = {"number": "7", "mapping": "prompt=text", "replace": "True", "base_url": "ADDRESS"}


def test_remedies_name_the_options_of_the_command_that_met_the_error(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    error = InputError("w", fix="correct it", settings=SETTINGS)
    _, text = outcome(monkeypatch, capsys, error)
    assert text.endswith("fix:   correct it (--number 7)\n")  # the command `fail` has no other of these options
    assert str(error).endswith("fix: correct it (number: 7, mapping: prompt=text, replace: True, base_url: ADDRESS)")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("mix", "--share", "0"), "correct it (--map prompt=text, --replace)"),
        (("prompts", "convert", "x"), "correct it (--map prompt=text, --replace)"),
        (("doctor", "--model", "prompts"), "correct it (--judge-url ADDRESS)"),
        (("nano", "check"), "correct it"),
        (("--debug",), "correct it"),
    ],
)
def test_options_are_those_of_the_command_that_the_arguments_name(words: tuple[str, ...], wanted: str) -> None:
    assert advice("correct it", SETTINGS, command_of(cli, words)) == wanted


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("power change --base 0.3 --model 0.3", "prism power change"),  # the library names no place
        ("power change --base 0.3 --model 0.2 --plot", "prism power change"),  # nor does click
        ("study plan quickstrat", "prism study plan"),
    ],
)
def test_an_error_without_a_place_is_of_the_command(capsys, words: str, where: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit) as end:
        main(words.split())
    text = capsys.readouterr().err
    assert end.value.code == 2 and f"\nwhere: {where}\nfix:   " in text, text


def test_no_text_of_unknown_origin_steers_the_terminal(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    owned = "\x1b]0;owned\x07\x1b]52;c;aGk=\x07\x9b2J\r\u202e\u2066\u2028"
    _, text = outcome(monkeypatch, capsys, InputError(f"a {owned}", where=f"f{owned}.csv", fix=f"use {owned}"))
    assert not set(text) & set("\x1b\x07\x9b\r\u202e\u2066\u2028") and r"\x1b]0;owned" in text
    echo(f"id {owned}")
    terminal = console()
    table = Table("arm")
    table.add_row(owned)
    terminal.print(table)
    terminal.print(owned, markup=False)
    assert not set(capsys.readouterr().out) & set("\x1b\x07\x9b\r\u202e\u2066\u2028")


def test_a_message_is_no_longer_than_people_read(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    _, text = outcome(monkeypatch, capsys, InputError("x" * 200_000 + "\nand more", fix="y"))
    assert len(text) < 1_100 and "(200,007 characters)\nand more\nwhere: prism fail\nfix:   y\n" in text


def test_the_library_names_parameters_and_no_options() -> None:
    """Errors are raised for Python users too; which option stands for a parameter is known in cli/ alone."""
    option = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {node.value}"
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] != "cli"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and option.search(node.value)
        if not any(word in node.value for word in ALLOWED)
    ]
    assert not found, "\n".join(found)


def functions_of_commands() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in sorted((SOURCE / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield path.stem, node


def test_commands_are_options_and_echo() -> None:
    """No body of a command is longer than forty lines, and all of them print by the one function that is safe to."""
    long, printing = [], []
    for module, function in functions_of_commands():
        body = function.body[1:] if ast.get_docstring(function) else function.body
        if body and (lines := (body[-1].end_lineno or 0) - body[0].lineno + 1) > 40:
            long.append(f"{module}.{function.name}: {lines} lines")
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("click.echo", "click.secho", "rich.print"):
                printing.append(f"{module}.{function.name}")
    assert not long, long
    assert set(printing) == {"console.echo", "main._report_usage"}, printing


def test_a_defect_says_that_it_is_one_and_debug_shows_where(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    code, text = outcome(monkeypatch, capsys, ZeroDivisionError("oh"))
    assert code == 1
    assert "ZeroDivisionError: oh" in text and "defect" in text and "Traceback" not in text
    code, text = outcome(monkeypatch, capsys, ZeroDivisionError("oh"), "--debug")
    assert code == 1 and "Traceback" in text
    monkeypatch.setenv("PRISM_DEBUG", "1")
    assert "Traceback" in outcome(monkeypatch, capsys, InputError("w"))[1]


def test_wrong_arguments_are_told_in_the_same_style(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    code, text = outcome(monkeypatch, capsys, None, "--number", "two")
    assert code == 2
    assert text.startswith("error: Invalid value for '--number'") and "fix:   see prism fail --help" in text
    code, text = outcome(monkeypatch, capsys, None, "--nummer", "2")
    assert code == 2 and "No such option" in text and "--number" in text


def test_a_command_that_returns_a_value_succeeds(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    assert outcome(monkeypatch, capsys, None) == (0, "")


def test_interruption_says_how_to_go_on(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    code, text = outcome(monkeypatch, capsys, KeyboardInterrupt(), "--number", "3")
    assert code == 130
    assert "run the same command again: prism fail --number 3" in text


def test_ctrl_c_in_a_real_process(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(
        "import signal, time, click\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "from alignment_prism.cli.main import cli, main\n"
        "@click.command('slow')\n"
        "def slow():\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(90)\n"
        "type(cli).get_command = lambda self, ctx, name: slow\n"
        "main(['slow'])\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.stderr is not None and "to go on" in process.stderr.read()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    process = subprocess.run(
        f"{sys.executable} -m alignment_prism.cli.main study show quickstart | head -1",
        shell=True, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout.startswith("# The quickstart")
    assert process.stderr == ""


def test_no_arguments_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["quikstart"])
    text = capsys.readouterr().err
    assert end.value.code == 2 and "no such command: 'quikstart'; did you mean quickstart?" in text
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("Usage: prism") and "Commands:" in text


def test_exit_codes_are_documented() -> None:
    text = cli.epilog or ""
    page = (Path(__file__).resolve().parents[3] / "docs" / "commands.md").read_text(encoding="utf-8")
    for code in {PrismError.exit_code, *(cls.exit_code for cls in PrismError.__subclasses__()), 0, 130}:
        assert f"\n  {code} " in text
        assert f"\n| {code} |" in page
