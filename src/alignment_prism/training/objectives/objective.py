"""What an objective is: the replies it needs, its loss, its knobs, its value before the first step, its state.

Nothing here imports torch, so that the table of methods can be read at once; losses are handed tensors.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alignment_prism.domain import Pair, PrismError, TrainingError, content_digest
from alignment_prism.training.devices import is_fatal
from alignment_prism.training.objectives.replies import Replies
from alignment_prism.training.objectives.source import code_of
from alignment_prism.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

LossAndMetrics = tuple["Tensor", dict[str, "Tensor"]]
"""Loss of each example, and what is logged beside it, each of shape (examples,).

A metric called `loss` is logged in place of the loss itself, where that is weighted.
"""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Everything a loss may look at: the tensors of one micro-batch, on one device.

    Attributes:
        logps: log-probability of each reply under the policy, summed over its tokens, in nats; shape
            (branches, examples), float32 or float64. Branches follow `Objective.replies`.
        lengths: tokens of each reply, shape (branches, examples).
        reference: as `logps`, under the model that the stage starts from; None where the objective needs none.
        groups: number of each example's group (language x scope), shape (examples,); 0 for a pair that is held out, of
            a group that no other pair is of.
        labels: `Replies.label` of each example, shape (examples,).
        counts: examples of each group in the global batch, or their tokens where the loss is per token, over all
            micro-batches and processes; shape (groups,).
        divergence: estimate of KL(policy || reference) in nats, at least 0, without gradient: the mean log-ratio of
            replies to other prompts over the global batch, shape (); None where the objective needs none.
        state: tensors of the objective's `State`, by name.
        translated: for each example the hidden states of the last token of its prompt and of the prompt's
            translations, with gradient, shape (languages, width); None where the objective needs none, and of pairs
            that are held out.
    """

    logps: Tensor
    lengths: Tensor
    reference: Tensor | None
    groups: Tensor
    labels: Tensor
    counts: Tensor
    divergence: Tensor | None = None
    state: Mapping[str, Tensor] = field(default_factory=dict)
    translated: Sequence[Tensor] | None = None

    @property
    def log_ratios(self) -> Tensor:
        """log pi(y | x) / pi_ref(y | x) of each reply, shape (branches, examples)."""
        assert self.reference is not None, "an objective that reads references has to declare uses_reference"
        return self.logps - self.reference

    def per_token(self, sums: Tensor) -> Tensor:
        """Sums over the tokens of each reply as means; 0 for a reply without tokens. Shape (branches, examples)."""
        return sums / self.lengths.clamp(min=1)


@dataclass(frozen=True, slots=True)
class State:
    """What an objective carries from step to step: tensors by name, saved in every checkpoint.

    Attributes:
        first: recipe and number of groups -> the tensors before the first step.
        next: tensors, recipe, sums of each metric (`loss` among them) and counts of examples (or tokens) by group over
            the global batch, each of shape (groups,) -> the tensors of the next step.
    """

    first: Callable[[Any, int], dict[str, Tensor]]
    next: Callable[[Mapping[str, Tensor], Any, Mapping[str, Tensor], Tensor], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Objective:
    """What one stage of training minimises.

    Attributes:
        name: of the objective.
        recipe: its settings.
        replies: pair and seed -> the replies of each of the pair's examples: of one, or of several or none.
        loss: micro-batch and recipe -> loss of each example, and metrics.
        uses_reference: log-probabilities under the model that the stage starts from are computed before the first
            step. Dropout is then 0 everywhere, because policy and reference have to be the same function.
        per_token: the loss of a step is its sum over examples divided by their tokens, otherwise by their number.
        uses_divergence: each step begins with log-probabilities of replies to other prompts, without gradient, from
            which `MicroBatch.divergence` is estimated. Needs `uses_reference`.
        first_loss: recipe -> the loss of every example where policy and reference agree; None where it depends on the
            data.
        state: what it carries from step to step, if anything.
        translated_at: recipe -> behind which share of the layers it compares a prompt with its translations; None
            where it compares none.
        notice: all pairs that are to be trained on -> what somebody should know of them before hours are spent, if
            anything.
        code: digest of what its functions are written in (`source.code_of`) as that was when they were declared, and of
            what else is said here of how it trains. It is in the keys of trainings (`Methods.code`): an objective that
            is changed is another.
    """

    name: str
    recipe: type[Recipe]
    replies: Callable[[Pair, int], tuple[Replies, ...]]
    loss: Callable[[MicroBatch, Any], LossAndMetrics]
    uses_reference: bool = False
    per_token: bool = False
    uses_divergence: bool = False
    first_loss: Callable[[Any], float | None] | None = None
    state: State | None = None
    translated_at: Callable[[Any], float] | None = None
    notice: Callable[[Sequence[Pair]], str | None] | None = None
    code: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        state = () if self.state is None else (self.state.first, self.state.next)
        shaping = (self.loss, self.replies, self.translated_at, *state)
        flags = (self.uses_reference, self.per_token, self.uses_divergence, self.translated_at is not None)
        written = code_of(*(function for function in shaping if function is not None))
        object.__setattr__(self, "code", content_digest(written, *flags))

    @property
    def branches(self) -> int:
        """Replies of an example."""
        return len(self._of_any_pair()[0].texts)

    @property
    def replies_of_pair(self) -> int:
        """Replies of a pair that it learns from, in however many examples."""
        return sum(len(one.texts) for one in self._of_any_pair())

    @property
    def examples_of_pair(self) -> int:
        """Examples that a pair gives, each of which reads its prompt."""
        return len(self._of_any_pair())

    def _of_any_pair(self) -> tuple[Replies, ...]:
        with blaming(self, "replies"):
            return self.replies(Pair("", (), "one", "another"), 0)

    def losses(self, batch: MicroBatch, recipe: Any) -> LossAndMetrics:
        """Loss of each example, and metrics, as `loss` returns them, looked at: anybody may have written it.

        Raises:
            TrainingError: it fails, or returns something else.
        """
        with blaming(self, "loss"):
            found = self.loss(batch, recipe)
        fault = _fault(found, batch)
        if fault:
            code = getattr(self.loss, "__code__", None)
            raise TrainingError(
                f"the loss of {self.name} {fault}",
                where=None if code is None else f"{code.co_filename}, line {code.co_firstlineno}",
                fix="return the loss of each example and a mapping of metrics, all of shape (examples,); the mean over "
                "the batch is taken elsewhere",
            )
        return found

    def first_state(self, recipe: Any, groups: int) -> dict[str, Tensor]:
        """The tensors of the state before the first step; none without a state.

        Raises:
            TrainingError: `State.first` fails, or gives something else.
        """
        if self.state is None:
            return {}
        with blaming(self, "state"):
            found = self.state.first(recipe, groups)
        return self._checked(found, self.state.first, ())

    def next_state(
        self, state: Mapping[str, Tensor], recipe: Any, sums: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Tensor]:
        """The tensors of the next step's state.

        Raises:
            TrainingError: `State.next` fails, or gives something else, or not all that were there.
        """
        assert self.state is not None
        with blaming(self, "state"):
            found = self.state.next(state, recipe, sums, counts)
        return self._checked(found, self.state.next, state)

    def _checked(self, found: Any, function: Any, names: Iterable[str]) -> dict[str, Tensor]:
        """What a function of the state has returned: a checkpoint, hours later, would be too late to find out."""
        from torch import Tensor

        fault = ""
        if not isinstance(found, Mapping):
            fault = f"returns {type(found).__name__}"
        else:
            others = [f"{type(one).__name__} as {name!r}" for name, one in found.items() if not isinstance(one, Tensor)]
            lacking = [f"no {name!r}, which was there" for name in names if name not in found]
            if others or lacking:
                fault = f"returns {(others + lacking)[0]}"
        if fault:
            code = getattr(function, "__code__", None)
            raise TrainingError(
                f"the state of {self.name} {fault}",
                where=None if code is None else f"{code.co_filename}, line {code.co_firstlineno}",
                fix="return a mapping of names to tensors, the same names in every step",
            )
        # Each with memory of its own, which the file of a checkpoint asks for: a view or a twin has none.
        return {str(name): one.detach().clone().contiguous() for name, one in found.items()}


@contextmanager
def blaming(objective: Objective, part: str) -> Iterator[None]:
    """Name the objective whose code fails, and the line, and not the training that calls it.

    Raises:
        TrainingError: for any error that is none of ours and none of memory or device.
    """
    try:
        yield
    except PrismError:
        raise
    except Exception as error:  # another package's code, which may raise anything
        if is_fatal(error):
            raise
        import torch

        library = str(torch.__path__[0])
        frames = [one for one in traceback.extract_tb(error.__traceback__)[1:] if not one.filename.startswith(library)]
        raise TrainingError(
            f"{part} of {objective.name} failed: {type(error).__name__}: {error}",
            where=f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else None,
            fix="this is a defect of the objective",
        ) from error


def _fault(found: Any, batch: MicroBatch) -> str:
    """What is wrong with what a loss returned, if anything."""
    from torch import Tensor

    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping)):
        return "does not return two things, losses and metrics"
    losses, metrics = found
    examples = tuple(batch.groups.shape)
    for name, value in {"losses": losses, **{f"the metric {name!r}": one for name, one in metrics.items()}}.items():
        if not isinstance(value, Tensor):
            return f"returns {type(value).__name__} as {name}"
        if tuple(value.shape) != examples:
            return f"returns {name} of shape {tuple(value.shape)} for {examples[0]} examples"
    if batch.logps.requires_grad and not losses.requires_grad:
        return "has no gradient"
    return ""


def log_sigmoid(value: Tensor) -> Tensor:
    """log(1 / (1 + exp(-value))), without overflow."""
    from torch.nn.functional import logsigmoid

    return logsigmoid(value)


def collinearity_loss(translated: Sequence[Tensor], temperature: float) -> Tensor:
    """How far vectors are from one line, up to sign: -log softmax(s / (s_1 temperature))_1, shape (examples,).

    s are the singular values of an example's vectors, each scaled to length 1, and s_1 the first of them, which has no
    gradient where it scales. A single vector lies on a line: 0. For m vectors on one line it is
    log(1 + (m - 1) exp(-1 / temperature)), for orthogonal ones log(m).
    """
    from torch import cat, linalg
    from torch.nn.functional import normalize

    found = []
    for vectors in translated:
        values = linalg.svdvals(normalize(vectors.float() if vectors.dtype.itemsize < 4 else vectors, dim=-1))
        found.append(-(values / (values[:1].detach() * temperature)).log_softmax(-1)[:1])
    return cat(found)


def reward_metrics(batch: MicroBatch, rewards: Tensor) -> dict[str, Tensor]:
    """What is logged of pairs.

    Args:
        batch: the micro-batch.
        rewards: implicit rewards of the chosen and the rejected replies, shape (2, examples).

    Returns:
        `accuracy` is 1 where the chosen reply has the higher reward, 0.5 where both have the same; `margin` is the
        difference of the rewards.
    """
    margin = rewards[0] - rewards[1]
    return {
        "accuracy": (margin > 0).to(margin.dtype) + 0.5 * (margin == 0).to(margin.dtype),
        "margin": margin,
        "reward_chosen": rewards[0],
        "reward_rejected": rewards[1],
        "logp_chosen": batch.logps[0],
        "logp_rejected": batch.logps[1],
    }
