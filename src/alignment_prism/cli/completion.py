"""`prism completion`: the lines that teach a shell to complete commands, options, files and names of sets."""

from __future__ import annotations

import click

from alignment_prism.cli.console import echo

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the lines that let a shell complete prism's commands, options, files, names of sets and languages.

    \b
    Examples:
      prism completion bash >> ~/.bashrc
      prism completion zsh >> ~/.zshrc      # after the line with compinit
      prism completion fish > ~/.config/fish/completions/prism.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, shell  # the choice has only those that click knows
    root = click.get_current_context().find_root()
    echo(kind(root.command, {}, "prism", "_PRISM_COMPLETE").source())
