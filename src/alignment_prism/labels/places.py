"""Where labelled replies belong: their prompt, language and scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from alignment_prism.domain import Prompt, Score
from alignment_prism.labels.frame import Design


@dataclass(frozen=True, slots=True)
class Place:
    """What a labelled reply belongs to; empty where nobody says.

    Attributes:
        cluster: source prompt; the reply itself where nobody says.
        language: code.
        scope: global or local.
        origin: `native` for prompts written in their language, `translated`, or a word of one's own.
    """

    cluster: str
    language: str = ""
    scope: str = ""
    origin: str = ""


def find_places(
    scores: Iterable[Score],
    prompts: Mapping[str, Prompt],
    design: Design | None = None,
    said: Mapping[str, Place] | None = None,
) -> dict[str, Place]:
    """The place of every reply that something is known of.

    Args:
        scores: that say which prompt a reply answers.
        prompts: by id; what is labelled may be a prompt itself.
        design: of the sheet; what it says comes first.
        said: what the tables of labels say themselves, which comes last.
    """
    found = dict(said or {})
    prompt_of = {name: name for name in prompts} | {score.reply_digest: score.prompt_id for score in scores}
    for reply, name in prompt_of.items():
        known = found.get(reply, Place(reply))
        if (prompt := prompts.get(name)) is not None:
            scope, origin = prompt.scope.value if prompt.scope else "", str(prompt.metadata.get("origin", ""))
            found[reply] = _over(known, Place(prompt.cluster, prompt.language, scope, origin))
        elif known.cluster == reply:
            found[reply] = replace(known, cluster=name)
    for row in design.rows if design is not None else ():
        for reply in row.replies:
            found[reply] = _over(found.get(reply, Place(reply)), Place(row.cluster, row.language, row.scope))
    return found


def _over(known: Place, better: Place) -> Place:
    """What the better source says, and of what it says nothing what is known."""
    return Place(
        better.cluster, better.language or known.language, better.scope or known.scope, better.origin or known.origin
    )
