"""Pairs per second of DPO training: our engine against the real TRL trainer, at its default and at its best.

Every contender takes the same model, optimiser and precision on the same pairs. They take turns batch by batch, so that
a busy machine slows all of them alike; on a CPU seconds are those of the processor. TRL runs its own `training_step`
with its own collator and loss; its best has references computed beforehand and batches grouped by length over all
pairs, its default neither. On a CPU a pilot over a part of the pairs finds the attention of transformers and the pairs
taken at a time (gradient accumulation) with which TRL's best is fastest; it goes in with those, and also with sdpa and
whole batches. Ours always takes whole batches. "No shared prompts" is what packing for FlashAttention does: sequences
one behind the other without padding, each with its own copy of the prompt, by our kernels; what it lacks to ours is
what sharing prompts gains.

    python benchmarks/preference_step.py                                  # all shapes, a small Cohere model, CPU
    python benchmarks/preference_step.py --lengths redteam --pairs 16     # a part of them
    python benchmarks/preference_step.py --shape aya-23-8b --lora         # Aya 23 8B's shape, random weights: one H200

**Nothing here has been run on a GPU yet**, so neither has the last of these lines.

Shapes: hh-rlhf (real rows; name the file with --hh-rlhf), and log-normal tokens of median prompt/completion: redteam
40/220, long 200/220, chat 150/50, quickstart 19/11 (as short as the nano lab's pairs). A shape that is done is in the
state file and is not run again; the table is written after each. The ceiling is how many times fewer floating-point
operations the pairs need than TRL's best spends on them: what could be gained if both sides computed at one rate. They
need not: `rate` is what a contender counts on its own batches (what the pairs need for ours, what padding and full head
take for TRL), over seconds, as a share of the rate of a large matrix product. A share of the ceiling over 100 % is the
quotient of two such rates.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from alignment_prism.training import METHODS, AdapterConfig, Example
from alignment_prism.training.backends.arguments import lora
from alignment_prism.training.callbacks import Log
from alignment_prism.training.heads import add_completion_head
from alignment_prism.training.layouts.attention import FLAT_ATTENTION, register_flat_attention
from alignment_prism.training.layouts.batches import OrderSampler
from alignment_prism.training.layouts.packing import tree_length
from alignment_prism.training.layouts.trees import TreeBatch, mask_plan
from alignment_prism.training.steps import StepContext

LENGTHS = {"redteam": (40, 220), "long": (200, 220), "chat": (150, 50), "quickstart": (19, 11)}
SHAPES: dict[str, dict[str, Any]] = {
    "small": {"vocab_size": 4096, "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4,
              "num_attention_heads": 6, "num_key_value_heads": 6},
    "aya-23-8b": {"vocab_size": 256000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
                  "num_attention_heads": 32, "num_key_value_heads": 8},
}  # fmt: skip
BEST = "TRL best (references, grouped)"
DEFAULT = "TRL default"
KERNELS = ("sdpa", "eager")
Step = Callable[[list[int]], None]


class OwnPrompts(TreeBatch):
    """Packed rows in which every reply is a sequence with a prompt of its own."""

    def inputs(self, members: Sequence[Example]) -> dict[str, Any]:
        alone = [replace(one, completions=(one.completions[which],)) for which in (0, 1) for one in members]
        return super().inputs(alone)  # whose owners come out as those of the pairs: reply number * pairs + pair


def log_normal_examples(lengths: str, count: int, vocabulary: int, limit: int) -> list[Example]:
    """Random tokens in log-normal lengths (sigma 0.6)."""
    rng = random.Random(f"preference_step/{lengths}")
    prompt, completion = LENGTHS[lengths]

    def tokens(median: int) -> tuple[int, ...]:
        length = min(limit, max(2, round(median * math.exp(rng.gauss(0, 0.6)))))
        return tuple(rng.randrange(8, vocabulary) for _ in range(length))

    return [
        Example(str(n), ("und", "none"), tokens(prompt), (tokens(completion), tokens(completion))) for n in range(count)
    ]


def hh_rlhf_examples(file: Path, count: int, vocabulary: int, limit: int) -> list[Example]:
    """Real pairs in the tokens of a byte-level BPE of 4,096 entries that is trained on the file itself."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from alignment_prism.io import Intake
    from alignment_prism.preferences.pairs import read_pairs

    pairs = read_pairs(file, language="en", intake=Intake(keep_going=True))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=min(vocabulary, 4096), show_progress=False, special_tokens=["<pad>"])
    tokenizer.train_from_iterator([text for pair in pairs for text in (pair.chosen, pair.rejected)], trainer)
    found = []
    for pair in random.Random("preference_step/hh-rlhf").sample(pairs, len(pairs)):
        prompt, chosen, rejected = (
            tuple(tokenizer.encode(text).ids)
            for text in ("".join(turn.content for turn in pair.messages), pair.chosen, pair.rejected)
        )
        if min(len(prompt), len(chosen), len(rejected)) > 1 and len(prompt) + max(len(chosen), len(rejected)) <= limit:
            found.append(Example(pair.id, ("en", "none"), prompt, (chosen, rejected)))
        if len(found) == count:
            break
    return found


def make_model(shape: str, attention: str, device: torch.device) -> Any:
    """A Cohere model with random weights: float32 if small, bfloat16 if not."""
    from transformers import CohereConfig, CohereForCausalLM

    config = CohereConfig(
        **SHAPES[shape],
        max_position_embeddings=8192,
        logit_scale=0.0625,
        attn_implementation=attention,
        use_cache=False,
    )
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if shape == "small" else torch.bfloat16)
    try:
        with torch.device(device):
            model = CohereForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    return model.train()


def with_adapter(model: Any, adapter: bool, checkpointing: bool) -> Any:
    """The model, or the model with LoRA of our default rank on all linear layers."""
    if not adapter:
        return model
    from peft import get_peft_model

    model = get_peft_model(model, lora(AdapterConfig(), model, seed=0))
    if checkpointing:
        model.enable_input_require_grads()
    return model


def optimiser_of(model: Any, shape: str, adapter: bool) -> torch.optim.Optimizer:
    """AdamW; plain SGD, which keeps no state, where all of 8 B parameters are trained."""
    parameters = [one for one in model.parameters() if one.requires_grad]
    if shape != "small" and not adapter:
        return torch.optim.SGD(parameters, lr=1e-6, foreach=False)
    return torch.optim.AdamW(parameters, lr=1e-6, fused=True)


def packed_step(
    model: Any, examples: list[Example], options: argparse.Namespace, micro: int, kind: type[TreeBatch] = TreeBatch
) -> Step:
    """One optimiser step of ours over the given pairs."""
    from transformers import TrainingArguments

    from alignment_prism.training.backends.transformers import LossTrainer

    precision, checkpointing = options.precision, options.device.type == "cuda"
    assert add_completion_head(model, [examples[0].prompt[-64:]]) is None
    plan = mask_plan(model.config, model.config._attn_implementation, precision)
    assert not isinstance(plan, str), plan
    model = with_adapter(model, options.lora, checkpointing)
    collator = kind(examples, 0, plan, options.rows)
    collator.references = [(-1000.0, -1000.0)] * len(examples)
    trainer = LossTrainer(
        model=model, args=_arguments(TrainingArguments, options), train_dataset=list(range(len(examples)))
    )
    sampler = OrderSampler([1] * len(examples), batch_size=1, micro_batch=1, horizon=0, seed=0, processes=1)
    log = Log(Path("unused"), enabled=False)
    stage = METHODS["dpo_ift"].stages[0]
    trainer.context = StepContext("dpo", stage.objective, stage.recipe, examples, sampler, precision, log)
    trainer.state.global_step = 1  # the references are made up: the check of the first step does not apply
    optimiser = optimiser_of(model, options.shape, options.lora)

    def step(rows: list[int]) -> None:
        parts = [rows[start : start + micro] for start in range(0, len(rows), micro)]
        trainer.current_gradient_accumulation_steps = len(parts)
        for part in parts:
            trainer.training_step(trainer.model_wrapped, collator(part), num_items_in_batch=len(rows))
        optimiser.step()
        optimiser.zero_grad()
        trainer.context.pending.clear()

    return step


def trl_step(model: Any, examples: list[Example], options: argparse.Namespace, reference: Any, micro: int) -> Step:
    """One optimiser step of TRL's own trainer over the given pairs; `reference` is its live reference model or None."""
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_any_tokenizer(), pad_token="<pad>", eos_token="<pad>")
    rows = [
        {
            "prompt_ids": list(example.prompt), "chosen_ids": list(example.completions[0]),
            "rejected_ids": list(example.completions[1]), "ref_chosen_logps": -1000.0, "ref_rejected_logps": -1000.0,
        }
        for example in examples
    ]  # fmt: skip

    class Stock(DPOTrainer):  # type: ignore[misc]
        """TRL's step as it is; only what happens before the first step is skipped."""

        def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
            return dataset

        def _precompute_ref_logps(self, dataset: Any, *args: Any) -> Any:
            return dataset

        def _send_telemetry(self) -> None:
            pass

    trainer = Stock(
        model=with_adapter(model, options.lora, options.device.type == "cuda"),
        ref_model=reference,
        args=_arguments(DPOConfig, options, precompute_ref_log_probs=reference is None, max_length=None),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    optimiser = optimiser_of(trainer.model, options.shape, options.lora)

    def step(indices: list[int]) -> None:
        parts = [indices[start : start + micro] for start in range(0, len(indices), micro)]
        trainer.current_gradient_accumulation_steps = len(parts)
        for part in parts:
            trainer.training_step(trainer.model_wrapped, trainer.data_collator([rows[index] for index in part]))
        optimiser.step()
        optimiser.zero_grad()
        trainer._metrics["train"].clear()

    return step


def _any_tokenizer() -> Any:
    from tokenizers import Tokenizer as Raw
    from tokenizers.models import WordLevel

    return Raw(WordLevel({"<pad>": 0}, unk_token="<pad>"))


def _arguments(kind: Any, options: argparse.Namespace, **more: Any) -> Any:
    cuda = options.device.type == "cuda"
    return kind(
        output_dir=tempfile.mkdtemp(), bf16=options.precision == "bf16", use_cpu=not cuda, report_to=[],
        gradient_checkpointing=cuda, disable_tqdm=True, remove_unused_columns=False, **more,
    )  # fmt: skip


def flops(config: Any, tokens: int, head_tokens: int, scores: int) -> float:
    """Operations of a forward pass: layers on `tokens`, head on `head_tokens`, attention over `scores`."""
    width, layers = config.hidden_size, config.num_hidden_layers
    shared = width * config.num_key_value_heads // config.num_attention_heads
    layer = 2 * width * width + 2 * width * shared + 3 * width * config.intermediate_size
    return 2.0 * (layers * (tokens * layer + 2 * width * scores) + head_tokens * width * config.vocab_size)


def needed(config: Any, members: list[Example]) -> float:
    """What the pairs need: every prompt once, no padding, the head on completions, scores of what a token may see."""
    scores = 0
    for example in members:
        prompt = len(example.prompt)
        scores += prompt * (prompt + 1) // 2
        for branch in (len(completion) - 1 for completion in example.completions):
            scores += branch * prompt + branch * (branch + 1) // 2
    return flops(config, sum(map(tree_length, members)), sum(e.gradient_tokens for e in members), scores)


def spent(config: Any, members: list[Example], head_everywhere: bool, causal: bool) -> float:
    """What TRL spends on a micro-batch: two padded rows a pair, the whole square of scores unless `causal`."""
    length = max(example.padded_length for example in members)
    rows = 2 * len(members)
    head = rows * length if head_everywhere else sum(example.gradient_tokens for example in members)
    scores = rows * (length * (length + 1) // 2 if causal else length * length)
    return flops(config, rows * length, head, scores)


def find_best(examples: list[Example], batches: list[list[int]], options: argparse.Namespace) -> dict[str, float]:
    """Pairs a second of TRL with each attention and pairs at a time, on every fourth batch."""
    steps = {
        f"{kernel} by {size}": trl_step(
            make_model(options.shape, kernel, options.device), examples, options, None, size
        )
        for kernel in KERNELS
        for size in (options.batch, options.batch // 2, options.batch // 4, 1)
    }
    part = batches[1::4]
    spans = dict.fromkeys(steps, 0.0)
    for number, batch in enumerate([part[0], *part]):
        for name, step in steps.items():
            begin = time.process_time()
            step(batch)
            spans[name] += (time.process_time() - begin) * (number > 0)
    return {name: sum(map(len, part)) / span for name, span in spans.items()}


def measure(lengths: str, options: argparse.Namespace) -> dict[str, Any]:
    """All contenders on one shape, in turns."""
    vocabulary = SHAPES[options.shape]["vocab_size"]
    if lengths == "hh-rlhf":
        examples = hh_rlhf_examples(options.hh_rlhf, options.pairs, vocabulary, options.limit)
    else:
        examples = log_normal_examples(lengths, options.pairs, vocabulary, options.limit)
    shuffled = list(range(len(examples)))
    by_length = sorted(shuffled, key=lambda index: -examples[index].padded_length)

    def cut(order: list[int], size: int) -> list[list[int]]:
        return [order[start : start + size] for start in range(0, len(order), size)]

    def model(attention: str) -> Any:
        return make_model(options.shape, attention, options.device)

    cuda = options.device.type == "cuda"
    config = CohereShape(options.shape)
    contenders: dict[str, tuple[Step, list[list[int]]]] = {}
    best = "flex_attention" if cuda else FLAT_ATTENTION
    ours = {"packed, FlexAttention" if cuda else "packed, flat": (best, options.rows, TreeBatch)}
    if not cuda:
        ours[f"packed, rows of {options.rows}"] = (options.attention, options.rows, TreeBatch)
        ours["packed, a row a pair"] = (options.attention, 0, TreeBatch)
    ours["no shared prompts"] = (best, options.rows, OwnPrompts)
    for name, (attention, rows, kind) in ours.items():
        how = argparse.Namespace(**{**vars(options), "rows": rows})
        step = packed_step(model(attention), examples, how, options.batch, kind)
        contenders[name] = (step, cut(shuffled, options.batch))
    theirs = options.trl_micro or options.batch  # as many as fit, where memory does not take the batch
    settings = [(KERNELS[0], theirs)]
    pilot: dict[str, float] = {}
    if not cuda:
        pilot = find_best(examples, cut(by_length, options.batch), options)
        kernel, size = max(pilot, key=lambda setting: pilot[setting]).split(" by ")
        settings = list(dict.fromkeys([(kernel, int(size)), *settings]))
    operations = {}
    for kernel, size in settings:
        name = f"{BEST}, {kernel} by {size}"
        contenders[name] = (trl_step(model(kernel), examples, options, None, size), cut(by_length, options.batch))
        micro = [part for batch in cut(by_length, options.batch) for part in cut(batch, size)]
        operations[name] = sum(spent(config, [examples[i] for i in part], not cuda, cuda) for part in micro)
    if options.shape == "small":  # a third and a fourth model of 8 B would not fit
        live = trl_step(model(KERNELS[0]), examples, options, model(KERNELS[0]), theirs)
        contenders[f"{DEFAULT}, {KERNELS[0]} by {theirs}"] = (live, cut(shuffled, options.batch))

    own = needed(config, examples)
    for step, batches in contenders.values():  # the longest first: shapes are compiled, buffers are made
        step(max(batches, key=lambda batch: max(examples[index].padded_length for index in batch)))
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    memory: dict[str, float] = {}
    clock = time.perf_counter if cuda else time.process_time
    for _ in range(options.rounds):
        spans = dict.fromkeys(contenders, 0.0)
        for turn in range(len(cut(shuffled, options.batch))):
            for name, (step, batches) in contenders.items():
                if cuda:
                    torch.cuda.reset_peak_memory_stats()
                begin = clock()
                step(batches[turn])
                if cuda:
                    torch.cuda.synchronize()
                    memory[name] = max(memory.get(name, 0.0), torch.cuda.max_memory_allocated() / 2**30)
                spans[name] += clock() - begin
        for name, span in spans.items():
            seconds[name].append(span)
    return {
        "pairs": len(examples),
        "prompt": _median([len(example.prompt) for example in examples]),
        "completion": _median([len(c) for example in examples for c in example.completions]),
        "tokens": sum(map(tree_length, examples)),
        "seconds": seconds,
        "operations": operations,
        "needed": own,
        "pilot": pilot,
        "memory": memory,
    }


class CohereShape:
    """The numbers of a shape, by attribute."""

    def __init__(self, shape: str) -> None:
        self.__dict__.update(SHAPES[shape])


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]


def matrix_rate(device: torch.device) -> float:
    """Operations a second of a large product: bfloat16 on a GPU, float32 on a CPU, the fastest of five tries."""
    cuda = device.type == "cuda"
    width, times = (8192, 10) if cuda else (1536, 2)
    left = torch.randn(width, width, device=device, dtype=torch.bfloat16 if cuda else torch.float32)
    spans = []
    clock = time.perf_counter if cuda else time.process_time
    for _ in range(6):  # the first one warms up
        begin = clock()
        for _ in range(times):
            left @ left
        if cuda:
            torch.cuda.synchronize()
        spans.append(clock() - begin)
    return times * 2 * width**3 / min(spans[1:])


def table(state: dict[str, Any]) -> str:
    """The figures as Markdown."""
    setting = state["setting"]
    lines = [
        "# Preference training: pairs per second", "",
        "Written by `benchmarks/preference_step.py`, whose head says what is compared.", "",
        *(f"- {name}: {value}" for name, value in setting.items()), "",
        "Pairs/s are of all rounds together, in brackets the slowest and the fastest round. `by 8` means eight pairs",
        "at a time. `over best` divides by the fastest TRL best of the shape; `ceiling` is what counted operations",
        "allow over it, `share` how much of that is reached. `rate` is operations a second as a share of a large",
        "matrix product's; for packed rows only those that are needed count.", "",
        "On a CPU the head of TRL 1.16 scores every position, on a GPU those of completions alone: part of the gain on",
        "a CPU is not there on a GPU.", "",
        "| lengths | contender | pairs/s | over best | ceiling | share | rate |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for lengths, found in state["shapes"].items():
        rates = {name: found["pairs"] * len(spans) / sum(spans) for name, spans in found["seconds"].items()}
        winner = max(found["operations"], key=lambda name: rates[name])
        best, ceiling = rates[winner], found["operations"][winner] / found["needed"]
        title = f"{lengths} (medians {found['prompt']}/{found['completion']})"
        factor = 2 if setting["trained"] == "LoRA" else 3
        for name, spans in found["seconds"].items():
            low, high = found["pairs"] / max(spans), found["pairs"] / min(spans)
            over, packed = rates[name] / best, name.startswith(("packed", "no shared"))
            share = f"{over / ceiling:.0%}" if packed else ""
            limit = f"{ceiling:.2f}" if packed else ""
            done = found["needed"] if packed else found["operations"].get(name, 0.0)
            rate = f"{factor * done * len(spans) / sum(spans) / state['matrix_rate']:.0%}"
            lines.append(
                f"| {title} | {name} | {rates[name]:.2f} ({low:.2f}-{high:.2f}) | {over:.2f} | {limit} | {share} "
                f"| {rate if packed or name.startswith(BEST) else ''} |"
            )
            title = ""
        if found["pilot"]:
            tried = ", ".join(f"{name} {rate:.2f}" for name, rate in found["pilot"].items())
            lines.append(f"| | pilot of TRL best, pairs/s: {tried} | | | | | |")
        lines += [f"| | {name}: memory | {peak:.1f} GiB | | | | |" for name, peak in found["memory"].items()]
    return "\n".join(lines) + "\n"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="small")
    parser.add_argument("--lengths", nargs="*", choices=[*LENGTHS, "hh-rlhf"], default=None)
    parser.add_argument(
        "--hh-rlhf", type=Path, default=None, help="a file of hh-rlhf rows; without it the shape is left out"
    )
    parser.add_argument("--pairs", type=int, default=64, help="length grouping works over all of them")
    parser.add_argument("--batch", type=int, default=None, help="pairs of one step; 8, or 32 (16k tokens) for 8 B")
    parser.add_argument(
        "--trl-micro", type=int, default=None, help="pairs TRL takes at a time, where a step does not fit"
    )
    parser.add_argument("--rows", type=int, default=None, help="tokens of a packed row; 512, or 4096 on a GPU")
    parser.add_argument("--limit", type=int, default=2048, help="most tokens of a prompt or a completion")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default=None)
    parser.add_argument("--attention", choices=KERNELS, default=None, help="of packed rows")
    parser.add_argument("--lora", action="store_true", help="adapters instead of all weights")
    parser.add_argument("--state", type=Path, default=Path("results/preference_step.json"), help="what is done already")
    parser.add_argument("--table", type=Path, default=None, help="Markdown file to write as well")
    parser.add_argument("--note", default="", help="a line for the table's head: what else was running")
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    options.device = torch.device("cuda" if cuda else "cpu")
    options.precision = options.precision or ("bf16" if cuda else "fp32")
    options.attention = options.attention or "sdpa"
    options.batch = options.batch or (8 if options.shape == "small" else 32)
    options.rows = options.rows or (4096 if cuda else 512)
    if options.shape != "small" and not cuda:
        sys.exit("error: 8 B parameters need a GPU of about 140 GB\nfix:   leave out --shape")
    options.lengths = options.lengths or [*LENGTHS, *(["hh-rlhf"] if options.hh_rlhf else [])]
    if "hh-rlhf" in options.lengths and options.hh_rlhf is None:
        sys.exit("error: the shape hh-rlhf needs its rows\nfix:   name them with --hh-rlhf FILE")
    return options


def main() -> None:
    options = parse()
    register_flat_attention()
    device = torch.cuda.get_device_name() if options.device.type == "cuda" else f"{platform.machine()} CPU"
    setting = {
        "model": f"{options.shape}, Cohere, random weights: {SHAPES[options.shape]}",
        "device": f"{device}, {torch.get_num_threads()} threads",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl", "accelerate")),
        "both sides": f"{options.precision}, batches of {options.batch} of {options.pairs} pairs, "
        f"gradient checkpointing {'on' if options.device.type == 'cuda' else 'off'}",
        "trained": "LoRA" if options.lora else "all weights",
        "rounds": str(options.rounds),
        **({"note": options.note} if options.note else {}),
    }
    state: dict[str, Any] = {"setting": setting, "shapes": {}}
    if options.state.exists():
        before = json.loads(options.state.read_text(encoding="utf-8"))
        same = {**before["setting"], "date": ""} == {**setting, "date": ""}
        state = before if same else state
    if "matrix_rate" not in state:
        state["matrix_rate"] = matrix_rate(options.device)
    for lengths in (one for one in options.lengths if one not in state["shapes"]):
        state["shapes"][lengths] = measure(lengths, options)
        options.state.parent.mkdir(parents=True, exist_ok=True)
        options.state.write_text(json.dumps(state, indent=1), encoding="utf-8")
        print(f"{lengths}: done", file=sys.stderr, flush=True)
    text = table(state)
    print(text)
    if options.table is not None:
        options.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
