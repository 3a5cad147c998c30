"""Names of the files that commands and studies write, each said once."""

from __future__ import annotations

# In the folder of a study
PROMPTS = "prompts.parquet"
FINDINGS = "findings.parquet"
CONTRASTS = "contrasts.parquet"
TRANSFER = "transfer.parquet"
REPORT = "report.html"
STUDY = "study.json"
"""The spec, as plain values."""
PLAN = "plan.json"
"""Which steps the findings of a folder rest on."""
STEPS = "steps.jsonl"
"""The log of steps: what began and how it ended."""
DECLARATIONS = "declarations.jsonl"
"""Gates that were declared, with the time."""
CLUSTER = ".prism.cluster"
"""The mark of a run on a cluster, by which nodes know that they see its folder; it is gone when that ends."""
CALLS = "calls.jsonl"
"""The journal of calls of judges and models behind an API."""

# In the folder of one step
MANIFEST = "manifest.json"
MIXTURE = "mixture.json"
RESULT = "result.json"
"""What a training counted and measured."""
PAIRS = "pairs.parquet"
GENERATIONS = "generations.parquet"
SCORES = "scores.parquet"
COMPARISONS = "comparisons.parquet"


def manifest_beside(path: str) -> str:
    """Of a file that is no artifact's: what it was made from."""
    return f"{path}.manifest.json"


def rejects_beside(path: str) -> str:
    """Rows that were skipped while a file was written, each with its reason."""
    return f"{path}.rejects.jsonl"


def unfinished_beside(path: str) -> str:
    """The folder of the work that a file or a folder is made by, until it is done."""
    return f"{path}.unfinished"


def earlier_beside(path: str) -> str:
    """The artifact of a step that is made again from other inputs, for what still holds of it."""
    return f"{path}.earlier"


def design_beside(path: str) -> str:
    """Of a sheet of labels: how its rows were drawn."""
    return f"{path}.design.json"


def looks_beside(path: str) -> str:
    """Of a gate: which of its looks were spent on what."""
    return f"{path}.looks.jsonl"
