"""How long a build of the nano base takes, and whether it comes out the same as the one that ships.

    python benchmarks/nano_build.py --out results/base-0      # the shipped world
    python benchmarks/nano_build.py --seed 201 --out results/base-201

Each build is the whole command `prism nano build`, in a process of its own: corpus, tokenizer, training, criteria.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch

from alignment_prism.models.shipped import shipped_base
from alignment_prism.nano.base.build import MANIFEST


def main() -> None:
    """Build once, print the time and both digests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    command = [sys.executable, "-m", "alignment_prism.cli.main", "nano", "build", "--seed", str(options.seed)]
    ships = json.loads((shipped_base() / MANIFEST).read_text())
    if options.seed == ships["world"]["seed"]:
        command += ["--training-seed", str(ships["recipe"]["seed"])]
    began, load = time.perf_counter(), os.getloadavg()[0]
    subprocess.run([*command, "--out", str(options.out)], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    built = json.loads((options.out / MANIFEST).read_text())
    recipe = built["recipe"]
    print(
        f"world {options.seed}: {seconds / 60:.1f} min, {recipe['steps']} steps on {recipe['threads']} threads; "
        f"load before {load:.1f}; {platform.system()} {platform.machine()}, torch {torch.__version__}"
    )
    if built["world"] == ships["world"]:
        same = built["weights"] == ships["weights"]
        print(f"weights {'equal the shipped ones' if same else 'DIFFER from the shipped ones'}: {built['weights']}")


if __name__ == "__main__":
    main()
