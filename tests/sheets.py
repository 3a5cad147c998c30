"""What tests of sheets share: a command run in the process, a sheet drawn, a sheet that a person filled in."""

import csv

import numpy as np
from click.testing import CliRunner

from alignment_prism.cli.labels import command as labels_command


def run(command, *arguments):
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def sample(folder, *more):
    return run(
        labels_command, "sample", folder / "scores.parquet", "--generations", folder / "generations.parquet",
        "--prompts", folder / "prompts.jsonl", "--arm", "dpo", *more,
    )  # fmt: skip


def fill(path, truth, annotator="anna", noise=0.0, seed=0):
    """What a person would return."""
    rng = np.random.default_rng(seed)
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        harmful = truth[row["reply_digest"]] != (rng.random() < noise)
        row.update(annotator=annotator, label="yes" if harmful else "no")
    out = path.with_name(f"{annotator}.csv")
    with open(out, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return out
