"""The actor behind a name."""

from __future__ import annotations

from collections.abc import Sequence

from alignment_prism.domain import InputError, Prompt
from alignment_prism.nano.actors.actor import Actor, ActorName, facts_of
from alignment_prism.nano.actors.judge import ErringJudge, OracleJudge
from alignment_prism.nano.actors.teacher import Teacher
from alignment_prism.nano.actors.translator import Translator


def open_actor(name: str, *, world: str = "", seed: int | None = None) -> Actor:
    """The actor of a name such as `judge`, `oracle@17` or `judge@17#3`.

    Args:
        name: what stands behind `nano/` in a model id.
        world: used where the name gives none; see `facts_of`.
        seed: used where the name gives none.

    Raises:
        InputError: there is no such actor or world.
    """
    parsed = ActorName.parse(name)
    facts = facts_of(parsed.world or world)
    own_seed = parsed.seed or seed or 0
    if parsed.role == "oracle":
        return OracleJudge(facts)
    if parsed.role == "judge":
        return ErringJudge(facts, seed=own_seed)
    if parsed.role == "teacher":
        return Teacher(facts, own_seed)
    return Translator(facts)


def check_judge(name: str, judge: Actor, prompts: Sequence[Prompt]) -> None:
    """Check that an actor is a judge and that the prompts are of its world.

    Args:
        name: what stands behind `nano/` in a model id.
        judge: the actor of that name.
        prompts: what replies that are to be judged answer.

    Raises:
        InputError: the actor is no judge, or it knows not all of the prompts; says how many.
    """
    if not isinstance(judge, OracleJudge):
        what = f"nano/{name} is no judge"
        raise InputError(what, where=f"nano/{name}", fix="use nano/oracle, which is always right, or nano/judge")
    unknown = [prompt for prompt in prompts if not judge.knows(prompt.text, prompt.reference)]
    if unknown:
        shown = ", ".join(prompt.id for prompt in unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise InputError(
            f"nano/{name} knows prompts of its own world only, and {len(unknown)} of {len(prompts)} prompts are not",
            where=f"prompts {shown}",
            fix="take a real judge, such as openai/gpt-4o, for real prompts; for prompts of another nano world name "
            "it: nano/oracle@SEED or nano/oracle@FOLDER",
        )
