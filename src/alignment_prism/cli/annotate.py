"""`prism annotate`: the app in which native speakers label replies and write prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.outputs import check_outputs, replace_option


@click.group("annotate")
def command() -> None:
    """Native speakers label replies and write prompts in a browser.

    \b
    Example:
      prism annotate init people
      prism annotate add people sheet.csv --project "First round" --overlap 2
      prism annotate invite people --language ar
      prism annotate serve people
      prism annotate export people "First round" labels.csv
    """


@command.command("init")
@click.argument("folder", type=click.Path())
@click.option("--database", default="", help="Address of a PostgreSQL database; SQLite in FOLDER unless given.")
@click.option("--address", default="http://127.0.0.1:8400", show_default=True, help="Where the pages will be.")
def init(folder: str, database: str, address: str) -> None:
    """Make an annotation FOLDER, and the link with which its administrator joins.

    \b
    Example:
      prism annotate init people --address https://annotate.example.org
    """
    from alignment_prism.annotation import Role, create_database, invite

    made = create_database(folder, database)
    with made.write() as connection:
        token = invite(connection, Role.ADMINISTRATOR, note="administrator")
    echo(f"made {folder}")
    _show_link(address, token)


@command.command("invite")
@click.argument("folder", type=click.Path())
@click.option("--role", type=click.Choice(["annotator", "lead", "administrator"]), default="annotator",
              show_default=True, help="What the person may do.")  # fmt: skip
@click.option(
    "--language", "languages", multiple=True, help="That they label and write in; may be given several times."
)
@click.option("--note", default="", help="Whom the link is for.")
@click.option("--address", default="http://127.0.0.1:8400", show_default=True, help="Where the pages are.")
def invite(folder: str, role: str, languages: tuple[str, ...], note: str, address: str) -> None:
    """Make a link with which one person joins; it is good once, for two weeks.

    \b
    Example:
      prism annotate invite people --language ar --note "Amal"
    """
    from alignment_prism.annotation import Role, open_database
    from alignment_prism.annotation import invite as invite_person

    with open_database(folder).write() as connection:
        token = invite_person(connection, Role(role), languages, note=note)
    _show_link(address, token)


@command.command("add")
@click.argument("folder", type=click.Path())
@click.argument("source", type=click.Path())
@click.option("--project", required=True, help="Title that people see; made if there is none of it.")
@click.option("--ask", type=click.Choice(["outcome", "pairwise", "scope"]), help="What is asked in a new project; the "
              "outcome unless given.")  # fmt: skip
@click.option("--overlap", type=click.IntRange(1, 50), help="People who answer each item of a new project; 1 unless "
              "given.")  # fmt: skip
@click.option("--gold", is_flag=True, help="SOURCE holds items whose answers are known; they qualify annotators.")
@click.option("--arm", "arms", multiple=True, help="Of a study, whose replies are taken; of a comparison two, the "
              "candidate first.")  # fmt: skip
@click.option("--language", "languages", multiple=True, help="To keep; all unless given.")
@click.option("--number", type=click.IntRange(1), help="Most prompts of each language, by digest; a sheet is taken "
              "whole.")  # fmt: skip
@click.option("--seed", type=int, help="Of the study's alignment, where it has several.")
def add(
    folder: str, source: str, project: str, ask: str | None, overlap: int | None, gold: bool, **choice: Any
) -> None:  # fmt: skip
    """Give a project the items of SOURCE: the folder of a study or of `prism import`, a sheet of `labels sample` or
    `labels next`, or prompts.

    \b
    Examples:
      prism annotate add people sheet.csv --project "First round" --overlap 2
      prism annotate add people results/quickstart --project "Which is better" --ask pairwise \\
          --arm dpo_sft --arm base --number 20
      prism annotate add people known.csv --project "First round" --gold
    """
    from alignment_prism.annotation import Kind, open_database
    from alignment_prism.annotation.projects import project_for_items
    from alignment_prism.annotation.sources import add_gold, add_source
    from alignment_prism.domain import InputError

    if gold and (chosen := [name for name, value in choice.items() if value not in (None, ())]):
        raise InputError(f"--gold takes all of SOURCE, and --{chosen[0].removesuffix('s')} chooses from it",
                         fix="give one of them")  # fmt: skip
    with open_database(folder).write() as connection:
        found = project_for_items(connection, project, kind=Kind(ask) if ask else None, overlap=overlap)
        if gold:
            added, known = add_gold(connection, found, source)
        else:
            added, known = add_source(connection, found, source, **choice)
    echo(f"{project}: {added} items added" + (f", {known} were there already" if known else ""))


@command.command("write")
@click.argument("folder", type=click.Path())
@click.option("--project", required=True, help="Title that people see.")
@click.option("--language", "languages", multiple=True, required=True, help="To write in; may be given several times.")
@click.option("--global", "worldwide", type=click.IntRange(0), default=0, help="Prompts of global harm wanted in each "
              "language.")  # fmt: skip
@click.option("--local", type=click.IntRange(0), default=0, help="Prompts of local harm wanted in each language.")
@click.option("--quotas", type=click.Path(), help="Table of further quotas: language, scope, category, wanted.")
@click.option("--opinions", type=click.IntRange(0, 50), default=0, help="Speakers of each other language who are asked "
              "whether a prompt is harmful with them too.")  # fmt: skip
@click.option("--requires", default="", help="Project whose known answers an author must get right first.")
def write(
    folder: str, project: str, languages: tuple[str, ...], worldwide: int, local: int, quotas: str | None,
    opinions: int, requires: str,
) -> None:  # fmt: skip
    """Make a project in which native speakers write prompts, with quotas by language, scope and category.

    \b
    Example:
      prism annotate write people --project "Prompts" --language ar --language hi --global 60 --local 30 --opinions 2
    """
    from alignment_prism.annotation import open_database
    from alignment_prism.annotation.quotas import ANY, Cell, read_quotas
    from alignment_prism.annotation.writing import create_writing
    from alignment_prism.domain import InputError

    if not (worldwide or local or quotas):
        raise InputError("no prompts are wanted", fix="give --global, --local or --quotas")
    wanted = [Cell(one, scope, ANY, count) for one in dict.fromkeys(languages) for scope, count in
              (("global", worldwide), ("local", local)) if count]  # fmt: skip
    more = read_quotas(quotas) if quotas else []
    with open_database(folder).write() as connection:
        made = create_writing(connection, project, languages, [*wanted, *more], opinions=opinions, requires=requires)
    echo(f"{made.title}: {sum(cell.wanted for cell in wanted)} prompts wanted, {len(more)} further quotas")


@command.command("import")
@click.argument("folder", type=click.Path())
@click.argument("source", type=click.Path())
@click.option("--project", required=True, help="Title of the project that the labels are for.")
@click.option("--format", "form", type=click.Choice(["label-studio", "potato"]), required=True, help="Of SOURCE.")
@click.option("--key", help="Field of Label Studio's data that names the item; reply_digest unless given.")
@click.option("--question", default="", help="Control or schema whose choice is the label; the only one unless given.")
@click.option("--comment", default="", help="Control or schema with a comment.")
@click.option("--label", "labels", multiple=True, metavar="THEIRS=OURS", help="A label that has another name here.")
@click.option("--map", "mapping", multiple=True, metavar="FIELD=COLUMN[,...]", help="Fields with prompt, reply and "
              "language, for items that the project does not have.")  # fmt: skip
def bring_in(
    folder: str, source: str, project: str, form: str, key: str | None, question: str, comment: str,
    labels: tuple[str, ...], mapping: tuple[str, ...],
) -> None:  # fmt: skip
    """Take labels over from an export of Label Studio (JSON) or Potato (its folder of output).

    \b
    Examples:
      prism annotate import people export.json --project "First round" --format label-studio --label Unsafe=harmful
      prism annotate import people annotation_output --project "First round" --format potato --question harm
    """
    from alignment_prism.annotation import open_database
    from alignment_prism.annotation.imports import add_labels, read_label_studio, read_potato
    from alignment_prism.annotation.projects import project_named
    from alignment_prism.cli.parse import parse_mapping
    from alignment_prism.domain import InputError

    if unclear := [one for one in labels if "=" not in one]:
        raise InputError(f"--label {unclear[0]!r} is not THEIRS=OURS", fix="write --label Unsafe=harmful")
    studio = form == "label-studio"
    if key and not studio:
        raise InputError("--key is of Label Studio; Potato names items itself", fix="leave --key out")
    found = (
        read_label_studio(source, key or "reply_digest", question, comment)
        if studio
        else read_potato(source, question, comment)
    )
    with open_database(folder).write() as connection:
        done = add_labels(connection, project_named(connection, project), found, source=form,
                          words=dict(one.split("=", 1) for one in labels),
                          fields=parse_mapping(mapping))  # fmt: skip
    echo(f"{done.added} labels added, {done.new_items} new items, {done.there} labels were there already")
    if done.unknown:
        echo(f"{done.unknown} labels of items that the project does not have, without their texts", err=True)
    for word, count in done.unread.most_common(5):
        echo(f"{count} labels {word[:40]!r} mean nothing here: --label THEIRS=OURS", err=True)


@command.command("backup")
@click.argument("folder", type=click.Path())
@click.argument("out", type=click.Path())
@replace_option
def backup(folder: str, out: str, replace: bool) -> None:
    """Write everything of FOLDER to the file OUT, while people work.

    It holds what everybody wrote, and the hashes of their passwords: keep it as you keep those.

    \b
    Example:
      prism annotate backup people people.backup
    """
    from alignment_prism.annotation import open_database
    from alignment_prism.annotation.backup import write_backup
    from alignment_prism.annotation.database import own_files

    check_outputs(out, inputs=map(str, own_files(folder)), replace=replace)
    rows = write_backup(open_database(folder), out)
    echo(f"wrote {out}: {rows['people']} people, {rows['items']} items, {rows['revisions']} revisions")


@command.command("restore")
@click.argument("backup_file", metavar="BACKUP", type=click.Path())
@click.argument("folder", type=click.Path())
@click.option("--database", default="", help="Address of an empty PostgreSQL database; SQLite in FOLDER unless given.")
def restore(backup_file: str, folder: str, database: str) -> None:
    """Make FOLDER from a BACKUP, on SQLite or PostgreSQL, whichever it was made on; nothing is replaced.

    \b
    Example:
      prism annotate restore people.backup restored
    """
    from alignment_prism.annotation.backup import restore_backup

    restore_backup(backup_file, folder, database)
    echo(f"made {folder}")


@command.command("serve")
@click.argument("folder", type=click.Path())
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), default=8400, show_default=True, help="Port to listen at.")
@click.option(
    "--https", is_flag=True, help="The pages are reached over HTTPS, by a proxy: cookies travel no other way."
)
def serve(folder: str, host: str, port: int, https: bool) -> None:
    """Serve the pages until Ctrl-C.

    \b
    Example:
      prism annotate serve people --port 8400
    """
    from alignment_prism.annotation import open_database
    from alignment_prism.annotation.web.app import serve as serve_pages

    def listening() -> None:
        echo(f"http://{host}:{port}/ (Ctrl-C ends it)")

    serve_pages(open_database(folder), host=host, port=port, secure=https, listening=listening)


@command.command("export")
@click.argument("folder", type=click.Path())
@click.argument("project")
@click.argument("out", type=click.Path())
@click.option("--what", type=click.Choice(["labels", "settled", "aya", "prompts", "dataset"]), default="labels",
              show_default=True, help="Labels; answers that leads settled; prompts in the Aya columns, as our records, "
              "or as a folder for datasets.")  # fmt: skip
@replace_option
def export(folder: str, project: str, out: str, what: str, replace: bool) -> None:
    """Write what people said in PROJECT to the file (or folder) OUT.

    Labels are a filled-in sheet with its design beside it, which `prism agreement` and `prism labels` read.

    \b
    Examples:
      prism annotate export people "First round" labels.csv
      prism annotate export people "Serbian prompts" aya_srp.jsonl --what aya
    """
    from alignment_prism.annotation import exports, open_database
    from alignment_prism.annotation.database import own_files
    from alignment_prism.annotation.projects import project_named
    from alignment_prism.store.names import design_beside

    there = [str(Path(out) / "README.md"), *map(str, sorted(Path(out).glob("aya_*.jsonl")))]
    outputs = there if what == "dataset" else [out, design_beside(out)]
    check_outputs(*outputs, inputs=map(str, own_files(folder)), replace=replace)
    with open_database(folder).read() as connection:
        write = getattr(exports, f"write_{what}")
        for path in write(connection, project_named(connection, project), out):
            echo(f"wrote {path}")


@command.command("status")
@click.argument("folder", type=click.Path())
def status(folder: str) -> None:
    """Projects, languages, and how far they are.

    \b
    Example:
      prism annotate status people
    """
    from alignment_prism.annotation import open_database
    from alignment_prism.annotation.projects import all_projects
    from alignment_prism.annotation.quotas import progress
    from alignment_prism.domain.text import markdown_table

    with open_database(folder).read() as connection:
        rows = [
            (project.title, project.kind, language, items, full, answers)
            for project in all_projects(connection)
            for language, items, full, answers in progress(connection, project)
        ]
    echo(markdown_table(["project", "asks", "language", "items", "finished", "answers"], rows))


def _show_link(address: str, token: str) -> None:
    echo(f"{address.rstrip('/')}/invitation/{token}")
    echo("the link is good once, for two weeks, and is not shown again", err=True)
