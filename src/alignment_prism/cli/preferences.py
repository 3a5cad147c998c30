"""`prism preferences`: look through preference data, repair it, build it. No text of it is ever printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.norms import norms
from alignment_prism.cli.options import group
from alignment_prism.cli.outputs import check_outputs, replace_option
from alignment_prism.cli.pair_options import FILES, PairOptions
from alignment_prism.cli.parse import parse_mapping, registry
from alignment_prism.cli.xray import xray
from alignment_prism.store.names import manifest_beside

if TYPE_CHECKING:
    from alignment_prism.studies.synthesis.spec import BuildSpec


@click.group("preferences")
def command() -> None:
    """Preference data: what a model would learn from it, repaired, built from seed prompts.

    FILE is JSONL, JSON, CSV, TSV or Parquet (all but Parquet also .gz) with TRL's columns, or as hh-rlhf,
    UltraFeedback, PKU-SafeRLHF and other published sets have theirs. No text of a pair is printed, only counts and ids.
    """


command.add_command(norms)
command.add_command(xray)


@command.command("show")
@click.argument("preset", type=click.Choice(["nano-pairs", "on-policy"]))
def show(preset: str) -> None:
    """Print the spec of a build, to begin one of your own with.

    nano-pairs goes from seed prompts to pairs; on-policy has both sides of a file's pairs written anew by the model
    that is to be aligned.

    \b
    Examples:
      prism preferences show nano-pairs > pairs.yaml
      prism preferences show on-policy > repair.yaml
    """
    from alignment_prism.studies.synthesis.loading import preset_text

    echo(preset_text(preset), nl=False)


@command.command("build", short_help="From seed prompts to preference pairs.")
@click.argument("spec", metavar="SPEC")
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder of the build, results/NAME if not given; run again with it to go on.")  # fmt: skip
@click.option("--plan", "only_plan", is_flag=True, help="List the steps and what they take; do nothing.")
@click.option("--prices", type=click.Path(path_type=Path), help="YAML file with prices in place of those that ship.")
@click.option("--retry", is_flag=True, help="Ask again for what failed or has no verdict.")
@click.option("--replace", is_flag=True, help="Replace pairs of another build; finished steps are kept.")
def build(spec: str, out: Path | None, only_plan: bool, prices: Path | None, retry: bool, replace: bool) -> None:
    """Seeds, rephrasings, completions, ranking, pairs: each a step with a table to open, none done twice.

    SPEC is a YAML file, or nano-pairs, which runs offline. The folder holds pairs.parquet, decisions.parquet (every
    couple and what became of it), rephrasings.parquet (every wording and why it was kept or not), evaluation.parquet
    (prompts that are near no seed) and build.json.

    \b
    Examples:
      prism preferences build pairs.yaml --plan
      prism preferences build nano-pairs --out results/nano-pairs
    """
    from alignment_prism.cli.progress import Terminal
    from alignment_prism.studies.synthesis.loading import load_build
    from alignment_prism.studies.synthesis.run import run_build

    wanted = load_build(spec)
    folder = out or Path("results") / wanted.name
    if only_plan:
        _echo_plan(wanted, folder, prices)
        return
    progress = Terminal()
    done = run_build(wanted, folder, progress=progress, replace=replace, retry=retry)
    _echo_build(done.summary)
    progress.note(f"pairs: {done.out / 'pairs.parquet'}; couples: {done.out / 'decisions.parquet'}")


def _echo_plan(spec: BuildSpec, folder: Path, prices: Path | None) -> None:
    from functools import partial

    from alignment_prism.cli.dry_run import echo_cost, echo_steps
    from alignment_prism.studies.costs import parameters_of
    from alignment_prism.studies.prices import load_prices
    from alignment_prism.studies.synthesis.checks import check_build
    from alignment_prism.studies.synthesis.estimate import estimate_build
    from alignment_prism.studies.synthesis.plan import load_build_sources, plan_build

    table, sources = load_prices(prices), load_build_sources(spec)
    for note in sources.notes:
        echo(f"note: {note}", err=True)
    check_build(spec)
    plan = plan_build(spec, sources)
    done = {step.key for step in plan.steps if step.is_done(folder)}
    echo(f"{spec.name}: {len(sources.prompts)} prompts to draw seeds from, {len(sources.evaluation)} to keep away from")
    echo_steps(plan.steps, done, folder)
    costs = estimate_build(plan, spec, sources, table, done=done, parameters=partial(parameters_of, prices=table))
    for cost in costs:
        echo_cost(cost)
    known = sum(cost.dollars or 0.0 for cost in costs)
    echo(f"together {sum(cost.calls for cost in costs):,} calls, ${known:,.2f} of what has a price; --prices takes a "
         "table of your own")  # fmt: skip


def _echo_build(summary: dict[str, Any]) -> None:
    def listed(counts: dict[str, Any]) -> str:
        return ", ".join(f"{count} {name}" for name, count in counts.items())

    echo(f"seeds: {listed(summary['seeds']['seeds'])}")
    for language, found in summary.get("rephrasings", {}).items():
        why = f" ({listed(found['why_not'])})" if found["why_not"] else ""
        echo(f"rephrasings, {language}: {found['kept']} of {found['given']} kept{why}")
    echo(f"couples: {listed(summary['status'])}")
    if (labels := summary["labels"])["couples"]:
        echo(f"labels of people: {labels['used']} of {labels['couples']} couples are of replies that are there")
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in summary["chosen_refusals"].items())
    echo(f"pairs: {listed(summary['languages'])}; refusals among chosen replies: {shares}")


@command.command("import", short_help="Write pairs of any published set as pairs of this package.")
@FILES
@click.option("--out", type=click.Path(), required=True, help="The pairs, .jsonl or .parquet.")
@group("reading", PairOptions)
@replace_option
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def import_pairs(files: tuple[str, ...], out: str, reading: PairOptions, replace: bool, as_json: bool) -> None:
    """Write pairs of hh-rlhf, PKU-SafeRLHF, UltraFeedback, RefusEU, PolyGuardMix, Nemotron's sets or TRL's formats.

    Sets of single replies that are labelled safe or unsafe give a pair for each prompt that has one of either. A column
    that is missing is named, with those that are there.

    \b
    Examples:
      prism preferences import harmless-base/train.jsonl.gz --language en --kind safety --out hh.parquet --keep-going
      prism preferences import PKU-SafeRLHF/train.jsonl --prefer safer --kind safety --language en --out pku.parquet
      prism preferences import lang_*/train-*.parquet --kind safety --out refuseu.parquet
    """
    from collections import Counter

    from alignment_prism.preferences.files import write_pairs

    check_outputs(manifest_beside(out), records=out, inputs=files, replace=replace)
    pairs = reading.read(files, out)
    counts = dict(Counter(pair.language for pair in pairs).most_common())
    write_pairs(pairs, out, files, {"languages": counts})
    if as_json:
        echo(json.dumps({"pairs": len(pairs), "languages": counts}, ensure_ascii=False))
    else:
        shown = ", ".join(f"{count} {language}" for language, count in counts.items())
        echo(f"{len(pairs)} pairs ({shown}); wrote {out} and {manifest_beside(out)}")


@command.command("translate", short_help="Pairs in other languages, by NLLB, MADLAD or a chat model.")
@FILES
@click.option("--into", multiple=True, required=True, metavar="CODE", help="Language to translate into; several times.")
@click.option("--model", required=True, help="Folder or Hub id of NLLB or MADLAD, or any model that chats.")
@click.option("--model-url", "base_url", default="", help="Address of a model behind an API.")
@click.option("--beams", type=click.IntRange(1), default=1, show_default=True, help="Of NLLB or MADLAD; 1 is greedy.")
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="Most of an answer.")
@click.option("--out", type=click.Path(), required=True, help="The pairs, .jsonl or .parquet.")
@click.option("--references", type=click.Path(path_type=Path),
              help="Folder for the translated prompts and chosen replies, to compare native replies with.")  # fmt: skip
@group("reading", PairOptions)
@replace_option
def translate(
    files: tuple[str, ...],
    into: tuple[str, ...],
    model: str,
    base_url: str,
    beams: int,
    max_tokens: int,
    out: str,
    references: Path | None,
    reading: PairOptions,
    replace: bool,
) -> None:
    """Translate prompt and both replies of each pair: sentence by sentence, with lines, lists and code as they were.

    Answers of a chat model are kept in OUT.calls.jsonl until the pairs are written, so that a run that was killed goes
    on. --references writes prompts.jsonl and replies.jsonl: a study with these replies as its base and a comparison
    says in how many cases replies that a model writes in the language itself are preferred, language by language.

    \b
    Examples:
      prism preferences translate uf.parquet --language en --into hi --model facebook/nllb-200-3.3B --out hi.parquet
      prism preferences translate en.jsonl --into fr --model openai/gpt-4o --out fr.jsonl --references references
    """
    from alignment_prism.calls.journal import CallJournal
    from alignment_prism.cli.progress import Terminal
    from alignment_prism.domain import Generation, Prompt
    from alignment_prism.io import write_records
    from alignment_prism.preferences.files import write_pairs
    from alignment_prism.preferences.translating import check_translated, references_of
    from alignment_prism.studies.synthesis.translate import translated_pairs

    there = [references / name for name in ("prompts.jsonl", "replies.jsonl")] if references else []
    check_outputs(manifest_beside(out), *map(str, there), records=out, inputs=files, replace=replace)
    pairs, calls = reading.read(files, out), Path(f"{out}.calls.jsonl")
    with CallJournal(calls) as journal, Terminal().step(1, 1, f"translate {len(pairs)} pairs") as progress:
        done = translated_pairs(
            pairs,
            into,
            model,
            base_url=base_url,
            beams=beams,
            max_tokens=max_tokens,
            languages=registry(reading.language_file),
            journal=journal,
            progress=progress,
        )
    check_translated(pairs, done)
    write_pairs(done, out, files, {"translated_by": model, "into": list(into), "of": len(pairs)})
    for path, records, kind in zip(there, references_of(done), (Prompt, Generation), strict=False):
        write_records(path, records, kind)  # type: ignore[arg-type]
    calls.unlink(missing_ok=True)
    echo(f"{len(done)} pairs of {len(pairs)} in {', '.join(into)}; wrote {out}")
    asked = sum(pair.language != code for pair in pairs for code in set(into))
    if asked > len(done):
        echo(f"{asked - len(done)} left out: a text without translation, or two replies that came out alike")


@command.command("export", short_help="Write a folder that datasets loads, with a card.")
@FILES
@click.option("--out", type=click.Path(), required=True, help="The folder.")
@click.option("--name", required=True, help="Of the data set, for its card.")
@click.option("--licence", "licences", multiple=True, metavar="NAME=LICENCE",
              help="Licence of a source or a model that the pairs name.")  # fmt: skip
@group("reading", PairOptions)
@replace_option
def export(
    files: tuple[str, ...],
    out: str,
    name: str,
    licences: tuple[str, ...],
    reading: PairOptions,
    replace: bool,
) -> None:
    """Write pairs as JSONL and Parquet, conversational, one configuration a language, with card and manifest.

    The card's header has languages, licences (NLLB's and Aya's non-commercial ones are known; a build's spec may say
    others) and the mark that it is not for all audiences; its text says who wrote and judged what, and what an X-ray
    flags.

    \b
    Examples:
      prism preferences export results/pairs/pairs.parquet --name my-pairs --out my-pairs
      prism preferences export pairs.jsonl --licence openai/gpt-4o=proprietary --name mine --out mine
    """
    from alignment_prism.preferences.export import UNKNOWN, export_pairs
    from alignment_prism.preferences.xray import xray as xray_of
    from alignment_prism.studies.synthesis.run import licences_beside

    said = {**licences_beside(files), **parse_mapping(licences, "--licence")}
    pairs = reading.read(files)
    found = xray_of(pairs)
    flags = (*found.flags, *(f"not known: {line}" for line in found.unknown))
    done = export_pairs(pairs, out, name=name, licences=said, inputs=files, flags=flags, replace=replace)
    echo(f"{len(pairs)} pairs in {len(done['pairs'])} languages; wrote {out}")
    for one, licence in done["licences"].items():
        if licence == UNKNOWN:
            echo(f"licence unknown: {one} (--licence {one}=LICENCE)", err=True)


@command.command("repair", short_help="Keep pairs whose cues tell nothing.")
@FILES
@click.option("--by", "cues", multiple=True, type=click.Choice(["length", "first_token", "characters", "generator"]),
              help="Cue that must tell nothing, several times; length, first_token, characters if none.")  # fmt: skip
@click.option("--out", type=click.Path(), required=True, help="The pairs that are kept, .jsonl or .parquet.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of which pairs are kept.")
@group("reading", PairOptions)
@replace_option
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def repair(
    files: tuple[str, ...],
    cues: tuple[str, ...],
    out: str,
    seed: int,
    reading: PairOptions,
    replace: bool,
    as_json: bool,
) -> None:
    """Matched subsampling: as many pairs whose cues point to the chosen side as pairs where they point to the other.

    Writes the pairs that are kept, and OUT.manifest.json with the X-ray before and after and every pair left out. Where
    a cue always points the same way nothing can be matched: have both sides written anew by the model that is to be
    aligned (`prism preferences show on-policy`, then `build`).

    \b
    Examples:
      prism preferences repair pairs.jsonl --out matched.jsonl
      prism preferences repair pairs.jsonl --by length --out matched.parquet
    """
    from alignment_prism.preferences.files import write_pairs
    from alignment_prism.preferences.matching import DEFAULT_CUES, match_pairs
    from alignment_prism.preferences.xray import xray as xray_of

    check_outputs(manifest_beside(out), records=out, inputs=files, replace=replace)
    pairs = reading.read(files, out)
    matched = match_pairs(pairs, cues or DEFAULT_CUES, seed=seed)
    before, after = xray_of(pairs), xray_of(matched.pairs)
    about = {"by": list(cues or DEFAULT_CUES), "seed": seed, "rounds": matched.rounds,
             "unmeasured": list(matched.unmeasured), "left_out": matched.left_out}  # fmt: skip
    write_pairs(matched.pairs, out, files, {**about, "before": before.as_dict(), "after": after.as_dict()})
    counts = {"kept": len(matched.pairs), "of": len(pairs), "flags": [len(before.flags), len(after.flags)]}
    if as_json:
        echo(json.dumps(counts))
        return
    echo(f"{counts['kept']} of {counts['of']} pairs kept; flags before {len(before.flags)}, after {len(after.flags)}")
    if matched.unmeasured:
        echo(f"left as they are, too few prompts to tell anything: {', '.join(matched.unmeasured)}")
    for line in after.flags:
        echo(f"flag: {line}")
    echo(f"wrote {out} and {manifest_beside(out)}")
