"""1 GB of JSONL through `prism prompts validate`: time and memory, the latter sampled all the way.

    python benchmarks/validate_memory.py [--gigabytes 1]

Rows are like those of the Aya Red-teaming set, 300 bytes on average, in four scripts; one in a thousand is bad in some
way. Bar: memory stays under 500 MB. It does not grow with the file but for the digests that find duplicates: two sets,
of texts and of ids, of 13 to 27 bytes a row each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LETTERS = ("etaoinshrdlucm", "оеаинтсрвлкмд", "ايلمونتربعسدف", "करनसतमपलहयवद")
LANGUAGES = ("English", "Russian", "Arabic", "Hindi")
BAR = 500


def write(path: Path, size: int) -> tuple[int, int]:
    """Writes rows until the file has `size` bytes; returns how many, and how many of them are bad."""
    rng = random.Random(1)
    words = [["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(5000)] for letters in LETTERS]
    rows = bad = written = 0
    with path.open("w", encoding="utf-8") as stream:
        while written < size:
            kind = rows % 4
            row = {
                "prompt": " ".join(rng.choices(words[kind], k=rng.randint(5, 25))),
                "language": LANGUAGES[kind],
                "harm_category": '["Profanity", "Hate Speech"]',
                "global_or_local": "global",
                "literal_translation": None,
            }
            if rng.random() < 0.001:
                row["language"] = "Elvish"
                bad += 1
            rows += 1
            line = json.dumps(row, ensure_ascii=False) + "\n"
            written += len(line.encode())
            stream.write(line)
    return rows, bad


def resident(process: int) -> float:
    """Memory of a process in MB, 0 once it has ended."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    except FileNotFoundError:
        return 0.0
    return int(found.group(1)) / 1024 if found else 0.0


def main() -> None:
    """Runs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        rows, bad = write(path, int(options.gigabytes * 1e9))
        command = [sys.executable, "-m", "alignment_prism.cli.main", "prompts", "validate", str(path), "--keep-going",
                   "--max-errors", "5", "--json"]  # fmt: skip
        start = time.perf_counter()
        with Path(folder, "report.json").open("w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
            samples = []
            while process.poll() is None:
                samples.append(resident(process.pid))
                time.sleep(0.2)
        seconds = time.perf_counter() - start
        report = json.loads(Path(folder, "report.json").read_text())["files"][0]
    halves = samples[len(samples) // 4], max(samples)
    right = (report["rows"], report["rejected"], report["accepted"]) == (rows, bad, rows - bad)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, load when it ended {os.getloadavg()[0]:.1f}\n")
    print(f"| validate {options.gigabytes:g} GB of JSONL | |")
    print("|---|---|")
    print(f"| rows, bad among them | {rows:,}, {bad:,} |")
    print(f"| all accounted for | {'yes' if right else 'NO'} |")
    print(f"| time | {seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of one processor |")
    print(f"| rows a second of processor time | {rows / (used.ru_utime + used.ru_stime):,.0f} |")
    print(f"| memory after a quarter, at most | {halves[0]:.0f} MB, {halves[1]:.0f} MB |")
    print(f"| bar: {BAR} MB | {'met' if halves[1] < BAR and right else 'MISSED'} |")


if __name__ == "__main__":
    main()
