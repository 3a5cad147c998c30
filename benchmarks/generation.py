"""How fast does a model on this machine reply: ours, Inspect's `hf` provider, transformers' continuous batching?

    python benchmarks/generation.py [--model FOLDER] [--prompts 500] [--tokens 64] [--device cpu]
    python benchmarks/generation.py --entering

The shipped nano model replies greedily to the same prompts in each of the ways; texts are compared with
`model.generate` one prompt at a time, which is what each should give (rounding in batches may turn single tokens).
Loading is not timed.

With `--entering` rows that enter in the places of others are compared with batches that are done before the next one
begins, by what does not hang on the load: passes through the model, positions, processor time. Replies of nano are
all about as long; for others their ends are drawn from a geometric law, a prompt's always the same.

Bars: the same texts; no slower than either of the others; with rows entering, no more passes.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from alignment_prism.domain import Prompt, PromptKind, Sampling
from alignment_prism.generation.backends.transformers import LocalModel, generate_local, load_local
from alignment_prism.models.chat_templates import prompt_ids
from alignment_prism.models.names import resolve
from alignment_prism.nano import world


def questions(number: int) -> list[Prompt]:
    """Different prompts of the nano lab: its evaluation set, then prompts of its pairs."""
    lab = world()
    pairs = [Prompt(pair.id, pair.messages, pair.language, PromptKind.HARMFUL) for pool in lab.pairs() for pair in pool]
    different = {prompt.messages: prompt for prompt in (*lab.evaluation_prompts(), *pairs)}
    return list(different.values())[:number]


def ours(local: LocalModel, prompts: Sequence[Prompt], tokens: int) -> list[str]:
    said = generate_local(local, prompts, arm="x", sampling=Sampling(max_tokens=tokens))
    return [one.reply for one in said]


def one_by_one(local: LocalModel, prompts: Sequence[Prompt], tokens: int) -> list[str]:
    texts = []
    for ids in prompt_ids(local.tokenizer, [prompt.messages for prompt in prompts], model=local.name):
        asked = torch.tensor([ids], device=local.model.device)
        said = local.model.generate(asked, attention_mask=torch.ones_like(asked), do_sample=False,
                                    max_new_tokens=tokens, pad_token_id=local.tokenizer.pad_token_id)  # fmt: skip
        texts.append(local.tokenizer.decode(said[0, len(ids) :], skip_special_tokens=True))
    return texts


def continuous(local: LocalModel, prompts: Sequence[Prompt], tokens: int) -> list[str]:
    from transformers import GenerationConfig

    ids = prompt_ids(local.tokenizer, [prompt.messages for prompt in prompts], model=local.name)
    stops = local.model.generation_config.eos_token_id or local.tokenizer.eos_token_id
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=stops,
                              pad_token_id=local.tokenizer.pad_token_id)  # fmt: skip
    found = local.model.generate_batch(inputs=ids, generation_config=config, progress_bar=False)
    order = sorted(found, key=lambda key: int(key.rsplit("_", 1)[-1]))
    return [local.tokenizer.decode(found[key].generated_tokens, skip_special_tokens=True) for key in order]


def by_inspect(folder: Path, device: str, at_once: int) -> Callable[[LocalModel, Sequence[Prompt], int], list[str]]:
    from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model

    def reply(local: LocalModel, prompts: Sequence[Prompt], tokens: int) -> list[str]:
        async def all_of_them() -> list[str]:
            config = GenerateConfig(max_tokens=tokens, temperature=0, max_connections=at_once)
            model = get_model("hf/local", model_path=str(folder), device=device, config=config, memoize=False,
                              do_sample=False, batch_size=at_once)  # fmt: skip
            free = asyncio.Semaphore(at_once)

            async def one(prompt: Prompt) -> str:
                async with free:
                    answer = await model.api.generate([ChatMessageUser(content=prompt.text)], [], "none", config)
                output: Any = answer[0] if isinstance(answer, tuple) else answer
                return str(output.completion)

            await one(prompts[0])  # weights are loaded
            began.append(time.perf_counter())
            return list(await asyncio.gather(*(one(prompt) for prompt in prompts)))

        began: list[float] = []
        texts = asyncio.run(all_of_them())
        reply.seconds = time.perf_counter() - began[0]  # type: ignore[attr-defined]
        return texts

    return reply


def entering(local: LocalModel, prompts: Sequence[Prompt]) -> None:
    """Print what replies take with rows entering, and without."""
    from alignment_prism.generation import batching
    from alignment_prism.generation.backends import decoding, transformers

    passes: list[tuple[int, int]] = []
    real, drawn = decoding.Decoder._logits, transformers._pick

    def counted(self: decoding.Decoder, work: Any) -> torch.Tensor:
        passes.append((work.ids.numel(), work.ids.numel() * work.mask.shape[1]))
        return real(self, work)

    def tailed(most: int, mean: float) -> Any:
        def pick_of(sampling: Sampling, members: Sequence[tuple[Prompt, int]], device: torch.device) -> Any:
            stops = transformers._stop_ids(local)
            share = [int(hashlib.sha256(one.id.encode()).hexdigest()[:8], 16) / 2**32 for one, _ in members]
            ends = torch.tensor([min(most, 3 + int(-mean * math.log(1 - one))) for one in share], device=device)

            def pick(logits: torch.Tensor, rows: torch.Tensor, step: Any) -> torch.Tensor:
                likeliest = logits.index_fill(1, torch.tensor(stops, device=device), -torch.inf).argmax(-1)
                return torch.where(ends[rows] <= step + 1, stops[0], likeliest)

            return pick

        return pick_of

    decoding.Decoder._logits = counted  # type: ignore[method-assign]
    print("| replies | positions at once | way | passes | tokens | positions looked at | processor s |\n|" + "---|" * 7)
    for name, most, mean, positions in (("the model's own", 64, 0.0, None), ("the model's own", 200, 0.0, None),
                                        ("60 tokens in the mean", 200, 60.0, None),
                                        ("60 tokens in the mean", 200, 60.0, 4096)):  # fmt: skip
        texts: dict[str, list[str]] = {}
        for way, window in (("batch after batch", 1), ("others enter", batching.WINDOW)):
            transformers.plan_windows = partial(batching.plan_windows, window=window)
            transformers._pick = tailed(most, mean) if mean else drawn
            passes.clear()
            began = time.process_time()
            said = generate_local(local, prompts, arm="x", sampling=Sampling(max_tokens=most), batch_tokens=positions)
            took = time.process_time() - began
            texts[way] = [one.reply for one in said]
            tokens, looked = (sum(one) for one in zip(*passes, strict=True))
            at_once = positions or batching.BATCH_TOKENS
            print(f"| {name}, at most {most} | {at_once:,} | {way} | {len(passes):,} | {tokens:,} | {looked:,} | "
                  f"{took:.1f} |", flush=True)  # fmt: skip
        one, other = texts.values()
        assert one == other, "rows that enter change a reply"


def _late(number: int, frame: Any) -> None:
    raise TimeoutError("not done in time")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="nano")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--entering", action="store_true", help="compare with batches that nobody enters")
    parser.add_argument("--limit", type=int, default=60, help="seconds that a way may take")
    given = parser.parse_args()
    signal.signal(signal.SIGALRM, _late)
    found = resolve(given.model)
    folder = found.folder()
    local = load_local(folder, device=given.device)
    prompts = questions(given.prompts)
    print(f"{given.model} on {given.device}, {len(prompts)} prompts, at most {given.tokens} tokens, torch "
          f"{torch.__version__}, {torch.get_num_threads()} threads", flush=True)  # fmt: skip
    if given.entering:
        entering(local, prompts)
        return
    truth = one_by_one(local, prompts[:100], given.tokens)
    ways: dict[str, Callable[[LocalModel, Sequence[Prompt], int], list[str]]] = {
        "ours": ours,
        "Inspect's hf provider, 256 at once": by_inspect(folder, given.device, 256),
        "transformers' continuous batching": continuous,
        "model.generate, one by one (100)": lambda one, asked, most: one_by_one(one, asked[:100], most),
    }
    ours(local, prompts[:32], 4)
    print("| way | s | replies a second | equal to one by one |\n|---|---|---|---|", flush=True)
    for name, way in ways.items():
        began = time.perf_counter()
        signal.alarm(given.limit)
        try:
            texts = way(local, prompts, given.tokens)
        except Exception as error:  # a way that does not run here is a row of the table
            why = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
            print(f"| {name} | none: {why} | | |", flush=True)
            continue
        finally:
            signal.alarm(0)
        if len(texts) < min(len(prompts), 100):
            print(f"| {name} | none: {len(texts)} replies in {time.perf_counter() - began:.0f} s | | |", flush=True)
            continue
        seconds = getattr(way, "seconds", time.perf_counter() - began)
        equal = sum(one.strip() == other.strip() for one, other in zip(texts, truth, strict=False))
        print(f"| {name} | {seconds:.1f} | {len(texts) / seconds:.0f} | {equal} of {len(truth)} |", flush=True)


if __name__ == "__main__":
    main()
    os._exit(0)  # a thread of a way that was not done in time may not end
