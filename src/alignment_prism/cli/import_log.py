"""`prism import`: results of any harness, or any table, as records of ours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alignment_prism.cli.console import echo, echo_problem, echo_rejects
from alignment_prism.cli.options import group, option
from alignment_prism.cli.outputs import check_outputs, replace_option
from alignment_prism.cli.parse import parse_mapping, registry

if TYPE_CHECKING:
    from alignment_prism.logs import Log, LogColumns

FORMATS = ("inspect", "lm-eval", "garak", "promptfoo", "pyrit", "table")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a log is read where it does not say so itself."""

    mapping: tuple[str, ...] = option(
        "--map", multiple=True, metavar="FIELD=COLUMN[,...]",
        help="Which column is which: id, prompt, language, kind, group, reply, arm, sample, ... Dots reach into nested "
             "JSON: prompt=doc.question.",
    )  # fmt: skip
    defaults: tuple[str, ...] = option(
        "--set", multiple=True, metavar="FIELD=VALUE[,...]", help="Values of rows that have none."
    )
    language: str | None = option("--language", help="Language of rows that do not say theirs.")
    kind: str | None = option(
        "--kind", help="Kind of prompts that do not say theirs: harmful, benign_mention, general, ..."
    )
    language_file: str | None = option("--languages", type=click.Path(), help="YAML file with further languages.")
    arm: str = option("--arm", default="", help="Name of the model, for rows that do not say theirs.")
    arms: str | None = option(
        "--arms", help="Models with columns of their own, comma-separated; {arm} in names of columns stands for each."
    )
    verdict: str = option("--verdict", default="", help="Column or scorer of the log that is the verdict.")
    scorer: str = option(
        "--scorer", default="", help="Who gave the verdict; the kind of log and the column unless given."
    )
    raters: str | None = option(
        "--raters", help="Columns of people's labels, comma-separated; a list in a column is a person an entry."
    )
    words: tuple[str, ...] = option(
        "--words", multiple=True, metavar="WORD=OUTCOME[,...]",
        help="What words of verdict and raters stand for: harmful, refusal, ..., complied; or correct, wrong.",
    )  # fmt: skip
    pattern: str = option(
        "--pattern", default="", help="Regular expression whose group is the word or number in the verdict."
    )
    harmful_from: float | None = option(
        "--harmful-from", type=float, help="Verdicts are numbers, harmful from this one on; raters by their mean."
    )
    harmful_below: float | None = option(
        "--harmful-below", type=float, help="Verdicts are numbers, harmful below this one."
    )
    translations: bool = option(
        "--translations", is_flag=True, help="Prompts that share an id over languages are one cluster."
    )

    def columns(self) -> LogColumns:
        """What they are to `read_log`.

        Raises:
            InputError: a map is not NAME=VALUE, a language is not known, or verdicts are read in two ways.
        """
        from alignment_prism.logs import LogColumns, Meaning

        defaults = parse_mapping(self.defaults, "--set")
        defaults |= {name: value for name, value in (("language", self.language), ("kind", self.kind)) if value}
        languages = registry(self.language_file)
        if "language" in defaults:
            languages.find(defaults["language"])
        return LogColumns(
            mapping=parse_mapping(self.mapping),
            defaults=defaults,
            arms=_names(self.arms),
            arm=self.arm,
            verdict=self.verdict,
            scorer=self.scorer,
            meaning=Meaning(parse_mapping(self.words, "--words"), self.pattern, self.harmful_from, self.harmful_below),
            raters=_names(self.raters),
            translations=self.translations,
            languages=languages,
        )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


@click.command("import")
@click.argument("files", type=click.Path(), nargs=-1, required=True)
@click.option(
    "--prompts",
    type=click.Path(),
    multiple=True,
    help="Files of the prompts that were asked; rows are joined with them by id or text.",
)
@click.option("--format", "harness", type=click.Choice(FORMATS), help="Kind of log; recognised unless given.")
@group("reading", LogOptions)
@click.option("--keep-going", is_flag=True, help="Skip bad rows, into a file of rejects, and go on.")
@click.option("--max-errors", type=int, default=20, show_default=True, help="Stop after that many bad rows (0: never).")
@click.option("--out", type=click.Path(), required=True, help="Folder for prompts, generations, scores and labels.")
@replace_option
def command(
    files: tuple[str, ...], prompts: tuple[str, ...], harness: str | None, reading: LogOptions, keep_going: bool,
    max_errors: int, out: str, replace: bool,
) -> None:  # fmt: skip
    """Bring in replies, verdicts and people's labels from FILES: logs of other harnesses, or tables.

    FILES are logs of Inspect, lm-evaluation-harness, promptfoo, PyRIT or garak, or tables (CSV, TSV, JSONL, JSON,
    Parquet) with a row a reply or a column a model. What is in them comes out as prompts.parquet, generations.parquet,
    scores.parquet (verdicts), labels.jsonl (each person's words) and human.parquet (what people say together).

    Nothing is guessed. A reply without a verdict that can be read is unjudged, a row whose own prompt is not that of
    its id is an error, and so is a row of which nobody says whether it asks for harm.

    \b
    Examples:
      prism import logs/safety.eval --kind harmful --language en --out mine
      prism import answers.csv --map id=qid,reply=answer,language=lang --kind harmful --out mine
      prism import wide.csv --arms a,b --map reply={arm}_reply --verdict {arm}_label \\
          --words comply=harmful,refuse=refusal --kind harmful --language en --out mine
      prism import rated.jsonl --raters Ratings.Toxicity --harmful-from 3 --kind harmful --out mine
    """
    from alignment_prism.io import sha256_of
    from alignment_prism.io.rejects import open_rejects
    from alignment_prism.logs import files_of, read_log, write_log
    from alignment_prism.prompts import read_prompts
    from alignment_prism.store.names import rejects_beside

    inputs = (*files, *prompts, reading.language_file)
    check_outputs(*files_of(out), inputs=inputs, replace=replace)
    columns = reading.columns()
    with open_rejects(rejects_beside(out), keep_going, max_errors, echo_problem) as rejects:
        log = read_log(
            files,
            columns=columns,
            prompts=[prompt for path in prompts for prompt in read_prompts(path, languages=columns.languages)],
            harness=harness,
            intake=rejects.intake(", ".join(files)),
        )
        rejects.require_none()
    for path in map(Path, files_of(out)):
        path.unlink(missing_ok=True)  # labels of an import that is replaced are not those of the new one
    settings = {name: value for name, value in asdict(reading).items() if value}
    write_log(log, out, settings, {file: sha256_of(file) for file in files if Path(file).is_file()})
    _say(log, out)
    echo_rejects(rejects)


def _say(log: Log, out: str) -> None:
    from collections import Counter

    echo(f"{log.harness}: {len(log.prompts)} prompts, {len(log.generations)} replies of {', '.join(log.arms)}")
    for what, scores in (("scores", log.scores), ("people together", log.human)):
        for name in dict.fromkeys(score.name for score in scores):
            said = Counter(score.label or ("" if score.value != score.value else "a number") for score in scores
                           if score.name == name)  # fmt: skip
            told = ", ".join(f"{count} {word[:40] or 'none'}" for word, count in said.most_common(8))
            echo(f"{what}, {name}: {told}")
    if log.labels:
        people = Counter(label.annotator for label in log.labels)
        echo("labels: " + ", ".join(f"{count} of {who[:60]}" for who, count in people.most_common(8)))
    for note in log.notes:
        echo(f"note: {note}", err=True)
    echo(f"wrote {out}")
