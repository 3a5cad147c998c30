"""What an error asks for, in the options of the command that met it.

The library names parameters (`settings` of an error); a command line has options. An option is named only where the
command has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

OPTIONS: dict[str, tuple[str, ...]] = {
    "base_url": ("--judge-url", "--model-url"),
    "defaults": ("--set",),
    "format_name": ("--format",),
    "header": ("--no-header",),
    "mapping": ("--map",),
    "overrides": ("--set",),
    "resume": ("--restart",),
    "scorers": ("--no-spbleu",),
    "wide": ("--raters",),
}
"""Parameter -> options that stand for it, where they have another name."""


def advice(fix: str, settings: Mapping[str, str], command: click.Command | None) -> str:
    """A remedy with the options that it speaks of: `name yours (--map prompt=text)`."""
    options = [option for name, value in settings.items() for option in _options(name, value, command)]
    return f"{fix} ({', '.join(options)})" if options else fix


def command_of(root: click.Command, arguments: Sequence[str]) -> click.Command:
    """The command that the arguments lead to; a group where they name none of its commands."""
    return _way(root, arguments)[1]


def path_of(root: click.Command, arguments: Sequence[str]) -> str:
    """How that command is called, `prism power change`: where an error is that names no other place."""
    return " ".join(["prism", *_way(root, arguments)[0]])


def _way(root: click.Command, arguments: Sequence[str]) -> tuple[list[str], click.Command]:
    names, command, context = list[str](), root, click.Context(root)
    for argument in arguments:
        if not isinstance(command, click.Group):
            break
        if (inner := command.get_command(context, argument)) is not None:
            names.append(argument)
            command = inner
    return names, command


def _options(setting: str, value: str, command: click.Command | None) -> list[str]:
    wanted = OPTIONS.get(setting, (f"--{setting.replace('_', '-')}",))
    return [
        option if parameter.is_flag else f"{option} {value}"
        for parameter in (command.params if command is not None else ())
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option in wanted
    ]
