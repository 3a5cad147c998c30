"""From a conversation to the token ids a model is to continue, by the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alignment_prism.domain.errors import InputError, ModelError
from alignment_prism.domain.messages import Messages


def require_chat_template(tokenizer: Any, model: str) -> None:
    """Make sure that the tokenizer has a chat template.

    Raises:
        ModelError: it has none; to guess one would send the model prompts it was never trained on.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "the model has no chat template, so a conversation cannot be written the way it was trained",
            where=model,
            fix="use the instruction-tuned model of the family, or save the template as chat_template.jinja in the "
            "model folder",
        )


def prompt_ids(tokenizer: Any, conversations: Sequence[Messages], *, model: str) -> list[list[int]]:
    """Token ids of each conversation up to where the model's reply begins, without padding.

    The template writes the special tokens, a first BOS among them, so none is added to what it wrote.

    Args:
        tokenizer: of transformers, with a chat template.
        conversations: what the model is to continue.
        model: its name, for errors.

    Raises:
        ModelError: the tokenizer has no chat template.
        InputError: the template refuses a conversation, for example because it has no system role.
    """
    require_chat_template(tokenizer, model)
    texts = []
    for messages in conversations:
        turns = [message.as_dict() for message in messages]
        try:
            texts.append(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # templates raise errors of jinja, whatever they like
            roles = ", ".join(message.role.value for message in messages)
            raise InputError(
                f"the chat template refuses a conversation with the turns {roles}: {error}",
                where=model,
                fix="take out the system turn, or give turns of user and assistant by turns, starting with the user",
            ) from error
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids
