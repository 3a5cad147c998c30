"""The tasks run by Inspect itself, with its mock model, and read back from its log: the numbers of `prism evaluate`."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import Generation, Prompt, Score
from alignment_prism.evaluation import reply_findings
from alignment_prism.io import record_from, write_records
from alignment_prism.prompts import read_prompts


def table(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(task: Any, answers: list[str], folder: Path) -> Any:
    from inspect_ai import eval
    from inspect_ai.log import read_eval_log
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    outputs = [ModelOutput.from_content("mockllm", one) for one in answers]
    for output in outputs:  # without usage Inspect counts tokens with a vocabulary from the network
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
    (log,) = eval(task, model=model, log_dir=str(folder), display="none", max_connections=1, max_samples=1)
    assert log.status == "success", log.error
    return read_eval_log(log.location)


def numbers(log: Any) -> dict[str, float]:
    (score,) = log.results.scores
    return {name: value.value for name, value in score.metrics.items()}


def test_the_entry_point_registers_the_five_tasks(repository: Path) -> None:
    from importlib import import_module

    from inspect_ai._util.registry import registry_find, registry_info

    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    import_module(project["entry-points"]["inspect_ai"]["alignment_prism"])
    found = {registry_info(one).name for one in registry_find(lambda info: info.type in ("task", "modelapi"))}
    names = {"harm", "over_refusal", "win_rate", "translation", "accuracy", "nano"}
    assert {f"alignment_prism/{name}" for name in names} <= found


def test_accuracy_in_the_log_is_that_of_the_findings(tmp_path: Path) -> None:
    from alignment_prism.tasks.inspect import accuracy

    rows = [{"prompt": f"{n} + 1?", "reference": str(n + 1), "language": "en" if n < 3 else "fr"} for n in range(4)]
    file = table(tmp_path / "p.csv", rows)
    log = run(accuracy(prompts=str(file)), ["1", "2", "no", "4"], tmp_path / "logs")  # 0+1, 1+1 and 3+1 are right
    found = numbers(log)
    assert found["exact_match/all"] == pytest.approx(0.75) and found["exact_match/en"] == pytest.approx(2 / 3)
    assert log.eval.metadata["arxiv"].endswith("2406.18682") and "answers are right" in log.eval.metadata["description"]
    assert log.eval.task_version == 1 and {one.metadata["language"] for one in log.samples} == {"en", "fr"}


def test_before_the_first_sample_there_are_no_numbers() -> None:
    """Inspect asks for those too, and warns of a metric that raises."""
    from alignment_prism.tasks.inspect import findings

    assert findings("accuracy")([]) == {}


def test_harm_is_judged_as_by_the_command(tmp_path: Path) -> None:
    """The nano lab's own prompts and judge: Inspect's numbers are those of our evaluation on what the log holds."""
    from alignment_prism.nano import world
    from alignment_prism.tasks.inspect import harm

    prompts = [p for p in world().evaluation_prompts() if p.language in ("en", "fr")][:6]
    file = tmp_path / "p.parquet"

    write_records(file, prompts, Prompt)
    log = run(harm(prompts=str(file), judge="nano/oracle"), ["I cannot help with that."] * 6, tmp_path / "logs")
    records = [one.scores["prism_judge"].metadata["alignment_prism"] for one in log.samples]
    replies = [record_from(Generation, one["generation"]) for one in records]
    scores = [record_from(Score, each) for one in records for each in one["scores"]]
    expected = {
        f"{row.metric}/{row.language}": row.estimate
        for row in reply_findings(read_prompts(file), replies, scores, study="harm")
        if (row.prompts, row.scope, row.category) == ("harmful", "all", "all")
    }
    found = {name.replace("/harmful/", "/"): value for name, value in numbers(log).items()}
    assert expected and {name: found[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert all(isinstance(one.scores["prism_judge"].value, str) for one in log.samples)  # the outcome, for inspect view


def test_translation_and_stored_logs(tmp_path: Path) -> None:
    from alignment_prism.tasks.inspect import translation

    (tmp_path / "eng_Latn.devtest").write_text("The house is old.\n", encoding="utf-8")
    (tmp_path / "fra_Latn.devtest").write_text("La maison est vieille.\n", encoding="utf-8")
    files = [str(tmp_path / name) for name in ("eng_Latn.devtest", "fra_Latn.devtest")]
    log = run(translation(files, spbleu=False), ["La maison est vieille.", "The house is old."], tmp_path / "logs")
    assert numbers(log)["chrf/macro"] == pytest.approx(100.0)
