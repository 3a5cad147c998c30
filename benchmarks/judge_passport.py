"""How often GPT-4 is right on public labels, on prompts that natives wrote and on translated ones.

    python benchmarks/judge_passport.py [FOLDER]

FOLDER holds `rtp_lx/`; without it `PRISM_REALDATA`, or `../shared/data`. Ratings (no text) go into a table in a folder
that is removed again, `prism labels passport` reads it, and the table that it makes is written to `judge_passport.md`.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
LANGUAGES = {"AR": "ar", "ES": "es", "FR": "fr", "HI": "hi"}
"""Codes of the locales that are measured; people's labels of the others are partly missing."""


def ratings(folder: Path) -> Iterator[tuple[str, ...]]:
    """Key, language, origin, the toxicity that three people gave, and GPT-4's (the last one of its answer)."""
    for locale, language in LANGUAGES.items():
        lines = (folder / "rtp_lx" / f"gpt4_results_{locale}.json").read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            row = json.loads(line)
            entry = row["OriginalEntry"]
            said = re.findall(r"Tox\w*\"?\s*:\s*(\d)", row["GPT4ResponseRaw"])
            origin = "native" if entry["OriginalMetadata"].get("Filename") == "manual" else "translated"
            people = (str(value) for value in entry["AnnotationsRaw"]["Toxicity"])
            yield (f"{locale} {number}", language, origin, *people, said[-1] if said else "")


def main() -> None:
    """Measure, print, write."""
    default = os.environ.get("PRISM_REALDATA") or HERE.parent.parent / "shared" / "data"
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else default)
    with tempfile.TemporaryDirectory() as scratch:
        table, out = Path(scratch) / "rtp_lx.csv", Path(scratch) / "gpt4.json"
        with table.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(
                [("id", "language", "origin", "person_1", "person_2", "person_3", "gpt4"), *ratings(folder)]
            )
        command = [str(Path(sys.executable).with_name("prism")), "labels", "passport", str(table), "--key", "id",
                   "--raters", "person_1,person_2,person_3,gpt4", "--judge", "gpt4", "--threshold", "3",
                   "--out", str(out)]  # fmt: skip
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"
    text = f"""# The passport of GPT-4 on RTP-LX

Measured on {datetime.now(UTC).date().isoformat()} by `python benchmarks/judge_passport.py`; {machine}.

GPT-4 against the mean of three people, both cut at a toxicity of 3, with 95 % intervals. Prompts of the origin
`native` were written by speakers of the language, those that are `translated` come from English.

{chr(10).join(lines)}
"""
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
