"""Replies of models behind Inspect ids."""

from __future__ import annotations

from collections.abc import Sequence

from alignment_prism.calls.answer import Answer
from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.failures import Cause, public_address
from alignment_prism.calls.journal import Journal, call_key
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Generation, Prompt, Sampling, StopReason

FILTERED = "the provider's content filter stopped the reply"
"""Why there is no reply where a filter stopped it: the call was answered, and is kept in the journal."""

_STOPS = {"max_tokens": StopReason.MAX_TOKENS, "model_length": StopReason.MAX_TOKENS}


def generate_remote(
    model: str,
    prompts: Sequence[Prompt],
    *,
    arm: str,
    sampling: Sampling,
    journal: Journal | None = None,
    progress: Progress | None = None,
    max_connections: int = 32,
    retries: int = 5,
    base_url: str = "",
    timeout: float | None = None,
) -> list[Generation]:
    """k replies to each prompt, in the order of the prompts, samples of one prompt together.

    A call that fails for good gives a reply with stop reason ERROR and the cause, one whose prompt is too long for the
    model CONTEXT; both are counted later, and a call that failed is not kept in the journal, so that a further run
    tries again. A reply that the provider's own filter stopped is an ERROR too: it is not the model's.

    Args:
        model: Inspect model id.
        prompts: what to ask.
        arm: name of the model within its study.
        sampling: temperature, samples, seed (sample j is drawn with seed + j, where the provider heeds seeds).
        journal: where answers are kept, so that a run that was killed goes on where it stopped.
        progress: called with how many replies are there and how many there are to be.
        max_connections: calls under way at once.
        retries: of a call that failed for a passing reason.
        base_url: address of the server, where it is not the provider's own.
        timeout: seconds that an attempt of a call may take; None is a minute and a fifth of a second a token.

    Raises:
        ModelError: the model cannot be opened or reached; what was answered is in the journal.
    """
    endpoint = Endpoint(
        model,
        base_url,
        temperature=sampling.temperature,
        top_p=sampling.top_p if sampling.top_p < 1 else None,
        max_tokens=sampling.max_tokens,
        connections=max_connections,
        retries=retries,
        timeout=timeout,
    )
    calls = remote_calls(model, prompts, sampling, base_url)
    requests = {key: Request(prompt.messages, seed) for prompt, _, seed, key in calls}
    answers = ask_all(endpoint, requests, journal=journal, progress=progress)
    return [generation_of(prompt, sample, answers[key], arm, model, sampling) for prompt, sample, _, key in calls]


def remote_calls(
    model: str, prompts: Sequence[Prompt], sampling: Sampling, base_url: str = ""
) -> list[tuple[Prompt, int, int | None, str]]:
    """The calls that replies take, in their order: prompt, number of the sample, seed, and key in the journal.

    Equal keys are one call.

    Args:
        model: as of `generate_remote`, as are the others.
    """
    server = public_address(base_url)
    draw = (sampling.temperature, sampling.top_p, sampling.max_tokens)
    found = []
    for prompt in prompts:
        for sample in range(sampling.samples):
            seed = None if sampling.temperature == 0 else sampling.seed + sample
            turns = [message.as_dict() for message in prompt.messages]
            key = call_key("generate", model, server, draw, seed, sample, turns)
            found.append((prompt, sample, seed, key))
    return found


def generation_of(prompt: Prompt, sample: int, answer: Answer, arm: str, model: str, sampling: Sampling) -> Generation:
    """The reply that an answer is, with why it ended or why there is none."""
    error = answer.error
    if not error and answer.stop == "content_filter":
        error = FILTERED
    if not error and answer.stop == "model_length" and not answer.text:
        error = Cause.TOO_LONG.words
    if not error:
        reason = _STOPS.get(answer.stop, StopReason.STOP)
    elif Cause.TOO_LONG.words in error:
        reason = StopReason.CONTEXT
    else:
        reason = StopReason.ERROR
    return Generation(
        prompt_id=prompt.id,
        arm=arm,
        model=model,
        reply="" if error else answer.text,
        sample=sample,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        stop_reason=reason,
        temperature=sampling.temperature,
        seed=sampling.seed + sample if sampling.temperature else sampling.seed,
        error=error,
    )
