"""What hands steps to others: processes of this machine, or the nodes of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from alignment_prism.studies.steps import Step


@dataclass(frozen=True, slots=True)
class Told:
    """What is heard of a step: `progress`, `answer`, `kept`, `done`, `stopped` or `failed`, and what goes with it."""

    step: Step
    what: str
    rest: tuple[Any, ...] = ()


class Crew(Protocol):
    """Workers that do steps, used by one thread."""

    @property
    def at_work(self) -> bool:
        """Whether a step is under way."""

    def has_room(self, step: Step) -> bool:
        """Whether a step can be handed out."""

    def hand_out(self, step: Step, *, earlier: bool) -> None:
        """Have a step done; there is room."""

    def wait(self, bell: int) -> list[Told]:
        """Wait until there is something to tell, or the file descriptor `bell` can be read; what there is."""

    def stop(self, *, resumable_only: bool = False) -> None:
        """Ask for what is under way to be stopped, a training at its next step; steps that leave nothing behind when
        they are stopped may be spared."""

    def kill(self) -> None:
        """End what is under way at once."""

    def close(self) -> None:
        """Let go of the workers: those that are idle end, others stop what they do."""
