"""Parts of `reliability.py` about input: rows, YAML, designs, manifests and models that were damaged or made up, what
is shown of them, and what goes over the network."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import resource
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from reliability_tries import Row, Tries, counted, forked, outcome_of, row

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**30, 1e308, "", " ", "x" * 5000, "en", "\ud800", "\x00", "\x1b]0;t\x07", "=1+1", "[]",
    "{'a'", "2026-13-45", [], ["x"], [[["x"]]], {}, {"role": "user"}, [{"role": "user", "content": "a"}],
    {"a": {"b": 1}},
)  # fmt: skip
TOKENS = (
    b"\xff", b"\x00", b"\x1a", b'"', b"'", b"\\", b"\n", b"\r", b",", b"\t", b"{", b"}", b"[", b"]", b": ", b"- ",
    b"&a ", b"*a", b"!!int ", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"\\ud800", b"\xf0\x9f\x98", b"\xe2\x80\xa8",
    b'""', b"null", b"NaN", b"1e999", b"9" * 5000, b"[" * 200, b'{"a":' * 100, b"? ", b"<<: ", b"%", b"{{",
)  # fmt: skip
FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".jsonl.gz", ".parquet", ".xlsx")
STEERS = [chr(code) for code in (*range(32), *range(127, 160), *range(0x2028, 0x202F)) if chr(code) not in "\n\t"]
"""Characters that steer a terminal or turn a line around."""
STRICT = ("replies", "names of arms", "labels", "verdicts")
"""Readers that take no `Intake`: the first bad row is an error."""
ADDRESS_SPACE = 8 * 2**30
"""Bytes that a process which loads a damaged model may map; PyTorch maps four by itself."""
SCREEN = "\x1b]0;owned\x07\x1b]52;c;YQ==\x07\x9b31m\x1b[2J\u202e"
"""A window's title, a clipboard, colours in both spellings, a cleared screen, text from right to left."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four random changes."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place, kind = rng.randrange(len(content) + 1), rng.randrange(6)
        if kind == 0:
            content[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del content[place : place + rng.randint(1, 20)]
        elif kind == 2:
            content[place:place] = rng.choice(TOKENS)
        elif kind == 3:
            other = rng.randrange(len(content) + 1)
            content[other:other] = content[place : place + rng.randint(1, 40)]
        elif kind == 4:
            del content[place:]
        else:
            content[place : place + rng.randint(1, 8)] = rng.choice(TOKENS)
    return bytes(content)


def altered(value: Any, rng: random.Random) -> Any:
    """A JSON value with one in it changed, or a key gone."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: altered(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        return [*value[:place], altered(value[place], rng), *value[place + 1 :]]
    return rng.choice(VALUES)


def as_file(rows: list[dict[str, Any]], suffix: str) -> bytes:
    """The rows in a format; what a format cannot hold is a text in it."""
    lines = "".join(json.dumps(each) + "\n" for each in rows).encode()
    if suffix in (".jsonl", ".jsonl.gz"):
        return gzip.compress(lines) if suffix.endswith(".gz") else lines
    if suffix == ".json":
        return json.dumps(rows).encode()
    columns = list(dict.fromkeys(name for each in rows for name in each))
    texts = [
        [value if isinstance(value, str) else "" if value is None else json.dumps(value) for value in values]
        for values in ([each.get(name) for name in columns] for each in rows)
    ]
    whole = [[text.encode("utf-8", "replace").decode() for text in each] for each in texts]
    if suffix in (".csv", ".tsv"):
        stream = io.StringIO()
        csv.writer(stream, delimiter="," if suffix == ".csv" else "\t").writerows([columns, *whole])
        return stream.getvalue().encode()
    if suffix == ".xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        for cells in (columns, *whole):
            book.active.append(["".join(c if c >= " " else "?" for c in cell) for cell in cells])
        packed = io.BytesIO()
        book.save(packed)
        return packed.getvalue()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pa.Table.from_pylist(rows)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError):
        table = pa.table({name: [each[place] for each in whole] for place, name in enumerate(columns)})
    sink = io.BytesIO()
    try:
        pq.write_table(table, sink)
    except pa.ArrowException:  # an empty struct
        table = pa.table({name: [each[place] for each in whole] for place, name in enumerate(columns)})
        sink = io.BytesIO()
        pq.write_table(table, sink)
    return sink.getvalue()


def readers() -> dict[str, tuple[list[dict[str, Any]], Callable[[Path, Any], Any]]]:
    """Name -> rows that it reads, and a function of a path and an `Intake` or None for strict."""
    from alignment_prism.domain import Comparison, Finding, Generation, Label, Pair, Prompt, PromptKind, Score, user
    from alignment_prism.domain.records import Winner
    from alignment_prism.generation import read_generations
    from alignment_prism.generation.reading import arms_in
    from alignment_prism.io import iter_records, json_of
    from alignment_prism.labels import read_labels, read_outcomes
    from alignment_prism.logs import read_log
    from alignment_prism.preferences import iter_pairs
    from alignment_prism.prompts import iter_prompts

    prompts = [Prompt(f"p{n}", user(f"bake {n}"), "en", kind=PromptKind.HARMFUL) for n in range(3)]
    replies = [Generation(each.id, "m", "m", f"one {each.id}") for each in prompts]
    scores = [Score(one.prompt_id, one.reply_digest, "m", "j", "outcome", "refusal", rubric="r@1") for one in replies]
    compared = Comparison("p0", "m", "base", True, "j", "r@1", Winner.WIN)
    labels = [Label(one.reply_digest, "ann", "harmful") for one in replies]
    finding = Finding("s", "m", 0, "harmful", "en", "all", "all", "harm_rate", 0.5, 0.4, 0.6, "wilson95")
    aya = [
        {"prompt": "a", "language": "English", "harm_category": "['Self-Harm']", "global_or_local": "local"},
        {"prompt": "b", "language": "Hindi", "harm_category": "['Profanity']", "global_or_local": "global"},
    ]
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    pairs = [
        {"prompt": "p", "chosen": "a", "rejected": "b", "language": "fr"},
        {"prompt": turns[:1], "chosen": turns[1:], "rejected": "n", "language": "fr"},
    ]
    table = [{"prompt": "bake", "response": "ok", "label": "harmful", "model": "m", "language": "en", "id": str(n)}
             for n in range(3)]  # fmt: skip

    def of(kind: type) -> Callable[[Path, Any], Any]:
        return lambda path, intake: iter_records(path, kind, intake=intake)

    def strictly(read: Callable[..., Any]) -> Callable[[Path, Any], Any]:
        return lambda path, intake: read(path)

    plain = [json_of(each) for each in prompts]
    return {
        "prompts of Aya": (aya, lambda path, intake: iter_prompts(path, intake=intake)),
        "prompts of ours": (plain, lambda path, intake: iter_prompts(path, intake=intake)),
        "pairs": (pairs, lambda path, intake: iter_pairs(path, intake=intake)),
        "Prompt": (plain, of(Prompt)),
        "Pair": ([json_of(Pair("1", user("x"), "a", "b", "en"))] * 2, of(Pair)),
        "Generation": ([json_of(each) for each in replies], of(Generation)),
        "Score": ([json_of(each) for each in scores], of(Score)),
        "Comparison": ([json_of(compared)] * 2, of(Comparison)),
        "Finding": ([json_of(finding)] * 2, of(Finding)),
        "replies": ([json_of(each) for each in replies], strictly(lambda path: read_generations(path, prompts))),
        "names of arms": ([json_of(each) for each in replies], strictly(arms_in)),
        "labels": ([json_of(each) for each in labels], strictly(read_labels)),
        "verdicts": ([json_of(each) for each in scores], strictly(lambda path: read_outcomes([path]))),
        "logs": (table, lambda path, intake: read_log([path], intake=intake) and ()),
    }


def rows(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    """Files of rows with values or bytes changed, by every reader in every format, strictly and with rejects."""
    from alignment_prism.io import Intake

    draw, known = rng.random(), readers()

    def one(name: str, suffix: str, number: int) -> str:
        seeds, read = known[name]
        chance = random.Random(f"{draw} {name} {suffix} {number}")
        changed = [altered(each, chance) if chance.random() < 0.5 else each for each in seeds]
        data = as_file([each if isinstance(each, dict) else {"prompt": each} for each in changed], suffix)
        path = work / f"x{suffix}"
        path.write_bytes(mutated(data, chance) if number % 2 else data)
        intake = Intake(keep_going=True) if number % 4 < 2 else None
        found = list(read(path, intake))
        if intake is None or name in STRICT:
            return "read"
        intake.check()
        if name != "logs" and intake.rows and intake.accepted != len(found):
            return "rows lost"
        if any(not reject.problem.what or not reject.problem.fix for reject in intake.rejects):
            return "a reject without a word"
        lines = [line for line in path.read_bytes().split(b"\n") if line.strip()] if suffix == ".jsonl" else []
        if lines and intake.rows < len(lines) and not path.read_bytes().startswith((b"\xff\xfe", b"\xfe\xff")):
            return "rows lost"
        return "read, bad rows rejected" if intake.rejected else "read"

    fine = ("read", "read, bad rows rejected", "a clear error")
    for suffix in FORMATS:
        counts: Counter[str] = Counter()
        for name in known:
            batch = [partial(one, name, suffix, number) for number in range(tries * 20)]
            counts.update(kept.outcome(f"rows {name} {suffix}", partial(counted, batch)) or {})
        yield row(f"rows as {suffix}, by {len(known)} readers", counts, fine)


def yaml(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    """Documents of YAML with bytes changed, by each of their readers."""
    from alignment_prism.gates import read_gate
    from alignment_prism.io.languages import read_languages
    from alignment_prism.prompts.border import read_borders
    from alignment_prism.scoring.policies import read_policies
    from alignment_prism.scoring.rubric import load_rubric
    from alignment_prism.studies.loading import load_spec
    from alignment_prism.studies.prices import load_prices
    from alignment_prism.training.settings import load_config

    package, draw = Path(sys.modules["alignment_prism"].__file__ or "").parent, rng.random()
    gate = "claims: [{metric: harm_rate, at_most: 0.1}]\nlevel: 0.95\n"
    known: dict[str, tuple[bytes, Callable[[str], Any]]] = {
        "specs": ((package / "studies/presets/micro.yaml").read_bytes(), load_spec),
        "settings of trainings": ((package / "training/presets/micro.yaml").read_bytes(), load_config),
        "prices": ((package / "studies/prices.yaml").read_bytes(), load_prices),
        "rubrics": ((package / "scoring/rubrics/standalone@2.yaml").read_bytes(), load_rubric),
        "borders": ((package / "prompts/borders/border@1.yaml").read_bytes(), read_borders),
        "policies": (b"all: |\n  nothing of the kind\nhi: nothing\n", read_policies),
        "languages": (b"xx:\n  name: Xish\n  scripts: [Latn]\n  aliases: [x1]\n", read_languages),
        "gates": (gate.encode(), read_gate),
    }

    def one(name: str, number: int) -> str:
        data, read = known[name]
        path = work / "x.yaml"
        path.write_bytes(mutated(data, random.Random(f"{draw} {name} {number}")))
        read(str(path))
        return "read"

    counts: Counter[str] = Counter()
    for name in known:
        batch = [partial(one, name, number) for number in range(tries * 30)]
        counts.update(kept.outcome(f"yaml {name}", partial(counted, batch)) or {})
    yield row(f"YAML by {len(known)} readers", counts, ("read", "a clear error"))


def designs(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    """Design files of labels with values or bytes changed."""
    from alignment_prism.domain import Generation, Prompt, PromptKind, Score, user
    from alignment_prism.labels import Design, draw_sample

    prompts = [Prompt(f"p{n}", user(f"bake {n}"), "en", kind=PromptKind.HARMFUL) for n in range(40)]
    replies = [Generation(each.id, arm, arm, f"{arm} {each.id}") for each in prompts for arm in ("base", "m")]
    words = ("harmful", "refusal")
    scores = [
        Score(one.prompt_id, one.reply_digest, one.arm, "j", "outcome", words[n % 3 == 0], rubric="r@1")
        for n, one in enumerate(replies)
    ]
    whole, draw = draw_sample(scores, prompts, arms=["m"], number=20).design, rng.random()
    whole.write(work / "whole.json")
    content = (work / "whole.json").read_bytes()

    def one(number: int) -> str:
        chance = random.Random(f"{draw} {number}")
        path = work / "x.design.json"
        plain = json.dumps(altered(json.loads(content), chance)).encode()
        path.write_bytes(mutated(content, chance) if number % 2 else plain)
        return "read as it was" if Design.read(path) == whole else "READ AS ANOTHER ONE"

    counts = Counter(kept.outcome("designs", partial(counted, [partial(one, n) for n in range(tries * 200)])) or {})
    yield row("design files of labels", counts, ("read as it was", "a clear error"))


def prism(*words: object) -> tuple[int, str]:
    """Exit code of a command in this process, and what it printed."""
    from contextlib import redirect_stderr, redirect_stdout

    from alignment_prism.cli.main import main

    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            main([str(word) for word in words])
        except SystemExit as stop:
            return int(stop.code or 0), out.getvalue()
    return 0, out.getvalue()


def tiny_model(folder: Path) -> Path:
    """A language model of random weights, some 100 kB, with tokenizer and chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import CohereConfig, CohereForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<pad>", "<bos>", "<eos>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator([], trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    CohereForCausalLM(CohereConfig(**sizes, **ids, max_position_embeddings=96)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def models(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    """Folders of a model with a file cut, flipped, replaced or (JSON) altered: `prism generate`."""
    import torch

    torch.set_num_threads(1)
    whole, draw = tiny_model(work / "model"), rng.random()
    prompts = work / "prompts.jsonl"
    prompts.write_text('{"id": "p", "prompt": "hello", "language": "en", "kind": "general"}\n', encoding="utf-8")
    folder, out = work / "hurt", work / "replies.jsonl"

    def replies() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return {name: found[name] for name in ("reply", "stop_reason", "weights")}

    def reply(place: Path) -> tuple[int, str]:
        out.unlink(missing_ok=True)
        shutil.rmtree(f"{out}.unfinished", ignore_errors=True)
        return prism("generate", "--model", place, "--prompts", prompts, "--max-tokens", 8, "--out", out)

    code, said = reply(whole)
    assert code == 0, said
    before = replies()

    def hurt(name: str, how: str, chance: random.Random) -> None:
        path = folder / name
        data = path.read_bytes()
        if how == "cut":
            path.write_bytes(data[: chance.randrange(len(data))])
        elif how == "flipped":
            flipped = bytearray(data)
            flipped[chance.randrange(min(len(data), 3000))] ^= 1 << chance.randrange(8)  # the head says what is where
            path.write_bytes(flipped)
        elif how == "altered" and name.endswith(".json"):
            path.write_text(json.dumps(altered(json.loads(data), chance)), encoding="utf-8")
        else:
            path.write_bytes(mutated(data, chance))

    def one(name: str, how: str, number: int) -> str:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        hurt(name, how, random.Random(f"{draw} {name} {how} {number}"))
        code, said = reply(folder)
        if code == 0:
            same = replies() == before
            if not same and replies()["weights"] == before["weights"] and name.endswith(".safetensors"):
                return "OTHER REPLIES UNDER THE SAME DIGEST"
            return "the same replies" if same else "other replies of what is another model"
        known = code in (2, 3, 4, 5) and "fix:" in said and "defect" not in said
        return "a clear error" if known else f"exit code {code}: {said.strip().splitlines()[0][:60]}"

    fine = ("a clear error", "the same replies", "other replies of what is another model")
    for name in sorted(path.name for path in whole.iterdir()):
        counts: Counter[str] = Counter()
        for how in ("cut", "flipped", "altered"):
            for number in range(tries):
                do = partial(one, name, how, number)
                found = kept.outcome(f"models {name} {how} {number}", lambda do=do: forked(lambda: outcome_of(do)))
                if found is None and f"models {name} {how} {number}" in kept:
                    found = "the process ended"
                if found is not None:
                    counts[found] += 1
        yield row(f"a model whose `{name}` was cut, flipped or altered", counts, fine)


def screens(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    """Escapes of terminals in everything that a file may hold, and formulas in sheets."""
    from alignment_prism.domain import Generation, Label, Prompt, PromptKind, Score, user
    from alignment_prism.io import write_records

    start = [*"=+-@\t\r", "plain", '"=1', "'=1", "\n="]
    prompts = [
        Prompt(f"{SCREEN}{n}", user(f"{start[n % 10]}cmd|' /C calc'!A0"), "en", kind=PromptKind.HARMFUL,
               categories=(SCREEN,), split=SCREEN)
        for n in range(20)
    ]  # fmt: skip
    replies = [
        Generation(each.id, arm, f"m{SCREEN}", f"{start[n % 10]}{SCREEN}{arm}", error=SCREEN)
        for n, each in enumerate(prompts) for arm in ("base", "m")
    ]  # fmt: skip
    scores = [
        Score(one.prompt_id, one.reply_digest, one.arm, f"j{SCREEN}", "outcome", ("harmful", "refusal")[n % 2],
              rubric="r@1", raw=SCREEN)
        for n, one in enumerate(replies)
    ]  # fmt: skip
    labels = [Label(one.reply_digest, f"ann{n % 2}{SCREEN}", "harmful", SCREEN) for n, one in enumerate(replies)]
    files: dict[str, Path] = {}
    for name, records in {"prompts": prompts, "replies": replies, "scores": scores, "labels": labels}.items():
        files[name] = work / f"{name}.jsonl"
        write_records(files[name], records)
    odd = work / f"odd{SCREEN}.yaml"
    odd.write_text(f"name: 5\n'{SCREEN.encode('unicode_escape').decode()}': 1\n", encoding="utf-8")
    (work / "bad.jsonl").write_text(json.dumps({"prompt": "x", "language": SCREEN, SCREEN: SCREEN}) + "\n")
    (work / "bad.yaml").write_text(f'"{SCREEN.encode("unicode_escape").decode()}": 1\n'.replace("\\x9b", "\\x9B"))
    given = ("--generations", files["replies"], "--prompts", files["prompts"])
    sheet, findings = work / "sheet.csv", work / "findings.jsonl"
    commands: tuple[tuple[object, ...], ...] = (
        ("prompts", "validate", files["prompts"]), ("prompts", "validate", work / "bad.jsonl"),
        ("prompts", "validate", odd), ("prompts", "stats", files["prompts"]),
        ("prompts", "overlap", files["prompts"], files["prompts"]),
        ("analyse", *given, "--scores", files["scores"], "--out", findings),
        ("analyse", *given, "--scores", files["labels"], "--out", work / "no.jsonl"),
        ("report", findings), ("report", findings, "--arm", SCREEN), ("report", odd),
        ("labels", "sample", *given, files["scores"], "--arm", "m", "--number", 8, "--out", sheet),
        ("labels", "sample", *given, files["scores"], "--arm", SCREEN, "--number", 8, "--out", work / "no.csv"),
        ("agreement", files["labels"], files["scores"]), ("study", "plan", odd), ("study", "plan", work / "bad.yaml"),
        ("compare", findings, findings, "--gate", odd), ("generate", "--model", SCREEN, "--prompts", odd, "--out", odd),
        ("import", files["scores"], "--out", work / "in"), ("study", "status", odd), (SCREEN,), ("study", SCREEN),
    )  # fmt: skip

    def shown(words: tuple[object, ...]) -> str:
        code, said = prism(*words)
        if any(char in said for char in STEERS):
            return f"ESCAPES: {' '.join(map(str, words[:2]))[:40]!r}"
        return "a clear error" if code else "shown"

    counts: Counter[str] = Counter()
    for words in commands:
        found = forked(partial(outcome_of, partial(shown, words))) or "the process ended"
        counts[found] += 1
    yield row(
        "commands with escapes of terminals in ids, arms, judges, paths, keys", counts, ("shown", "a clear error")
    )
    with sheet.open(newline="", encoding="utf-8") as stream:
        cells = [cell for line in csv.reader(stream) for cell in line]
    bad = [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    note = "none is a formula, and prism reads its sheet again"
    code, said = prism("agreement", sheet)
    lost = "cannot" in said and "read" in said
    yield (
        "cells of a sheet for labels, replies and prompts that begin as formulas",
        f"{len(cells):,}",
        str(len(bad) + lost),
        note if not bad and not lost else f"{len(bad)} formulas: {said[:80]!r}",
    )


def offline(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    """Commands that name nothing of the network: where they connect to."""
    prompts = work / "p.jsonl"
    lines = [{"id": f"p{n}", "prompt": f"bake {n}", "language": "en", "kind": "harmful"} for n in range(3)]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    pairs = work / "pairs.jsonl"
    pair = {"prompt": "a", "chosen": "b", "rejected": "c", "language": "en"}
    pairs.write_text("".join(json.dumps({**pair, "prompt": f"a{n}"}) + "\n" for n in range(8)), encoding="utf-8")
    model = tiny_model(work / "model")
    study = work / "study"
    commands: tuple[tuple[object, ...], ...] = (
        ("doctor",), ("prompts", "validate", prompts), ("prompts", "stats", prompts), ("study", "plan", "micro"),
        ("generate", "--model", model, "--prompts", prompts, "--max-tokens", 4, "--out", work / "r.jsonl"),
        ("align", "--method", "sft", "--base", model, "--pairs", pairs, "--config", "micro", "--out", work / "sft"),
        ("study", "run", work / "small.yaml", "--out", study, "--jobs", 1), ("study", "status", study),
        ("report", study / "findings.parquet", "--out", work / "page.html"), ("study", "gc", study),
    )  # fmt: skip

    def connections(words: tuple[object, ...]) -> str:
        met: list[str] = []

        def heard(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(arguments[1], tuple)):
                met.append(str(arguments[0] if event == "socket.getaddrinfo" else arguments[1][0]))

        sys.addaudithook(heard)
        code, said = prism(*words)
        away = [host for host in met if not host.startswith(("127.", "::1", "localhost"))]
        if away:
            return f"CONNECTS to {away[0]}: {words[0]}"
        return "no connection" if code == 0 else f"exit code {code}: {words[0]} {said.strip()[:80]!r}"

    counts: Counter[str] = Counter()
    for words in commands:
        counts[forked(partial(connections, words)) or "the process ended"] += 1
    yield row("commands that name no server, Hub id or set by name", counts, ("no connection",))


def manifests(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    """JSON files of a finished study with values changed: what reads them, and the same command again."""
    from alignment_prism.studies import Study, load_spec, run_study
    from alignment_prism.studies.housekeeping import status, unused

    prompts = work / "p.jsonl"
    lines = [{"id": f"p{n}", "prompt": f"bake {n}", "language": "en", "kind": "harmful"} for n in range(6)]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    replies = work / "r.jsonl"
    answers = [{"prompt_id": f"p{n}", "reply": "Of course, here is how people bake bread."} for n in range(6)]
    replies.write_text("".join(json.dumps(line) + "\n" for line in answers), encoding="utf-8")
    spec_file = work / "spec.yaml"
    spec_file.write_text(
        f"name: edited\nbase: null\narms: [{{name: m, replies: [{replies}]}}]\nprompts: [{{file: {prompts}}}]\n"
        "judge: null\nscorers: [reply_length]\n",
        encoding="utf-8",
    )
    spec, whole, out, draw = load_spec(spec_file), work / "edited-whole", work / "edited", rng.random()
    run_study(spec, out)
    out.rename(whole)
    places = [path.relative_to(whole) for path in sorted(whole.rglob("*.json*")) if path.stat().st_size]

    def again() -> str:
        before = {path.name: path.read_bytes() for path in (whole / "reply").rglob("*.parquet")}
        run_study(spec, out)
        known = {path.name: path.read_bytes() for path in (out / "reply").rglob("*.parquet")}
        same = known == before and (out / "findings.parquet").read_bytes() == (whole / "findings.parquet").read_bytes()
        return "the same results" if same else "OTHER RESULTS"

    def look() -> str:
        status(out)
        unused(out)
        study = Study.open(out)
        assert study.arms() is not None and study.findings() is not None and study.models() is not None
        return "read"

    def one(name: Path, number: int, do: Callable[[], str]) -> str:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(whole, out)
        chance = random.Random(f"{draw} {name} {number}")
        path = out / name
        if name.suffix == ".jsonl":
            path.write_bytes(mutated(path.read_bytes(), chance))
        else:
            path.write_text(json.dumps(altered(json.loads(path.read_bytes()), chance)), encoding="utf-8")
        return do()

    for title, do, count, fine in (
        ("looked at", look, tries * 40, ("read", "a clear error")),
        ("run again", again, tries * 10, ("the same results", "a clear error")),
    ):
        counts: Counter[str] = Counter()
        for name in places:
            batch = [partial(one, name, number, do) for number in range(count)]
            counts.update(kept.outcome(f"manifests {title} {name}", partial(counted, batch)) or {})
        yield row(f"a study with a value changed in one of {len(places)} JSON files, {title}", counts, fine)


def journal(work: Path, tries: int, rng: random.Random, kept: Tries) -> Iterator[Row]:
    """Memory of a journal of 50,000 replies, written and read again, and what a flipped bit in it does."""
    from alignment_prism.calls.journal import CallJournal, call_key

    path = work / "calls.jsonl"
    answer = {"text": "reply " * 160, "stop": "stop", "prompt_tokens": 40, "completion_tokens": 160, "error": ""}
    names = [call_key("reply", number) for number in range(50_000)]

    def memory() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def written() -> str:
        before = memory()
        with CallJournal(path) as one:
            for name in names:
                one.put(name, answer)
            grown = memory() - before
        return f"{grown / 2**20:.0f} MiB while it is written"

    def read() -> str:
        before = memory()
        again = CallJournal(path)
        same = all(again.get(name) == answer for name in names)
        return f"{(memory() - before) / 2**20:.0f} MiB when it is read{'' if same else ', NOT THE SAME'}"

    said = [forked(do) or "the process ended" for do in (written, read)]
    wrong = sum(not word.partition(" ")[0].isdecimal() or int(word.partition(" ")[0]) > 64 for word in said)
    size = path.stat().st_size / 2**20
    yield f"a journal of 50,000 replies, {size:.0f} MiB", "1", str(wrong), ", ".join(said)

    whole = path.read_bytes()[: len(path.read_bytes().split(b"\n", 1)[0]) + 1]
    counts: Counter[str] = Counter()
    for _ in range(tries * 100):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        found = CallJournal(path).get(names[0])
        counts["asked for again" if found is None else "as it was" if found == answer else "ANOTHER ANSWER"] += 1
    yield row("a flipped bit in a line of the journal", counts, ("asked for again", "as it was"))


PARTS: Mapping[str, Callable[[Path, int, random.Random, Tries], Iterator[Row]]] = {
    "rows": rows,
    "yaml": yaml,
    "designs": designs,
    "manifests": manifests,
    "models": models,
    "screens": screens,
    "offline": offline,
    "journal": journal,
}
