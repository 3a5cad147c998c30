"""The command `prism`: a group whose commands are imported only when they run, and one style of error.

`prism --help` must answer at once, so nothing here imports a heavy library and no command's module is imported
for a listing: the one-line descriptions stand in `COMMANDS`.
"""

from __future__ import annotations

import difflib
import importlib
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from alignment_prism.domain.errors import InputError, PrismError

REPORT_IT = "run again with --debug and report the traceback"

COMMANDS: dict[str, tuple[str, str]] = {
    "quickstart": (
        "alignment_prism.cli.quickstart:command",
        "Align and evaluate the nano lab, from nothing to a report.",
    ),
    "study": (
        "alignment_prism.cli.study:command",
        "Plan or run a study from a YAML file: your base, pairs, prompts, judge.",
    ),
    "prompts": ("alignment_prism.cli.prompts:command", "Read, check and describe prompt sets."),
    "preferences": (
        "alignment_prism.cli.preferences:command",
        "Look through preference data, repair it, build it from seed prompts.",
    ),
    "mix": ("alignment_prism.cli.mix:command", "Build a training mixture with an exact share of safety pairs."),
    "align": (
        "alignment_prism.cli.align:command",
        "Train a model on preference pairs: SFT, DPO, or one after the other.",
    ),
    "merge": (
        "alignment_prism.cli.merge:command",
        "Merge models of one base: linear, SLERP, TIES, DARE, task arithmetic.",
    ),
    "generate": ("alignment_prism.cli.generate:command", "Let a model reply to prompts (first stage)."),
    "judge": ("alignment_prism.cli.judge:command", "Let a judge say what each reply is (second stage)."),
    "analyse": ("alignment_prism.cli.analyse:command", "Turn verdicts into findings (third stage)."),
    "evaluate": ("alignment_prism.cli.evaluate:command", "Generate, judge and analyse replies, language by language."),
    "import": (
        "alignment_prism.cli.import_log:command",
        "Bring in results of other harnesses, and tables of replies, verdicts and labels.",
    ),
    "agreement": ("alignment_prism.cli.agreement:command", "Measure how far judges and people agree."),
    "labels": ("alignment_prism.cli.labels:command", "Draw samples for human labels and read labels back."),
    "annotate": ("alignment_prism.cli.annotate:command", "Let native speakers label replies and write prompts."),
    "power": (
        "alignment_prism.cli.power:command",
        "Plan: how many prompts, seeds, samples and labels a question needs.",
    ),
    "compare": ("alignment_prism.cli.compare:command", "Compare two sets of findings."),
    "report": ("alignment_prism.cli.report:command", "Write a report page from findings, or show them as a table."),
    "push": ("alignment_prism.cli.push:command", "Send a model or a data set with its card to the Hugging Face Hub."),
    "nano": ("alignment_prism.cli.nano:command", "Build and inspect the embedded lab."),
    "doctor": ("alignment_prism.cli.doctor:command", "Say what this machine and installation can do."),
    "completion": ("alignment_prism.cli.completion:command", "Let bash, zsh or fish complete commands and options."),
}
"""Command -> (where its click command is, what it does)."""

EXIT_CODES = """\b
Exit codes:
  0    done
  1    a defect of this program
  2    an argument, a file or a row is not what it should be
  3    a model, judge or provider cannot be used
  4    a training cannot start or went wrong
  5    a stored artifact is missing, incomplete or altered, or an output is there already or cannot be written
  6    prism compare: a check of the gate is refuted
  7    prism compare: undecided, more prompts may decide
  8    the budget is spent; finished work is kept
  130  stopped with Ctrl-C; finished work is kept
"""
INTERRUPTED = 130
LONGEST = 1000
"""Characters of a line of a message; some of ours have a few hundred."""


class LazyGroup(click.Group):
    """A click group that imports a command's module when the command is asked for, not before.

    Args:
        lazy: command name -> (`module:attribute`, one-line description).
    """

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with the nearest name where there is no such command."""
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            near = difflib.get_close_matches(name, self.lazy, n=1)
            ctx.fail(f"no such command: {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands without importing them, and the group's own options."""
        names = [
            CompletionItem(name, help=text) for name, (_, text) in self.lazy.items() if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> None:
        """Run the command and drop what it returns: only `ctx.exit` sets an exit code."""
        super().invoke(ctx)


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
@click.version_option(package_name="alignment-prism", prog_name="prism")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error (accepted anywhere).")
def cli() -> None:
    """Align a multilingual language model and find out, language by language, whether it worked.

    New here? `prism quickstart` trains and evaluates a small model that ships with the package.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `prism`: run the command, print an error as what, where, fix, and exit with its code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments or os.environ.get("PRISM_DEBUG", "") not in ("", "0")
    arguments = [argument for argument in arguments if argument != "--debug"]
    _prepare()
    try:
        _check_names(arguments)
        code = cli.main(arguments, prog_name="prism", standalone_mode=False)
    except BrokenPipeError:
        # The reader (`head`) has gone; point stdout elsewhere so that the interpreter's last flush is silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (KeyboardInterrupt, click.Abort) as error:
        again = shlex.join(["prism", *arguments])
        what = str(error.__cause__ or error) or "stopped"
        _print_error(what, fix=f"finished work is kept; to go on, run the same command again: {again}")
        code = INTERRUPTED
    except Exception as error:
        code = _report(error, arguments, debug)
    sys.exit(code)


def _check_names(arguments: Sequence[str]) -> None:
    """Refuse names of files that are not UTF-8 before any work: they could be written into no manifest.

    Raises:
        InputError: an argument cannot be written as UTF-8.
    """
    for argument in arguments:
        if not argument.isascii():
            try:
                argument.encode("utf-8")
            except UnicodeEncodeError:
                shown = ascii(argument)
                raise InputError(
                    "a name that is not UTF-8", where=shown, fix="rename the file, or link to it"
                ) from None


def _prepare() -> None:
    """What must be said before anything is loaded."""
    # Read by OpenMP when torch is loaded: waiting threads sleep. Spinning, they take the cores from whatever else runs
    # on the machine, and on a busy one a training takes several times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode must not end a study


def _report(error: Exception, arguments: Sequence[str], debug: bool) -> int:
    """Print an error, whatever it is, as a sentence with a remedy; returns the exit code."""
    from alignment_prism.cli.remedies import advice, command_of, path_of

    if isinstance(error, click.ClickException):
        return _report_usage(error, path_of(cli, arguments))
    from alignment_prism.store import storage_fault

    if debug:
        traceback.print_exc()
    known = error if isinstance(error, PrismError) else storage_fault(error)
    if known is None:
        fix = f"this is a defect of Alignment Prism; {REPORT_IT}"
        _print_error(f"{type(error).__name__}: {error}", fix=None if debug else fix)
        return 1
    said = advice(known.fix, known.settings, command_of(cli, arguments)) if known.fix else None
    several = error.__cause__.exceptions if isinstance(error.__cause__, ExceptionGroup) else ()
    defects = {type(one).__name__: one for one in several if not isinstance(one, PrismError)}
    if said and defects and not debug:
        said += f"; {' and '.join(defects)}: a defect of Alignment Prism; {REPORT_IT}"
    _print_error(known.what, where=known.where or path_of(cli, arguments), fix=said)
    return known.exit_code


def _report_usage(error: click.ClickException, called: str) -> int:
    """Print a fault in the arguments of the command that was called in our style; for no arguments, the help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else called
    _print_error(error.format_message(), where=path, fix=f"see {path} --help")
    return error.exit_code


def _print_error(what: str, *, where: str | None = None, fix: str | None = None) -> None:
    from alignment_prism.cli.console import echo

    lines = [f"error: {what}"]
    if where:
        lines.append(f"where: {where}")
    if fix:
        lines.append(f"fix:   {fix}")
    echo("\n".join(_clipped(line) for line in "\n".join(lines).split("\n")), err=True)


def _clipped(line: str) -> str:
    """A line of a message; ids and keys in it may be of any length."""
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}... ({len(line):,} characters)"


if __name__ == "__main__":
    main()
