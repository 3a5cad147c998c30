"""From a conversation to the token ids a model is to continue, by the model's own chat template.

Some templates (Llama 3, SmolLM3, gpt-oss) write today's date into the system turn. Prompts would then differ from one
day to the next: within a training that runs over midnight, between a training and the replies of its model, between two
arms of a study. Such templates are given `TEMPLATE_DATE` in place of the clock, wherever a conversation is written.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from alignment_prism.domain.errors import InputError, ModelError
from alignment_prism.domain.messages import Messages

TEMPLATE_DATE = datetime(2025, 1, 1)
"""What templates that ask for the date are given. Part of every result of such a model: to change it is to change
them."""

SECONDS = 30.0
"""For which a template may write, and as many milliseconds for each conversation: one that loops for ever is told from
one that works."""

_CLOCK = "strftime_now"
"""The function by which transformers lets a template ask for the date."""


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


def check_chat_template(tokenizer: Any, model: str) -> None:
    """Make sure that the chat template writes what is said: two different questions may not become one text.

    A template that refuses a lone question says so when it is used.

    Raises:
        ModelError: it writes the same of both, or does not come to an end.
    """
    asked = [[{"role": "user", "content": word}] for word in ("one", "two")]
    try:
        texts = written(tokenizer, asked, add_generation_prompt=True)
    except TimeoutError as error:
        fix = "mend chat_template.jinja in the model folder"
        raise ModelError(f"the chat template cannot be used: {error}", where=model, fix=fix) from error
    except Exception:
        return
    if texts[0] == texts[1]:
        what = "the chat template writes the same whatever is asked" if texts[0] else "the chat template writes nothing"
        raise ModelError(what, where=model, fix="mend chat_template.jinja in the model folder: it must write messages")


def template_date(tokenizer: Any) -> str | None:
    """The date that the tokenizer's template writes (`2025-01-01`), or None where it asks for none."""
    return TEMPLATE_DATE.date().isoformat() if _CLOCK in str(tokenizer.chat_template) else None


def written(
    tokenizer: Any, conversations: Sequence[Sequence[Mapping[str, str]]], *, add_generation_prompt: bool
) -> list[str]:
    """The texts that the chat template makes of conversations, on whatever day.

    Args:
        tokenizer: of transformers, with a chat template.
        conversations: each a list of turns with `role` and `content`.
        add_generation_prompt: whether what stands before a reply is written after the last turn.

    Raises:
        Exception: whatever the template raises; it is a program of the model's author.
        TimeoutError: it does not come to an end, see `SECONDS`.
    """
    template = {} if template_date(tokenizer) is None else {"chat_template": _undated(tokenizer.get_chat_template())}
    with _alarm(SECONDS * (1 + len(conversations) / 1000)):
        texts: list[str] = tokenizer.apply_chat_template(
            conversations, tokenize=False, add_generation_prompt=add_generation_prompt, **template
        )
    return texts


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise TimeoutError when the block takes longer; in the main thread only, and where the system has such alarms."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: object) -> None:
        raise TimeoutError("it does not come to an end")

    before = signal.signal(signal.SIGALRM, ring)
    left = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)


def _undated(template: str) -> str:
    """The template with a `strftime_now` of its own, which knows no clock.

    A function cannot be passed to a template (transformers hands it plain data only), so this one is written in
    Jinja's own language: a macro that puts `TEMPLATE_DATE` in the place of each directive.
    """
    directives = [f"%{flag}{letter}" for flag in ("-", "") for letter in "aAbBcdeHIjmMpSuUVwWxXyYGZ"]
    filters = "".join(f" | replace({one!r}, {TEMPLATE_DATE.strftime(one)!r})" for one in directives)
    # The last, empty expression keeps Jinja from taking a line's end that follows the block out of the template.
    return f"{{%- macro {_CLOCK}(format) -%}}{{{{ format{filters} }}}}{{%- endmacro -%}}{{{{ '' }}}}{template}"


def with_arguments(template: str, arguments: Mapping[str, Any]) -> str:
    """The template with values for names that it asks for, as guard models' templates do (`guardian_config`)."""
    # The last, empty expression keeps Jinja from taking a line's end that follows the block out of the template.
    told = "".join(f"{{%- set {name} = {_literal(value)} -%}}{{{{ '' }}}}" for name, value in arguments.items())
    return told + template


def _literal(value: Any) -> str:
    """A plain JSON value in Jinja's words, which are JSON's but for null."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(name))}: {_literal(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return "none" if value is None else json.dumps(value)


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
    texts: list[str] = []
    for messages in conversations:
        turns = [message.as_dict() for message in messages]
        try:
            texts += written(tokenizer, [turns], add_generation_prompt=True)
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
