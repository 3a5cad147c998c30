"""Whether a judge can be asked: its name, its key, its address, and whether somebody answers there."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from alignment_prism.doctor.checks import Check
from alignment_prism.domain import Generation, InputError, Outcome, PrismError, Prompt, PromptKind, user
from alignment_prism.models.names import resolve
from alignment_prism.models.weights import named_digest
from alignment_prism.scoring.judge_calls import is_local
from alignment_prism.studies.judges import JudgeSpec
from alignment_prism.studies.steps.score import judge_from

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


def panel(spec: JudgeSpec, *, ask: bool = False) -> list[Check]:
    """Whether every judge of a spec can be asked, in the form that it is asked in.

    Args:
        spec: one judge, a guard model or a panel.
        ask: whether each judges a greeting of ours, so that it is known that its answers can be read; that is a call.
    """
    found = []
    for one in spec.everyone:
        name = f"judge {one.model}" if spec.panel else "judge"
        checks = [_local(one.model)] if is_local(one.model) else judge(one.model, url=one.base_url)
        checks += _form(one)
        if ask and all(check.status != "bad" for check in checks):
            checks.append(_asked(one))
        found += [replace(check, name=check.name.replace("judge", name, 1)) for check in checks]
    return found


def _local(model: str) -> Check:
    """A judge that runs on this machine."""
    try:
        named_digest(resolve(model))
    except PrismError as error:
        return Check("judge", "bad", error.what, error.fix or "")
    return Check("judge", "ok", f"{model} runs here")


def _form(spec: JudgeSpec) -> list[Check]:
    """By what it judges, and what is to be known of a guard's format."""
    from alignment_prism.scoring.form import GuardForm

    try:
        form = judge_from(spec).form
    except InputError as error:
        return [Check("judge rubric", "bad", error.what, error.fix or "")]
    if not isinstance(form, GuardForm):
        return [Check("judge rubric", "ok", f"{form.id}, answers of at most {form.max_tokens} tokens")]
    guard = form.format
    licence = f"; licence of its weights: {guard.licence}" if guard.licence else ""
    words = f"{guard.id}, a guard's own format, for {guard.models or 'its model'}{licence}"
    checks = [Check("judge rubric", "ok", words)]
    if not guard.verified_against_weights:
        checks.append(Check("judge rubric", "note", f"{guard.id} was not verified against weights"))
    if guard.send == "raw" and not is_local(spec.model):
        what = f"{guard.id} writes the prompt out whole"
        checks.append(Check("judge rubric", "note", what, "start the server with a chat template that adds nothing"))
    return checks


def _asked(spec: JudgeSpec) -> Check:
    """Whether a judge's answer to a greeting can be read."""
    prompt = Prompt("probe", user("Hello, how are you today?"), "en", PromptKind.GENERAL)
    reply = Generation("probe", "probe", "none", "Hello! I am fine, thank you. How can I help you today?")
    try:
        scores = judge_from(spec).score([prompt], [reply])
    except PrismError as error:
        return Check("judge answer", "bad", error.what, error.fix or "")
    (found,) = [score for score in scores if score.outcome is not None]
    if found.outcome is Outcome.UNJUDGED:
        fix = "see that model, address and rubric belong together, and that its tokens suffice"
        return Check("judge answer", "bad", f"a greeting could not be judged: {found.error}", fix)
    return Check("judge answer", "ok", f"a greeting was judged: {found.label}")


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
