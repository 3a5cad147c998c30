"""What happens to a study when its process is killed, its files are damaged, or its input is hostile.

    python benchmarks/reliability.py [PART ...] [--tries 3] [--seed 0] [--seconds 170]
                                     [--results results.jsonl --work FOLDER] [--write docs/reliability.md]

Each part prints rows of one table: what was tried, how often, and how often it went wrong.

- `kills`: a small study of the lab (a training with checkpoints, replies, scores, comparisons, findings) is killed with
  SIGKILL at `--tries` random moments, each time in a new folder, and then run to its end; half as often, it is
  killed a second time while it goes on; and in one folder at as many moments in a row. Moments are drawn by what the
  process has computed, so that other jobs of the machine shift none. Wrong is anything but findings, replies and
  weights byte-identical to those of a run that nobody disturbed.
- `quickstart`: the study of `prism quickstart` is killed at `--tries` random moments in a row, and then run to its end;
  moments and wrong are those of `kills`. Only where it is asked for.
- `damage`: of every kind of file of the finished study one is damaged, by a flipped bit and by a cut, `--tries` times
  each, and the same command is run again. Wrong are other findings, replies or weights, or an end that is neither whole
  nor an error with a remedy.
- `bombs`: files that unpack to far more than they look, read by `prism prompts validate` in a process of its own, with
  its seconds of a processor and memory. Wrong is more than `SECONDS` or `MEMORY`, or an exit without a clear error.

- `rows`, `yaml`, `designs`, `manifests`, `models`: files of every kind with values and bytes changed, by every reader.
  Wrong are a traceback, an end by a signal, more than 20 seconds, a row that is neither read nor rejected, a reject or
  an error without a word, another result under the same digest.
- `screens`: commands over ids, arms, judges, paths and keys that steer terminals, and a sheet of formulas. Wrong is a
  character that steers, a cell that a spreadsheet computes, a sheet that prism cannot read again.
- `faults`: a judge's server fails three calls in ten, or 17 that stand together, in every way it may, for good or once.
  Wrong are another verdict than the server gave, a reply that is lost, a call of an answered one when it is run again.
- `offline`: where commands connect to that name nothing of the network (an audit hook hears what Python connects).

A part begins no try after `--seconds`; with `--results` and `--work` the next run of the same seed goes on where it
stopped, and its rows are of all tries so far: `--tries 5`, then 10, 15 and 20 do five more each. With `--write` the
rows take the place of those of the same parts between the marks of the page.
The studies run in processes that are forked from one that has imported everything.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib import metadata
from pathlib import Path

import reliability_calls
import reliability_input
from reliability_tries import Row, Tries, forked, measured

from alignment_prism.domain.errors import PrismError
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Prompt

PRISM = (sys.executable, "-m", "alignment_prism.cli.main")
SECONDS, MEMORY = 30.0, 2**30
ADDRESS_SPACE = 2**32
"""Bytes that a process which reads a bomb may map, so that one that goes off takes no machine along; what counts is
`MEMORY`."""
SPEC = """\
name: small
base: nano
pairs: {safety: nano, general: nano}
mixture: {total: 24}
training: {preset: micro, training: {save_every: 1}}
arms: [{name: sft, method: sft, share: 0.5}]
prompts: [{file: lab.parquet}]
generation: {max_tokens: 16}
judge: {model: nano/oracle}
compare: {model: nano/oracle}
"""
LANGUAGES, EACH = ("en", "hi"), 3
"""Prompts of the lab that the small study asks: so many of each kind."""
LOADED = ("alignment_prism.studies.run", "alignment_prism.scoring", "inspect_ai.model", "altair", "scipy.stats")
"""What every run imports. Figures are drawn in no process that is forked from: their renderer has threads of its own,
and a fork has none of them."""
TABLES = ("findings.parquet", "generations.parquet", "scores.parquet", "comparisons.parquet")


def write_prompts(path: Path) -> None:
    """Some prompts of the lab."""
    from alignment_prism.io import write_records
    from alignment_prism.studies import load_spec
    from alignment_prism.studies.sources import load_sources

    of_lab = [prompt for prompt in load_sources(load_spec("micro")).prompts if prompt.language in LANGUAGES]
    groups: dict[tuple[str, str], list[Prompt]] = {}
    for prompt in of_lab:
        groups.setdefault((prompt.language, prompt.kind.value), []).append(prompt)
    write_records(path, [prompt for group in groups.values() for prompt in group[:EACH]])


class Lab:
    """A study, what its runs share, and one that nobody disturbed; the small one where no other is named."""

    def __init__(self, work: Path, kept: Tries, preset: str = "") -> None:
        from alignment_prism.studies import load_spec
        from alignment_prism.studies.shards import run_shard
        from alignment_prism.studies.sources import load_sources

        place = work / preset
        self.whole, self.out = place / "whole", place / "out"
        small = load_spec(work / "small.yaml")
        self.spec = load_spec(preset) if preset else small
        self.sources = load_sources(self.spec)
        for module in LOADED:
            importlib.import_module(module)
        with tempfile.TemporaryDirectory() as warm:  # what trains and replies is loaded, and no figure drawn
            run_shard(small, warm, 1, 1)
        if not self.whole.exists():
            kept.forget("seconds")
            kept.forget("in a row")
        self.computes = kept.outcome("seconds of an undisturbed run", self._undisturbed, needed=True)
        kept.start()

    def _undisturbed(self) -> float:
        shutil.rmtree(self.out, ignore_errors=True)
        said, seconds = measured(self.run)
        assert (said or "killed").endswith("done"), said
        shutil.rmtree(self.whole, ignore_errors=True)
        self.out.rename(self.whole)  # every run is in the same place: replies name their model's folder
        return seconds

    def run(self) -> str:
        """Run the study in its place; says how much was done."""
        from alignment_prism.studies import run_study
        from alignment_prism.studies.progress import Silent

        class Counting(Silent):
            done = 0

            def step(self, number: int, total: int, title: str) -> AbstractContextManager[Progress]:
                Counting.done += 1
                return super().step(number, total, title)

        run_study(self.spec, self.out, sources=self.sources, progress=Counting())
        return f"{Counting.done} steps done"

    def same(self) -> bool:
        """Whether the place holds what the undisturbed run left."""
        names = [*TABLES, *(path.relative_to(self.whole).as_posix() for path in self.whole.rglob("*.safetensors"))]
        return all((self.out / name).read_bytes() == (self.whole / name).read_bytes() for name in names)

    def litter(self) -> bool:
        """Whether something half-written lies in the place."""
        return any(path.name.endswith(".part") or ".tmp-" in path.name for path in self.out.rglob("*"))

    def killed(self, share: float) -> bool:
        """Whether a run was killed after so much of what an undisturbed one computes."""
        return forked(self.run, share * self.computes) is None

    def ended(self) -> str:
        """How a run to the end compares with the undisturbed one."""
        said = forked(self.run)
        if not (said or "").endswith("done") or not self.same():
            return f"not the same ({said})"
        return "half-written files are left" if self.litter() else "the same"

    def to_the_end(self) -> str:
        """As `ended`, and what was made is removed."""
        found = self.ended()
        shutil.rmtree(self.out)
        return found

    def in_a_row(self, tries: int, most: float, draw: float, kept: Tries) -> Iterator[Row]:
        """Kills, each of which the next run goes on after, none after more than a share of a study; then to the end."""
        chance, number, killed, wrong = random.Random(draw), 0, 0, 0

        def one(share: float) -> str:
            if self.killed(share):
                return "killed"
            found = "the same" if self.same() else "not the same"
            shutil.rmtree(self.out)  # from the beginning
            return found

        while killed < tries:
            found = kept.outcome(f"in a row {number}", partial(one, chance.uniform(0.02, most)))
            if found is None:
                break
            number, killed, wrong = number + 1, killed + (found == "killed"), wrong + (found == "not the same")
        ends: Counter[str] = Counter()
        for count in range(1, number + 1):  # there are earlier ends where fewer tries were asked for before
            name = f"in a row, {count} and the end"
            if (count == number or name in kept) and (found := kept.outcome(name, self.to_the_end)) is not None:
                ends[found] += 1
        if ends:
            name = f"SIGKILL {killed} times in a row at random moments, then to the end"
            said = ", ".join(f"{count} {what}" for what, count in ends.most_common())
            yield name, str(ends.total()), str(ends.total() - ends["the same"] + wrong), said


def quickstart(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    lab = Lab(work, kept, "quickstart")
    yield from lab.in_a_row(tries, 0.12, rng.random(), kept)


def kills(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    lab, draw = Lab(work, kept), rng.random()
    yield from lab.in_a_row(tries, 0.3, draw, kept)

    def once(chance: random.Random) -> str:
        shutil.rmtree(lab.out, ignore_errors=True)
        return lab.ended() if lab.killed(chance.uniform(0.02, 1.0)) else "over"

    def twice(chance: random.Random) -> str:
        shutil.rmtree(lab.out, ignore_errors=True)
        first = chance.uniform(0.05, 0.8)
        again = lab.killed(first) and lab.killed(chance.uniform(0.1, 0.9) * (1.1 - first))
        return lab.ended() if again else "over"

    for name, do, count in (
        ("SIGKILL at a random moment, resumed", once, tries),
        ("SIGKILL twice, the second while it is resumed", twice, tries // 2),
    ):
        counts: Counter[str] = Counter()
        while counts.total() - counts["over"] < count:
            chance = random.Random(f"{draw} {name} {counts.total()}")
            found = kept.outcome(f"{name} {counts.total()}", partial(do, chance))
            if found is None:
                break
            counts[found] += 1
        over = counts.pop("over", 0)
        note = ", ".join(f"{count} {what}" for what, count in counts.most_common())
        note += f"; {over} more had come to their end before" if over else ""
        if counts:
            yield name, str(counts.total()), str(counts.total() - counts["the same"]), note


def damage(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    lab, draw = Lab(work, kept), rng.random()
    kinds: dict[str, list[Path]] = {}
    for path in sorted(path for path in lab.whole.rglob("*") if path.is_file() and path.stat().st_size):
        place = path.relative_to(lab.whole)
        kinds.setdefault("/".join(re.sub(r"-[0-9a-f]{10}$", "", part) for part in place.parts), []).append(place)

    def rerun() -> str:
        try:
            said = lab.run()
        except PrismError as error:
            return "an error with a remedy" if error.fix else "an error without one"
        if not lab.same():
            return "other results"
        return "the same, nothing to do again" if said.startswith("0 ") else "the same, damaged steps done again"

    def one(kind: str, hurt: Callable[[Path, random.Random], None], chance: random.Random) -> str:
        shutil.rmtree(lab.out, ignore_errors=True)
        shutil.copytree(lab.whole, lab.out)
        hurt(lab.out / chance.choice(kinds[kind]), chance)
        return forked(rerun) or "killed"

    fine = ("the same, nothing to do again", "the same, damaged steps done again", "an error with a remedy")
    for name, hurt in (("a flipped bit", flip), ("a cut", cut)):
        outcomes: Counter[str] = Counter()
        places: dict[str, set[str]] = {}
        for number in range(tries):
            for kind in sorted(kinds):
                chance = random.Random(f"{draw} {name} {number} {kind}")
                found = kept.outcome(f"{name} {number} {kind}", partial(one, kind, hurt, chance))
                if found is not None:
                    outcomes[found] += 1
                    places.setdefault(found, set()).add(kind)
        wrong = sum(count for what, count in outcomes.items() if what not in fine)
        said = ", ".join(f"{count} {what}" for what, count in outcomes.most_common())
        shown = sorted(kind for what, where in places.items() if what not in fine[:2] for kind in where)
        tried = {kind for where in places.values() for kind in where}
        yield (
            f"{name} in a file of each of {len(tried)} of {len(kinds)} kinds of a finished study, resumed",
            str(outcomes.total()),
            str(wrong),
            said + (f" ({', '.join(shown)})" if shown else ""),
        )


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def cut(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def bombs(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    for name, (file, make) in BOMBS.items():
        path = work / file
        process = os.fork()
        if not process:  # what makes it may need much memory, which is not to be counted
            make(path)
            os._exit(0)
        os.waitpid(process, 0)
        limited = ("sh", "-c", f'ulimit -v {ADDRESS_SPACE // 1024}; exec "$@"', "sh")
        command = [*limited, *PRISM, "prompts", "validate", str(path), "--set", "kind=general"]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert child.stderr is not None
        said = child.stderr.read().decode("utf-8", "replace")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
        wrong = seconds > SECONDS or memory > MEMORY or child.returncode not in (0, 2, 5) or "defect" in said
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


def columns(count: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        names = ["prompt", *(f"c{number}" for number in range(count))] if count < 10**6 else ["prompt", *[""] * count]
        path.write_text(",".join(names) + "\n" + ",".join(["hi", *["v"] * count]) + "\n")

    return make


def repeated(size: int, rows: int, encoding: str = "") -> Callable[[Path], None]:
    """One text in every row, which the file holds once."""

    def make(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * size]))
        if encoding:
            table = pa.table({"prompt": column.dictionary_decode(), "language": ["en"] * rows})
            how = {"use_dictionary": False, "column_encoding": {"prompt": encoding}}
            pq.write_table(table, path, compression="zstd", **how)
        else:
            pq.write_table(pa.table({"prompt": column, "language": ["en"] * rows}), path, compression="zstd")

    return make


def keys(path: Path) -> None:
    names = [*(f"k{number}" for number in range(100_000)), "k99999"]
    path.write_text("{" + ",".join(f'"{name}":1' for name in names) + "}\n")


def workbook(rows: str, shared: int = 0, before: str = "") -> Callable[[Path], None]:
    """A workbook whose sheet has a header and these rows, and so many shared texts."""

    def make(path: Path) -> None:
        import openpyxl

        book, whole = openpyxl.Workbook(), path.with_suffix(".whole")
        book.save(whole)
        space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
        cells = [f'<c r="{place}1" t="inlineStr"><is><t>{name}</t></is></c>' for place, name in COLUMNS]
        sheet = f'{before}<worksheet {space}><sheetData><row r="1">{"".join(cells)}</row>{rows}</sheetData></worksheet>'
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
        with zipfile.ZipFile(whole) as parts, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
            for part in parts.namelist():
                text = parts.read(part).decode()
                if part == "[Content_Types].xml" and shared and "sharedStrings" not in text:
                    named = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>'
                    text = text.replace("</Types>", named)
                if not part.endswith("sharedStrings.xml"):
                    bomb.writestr(part, sheet if part.endswith("sheet1.xml") else text)
            if shared:
                with bomb.open("xl/sharedStrings.xml", "w") as stream:
                    stream.write(f"<sst {space}>".encode())
                    for _ in range(shared // 50_000):
                        stream.write(b"<si><t>a</t></si>" * 50_000)
                    stream.write(b"</sst>")

    return make


def many(head: bytes, middle: bytes, times: int, tail: bytes) -> Callable[[Path], None]:
    """A file that is not packed."""

    def make(path: Path) -> None:
        with path.open("wb") as stream:
            stream.write(head)
            for _ in range(times // (block := max(1, 2**20 // len(middle)))):
                stream.write(middle * block)
            stream.write(tail)

    return make


def missing(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 200_000_000
    turns = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.nulls(count, pa.string()))
    pq.write_table(pa.table({"prompt": ["x"], "turns": turns, "language": ["en"]}), path, compression="zstd")


COLUMNS = (("A", "prompt"), ("B", "language"))
ENTITIES = '<!DOCTYPE l [<!ENTITY a "lol">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(8)
)
CELL = '<row r="{0}"><c r="A{0}" t="inlineStr"><is><t>{1}</t></is></c></row>'
FAR = '<row><c r="XFD1"/></row>' * 1_000_000
MIB = b"x" * 2**20
BOMBS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "Parquet, one cell of 1 GiB": ("cell.parquet", parquet_bomb),
    "Parquet, a text of 60 MiB in a dictionary, in 10,000 rows": ("long.parquet", repeated(60 * 2**20, 10_000)),
    "Parquet, a text of 1 MiB in a dictionary, in 1,000,000 rows": ("many.parquet", repeated(2**20, 1_000_000)),
    "Parquet, a text of 1 MiB as prefix of 1,000 rows": ("same.parquet", repeated(2**20, 1000, "DELTA_BYTE_ARRAY")),
    "JSON document in .gz, a text of 512 MiB": ("text.json.gz", packed(b'{"prompt": "', MIB, 512, b'"}')),
    "JSON array in .gz, a text of 512 MiB": ("array.json.gz", packed(b'["', MIB, 512, b'"]')),
    "JSON lines in .gz, a line of 512 MiB": ("line.jsonl.gz", packed(b'{"prompt": "', MIB, 512, b'"}\n')),
    "JSON lines in .gz, 512 MiB of blank lines": ("blank.jsonl.gz", packed(b"", b"\n" * 2**20, 512, b"")),
    "UTF-16 in .gz, a line of 512 MiB": ("wide.jsonl.gz", packed(b"\xff\xfe", MIB, 512, b"")),
    "JSON document of 300 MiB, not packed": ("text.json", lambda path: plain(path, b'{"prompt": "', 300, b'"}')),
    "JSON, an object of 100,001 keys, the last of them twice": ("keys.jsonl", keys),
    "JSON lines, a line of 30 MB of empty objects": (
        "empty.jsonl",
        many(b'{"prompt":[', b"{},", 10_000_000, b"{}]}\n"),
    ),
    "JSON array, an entry of 60 MB of empty objects": ("empty.json", many(b"[[", b"{},", 20_000_000, b"{}]]")),
    "JSON document of 160 MB, 20,000,000 small rows": (
        "rows.json",
        many(b'{"rows":[', b'{"a":0},', 20_000_000, b"{}]}"),
    ),
    "Parquet, 20,000,000 rows that say the same": ("alike.parquet", repeated(2, 20_000_000)),
    "Parquet, a list of 200,000,000 missing values": ("missing.parquet", missing),
    "CSV, 40 quoted fields of 20 MB in one record": ("quoted.csv", many(b'prompt\n"', MIB * 20 + b'\n","', 40, b'"\n')),
    "CSV, 20,000,000 lines in one quoted field": ("lines.csv", many(b'prompt\n"', b"x\n", 20_000_000, b'"\n')),
    "CSV of 20,000 columns": ("wide.csv", columns(20_000)),
    "CSV of 10,000,000 columns": ("commas.csv", columns(10_000_000)),
    "workbook, a row number of nine digits": ("rows.xlsx", workbook(CELL.format(999_999_999, "hi"))),
    "workbook, entities within entities": ("entities.xlsx", workbook(CELL.format(2, "&i;"), before=ENTITIES + "]>")),
    "workbook, 15,000,000 shared texts": ("shared.xlsx", workbook(CELL.format(2, "hi"), shared=15_000_000)),
    "workbook, 7,500,000 cells in one row": ("wide.xlsx", workbook(f'<row r="2">{"<c/>" * 7_500_000}</row>')),
    "workbook, 1,000,000 rows as wide as a sheet may be": ("far.xlsx", workbook(FAR)),
}


def plain(path: Path, head: bytes, mebibytes: int, tail: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(head)
        for _ in range(mebibytes):
            stream.write(MIB)
        stream.write(tail)


PARTS: dict[str, Callable[[Path, int, random.Random, Tries], Iterator[Row]]] = {
    "kills": kills,
    "quickstart": quickstart,
    "damage": damage,
    "bombs": bombs,
    **reliability_input.PARTS,
    **reliability_calls.PARTS,
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
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all but quickstart if none is named")
    parser.add_argument("--tries", type=int, default=3, help="kills; times that each kind of file is damaged")
    parser.add_argument("--seconds", type=float, default=170, help="after which a part begins no further try")
    parser.add_argument("--results", type=Path, help="where outcomes are kept, for a further run to go on")
    parser.add_argument("--work", type=Path, help="folder of studies that were killed, for a further run to go on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="page whose rows are replaced")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = options.work or Path(name)
        work.mkdir(parents=True, exist_ok=True)
        (work / "small.yaml").write_text(SPEC, encoding="utf-8")
        write_prompts(work / "lab.parquet")
        for part in options.parts or [part for part in PARTS if part != "quickstart"]:
            start = time.monotonic()
            kept = Tries(options.results, options.seconds, f"{part}, seed {options.seed}: ")
            rows = []
            for row in PARTS[part](work, options.tries, random.Random(options.seed), kept):
                print(" | ".join(row), flush=True)
                rows.append(row)
            seconds = time.monotonic() - start
            command = f"python benchmarks/reliability.py {part} --tries {options.tries} --seed {options.seed}"
            how = f"`{command}`, {seconds:.0f} s: {versions()}."
            if options.write:
                write(options.write, part, rows, how)


if __name__ == "__main__":
    main()
