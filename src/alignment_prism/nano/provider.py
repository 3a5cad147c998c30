"""Inspect model providers of this package: `nano/oracle`, `nano/judge`, `nano/teacher`, `nano/translator`.

Registered by the entry point group `inspect_ai`. A model id may name a world and a seed, so that it says by itself what
was asked: `nano/oracle@17` judges the world of seed 17, `nano/judge@17#3` is another judge of the same rates. With
Inspect's own command they can be given as model arguments too: `-M world_seed=17 -M actor_seed=3`.

No network, no weights: an answer takes microseconds, and thousands of calls the time that Inspect takes to make them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, ModelUsage, modelapi
from inspect_ai.tool import ToolChoice, ToolInfo

from alignment_prism.domain import Message, Prompt, Role
from alignment_prism.nano.actors import check_judge, open_actor

MAX_CONNECTIONS = 256
"""Calls that may be under way at once; there is no server to spare."""


@modelapi(name="nano")
class NanoAPI(ModelAPI):
    """The actors of the nano lab behind Inspect's interface.

    Args:
        model_name: what stands behind `nano/`, see `alignment_prism.nano.actors.ActorName`.
        base_url, api_key: not used.
        config: of the calls.
        world_seed: seed of the world, or folder of a nano base, where the name gives none; the shipped world otherwise.
        actor_seed: seed of the actor's errors and choices, where the name gives none.

    Raises:
        InputError: there is no such actor or world, or an argument is unknown.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        world_seed: int | str | None = None,
        actor_seed: int | None = None,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        if model_args:
            raise TypeError(f"unknown model arguments {', '.join(model_args)}; there are world_seed and actor_seed")
        world = "" if world_seed is None else str(world_seed)
        self._actor = open_actor(model_name, world=world, seed=actor_seed)

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """The actor's answer, with its usage, so that nobody needs to count tokens."""
        messages = [Message(Role(turn.role), turn.text) for turn in input if turn.role in tuple(Role)]
        answer = self._actor.respond(messages, seed=config.seed or 0)
        output = ModelOutput.from_content(f"nano/{self.model_name}", answer)
        sent = sum(_tokens(message.content) for message in messages)
        received = _tokens(answer)
        output.usage = ModelUsage(input_tokens=sent, output_tokens=received, total_tokens=sent + received)
        return output

    def check_judging(self, prompts: Sequence[Prompt]) -> None:
        """Refuse to judge replies to prompts that are not of the actor's world (`calls.endpoint.refuse_unknown`).

        Raises:
            InputError: the actor is no judge, or does not know the prompts.
        """
        check_judge(self.model_name, self._actor, prompts)

    async def count_text_tokens(self, text: str) -> int:
        """Words, here: Inspect's own counter would fetch a vocabulary from the network."""
        return _tokens(text)

    def max_connections(self) -> int:
        """Calls at once."""
        return MAX_CONNECTIONS

    def max_tokens(self) -> int | None:
        """No limit of its own."""
        return None


def _tokens(text: str) -> int:
    return len(text.split())
