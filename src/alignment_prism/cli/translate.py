"""`prism prompts translate`: a set of prompts in further languages, with a check by translating back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.console import echo, echo_rejects
from alignment_prism.cli.options import CallOptions, MoneyOptions, group, option
from alignment_prism.cli.prompt_options import SETS, ReadingOptions, RowOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alignment_prism.calls.journal import CallJournal
    from alignment_prism.domain import Languages, Prompt
    from alignment_prism.scoring.translated_set import TranslatedSet
    from alignment_prism.scoring.translation import Translator


@dataclass(frozen=True, slots=True)
class TranslatorOptions:
    """Who translates, and how it is checked."""

    model: str = option("--model", required=True, help="Who translates: folder, nano, Hub id, or Inspect id.")
    model_url: str = option("--model-url", default="", help="Address of its server, for one's own server.")
    back_model: str | None = option("--back-model", help="Who translates back, for the check (default: --model).")
    back_url: str = option("--back-url", default="", help="Address of its server.")
    no_check: bool = option("--no-check", is_flag=True, help="Do not translate back; half as many calls.")
    threshold: float = option("--threshold", type=click.FloatRange(0, 100), default=40.0, show_default=True,
                              help="chrF++ of what comes back, below which a translation is flagged.")  # fmt: skip
    max_tokens: int = option(
        "--max-tokens", type=click.IntRange(1), default=2048, show_default=True, help="Most tokens of a translation."
    )
    device: str = option("--device", default="auto", show_default=True, help="For a local model: cpu, cuda, mps.")

    def there(self, codes: Sequence[str], calls: CallOptions) -> list[Translator]:
        """One into each of the languages."""
        return [self._translator(self.model, self.model_url, code, calls) for code in codes]

    def back(self, code: str, calls: CallOptions) -> Translator | None:
        """Back into the language of the sources; None for no check."""
        if self.no_check:
            return None
        model, url = (self.back_model, self.back_url) if self.back_model else (self.model, self.model_url)
        return self._translator(model, url, code, calls)

    def _translator(self, model: str, url: str, code: str, calls: CallOptions) -> Translator:
        from alignment_prism.scoring.translation import Translator

        return Translator(
            model, url, self.max_tokens, calls.connections, calls.retries, code, self.device, calls.timeout
        )


@click.command("translate", short_help="Translate prompts, with a check by translating back.")
@SETS
@click.option("--into", required=True, metavar="CODE[,...]", help="Languages to translate into.")
@click.option("--from", "source", default="en", show_default=True, metavar="CODE", help="Language of the sources.")
@group("who", TranslatorOptions)
@click.option("--subset", default="translated", show_default=True, help="Part of the findings that they are.")
@click.option("--with-sources", is_flag=True, help="Write the sources too, as the same part in their own language.")
@click.option("--leave-flagged", is_flag=True, help="Leave out what is flagged.")
@click.option("--out", type=click.Path(), required=True, help="The translations, .jsonl, .jsonl.gz or .parquet.")
@group("calls", CallOptions)
@group("money", MoneyOptions)
@group("reading", ReadingOptions)
@group("rows", RowOptions)
def translate(
    sets: tuple[str, ...],
    into: str,
    source: str,
    who: TranslatorOptions,
    subset: str,
    with_sources: bool,
    leave_flagged: bool,
    out: str,
    calls: CallOptions,
    money: MoneyOptions,
    reading: ReadingOptions,
    rows: RowOptions,
) -> None:
    """Translate prompts into further languages with any model: the same prompts everywhere, a control beside those that
    people wrote in each.

    A translation has the group of its source. Each is translated back and compared with its source by chrF++; what
    comes back badly, is unchanged or in another language is flagged in its metadata, for a person to read. No text is
    printed. Answers are kept in OUT.unfinished until OUT is written, so that the same command goes on.

    \b
    Examples:
      prism prompts translate aya --into hi,fr,es,ar,ru --model openai/gpt-4o --out translated.parquet
      prism prompts translate english.jsonl --into sw --model runs/mt/model --back-model openai/gpt-4o --out sw.jsonl
    """
    from dataclasses import replace

    from alignment_prism.cli.dry_run import echo_usage
    from alignment_prism.domain import InputError, Prompt
    from alignment_prism.io import write_records
    from alignment_prism.prompts.sources import iter_sets
    from alignment_prism.scoring.prompt_language import check_prompt_languages
    from alignment_prism.scoring.translated_set import sources_of
    from alignment_prism.studies.beside import journal_beside

    rows.check_outputs(sets, reading, records=out)
    known = (options := reading.source())["languages"]
    home = known.find(source).code
    codes = list(dict.fromkeys(known.find(code.strip()).code for code in into.split(",")))
    if home in codes:
        raise InputError(f"--into {into} names the language of the sources", fix="leave it out, or name it with --from")
    with rows.accounts(out) as accounts:
        prompts = sources_of(list(iter_sets(sets, accounts, **options)), home)
    accounts.require_none()
    for note in check_prompt_languages(prompts, known):
        echo(f"note: {note}")
    made: list[Prompt] = []
    if with_sources:
        made = [replace(one, id=f"{one.id}@{home}", subset=subset, group=one.cluster) for one in prompts]
    there, back = who.there(codes, calls), who.back(home, calls)
    if money.dry_run:
        _echo_costs(prompts, there, back, money, out, known)
        return
    models = [one.model for one in (*there, *([back] if back else [])) if one.is_api]
    run: dict[str, Any] = {"threshold": who.threshold, "subset": subset, "languages": known}
    with journal_beside(out, replace=rows.replace, models=models, **money.options()) as journal:
        for found in _each(prompts, there, back, journal, run):
            dropped = set(found.flagged) if leave_flagged else set()
            made += [prompt for prompt in found.prompts if prompt.id not in dropped]
        if not made:
            raise InputError("no prompt was translated", where=str(Path(out)), fix="see the reasons above")
        write_records(out, made, Prompt)
        echo_usage(journal.usage, money.prices)
    echo_rejects(accounts)
    echo(f"{len(made)} prompts in {out}")


def _each(
    prompts: Sequence[Prompt],
    there: Sequence[Translator],
    back: Translator | None,
    journal: CallJournal,
    options: dict[str, Any],
) -> Iterator[TranslatedSet]:
    """The set in one language after the other, each with a line on what became of it."""
    from alignment_prism.cli.progress import Terminal
    from alignment_prism.scoring.translated_set import translate_set

    terminal = Terminal(stderr=True)
    for number, translator in enumerate(there, start=1):
        with terminal.step(number, len(there), f"translate into {translator.into}") as progress:
            found = translate_set(prompts, translator, back, journal=journal, progress=progress, **options)
        _echo(found)
        yield found
    if journal.taken:
        terminal.note(f"{journal.taken} answers were in the cache and cost nothing")


def _echo_costs(
    prompts: Sequence[Prompt],
    there: Sequence[Translator],
    back: Translator | None,
    money: MoneyOptions,
    out: str,
    languages: Languages,
) -> None:
    """What is left to call, and what it takes."""
    from functools import partial

    from alignment_prism.cli.dry_run import echo_costs
    from alignment_prism.store.names import unfinished_beside
    from alignment_prism.studies.costs import parameters_of
    from alignment_prism.studies.prices import load_prices
    from alignment_prism.studies.translation_costs import translation_costs

    prices, cache = load_prices(money.prices), Path(money.cache) if money.cache else None
    costs = translation_costs(prompts, there, back, prices, out=Path(unfinished_beside(out)), cache=cache,
                              languages=languages, parameters=partial(parameters_of, prices=prices))  # fmt: skip
    echo(f"{len(prompts)} prompts into {len(there)} language{'s' * (len(there) != 1)}"
         f"{'' if costs else ': every answer is there'}")  # fmt: skip
    echo_costs(costs, prices, money.budget)


def _echo(found: TranslatedSet) -> None:
    """How many translations there are, how well they come back, and what became of the others; by ids alone."""
    from collections import Counter

    checked = f", back-translation chrF++ {found.median:.0f} in the median" if found.median is not None else ""
    echo(f"{found.language}: {len(found.prompts)} translated{checked}, {len(found.flagged)} flagged")
    flags = Counter(str(prompt.metadata["flag"]).split(" below")[0].rstrip("0123456789 ") for prompt in found.prompts
                    if "flag" in prompt.metadata)  # fmt: skip
    for flag, count in flags.most_common():
        first = next(one.id for one in found.prompts if str(one.metadata.get("flag", "")).startswith(flag))
        echo(f"  flagged: {count} x {flag} ({first}{', ...' if count > 1 else ''})")
    for why, count in Counter(found.failed.values()).most_common():
        echo(f"  not translated: {count} x {why}")
