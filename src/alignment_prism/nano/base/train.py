"""Pre-training of the nano base from scratch: a small Cohere model, on two cores in minutes."""

from __future__ import annotations

import copy
import itertools
import math
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from alignment_prism.domain.progress import Progress
from alignment_prism.nano.base.tokenizer import BOS, CHATBOT, CONTEXT, END, USER, train_tokenizer
from alignment_prism.nano.world.corpus import Corpus, Example
from alignment_prism.nano.world.facts import Facts
from alignment_prism.training.base_model import cpu_has_bf16

if TYPE_CHECKING:
    from transformers import CohereForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class BaseRecipe:
    """How the base is trained; the shipped weights were made with the defaults.

    Attributes:
        steps: optimiser steps. Time is proportional to it.
        batch: examples a step.
        vocabulary: entries of the tokenizer.
        layers, width, heads, feed_forward: size of the model.
        peak_rate: highest learning rate of AdamW, after `warmup` steps.
        probe: weight of the probe's loss; that of a predicted token is 1.
        hold: share of the steps at the peak; then a straight line down to 2 % of it.
        weight_decay, clip: of AdamW and of the gradient's norm.
        threads: CPU threads that share a batch; another number gives sums in another order, hence another digest.
        seed: of the initial weights and of the stream of examples.
    """

    steps: int = 4400
    batch: int = 64
    vocabulary: int = 4096
    layers: int = 3
    width: int = 96
    heads: int = 4
    feed_forward: int = 288
    peak_rate: float = 3e-3
    probe: float = 3.0
    warmup: int = 100
    hold: float = 0.1
    weight_decay: float = 0.05
    clip: float = 1.0
    threads: int = 2
    seed: int = 0

    def as_dict(self) -> dict[str, object]:
        """The recipe as plain values, for the manifest."""
        return asdict(self)


def new_model(recipe: BaseRecipe, tokenizer: PreTrainedTokenizerFast) -> CohereForCausalLM:
    """A Cohere model with random weights of the recipe's size. Eager attention: SDPA's CPU backward is slower."""
    from transformers import CohereConfig, CohereForCausalLM

    config = CohereConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.width,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=CONTEXT,
        logit_scale=1.0,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        use_cache=True,
    )
    torch.manual_seed(recipe.seed)
    return CohereForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32)


def train_base(
    facts: Facts, recipe: BaseRecipe, progress: Progress | None = None
) -> tuple[CohereForCausalLM, PreTrainedTokenizerFast]:
    """Train a tokenizer and a base model on the corpus of a world.

    Args:
        facts: the world.
        recipe: sizes, steps and seeds.
        progress: called every 20 steps, with the loss in words.

    Returns:
        The model in float32 on the CPU, in evaluation mode, and its tokenizer. The same facts, recipe and
        machine give the same weights, bit by bit.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the workers share the batch; see there
    sample = itertools.islice(Corpus(facts, seed=recipe.seed + 1), 20_000)
    tokenizer = train_tokenizer((f"{e.prompt}\n{e.reply}" for e in sample), recipe.vocabulary)
    learner = Learner(new_model(recipe, tokenizer), recipe).train()
    optimiser = _optimiser(learner, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, recipe))
    batches = _batches(Corpus(facts, recipe.seed), tokenizer, recipe)
    with Workers(learner, recipe.threads) as workers:
        for step in range(1, recipe.steps + 1):
            loss = workers.gradients(next(batches))
            torch.nn.utils.clip_grad_norm_(learner.parameters(), recipe.clip)
            optimiser.step()
            schedule.step()
            learner.zero_grad(set_to_none=True)
            if progress and (step % 20 == 0 or step == recipe.steps):
                progress(step, recipe.steps, f"loss {loss:.3f}")
    torch.set_num_threads(threads)
    return learner.model.eval(), tokenizer


class Batch(NamedTuple):
    """Examples of like length.

    Attributes:
        tokens: ids, (rows, longest).
        targets: the ids that are predicted and -100 elsewhere, (rows, longest).
        asked: the position from which a reply's first token is predicted, (rows,).
        harmful: 1 or 0 where the base knows of a question whether it asks for harm, nan elsewhere, (rows,).
    """

    tokens: torch.Tensor
    targets: torch.Tensor
    asked: torch.Tensor
    harmful: torch.Tensor


class Learner(torch.nn.Module):
    """The model, and a probe that is thrown away after the training.

    The probe reads from the state that predicts a reply's first token whether harm is asked for. Without it the model
    learnt to judge requests long before it used that judgement where it replies, from refusals that are one in seven.
    """

    def __init__(self, model: CohereForCausalLM, recipe: BaseRecipe) -> None:
        super().__init__()
        self.model, self.weight = model, recipe.probe
        self.probe = torch.nn.Linear(recipe.width, 1)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The summed losses of the text and of the probe.

        In bfloat16 only where the CPU has it: where it has not, that took thirteen times as long as float32.
        """
        model = self.model
        with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False, enabled=cpu_has_bf16()):
            hidden = model.model(input_ids=batch.tokens[:, :-1], use_cache=False).last_hidden_state
            rows, wanted = _kept(batch.targets[:, 1:])
            logits = model.lm_head(hidden.flatten(0, 1)[rows]) * model.config.logit_scale
            told = ~batch.harmful.isnan()
            read = self.probe(hidden[told, batch.asked[told]])[:, 0]
        text = functional.cross_entropy(logits.float(), wanted, reduction="sum")
        probe = functional.binary_cross_entropy_with_logits(read.float(), batch.harmful[told], reduction="sum")
        return text, probe * self.weight


class Workers:
    """Threads that each take a share of every batch, on one core.

    Dividing the batch keeps two cores busy where dividing each operation does not: a model this small has thousands of
    operations a step that are too short to share. The gradients are added in a fixed order, so timing changes nothing.
    """

    def __init__(self, learner: Learner, number: int) -> None:
        self._replicas = [learner, *(copy.deepcopy(learner) for _ in range(number - 1))]
        for replica in self._replicas[1:]:
            for own, shared in zip(replica.parameters(), learner.parameters(), strict=True):
                own.data = shared.data
        self._pool = ThreadPoolExecutor(number, initializer=torch.set_num_threads, initargs=(1,))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def gradients(self, batch: Batch) -> float:
        """Leave the gradients of a batch's loss, a predicted token, in the learner; returns that of the text."""
        number, predicted = len(self._replicas), int((batch.targets[:, 1:] != -100).sum())
        shares = [Batch(*(column[first::number] for column in batch)) for first in range(number)]
        losses = list(self._pool.map(_backward, self._replicas, shares))
        for replica in self._replicas[1:]:
            for own, total in zip(replica.parameters(), self._replicas[0].parameters(), strict=True):
                if own.grad is not None and total.grad is not None:
                    total.grad += own.grad
                own.grad = None
        for parameter in self._replicas[0].parameters():
            if parameter.grad is not None:
                parameter.grad /= predicted
        return sum(losses) / predicted


def _backward(learner: Learner, batch: Batch) -> float:
    """Add the gradients of the summed losses of some rows to a learner's; returns that of the text."""
    text, probe = learner(batch)
    torch.autograd.backward(text + probe)
    return float(text.detach())


def _kept(targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The flat positions that are predicted and what is wanted there, filled up to a multiple of 128 with -100.

    With another size of the head's matrix at every step the process grew to 6 GB; with few sizes it stays below 2 GB.
    """
    flat = targets.flatten()
    rows = (flat != -100).nonzero()[:, 0]
    spare = -len(rows) % 128
    return functional.pad(rows, (0, spare)), functional.pad(flat[rows], (0, spare), value=-100)


def _optimiser(learner: Learner, recipe: BaseRecipe) -> torch.optim.AdamW:
    matrices = [p for p in learner.parameters() if p.dim() > 1]
    vectors = [p for p in learner.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98), fused=True)


def _rate(step: int, recipe: BaseRecipe) -> float:
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    held = recipe.warmup + recipe.hold * (recipe.steps - recipe.warmup)
    if step < held:
        return 1.0
    return max(0.02, 1.0 - 0.98 * (step - held) / max(1.0, recipe.steps - held))


def _batches(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, recipe: BaseRecipe) -> Iterator[Batch]:
    """Batches of examples of like length, in random order; the loss mask is -100 on prompts."""
    rng = random.Random(f"batches {recipe.seed}")
    encode = _Encoder(tokenizer)
    stream = iter(corpus)
    while True:
        pool = [(*encode(each), each.harmful) for each in itertools.islice(stream, recipe.batch * 16)]
        pool.sort(key=lambda row: len(row[0]))
        cut = [pool[start : start + recipe.batch] for start in range(0, len(pool), recipe.batch)]
        rng.shuffle(cut)
        for rows in cut:
            longest = math.ceil(max(len(tokens) for tokens, _, _ in rows) / 4) * 4
            tokens = torch.full((len(rows), longest), tokenizer.pad_token_id, dtype=torch.long)
            targets = torch.full((len(rows), longest), -100, dtype=torch.long)
            for row, (ids, first, _) in enumerate(rows):
                tokens[row, : len(ids)] = torch.tensor(ids)
                targets[row, first : len(ids)] = tokens[row, first : len(ids)]
            harmful = torch.tensor([math.nan if known is None else float(known) for _, _, known in rows])
            yield Batch(tokens, targets, torch.tensor([first - 1 for _, first, _ in rows]), harmful)


class _Encoder:
    """Token ids of examples; a reply seen before costs a dictionary look-up. Prompts hardly ever repeat."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._backend = tokenizer.backend_tokenizer
        bos, user, chatbot, end = tokenizer.convert_tokens_to_ids([BOS, USER, CHATBOT, END])
        self._bos, self._user, self._chatbot, self._end = bos, user, chatbot, end
        self._known: dict[str, list[int]] = {}

    def __call__(self, example: Example) -> tuple[list[int], int]:
        """The ids of an example and the index of the first one that is to be predicted."""
        reply = self._ids(example.reply)
        if not example.prompt:
            return [self._bos, self._chatbot, *reply, self._end], 2
        prompt = self._backend.encode(example.prompt, add_special_tokens=False).ids
        head = [self._bos, self._user, *prompt, self._chatbot]
        return [*head, *reply, self._end], len(head)

    def _ids(self, text: str) -> list[int]:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._backend.encode(text, add_special_tokens=False).ids
        return found
