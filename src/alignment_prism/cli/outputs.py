"""What the commands that write files share: the option to replace one, and the check before any work."""

from __future__ import annotations

from collections.abc import Iterable

import click

replace_option = click.option("--replace", is_flag=True, help="Replace output files that are there already.")


def check_ending(out: str | None, *endings: str) -> None:
    """Check, before any work, that the name of an output says how it is written.

    Raises:
        InputError: it ends otherwise.
    """
    from alignment_prism.domain import InputError

    if out and not out.lower().endswith(endings):
        raise InputError(f"nothing is written as {out!r}", fix=f"let the name end in {', '.join(endings)}")


def check_outputs(
    *outputs: str | None, inputs: Iterable[str | None] = (), replace: bool = False, records: str = ""
) -> None:
    """Check that the outputs of a command may be written, before anything that takes long.

    Args:
        outputs: files; None and empty names are passed over.
        inputs: files and folders that are read.
        replace: what `--replace` says.
        records: a further output, which holds records: its suffix is checked as well.

    Raises:
        InputError: an output is one of the inputs, or records are not written by such a name.
        StoreError: an output is there already and not to be replaced, or cannot be written.
    """
    from alignment_prism.store import check_files

    if records:
        from alignment_prism.io import check_suffix

        check_suffix(records)
    check_files((records, *outputs), inputs=inputs, replace=replace)
