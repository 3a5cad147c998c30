"""How long `prism quickstart` takes as a whole process, step by step.

    python benchmarks/quickstart.py --out results/quickstart-time

Prints the steps with their seconds as the command reports them, the wall time of the process, and the versions.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers


def main() -> None:
    """Run the quickstart in a fresh folder and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the results; a temporary one if not given")
    out = parser.parse_args().out or Path(tempfile.mkdtemp()) / "quickstart"
    command = [sys.executable, "-m", "alignment_prism.cli.main", "quickstart", "--out", str(out)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "160"})
    wall = time.perf_counter() - started
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {versions}")
    print("\n| step | seconds |\n|---|---|")
    for title, seconds in re.findall(r"^\[ *\d+/\d+\] (.*): ([\d.]+) s$", done.stdout, flags=re.MULTILINE):
        print(f"| {title} | {seconds} |")
    print(f"| the whole process | {wall:.0f} |")


if __name__ == "__main__":
    main()
