"""What all actors of the nano lab share: they are asked by chat messages and answer with a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from alignment_prism.domain import InputError, Message, ModelError, Role
from alignment_prism.nano.world.facts import Facts, WorldSpec


class Actor(Protocol):
    """Answers a conversation, always alike: the same conversation and seed give the same answer."""

    def respond(self, messages: Sequence[Message], seed: int = 0) -> str:
        """The answer to a conversation.

        Args:
            messages: oldest first.
            seed: of this call, where the actor has a choice.

        Raises:
            InputError: the actor cannot make anything of the conversation.
        """
        ...


@dataclass(frozen=True, slots=True)
class ActorName:
    """The name of an actor, as it stands behind `nano/` in a model id.

    Attributes:
        role: `oracle`, `judge`, `teacher` or `translator`.
        world: seed of the world, folder of a nano base, or empty for the world that ships.
        seed: of the actor's own errors and choices.
    """

    role: str
    world: str = ""
    seed: int = 0

    @classmethod
    def parse(cls, name: str) -> ActorName:
        """Parse `ROLE`, `ROLE@WORLD`, `ROLE#SEED` or `ROLE@WORLD#SEED`.

        Example:
            >>> ActorName.parse("judge@17#3")
            ActorName(role='judge', world='17', seed=3)

        Raises:
            InputError: the seed is no number, or the role is unknown.
        """
        front, _, seed = name.partition("#")
        role, _, world = front.partition("@")
        fix = "judges are nano/oracle and nano/judge, other actors nano/teacher and nano/translator; with @WORLD, #SEED"
        if role not in ROLES:
            raise InputError(f"unknown nano actor {role!r}", where=f"nano/{name}", fix=fix)
        if seed and not seed.isdecimal():
            raise InputError(f"the seed {seed!r} is no number", where=f"nano/{name}", fix=fix)
        return cls(role, world, int(seed or 0))


ROLES: tuple[str, ...] = ("oracle", "judge", "teacher", "translator")
"""The actors there are."""


@lru_cache(maxsize=8)
def facts_of(world: str) -> Facts:
    """The facts of the world that an actor's name or model argument gives.

    Args:
        world: a seed (all other knobs at their defaults), the folder of a nano base, or empty: the shipped world.

    Raises:
        InputError: it is neither a number nor a folder of a nano base.
    """
    from alignment_prism.nano.base.build import read_world

    if world.isdecimal():
        return Facts(WorldSpec(seed=int(world)))
    if world:
        try:
            return Facts(read_world(Path(world)))
        except ModelError as error:
            raise InputError(
                f"no nano world {world!r}: {error.what}",
                where=error.where,
                fix="give a world's seed, or a folder that prism nano build has written",
            ) from error
    try:
        return Facts(read_world())
    except ModelError:  # built from source, before its base was: the shipped recipe is the default one
        return Facts(WorldSpec())


def instruction_and_text(messages: Sequence[Message]) -> tuple[str, str]:
    """What is to be done, and with which text: the last paragraph of the last user turn, and all before it.

    An instruction may be the system's or stand above the text, so both ways in which models are asked work.
    """
    asked = next((message.content for message in reversed(messages) if message.role is Role.USER), "")
    above, _, text = asked.strip().rpartition("\n\n")
    system = [message.content for message in messages if message.role is Role.SYSTEM]
    return "\n".join([*system, above]).strip(), text.strip()
