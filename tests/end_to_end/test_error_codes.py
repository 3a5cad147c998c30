"""What a provider calls a failure is shown as it is; what may be a key is not, though it stands in the same place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import quick_retries
from scripted_server import Reply, Server

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import CallJournal
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain import ModelError, user

assert quick_retries

CODES = (
    "API_KEY_INVALID API_KEY_HTTP_REFERRER_BLOCKED API_KEY_IP_ADDRESS_BLOCKED API_KEY_ANDROID_APP_BLOCKED "
    "api_key_not_found api_key_ip_address_not_allowed api_key_project_mismatch api_version_unsupported "
    "api_connection_timeout api_overloaded_error token_limit_exceeded token_expired token_rate_limit_exceeded "
    "token_limit_reached token_not_provided token_budget_exceeded token_not_valid"
).split()
KEYS = (
    "key_prod_north_south token_qwertyuiopas api_key_mnbvcxzlkj token_limit_mnbvcxz api-key-model-rate "
    "key_rate_limitmnbvc token_valid-mnbvcxz api_key_invalid_mnbvcxz sk_limit_exceeded"
).split()


def said(server: Server, reply: Reply) -> str:
    """What a run says of a server that answers nothing else."""
    server.script = lambda messages: reply
    with pytest.raises(ModelError) as error:
        ask_all(Endpoint("openai-api/local/m", server.url), {"0": Request(user("question"))})
    return str(error.value)


@pytest.mark.parametrize("code", CODES)
def test_what_providers_call_a_failure_is_nobodys_key(server: Server, code: str) -> None:
    text = said(server, Reply(status=401, message=f"{code}: no", code=code))
    assert f"({code}): " in text and f"{code}: no" in text


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_small_letters_and_words_is_never_shown(server: Server, key: str) -> None:
    text = said(server, Reply(status=401, message=f"no: {key}.", code=key))
    assert key not in text and "***" in text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Your credit balance is too low to access the API. Please go to Plans & Billing to add credits."),
        (403, "Your team has used all available credits, or has reached its limit."),
        (403, "Sorry, your account balance is insufficient: insufficient account balance"),
    ],
)
def test_credit_that_ends_in_a_run_is_no_refusal_of_what_is_left(
    server: Server, tmp_path: Path, status: int, words: str
) -> None:
    """Providers without a code for it send the status of a wrong request: all that is left would be "refused"."""
    server.script = lambda messages: "fine" if len(server.requests) <= 20 else Reply(status=status, message=words)
    requests = {str(n): Request(user(f"question {n}")) for n in range(200)}
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        with pytest.raises(ModelError, match="no credit left.*20 of 200 answers are kept"):
            ask_all(Endpoint("openai-api/local/m", server.url, connections=2), requests, journal=journal)
        assert len(server.requests) < 40
        server.script = lambda messages: "fine"
        answers = ask_all(Endpoint("openai-api/local/m", server.url), requests, journal=journal)
    assert {answer.text for answer in answers.values()} == {"fine"} and len(journal) == 200


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ('{"code": 502, "message": "Provider returned error"}', "HTTP 502: the server failed"),
        ('{"code": "rate_limit_exceeded", "message": "slow down"}', "the rate limit is exceeded"),
        ('{"code": 403, "message": "flagged"}', "HTTP 403: the provider refuses this request"),
        ('{"code": [], "message": {"un": "usual"}}', "the call ended in an error (ErrorInAnswer)"),
    ],
)
def test_an_error_under_the_status_of_an_answer_is_what_it_says(server: Server, error: str, cause: str) -> None:
    """As gateways send: a passing one is asked again, and the other is no answer that cannot be read."""
    broken = Reply(body=b'{"id": "x", "error": ' + error.encode() + b"}")
    requests = {str(n): Request(user(f"question {n}")) for n in range(6)}
    server.script = lambda messages: broken if messages[-1]["content"] == "question 3" else "fine"
    answers = ask_all(Endpoint("openai-api/local/m", server.url, retries=1), requests)
    assert {key: answer.error for key, answer in answers.items() if answer.error} == {"3": cause}
    if cause.startswith(("HTTP 502", "the rate")):
        seen: Counter[str] = Counter()

        def script(messages: list[dict[str, str]]) -> str | Reply:
            seen[messages[-1]["content"]] += 1
            return broken if seen[messages[-1]["content"]] == 1 else "fine"

        server.script = script
        again = ask_all(Endpoint("openai-api/local/m", server.url, retries=1), requests)
        assert {answer.text for answer in again.values()} == {"fine"}
