"""Whether a judge can be asked: its name, its key, its address, and whether somebody answers there."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

from alignment_prism.doctor.checks import Check
from alignment_prism.domain import InputError

TIMEOUT = 5.0
"""Seconds that a judge may take to answer."""

KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GOOGLE_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "together": "TOGETHER_API_KEY",
    "groq": "GROQ_API_KEY",
    "grok": "XAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}
"""Provider of an Inspect model id -> where its key is looked for."""

LOCAL_PROVIDERS = ("hf", "vllm", "sglang", "ollama", "nano", "mockllm")
"""Providers that need no key."""

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
"""Names of this machine, whose servers usually want no key."""


def judge(model: str, environment: Mapping[str, str] = os.environ, url: str = "") -> list[Check]:
    """Whether a judge has its key and, where its address is known, answers; a server on this machine needs no key.

    Args:
        model: Inspect model id, `provider/name`.
        url: address of the judge's server, if it is one's own.
        environment: where keys and addresses are looked for.
    """
    provider, slash, name = model.partition("/")
    if not slash or not name:
        return [Check("judge", "bad", f"{model!r} is no Inspect model id", "write provider/name, as in openai/gpt-4o")]
    if provider == "nano":
        return [_nano_judge(name)]
    if provider in LOCAL_PROVIDERS:
        return [Check("judge", "ok", f"{model} runs here and needs no key")]
    own = provider == "openai-api"
    if own:
        provider = name.partition("/")[0]
        key, base = (f"{provider.upper().replace('-', '_')}_{end}" for end in ("API_KEY", "BASE_URL"))
    else:
        key, base = KEYS.get(provider, f"{provider.upper()}_API_KEY"), f"{provider.upper()}_BASE_URL"
    address = url or environment.get(base) or ("https://api.openai.com/v1" if provider == "openai" else "")
    checks = []
    if own and not address:
        fix = f"give it, or export {base}=..."
        return [Check("judge", "bad", f"{model} is a server of one's own, and its address is not given", fix)]
    if environment.get(key):
        checks.append(Check("judge key", "ok", f"{key} is set"))
    elif own and urlsplit(address).hostname in LOCAL_HOSTS:
        checks.append(Check("judge key", "ok", f"{key} is not set, and a server on this machine needs none"))
    else:
        checks.append(Check("judge key", "bad", f"{key} is not set", f"export {key}=..."))
    if not address:
        return [*checks, Check("judge", "note", f"{base} is not set; whether {provider} answers was not tried")]
    return [*checks, _reach(address, environment.get(key, "none" if own else ""))]


def _nano_judge(name: str) -> Check:
    from alignment_prism.nano.actors import check_judge, open_actor

    try:
        check_judge(name, open_actor(name), ())
    except InputError as error:
        return Check("judge", "bad", error.what, error.fix or "")
    return Check("judge", "ok", f"nano/{name} runs here and needs no key; it judges prompts of the nano lab only")


def _reach(address: str, key: str) -> Check:
    """Asks an OpenAI-compatible server for its models; any answer of a server means that it is there."""
    if not address.startswith(("http://", "https://")):
        return Check("judge", "bad", f"{address!r} is no address", "begin it with http:// or https://")
    request = urllib.request.Request(f"{address.rstrip('/')}/models", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return Check("judge", "ok", f"{address} answers")
    except urllib.error.HTTPError as error:
        if error.code in {401, 403}:
            return Check("judge", "bad", f"{address} refuses the key ({error.code})", "check the key")
        return Check("judge", "ok", f"{address} answers ({error.code} to the list of models)")
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Check("judge", "bad", f"{address} does not answer ({reason})", "start it, or check address and network")
