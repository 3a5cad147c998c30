"""What a rule is: a scorer that computes what it says from the prompt and the reply alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.metrics import Corpus, Mean, Metric, Share
from alignment_prism.domain.records import Generation, Prompt, Score, StopReason
from alignment_prism.scoring.scorer import prompt_of


@dataclass(frozen=True, slots=True)
class Counted:
    """A score with the counts that the number of all replies together is made from.

    Attributes:
        value: of this reply alone.
        counts: as `Score.raw` has them.
    """

    value: float
    counts: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A scorer that asks nobody (`alignment_prism.scoring.scorer.Scorer`).

    Attributes:
        name: under which a study asks for it.
        version: raised whenever the same reply may get another score.
        metrics: what its scores are good for; they name the scores.
        measure: scores of one reply to one prompt, by name; names that are left out have no score.
        applies: whether the rule has anything to say of replies to a prompt.
        needs: what `applies` asks for, in words.
        ready: raises what is missing on this machine (a model, a package).
    """

    name: str
    version: int
    metrics: tuple[Metric, ...]
    measure: Callable[[Prompt, str], Mapping[str, float | Counted]]
    applies: Callable[[Prompt], bool] = lambda prompt: True
    needs: str = ""
    ready: Callable[[], None] = lambda: None

    @property
    def id(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def makes(self) -> tuple[str, ...]:
        """Names of the scores that the metrics rest on."""
        found = [
            metric.estimator.score for metric in self.metrics if isinstance(metric.estimator, (Share, Mean, Corpus))
        ]
        return tuple(dict.fromkeys(found))

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Find out whether the rule has anything to say of these prompts.

        Raises:
            InputError: of none, or something that it needs is not on this machine.
        """
        if not any(self.applies(prompt) for prompt in prompts):
            raise InputError(
                f"none of the {len(prompts)} prompts has what {self.name} needs: {self.needs}",
                fix=f"give it to the prompts, or leave {self.name} out",
            )
        self.ready()

    def score(self, prompts: Sequence[Prompt], generations: Sequence[Generation]) -> list[Score]:
        """Scores of the replies, in their order; a reply that is not there (context, provider's error) has none.

        Raises:
            InputError: a reply belongs to none of the prompts.
        """
        by_id = {prompt.id: prompt for prompt in prompts}
        scores = []
        for generation in generations:
            prompt = prompt_of(generation, by_id)
            if generation.stop_reason in (StopReason.CONTEXT, StopReason.ERROR) or not self.applies(prompt):
                continue
            scores += [
                Score(
                    generation.prompt_id,
                    generation.reply_digest,
                    generation.arm,
                    self.id,
                    name,
                    value=value.value if isinstance(value, Counted) else float(value),
                    sample=generation.sample,
                    raw=value.counts if isinstance(value, Counted) else "",
                )
                for name, value in self.measure(prompt, generation.reply).items()
            ]
        return scores
