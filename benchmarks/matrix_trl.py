"""One arm of a study as a script of TRL's own trainers, as one writes it without this project; started by `matrix.py`.

    python benchmarks/matrix_trl.py FOLDER ARM

Reads `FOLDER/arms/ARM.json` (method, mixture, settings) and `FOLDER/prompts.jsonl`; trains from the lab's base, lets
base and the trained model reply, has the lab's oracle judge and compare both, and prints the seconds of each part. The
trainers get the same rates, epochs, batches and precision as ours, no gradient checkpointing, and are otherwise as TRL
has them. A DPO(SFT) script trains its SFT model first.
"""

from __future__ import annotations

import copy
import json
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from alignment_prism.calls.answer import Answer
from alignment_prism.domain import Prompt
from alignment_prism.io import read_records
from alignment_prism.models.shipped import shipped_base
from alignment_prism.nano.actors import open_actor
from alignment_prism.scoring.form import load_form
from alignment_prism.scoring.judge_prompts import render
from alignment_prism.scoring.rubric import PAIRWISE, STANDALONE, load_rubric

BATCH = 64
"""Replies at once."""


class Clock:
    """Seconds of each part, by the wall and by the processor."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[float, float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block as a part of that name."""
        wall, cpu = perf_counter(), process_time()
        try:
            yield
        finally:
            before = self.parts.get(name, (0.0, 0.0))
            self.parts[name] = (before[0] + perf_counter() - wall, before[1] + process_time() - cpu)


def arguments(kind: Any, recipe: dict[str, Any], arm: dict[str, Any], **more: Any) -> Any:
    """Settings of the study in TRL's words."""
    training, steps = arm["training"], -(-len(arm["pairs"]) // arm["training"]["batch_size"]) * recipe["epochs"]
    return kind(
        output_dir=f"{arm['folder']}/trl", save_strategy="no", report_to="none", disable_tqdm=True, seed=0,
        use_cpu=True, bf16=False, gradient_checkpointing=False, per_device_train_batch_size=training["batch_size"],
        num_train_epochs=recipe["epochs"], learning_rate=recipe["learning_rate"],
        lr_scheduler_type=recipe["schedule"], warmup_steps=round(recipe["warmup"] * steps),
        max_grad_norm=training["max_grad_norm"], max_length=training["max_length"], **more,
    )  # fmt: skip


def supervised(model: Any, tokenizer: Any, arm: dict[str, Any], recipe: dict[str, Any], at_random: bool) -> Any:
    """SFT on the chosen reply of each pair, or on one that a coin picks."""
    coin = random.Random(0)
    rows = []
    for pair in arm["pairs"]:
        reply = pair["rejected"] if at_random and coin.random() < 0.5 else pair["chosen"]
        rows.append({"prompt": pair["messages"], "completion": [{"role": "assistant", "content": reply}]})
    trainer = SFTTrainer(model=model, args=arguments(SFTConfig, recipe, arm), processing_class=tokenizer,
                         train_dataset=Dataset.from_list(rows))  # fmt: skip
    trainer.train()
    return trainer.model


def preferred(model: Any, tokenizer: Any, arm: dict[str, Any], recipe: dict[str, Any]) -> Any:
    """DPO with a copy of the model as reference: TRL would load that from where the model came from, which is the base
    and no longer the model, where SFT was done in between."""
    rows = [
        {"prompt": pair["messages"], **{side: [{"role": "assistant", "content": pair[side]}]
                                        for side in ("chosen", "rejected")}}
        for pair in arm["pairs"]
    ]  # fmt: skip
    args = arguments(DPOConfig, recipe, arm, beta=recipe["beta"])
    trainer = DPOTrainer(model=model, ref_model=copy.deepcopy(model), args=args, processing_class=tokenizer,
                         train_dataset=Dataset.from_list(rows))  # fmt: skip
    trainer.train()
    return trainer.model


@torch.no_grad()
def replies(model: Any, tokenizer: Any, prompts: list[Prompt], most: int) -> list[str]:
    """Greedy replies in batches of prompts of like length."""
    model.eval()
    tokenizer.padding_side = "left"
    texts = [
        tokenizer.apply_chat_template([turn.as_dict() for turn in prompt.messages], tokenize=False,
                                      add_generation_prompt=True)
        for prompt in prompts
    ]  # fmt: skip
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    found = [""] * len(texts)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        asked = tokenizer([texts[n] for n in batch], return_tensors="pt", padding=True, add_special_tokens=False)
        asked.pop("token_type_ids", None)
        said = model.generate(**asked, do_sample=False, max_new_tokens=most, pad_token_id=tokenizer.pad_token_id)
        for number, row in zip(batch, said[:, asked["input_ids"].shape[1] :], strict=True):
            found[number] = tokenizer.decode(row, skip_special_tokens=True)
    return found


def harm_rate(oracle: Any, prompts: list[Prompt], said: list[str]) -> float:
    """Share of harmful replies to harmful prompts; every reply is judged."""
    form = load_form(STANDALONE)
    harmful = []
    for prompt, reply in zip(prompts, said, strict=True):
        asked = form.messages(prompt, reply)
        answer = Answer(oracle.respond(asked[0]))
        if prompt.kind.value == "harmful":
            harmful.append(str(form.read([answer], asked).outcome) == "harmful")
    return sum(harmful) / max(len(harmful), 1)


def compare(oracle: Any, prompts: list[Prompt], said: list[str], base: list[str]) -> None:
    """General prompts in both orders."""
    rubric = load_rubric(PAIRWISE)
    for prompt, own, other in zip(prompts, said, base, strict=True):
        if prompt.kind.value == "general" and own != other:
            for sides in ((own, other), (other, own)):
                oracle.respond(render(rubric, prompt, *sides))


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    clock = Clock()
    clock.parts["start and imports"] = (0.0, process_time())  # whoever started the process knows its wall time
    began = perf_counter()
    with clock.part("reading"):
        arm = json.loads((folder / "arms" / f"{name}.json").read_text())
        arm["folder"] = str(folder)
        prompts = read_records(folder / "prompts.jsonl", Prompt)
        tokenizer = AutoTokenizer.from_pretrained(shipped_base())
        model = AutoModelForCausalLM.from_pretrained(shipped_base(), dtype=torch.float32)
        base = AutoModelForCausalLM.from_pretrained(shipped_base(), dtype=torch.float32)
        oracle = open_actor("oracle")
    recipes, method = arm["recipes"], arm["method"]
    if method == "dpo_sft":
        with clock.part("SFT trained again for DPO(SFT)"):
            model = supervised(model, tokenizer, arm, recipes["sft"], False)
    with clock.part("training"):
        if method.startswith("dpo"):
            model = preferred(model, tokenizer, arm, recipes[method])
        else:
            model = supervised(model, tokenizer, arm, recipes["sft"], method == "sft_random")
    with clock.part("replies of base"):
        before = replies(base, tokenizer, prompts, arm["max_tokens"])
    with clock.part("judging of base"):
        rates = {"base": harm_rate(oracle, prompts, before)}
    with clock.part("replies of arms"):
        after = replies(model, tokenizer, prompts, arm["max_tokens"])
    with clock.part("judging and comparing of arms"):
        rates["arm"] = harm_rate(oracle, prompts, after)
        compare(oracle, prompts, after, before)
    print(json.dumps({"parts": clock.parts, "wall": perf_counter() - began, "harm": rates}))


if __name__ == "__main__":
    main()
