"""Transfer tables end to end on a toy: arms trained on one scope or language of the nano lab, evaluated on all.

    python benchmarks/transfer_nano.py --out results/transfer-nano

Mixtures of 120 pairs, one method, two seeds, few prompts, so that it takes a minute or two: it shows that the way from
a spec to the tables works and what their rows look like. It is no evidence about methods, least of all about real
models. Interrupted, it goes on where it stopped. Prints the tables of `transfer_nano.md`.
"""

from __future__ import annotations

import argparse
import platform
import time
from importlib.metadata import version

import yaml

from alignment_prism import run_study
from alignment_prism.reports import transfer_tables
from alignment_prism.studies import StudySpec

SPEC = """\
name: transfer-nano
base: nano
training: nano
mixture: {total: 120}
arms:
  - {name: global_only, method: dpo_ift, share: 0.5, scopes: [global]}
  - {name: local_only, method: dpo_ift, share: 0.5, scopes: [local]}
  - {name: english_only, method: dpo_ift, share: 0.5, languages: [en]}
  - {name: control, method: dpo_ift, share: 0}
seeds: [0, 1]
prompts: nano
prompt_limit: 4
kinds: [harmful, foreign_local, never_harmful]
generation: {max_tokens: 64}
judge: {model: nano/oracle}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="results/transfer-nano")
    arguments = parser.parse_args()
    start, worked = time.monotonic(), time.process_time()
    study = run_study(StudySpec.model_validate(yaml.safe_load(SPEC)), arguments.out)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "numpy"))
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}; ", end="")
    print(f"{time.monotonic() - start:.0f} s, {time.process_time() - worked:.0f} s of processor time\n")
    for title, sheet in transfer_tables(study.transfer()):
        heads = [*sheet.labels, *sheet.heads]
        print(f"## {title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for names, values in sheet.rows:
            print(f"| {' | '.join((*names, *values))} |")
        print(f"\n{sheet.caption}\n")


if __name__ == "__main__":
    main()
