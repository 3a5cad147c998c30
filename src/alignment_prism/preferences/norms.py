"""Norms as policy: pairs that differ in nothing but the country that the prompt names, and whose right reply flips.

A norm of one culture is not a norm of the next. A model that is to keep both has to go by where it is asked: the reply
that is right at home is the wrong one abroad. One pair of local harm gives one pair for each country, alike word for
word but for the sentence that says where somebody lives (`prompts.border`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from alignment_prism.domain import InputError, Pair, PairKind, Scope
from alignment_prism.prompts.border import COUNTRY, BorderTemplates, placed, read_borders

HARMFUL_IN, HARMLESS_IN = "harmful_in", "harmless_in"
"""Keys of a pair's metadata: codes of countries in which the norm holds, and in which it does not."""

NORM = "norm"
"""Key of the metadata of what is made: the pair's id, by which both sides of a norm are found."""


def norm_pairs(
    pairs: Iterable[Pair], templates: BorderTemplates | None = None, *, abroad: Sequence[str] = ()
) -> Iterator[Pair]:
    """For each safety pair of local harm one pair a country, in the order of the codes; others are left out.

    Where the norm holds, the replies are preferred as they were; where it does not, the other way round: helping is
    right there, and neither reply does harm. No template knows where a norm ends, so somebody has to say: the pair's
    metadata (`harmful_in`, `harmless_in`), or `abroad` for all pairs. All that a pair gives is of one group.

    Args:
        pairs: of any kinds, with both replies.
        templates: how each language says where somebody lives; those that ship unless given.
        abroad: countries in which none of the norms holds, but for those where its pair says that it does.

    Raises:
        InputError: a language has no template, a template no such country, or nobody says where a norm does not hold.
    """
    templates = templates or read_borders()
    for pair in pairs:
        if pair.kind != PairKind.SAFETY or pair.scope is not Scope.LOCAL or not (pair.chosen and pair.rejected):
            continue
        template = templates.languages.get(pair.language)
        if template is None:
            raise InputError(
                f"{templates.name}@{templates.version} has no template for {pair.language!r} (pair {pair.id!r})",
                fix=f"leave it out, or write templates of your own; there are {', '.join(sorted(templates.languages))}",
                settings={"templates": "FILE"},
            )
        holds = _codes(pair, HARMFUL_IN) or {str(pair.metadata.get(COUNTRY) or template.home).upper()}
        ends = (_codes(pair, HARMLESS_IN) or {code.upper() for code in abroad}) - holds
        if not ends:
            raise InputError(
                "nobody says in which countries the norm of a pair does not hold",
                where=f"pair {pair.id}",
                fix=f"name them, as abroad or in the pair's metadata ({HARMLESS_IN}: [FR])",
                settings={"abroad": "COUNTRY"},
            )
        for country in sorted(holds | ends):
            if country not in template.places:
                raise InputError(
                    f"the template for {pair.language!r} does not name the country {country!r} (pair {pair.id!r})",
                    fix=f"add it to templates of your own; there are {', '.join(sorted(template.places))}",
                    settings={"templates": "FILE"},
                )
            messages = placed(pair.messages, template.text.replace("{place}", template.places[country]))
            yield _side(replace(pair, messages=messages), country, country in holds, templates.label)


def _side(pair: Pair, country: str, holds: bool, label: str) -> Pair:
    """The pair of one country."""
    replies = (pair.chosen, pair.rejected) if holds else (pair.rejected, pair.chosen)
    return replace(
        pair,
        id=f"{pair.id}@{country}",
        chosen=replies[0],
        rejected=replies[1],
        chosen_harmful=False,
        rejected_harmful=holds,
        group=pair.group or pair.id,
        metadata={**pair.metadata, COUNTRY: country, NORM: pair.id, "holds": holds, "border": label},
    )


def _codes(pair: Pair, name: str) -> set[str]:
    found = pair.metadata.get(name) or []
    return {str(code).upper() for code in (found if isinstance(found, list | tuple) else [found])}
