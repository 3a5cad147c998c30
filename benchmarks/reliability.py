"""What happens to a study when its process is killed, its files are damaged, or its input is hostile.

    python benchmarks/reliability.py [kills] [damage] [bombs] [--tries 12] [--seed 0] [--write docs/reliability.md]

Each part prints rows of one table: what was tried, how often, and how often it went wrong.

- `kills`: a small study of the lab (a training with checkpoints, replies, scores, comparisons, findings) is killed with
  SIGKILL at `--tries` random moments in a row, each time started by the same command again, and then left to end. Wrong
  is anything but findings byte-identical to those of a run that nobody disturbed.
- `damage`: of every kind of file of the finished study one is damaged, by a flipped bit and by a cut, and the same
  command is run again. Wrong are other findings, or an end that is neither whole nor an error with a remedy.
- `bombs`: files that unpack to far more than they look, read by `prism prompts validate` in a process of its own, with
  its seconds and memory. Wrong is more than `SECONDS` or `MEMORY`, or an exit without a clear error.

With `--write` the rows take the place of those of the same parts between the marks of the page.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from importlib import metadata
from io import StringIO
from pathlib import Path

PRISM = (sys.executable, "-m", "alignment_prism.cli.main")
SECONDS, MEMORY = 60.0, 2**30
SPEC = """\
name: small
base: nano
pairs: {safety: nano, general: nano}
mixture: {total: 24}
training: {preset: micro, training: {save_every: 1}}
arms: [{name: sft, method: sft, share: 0.5}]
prompts: nano
prompt_limit: 1
generation: {max_tokens: 16}
judge: {model: nano/oracle}
compare: {model: nano/oracle}
"""
Row = tuple[str, str, str, str]


def run(arguments: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PRISM, *arguments], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def kills(work: Path, tries: int, rng: random.Random) -> Iterator[Row]:
    command = [*PRISM, "study", "run", str(work / "small.yaml"), "--out"]
    start = time.monotonic()
    subprocess.run([*command, str(work / "whole")], capture_output=True, text=True, check=True)
    lasts = time.monotonic() - start
    killed = 0
    for _ in range(tries):
        process = subprocess.Popen([*command, str(work / "out")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            code = process.wait(rng.uniform(0.3, 1.0) * lasts * 0.6)
            assert code == 0, code
            shutil.rmtree(work / "out")  # it came to its end: from the beginning
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
    ended = run(["study", "run", str(work / "small.yaml"), "--out", str(work / "out")])
    same = ended.returncode == 0 and equal(work / "whole", work / "out")
    litter = [path.name for path in (work / "out").rglob("*") if path.name.endswith(".part") or ".tmp-" in path.name]
    note = "findings, replies and weights byte-identical" if same else "not the same"
    note += f"; {len(litter)} files left half-written" if litter else "; nothing half-written is left"
    yield "SIGKILL at random moments in a row, then to the end", f"{killed}", "0" if same and not litter else "1", note


def equal(one: Path, other: Path) -> bool:
    names = ["findings.parquet", "generations.parquet", "scores.parquet"]
    names += [path.relative_to(one).as_posix() for path in one.rglob("*.safetensors")]
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def damage(work: Path, tries: int, rng: random.Random) -> Iterator[Row]:
    from alignment_prism.domain.errors import PrismError
    from alignment_prism.studies import run_study

    spec, whole = work / "small.yaml", work / "whole"
    if not whole.exists():
        run_study(spec, whole)
    findings = (whole / "findings.parquet").read_bytes()
    kinds: dict[str, list[Path]] = {}
    for path in sorted(path for path in whole.rglob("*") if path.is_file() and path.stat().st_size):
        place = path.relative_to(whole)
        kinds.setdefault("/".join(re.sub(r"-[0-9a-f]{10}$", "", part) for part in place.parts), []).append(place)
    for name, hurt in (("a flipped bit", flip), ("a cut", cut)):
        outcomes: Counter[str] = Counter()
        wrong: list[str] = []
        for kind, places in rng.sample(sorted(kinds.items()), min(tries, len(kinds))):
            out = work / "hurt"
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(whole, out)
            hurt(out / rng.choice(places), rng)
            try:
                with redirect_stderr(StringIO()):
                    run_study(spec, out)
                same = (out / "findings.parquet").read_bytes() == findings
                outcomes["the same findings" if same else "other findings"] += 1
            except PrismError as error:
                same = bool(error.fix)
                outcomes["an error with a remedy" if same else "an error without one"] += 1
            except Exception as error:
                same = False
                outcomes[type(error).__name__] += 1
            if not same:
                wrong.append(kind)
        count = sum(outcomes.values())
        said = ", ".join(f"{number} {what}" for what, number in outcomes.most_common())
        yield (
            f"{name} in one of the {len(kinds)} kinds of files of a finished study, resumed",
            str(count),
            str(len(wrong)),
            said + (f" ({', '.join(wrong)})" if wrong else ""),
        )


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def cut(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def bombs(work: Path, tries: int, rng: random.Random) -> Iterator[Row]:
    for name, (file, make) in BOMBS.items():
        path = work / file
        process = os.fork()
        if not process:  # what makes it may need much memory, which is not to be counted
            make(path)
            os._exit(0)
        os.waitpid(process, 0)
        start = time.monotonic()
        child = subprocess.Popen(
            [*PRISM, "prompts", "validate", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert child.stderr is not None
        said = child.stderr.read().decode("utf-8", "replace")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds, memory = time.monotonic() - start, usage.ru_maxrss * 1024
        wrong = seconds > SECONDS or memory > MEMORY or child.returncode not in (0, 2) or "defect" in said
        size = path.stat().st_size
        note = f"exit code {child.returncode} in {seconds:.1f} s, {memory / 2**20:.0f} MiB"
        yield f"{name} ({size / 1000:,.0f} kB)", "1", str(int(wrong)), note
        path.unlink()


def parquet_bomb(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"prompt": ["x" * 2**30], "language": ["en"]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


def packed(head: bytes, middle: bytes, times: int, tail: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with gzip.open(path, "wb", compresslevel=1) as stream:
            stream.write(head)
            for _ in range(times):
                stream.write(middle)
            stream.write(tail)

    return make


def columns(path: Path) -> None:
    names = [f"c{number}" for number in range(20_000)]
    path.write_text(",".join(["prompt", *names]) + "\n" + ",".join(["hi", *("v" for _ in names)]) + "\n")


MIB = b"x" * 2**20
BOMBS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "Parquet, one cell of 1 GiB": ("cell.parquet", parquet_bomb),
    "JSON document in .gz, a text of 512 MiB": ("text.json.gz", packed(b'{"prompt": "', MIB, 512, b'"}')),
    "JSON lines in .gz, a line of 512 MiB": ("line.jsonl.gz", packed(b'{"prompt": "', MIB, 512, b'"}\n')),
    "UTF-16 in .gz, a line of 512 MiB": ("wide.jsonl.gz", packed(b"\xff\xfe", MIB, 512, b"")),
    "CSV of 20,000 columns": ("wide.csv", columns),
}


PARTS: dict[str, Callable[[Path, int, random.Random], Iterator[Row]]] = {
    "kills": kills,
    "damage": damage,
    "bombs": bombs,
}


def versions() -> str:
    names = ("alignment-prism", "torch", "transformers", "pyarrow", "inspect-ai")
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"{machine}, Python {platform.python_version()}, {packages}"


def write(page: Path, part: str, rows: list[Row], how: str) -> None:
    """Put a part's rows between its marks."""
    lines = [
        how,
        "",
        "| what | tries | wrong | outcome |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    mark = f"<!-- {part} -->"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(mark)
    _, _, after = rest.partition(mark)
    assert after, f"{page} has no place for {part}"
    page.write_text(f"{before}{mark}\n" + "\n".join(lines) + f"\n{mark}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--tries", type=int, default=12, help="kills in a row; kinds of files that are damaged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="page whose rows are replaced")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "small.yaml").write_text(SPEC, encoding="utf-8")
        for part in options.parts or PARTS:
            start = time.monotonic()
            rows = []
            for row in PARTS[part](work, options.tries, random.Random(options.seed)):
                print(" | ".join(row), flush=True)
                rows.append(row)
            seconds = time.monotonic() - start
            command = f"python benchmarks/reliability.py {part} --tries {options.tries} --seed {options.seed}"
            how = f"`{command}`, {seconds:.0f} s: {versions()}."
            if options.write:
                write(options.write, part, rows, how)


if __name__ == "__main__":
    main()
