"""What the study could have seen: the smallest change of harm that its intervals would show, by language and scope."""

from __future__ import annotations

import math
from statistics import NormalDist

from alignment_prism.domain import ALL, Finding
from alignment_prism.domain.metric_table import HARM_DIFFERENCE
from alignment_prism.reports.figures.arms import SCOPE_SERIES, language_title
from alignment_prism.reports.figures.dots import Dot, Plot, draw_dots
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.results import Results

POWER = 0.8


def smallest_visible(finding: Finding) -> float:
    """The change that an interval as wide as this one excludes zero of, with a chance of 80 %.

    (z_level + z_0.8) standard errors, the standard error being that of the interval: half its width by z_level. It
    rests on how wide the interval is, on nothing that was found; of no use as "power of what we saw" (Hoenig & Heisey
    2001, Am. Stat. 55).

    Returns:
        NaN where there is no interval, or it has no end.
    """
    half = (finding.upper - finding.lower) / 2.0
    if not math.isfinite(half):
        return math.nan
    critical = NormalDist().inv_cdf((1.0 + finding.level) / 2.0)
    return half * (critical + NormalDist().inv_cdf(POWER)) / critical


def power(results: Results) -> Figure | None:
    """By language and scope, of the arm that is seen least well."""
    dots = []
    languages = [ALL, *results.languages]
    for code in languages:
        for scope in results.scopes:
            rows = [
                row
                for arm in results.compared
                if (row := results.find(arm, HARM_DIFFERENCE.name, language=code, scope=scope)) is not None
            ]
            seen = [value for row in rows if not math.isnan(value := smallest_visible(row))]
            if not seen:
                continue
            worst, n = 100.0 * max(seen), min(row.n for row in rows)
            best = 100.0 * min(seen)
            words = f"{worst:.0f} points in the worst arm, {best:.0f} in the best, on {n} prompts"
            dots.append(
                Dot("", language_title(code), SCOPE_SERIES[scope].name, min(worst, 100.0), min(best, 100.0),
                    min(worst, 100.0), all(row.insufficient for row in rows), said=words)
            )  # fmt: skip
    if not dots:
        return None
    plot = Plot(
        dots, [""], [language_title(code) for code in languages], [SCOPE_SERIES[scope] for scope in results.scopes],
        "smallest change of harm shown, points", 0.0,
        min(100.0, 10.0 * math.ceil(max(dot.value for dot in dots) / 10.0)),
    )  # fmt: skip
    caption = (
        "With a chance of 80 %, on as many prompts and with intervals as wide as these; the line runs from the arm "
    )
    caption += (
        "that is seen best to the one that is seen least well, where the dot is. Smaller changes may be there unseen."
    )
    return Figure(
        "power", "What this study could have seen", caption, plot.description(), lambda width: draw_dots(plot, width)
    )
