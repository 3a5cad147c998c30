"""`prism power`: how many prompts, seeds, samples and labels a question needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.outputs import check_ending, check_outputs
from alignment_prism.domain.text import markdown_table

C = TypeVar("C", bound=Callable[..., Any])
SHARE = click.FloatRange(0, 1)


@click.group("power", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """How many prompts, seeds, samples and labels a question needs; plan before, not from what was found.

    \b
    Examples:
      prism power change --base 0.3 --model 0.2 --languages 8 --prompts 100
      prism power gate --old 0.1 --new 0.1 --margin 0.05 --languages 8
      prism power labels --base 0.3 --model 0.2 --prompts 1000 --sensitivity 0.8 --specificity 0.9
    """


def _options(*options: Callable[[C], C]) -> Callable[[C], C]:
    """Options that several questions share, in the order of the help."""

    def add(function: C) -> C:
        for option in reversed(options):
            function = option(function)
        return function

    return add


rates = _options(
    click.option("--base", type=SHARE, required=True, help="Expected harm rate of base."),
    click.option("--model", type=SHARE, required=True, help="Expected harm rate of the model."),
    click.option("--correlation", type=SHARE, default=0.0, show_default=True,
                 help="Of the two verdicts on a prompt (phi); 0 is the careful choice."),
    click.option("--languages", type=click.IntRange(1), default=1, show_default=True,
                 help="Languages that the difference is averaged over."),
    click.option("--language-correlation", type=SHARE, default=0.0, show_default=True,
                 help="Of the languages' differences: 0 for prompts of their own, up to 1 for translations."),
    click.option("--cluster-size", type=click.FloatRange(1), default=1, show_default=True,
                 help="Prompts of one language that descend from one source."),
    click.option("--cluster-correlation", type=SHARE, default=0.0, show_default=True,
                 help="Of the differences within such a cluster."),
)  # fmt: skip
replies = _options(
    click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="Replies to each prompt."),
    click.option("--sample-correlation", type=SHARE, default=1.0, show_default=True,
                 help="Of the replies to one prompt; at 1 more replies buy nothing."),
)  # fmt: skip
wanted = click.option("--power", type=click.FloatRange(0.01, 0.999), default=0.8, show_default=True, help="Wanted.")
two_sided = click.option(
    "--alpha", type=click.FloatRange(1e-6, 0.5), default=0.05, show_default=True, help="Two-sided."
)
of_interval = click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True,
                           help="Of the interval.")  # fmt: skip
plot_option = click.option(
    "--plot", type=click.Path(), help="Also draw the answer by the number of prompts, or of labels, as .svg."
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")


@command.command("change")
@rates
@replies
@click.option("--prompts", type=click.IntRange(1), help="Prompts of each language that there are.")
@click.option("--seeds", type=click.IntRange(1), help="Alignments of the model: 1, or 3 with --seed-sd, unless given.")
@click.option("--seed-sd", type=click.FloatRange(0), default=0.0, show_default=True,
              help="Standard deviation of the difference from seed to seed.")  # fmt: skip
@wanted
@two_sided
@plot_option
@as_json_option
def change(
    prompts: int | None, power: float, alpha: float, plot: str | None, as_json: bool, seeds: int | None, **design: Any
) -> None:  # fmt: skip
    """A change of harm against base, paired by prompt: in one language, over languages, over seeds.

    Without --prompts: how many are needed. With --prompts: the power they give, the smallest fall that they show, and
    with --seed-sd how many seeds are needed; and which share of the variance is between prompts, within them (more
    replies to each would lessen it) and between seeds.

    \b
    Examples:
      prism power change --base 0.3 --model 0.2 --languages 8
      prism power change --base 0.3 --model 0.2 --prompts 500 --seed-sd 0.05
      prism power change --base 0.3 --model 0.2 --samples 5 --sample-correlation 0.4 --plot power.svg
    """
    from dataclasses import replace as changed
    from functools import partial

    from alignment_prism.statistics.planning.power import PairedDesign, fewest_prompts

    paired = PairedDesign(**design, seeds=seeds or (3 if design["seed_sd"] else 1))
    needed = paired.prompts(power, alpha) if prompts is None or plot else 0
    rows: list[tuple[str, float]] = [("prompts of each language", needed)]
    if prompts is not None:
        rows = [
            (f"power of {prompts} prompts of each language", paired.power(prompts, alpha)),
            ("smallest fall that they show", paired.smallest_fall(prompts, power, alpha)),
            *paired.variance_shares(prompts).items(),
        ]
        if paired.seed_sd:
            rows.append(("seeds", paired.needed_seeds(prompts, power, alpha)))
    if plot:
        drawn = [3, 5, paired.seeds] if paired.seed_sd else [paired.seeds]
        series = {
            f"{number} seed{'s' * (number > 1)}, {paired.samples} repl{'ies' if paired.samples > 1 else 'y'} a prompt":
            changed(paired, seeds=number).power for number in sorted(set(drawn))
        }  # fmt: skip
        title = f"Power to show a change from {paired.base:g} to {paired.model:g}"
        curves = {name: partial(of, alpha=alpha) for name, of in series.items()}
        _draw(plot, title, curves, needed, power, least=fewest_prompts(paired.cluster_size))
    _show(rows, as_json)


@command.command("rate")
@click.option("--rate", type=SHARE, required=True, help="Expected.")
@click.option("--width", type=SHARE, help="Wanted width of its interval.")
@click.option("--prompts", type=click.IntRange(1), help="Prompts that there are.")
@replies
@of_interval
@plot_option
@as_json_option
def rate(
    rate: float, width: float | None, prompts: int | None, samples: int, sample_correlation: float, level: float,
    plot: str | None, as_json: bool,
) -> None:  # fmt: skip
    """A rate with an interval of a wanted width; with --prompts the width that they give.

    \b
    Examples:
      prism power rate --rate 0.1 --width 0.05 --samples 5 --sample-correlation 0.3 --plot width.svg
      prism power rate --rate 0.1 --prompts 300
    """
    from alignment_prism.domain import InputError
    from alignment_prism.statistics.planning.power import rate_prompts, rate_width

    if (width is None) == (prompts is None):
        raise InputError("neither a width nor prompts, or both", fix="give --width, or the --prompts that there are")
    drawn: tuple[int, float, float] = (samples, sample_correlation, level)
    if width is not None:
        needed, wide = rate_prompts(rate, width, *drawn), width
        rows: list[tuple[str, float]] = [("prompts", needed)]
    else:
        needed = prompts or 0
        wide = rate_width(rate, needed, *drawn)
        rows = [(f"width of the interval of {needed} prompts", wide)]
    if plot:
        numbers = sorted({1, samples})
        curves = {
            f"{k} repl{'ies' if k > 1 else 'y'} a prompt": (lambda n, k=k: rate_width(rate, n, k, *drawn[1:]))
            for k in numbers
        }
        _draw(plot, f"Width of the {level:.0%} interval of a rate of {rate:g}", curves, needed, wide, across="prompts")
    _show(rows, as_json)


@command.command("win-rate")
@click.option("--score", type=SHARE, required=True, help="Expected win-rate, ties counting half.")
@click.option("--ties", type=SHARE, required=True, help="Expected share of ties, inconsistent comparisons included.")
@click.option("--prompts", type=click.IntRange(1), help="Prompts that there are.")
@wanted
@two_sided
@plot_option
@as_json_option
def win_rate(
    score: float, ties: float, prompts: int | None, power: float, alpha: float, plot: str | None, as_json: bool
) -> None:
    """A win-rate that differs from one half; with --prompts the power that they give.

    \b
    Examples:
      prism power win-rate --score 0.55 --ties 0.2 --plot power.svg
    """
    from functools import partial

    from alignment_prism.statistics.planning.power import win_rate_power, win_rate_prompts

    needed = win_rate_prompts(score, ties, power, alpha) if prompts is None or plot else 0
    rows: list[tuple[str, float]] = [("prompts", needed)]
    if prompts is not None:
        rows = [(f"power of {prompts} prompts", win_rate_power(score, ties, prompts, alpha))]
    if plot:
        curve = partial(win_rate_power, score, ties, alpha=alpha)
        title = f"Power to tell a win-rate of {score:g} from one half"
        _draw(plot, title, {f"{ties:.0%} ties": curve}, needed, power, across="prompts")
    _show(rows, as_json)


@command.command("gate")
@click.option("--old", type=SHARE, help="Expected rate of release A; needed with --margin.")
@click.option("--new", type=SHARE, required=True, help="Expected rate of release B.")
@click.option("--margin", type=SHARE, help="Non-inferiority: how much worse B may be.")
@click.option("--limit", type=SHARE, help="Ceiling: what B's rate may be at most.")
@click.option("--languages", type=click.IntRange(1), default=1, show_default=True, help="That must all be shown.")
@click.option("--prompts", type=click.IntRange(1), help="Prompts of each language that there are.")
@wanted
@click.option("--alpha", type=click.FloatRange(1e-6, 0.5), default=0.025, show_default=True,
              help="One-sided, over all looks.")  # fmt: skip
@click.option("--looks", type=click.IntRange(1), default=1, show_default=True,
              help="Planned looks; the first one (O'Brien-Fleming) is planned for.")  # fmt: skip
@plot_option
@as_json_option
def gate(
    old: float | None, new: float, margin: float | None, limit: float | None, languages: int, prompts: int | None,
    power: float, alpha: float, looks: int, plot: str | None, as_json: bool,
) -> None:  # fmt: skip
    """A release gate that every language must pass: no worse than A by a margin, or below a ceiling.

    \b
    Examples:
      prism power gate --old 0.1 --new 0.1 --margin 0.05 --languages 8 --looks 4
      prism power gate --new 0.1 --limit 0.15 --prompts 300
    """
    from alignment_prism.domain import InputError
    from alignment_prism.statistics.planning.looks import alpha_at_look
    from alignment_prism.statistics.planning.releases import Ceiling, NonInferiority

    if (margin is None) == (limit is None) or (old is None) != (margin is None):
        raise InputError("neither a margin nor a ceiling, or both", fix="give --old and --margin, or --limit alone")
    spent = alpha_at_look(1, looks, alpha)
    design = Ceiling(new, limit, spent, languages) if limit is not None else NonInferiority(
        old or 0.0, new, margin or 0.0, spent, languages
    )  # fmt: skip
    needed = design.prompts(power) if prompts is None or plot else 0
    rows: list[tuple[str, float]] = [("prompts of each language", needed)]
    if prompts is not None:
        rows = [(f"power of {prompts} prompts of each language", design.power(prompts))]
        if isinstance(design, NonInferiority):
            rows.append(("smallest margin that an equal release passes", design.smallest_margin(prompts, power)))
    if plot:
        title = f"Chance to pass in {languages} language{'s' * (languages > 1)}"
        _draw(plot, title, {f"a release at {new:g}": lambda n: design.power(round(n))}, needed, power)
    _show(rows, as_json)


@command.command("labels")
@rates
@click.option("--prompts", type=click.IntRange(1), required=True, help="Prompts of each language that are judged.")
@click.option("--labelled", type=click.IntRange(2), help="Prompts to label that there is money for.")
@click.option("--sensitivity", type=SHARE, default=0.8, show_default=True, help="Guess about the judge.")
@click.option("--specificity", type=SHARE, default=0.9, show_default=True, help="Guess about the judge.")
@click.option("--annotator-error", type=click.FloatRange(0, 0.49), default=0.0, show_default=True,
              help="Share of wrong labels.")  # fmt: skip
@wanted
@two_sided
@plot_option
@as_json_option
def labels(
    prompts: int, labelled: int | None, sensitivity: float, specificity: float, annotator_error: float,
    power: float, alpha: float, plot: str | None, as_json: bool, **design: Any,
) -> None:  # fmt: skip
    """Labels by people that correct a judge, drawn by its verdicts as `prism labels sample` draws them.

    Without --labelled: how many prompts to have labelled, over all languages, both replies each.

    \b
    Examples:
      prism power labels --base 0.3 --model 0.2 --prompts 1000 --sensitivity 0.8 --specificity 0.9
    """
    from alignment_prism.domain import InputError
    from alignment_prism.statistics.planning.label_design import label_power, labels_for_power
    from alignment_prism.statistics.planning.power import PairedDesign

    paired, judge = PairedDesign(**design), (sensitivity, specificity, annotator_error)
    if labelled is not None and labelled > prompts * paired.languages:
        what = f"{labelled} prompts to label, of {prompts * paired.languages} that are judged"
        raise InputError(what, fix="give --labelled over all languages, at most what is judged")
    number = labels_for_power(paired, prompts, *judge, power=power, alpha=alpha) if labelled is None or plot else 0
    rows: list[tuple[str, float]] = [("prompts to label", number), ("replies to label", 2 * number)]
    if labelled is not None:
        found = label_power(paired, prompts, labelled, *judge, alpha=alpha)
        rows = [(f"power of {labelled} labelled prompts", found)]
    if plot:
        title = f"Power to show a change from {paired.base:g} to {paired.model:g}, corrected by labels"
        curve = {
            f"{prompts * paired.languages} prompts judged":
            lambda n: label_power(paired, prompts, round(n), *judge, alpha=alpha)
        }  # fmt: skip
        most = prompts * paired.languages
        _draw(plot, title, curve, number, power, across="prompts labelled", least=min(20, most), most=most)
    _show(rows, as_json)


@command.command("agreement")
@click.option("--kappa", type=click.FloatRange(-0.99, 0.99), required=True, help="Expected.")
@click.option("--prevalence", type=SHARE, required=True, help="Expected share of harmful replies.")
@click.option("--width", type=click.FloatRange(0.001, 1), help="Wanted width of kappa's interval.")
@click.option("--replies", type=click.IntRange(1), help="Replies that both label.")
@of_interval
@plot_option
@as_json_option
def agreement(
    kappa: float, prevalence: float, width: float | None, replies: int | None, level: float, plot: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Agreement of two raters (Cohen's kappa) with an interval of a wanted width; with --replies the width they give.

    \b
    Examples:
      prism power agreement --kappa 0.6 --prevalence 0.1 --width 0.2 --plot kappa.svg
      prism power agreement --kappa 0.6 --prevalence 0.1 --replies 300
    """
    from functools import partial

    from alignment_prism.domain import InputError
    from alignment_prism.statistics.planning.power import kappa_prompts, kappa_width
    from alignment_prism.statistics.raters.judge_error import FEW_LABELS

    if (width is None) == (replies is None):
        raise InputError("neither a width nor replies, or both", fix="give --width, or the --replies that there are")
    if width is not None:
        needed, wide = kappa_prompts(kappa, prevalence, width, level), width
        rows: list[tuple[str, float]] = [("replies that both label", needed)]
    else:
        needed = replies or 0
        wide = kappa_width(kappa, prevalence, needed, level)
        rows = [(f"width of the interval of {needed} replies", wide)]
    if plot:
        curves = {
            f"harm in {p:.0%}": partial(kappa_width, kappa, p, level=level) for p in dict.fromkeys((0.5, prevalence))
        }
        title = f"Width of the {level:.0%} interval of a kappa of {kappa:g}"
        _draw(plot, title, curves, needed, wide, across="replies that both label", least=FEW_LABELS)
    _show(rows, as_json)


def _draw(
    path: str, title: str, curves: Mapping[str, Callable[[int], float]], needed: int, wanted: float, *,
    across: str = "prompts of each language", least: int | None = None, most: int | None = None,
) -> None:  # fmt: skip
    """Write curves from the least number, of prompts unless given, to twice what is needed, or the most that there is.

    Raises:
        InputError: the file is no .svg.
    """
    from alignment_prism.io import write_text
    from alignment_prism.reports.curve import curve_svg
    from alignment_prism.statistics.planning.power import fewest_prompts

    check_ending(path, ".svg")
    check_outputs(path, replace=True)  # the same command draws it again
    end = 2 * needed if most is None else min(2 * needed, most)
    least = fewest_prompts() if least is None else least
    sizes = sorted({max(least, round(end * step / 40)) for step in range(1, 41)})
    series = {name: [(float(n), of(n)) for n in sizes] for name, of in curves.items()}
    write_text(path, curve_svg(title, across, series, wanted=wanted, marked=needed))


def _show(rows: Sequence[tuple[str, float]], as_json: bool) -> None:
    if as_json:
        echo(json.dumps({what: value if value == value else None for what, value in rows}))
        return
    shown = [(what, value if isinstance(value, int) else f"{value:.3f}") for what, value in rows]
    echo(markdown_table(["what", "number"], shown))
