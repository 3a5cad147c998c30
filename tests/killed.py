"""A study killed by SIGKILL again and again at random moments, in processes that are forked from one that has run it.

    python killed.py SPEC OUT KILLS SEED LONGEST

Runs the study twice undisturbed, the second time with everything loaded. Then it is begun anew, and its process killed
before an operation on files that is drawn at random, from the first to the last of a share LONGEST of those of an
undisturbed run; the next process goes on in the same folder, and so forth. Where one comes to its end, the folder is
looked at and emptied. After KILLS of them the study is run to its end. Prints a line of JSON: what was found at each
end, and which files were compared. Figures are not drawn: their renderer has threads, and a fork has none of them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import traceback
from pathlib import Path

from alignment_prism.studies import StudySpec, load_spec, run, run_study


def made(out: Path) -> dict[str, bytes]:
    """Tables of a study and of its steps, and the weights of its models."""
    files = [path for kind in ("parquet", "safetensors") for path in out.rglob(f"*.{kind}")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def litter(out: Path) -> list[str]:
    """What is half-written."""
    return [path.name for path in out.rglob("*") if path.suffix in (".part", ".unfinished") or ".tmp-" in path.name]


class Operations:
    """Operations on files of this process, as Python's audit events tell of them; the last one is not survived."""

    def __init__(self, last: int | None) -> None:
        self.count, self._last = 0, last
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: object) -> None:
        if event == "open" or event.startswith(("os.", "shutil.")):
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


def killed(spec: StudySpec, out: Path, moment: int | None) -> bool:
    """Whether a process that runs the study was killed, at that operation; its own errors are not survived here."""
    process = os.fork()
    if not process:
        code = 1
        try:
            Operations(moment)
            run_study(spec, out)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code not in (0, -signal.SIGKILL):
        sys.exit(f"killed.py: a run that went on ended with {code}")
    return code != 0


def main() -> None:
    spec, out, kills = load_spec(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(sys.argv[4])
    run.write_study_report = lambda *_: None  # type: ignore[attr-defined]
    run_study(spec, out)
    whole = made(out)
    shutil.rmtree(out)
    operations = Operations(None)
    run_study(spec, out)
    most = round(float(sys.argv[5]) * operations.count)
    ends: list[str] = []

    def look() -> None:
        """Say how the folder differs from that of the undisturbed study, and empty it."""
        found = made(out)
        differs = sorted(name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name))
        ends.append(", ".join(differs + litter(out)) or "the same")
        shutil.rmtree(out)

    look()
    while kills:
        if killed(spec, out, rng.randint(1, most)):
            kills -= 1
        else:
            look()
    killed(spec, out, None)
    look()
    print(json.dumps({"ends": ends, "files": sorted(whole)}))


main()
