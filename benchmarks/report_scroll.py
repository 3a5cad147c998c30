"""What it costs a browser to open, scroll and search a report of 300 prompts with the replies of 30 arms.

    python benchmarks/report_scroll.py

The page is made from replies of 2,400 characters, opened in the system's Chromium at two sizes, and scrolled from its
top to its end in steps of a screen's half, once with all samples folded, as it opens, and once with twenty unfolded.
Chromium's own counters say what was done: nodes, layouts, recalculated styles and the seconds of a processor that its
main thread took (a frame at 60 a second has 16.7 ms). Frames and tasks of over 50 ms are by the clock, and say nothing
on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Any

from alignment_prism.domain import Finding
from alignment_prism.reports import Reply, Report, Results, Sample, export

OUTCOMES = ("harmful", "refusal", "safe_help", "wrong_language")
SIZES = {"desk, 1280 x 900": (1280, 900), "telephone, 390 x 844": (390, 844)}
WATCH = """
window.tasks = [];
new PerformanceObserver(list => { for (const one of list.getEntries()) window.tasks.push(one.duration); })
  .observe({ type: "longtask", buffered: true });
"""
SCROLL = """
async () => {
  window.tasks.length = 0;
  let frames = 0;
  const step = innerHeight / 2, first = document.querySelector(".samples").getBoundingClientRect().top + scrollY;
  const begin = performance.now();
  for (let at = first; at < document.documentElement.scrollHeight; at += step) {
    scrollTo({ top: at, behavior: "instant" });
    await new Promise(requestAnimationFrame);
    frames += 1;
  }
  await new Promise(done => setTimeout(done, 100));
  const long = window.tasks.reduce((sum, one) => sum + one, 0);
  return { frames, seconds: (performance.now() - begin) / 1000, tasks: window.tasks.length, long: long / 1000 };
}
"""


def report(prompts: int, arms: int, characters: int) -> Report:
    """Findings of each arm, and samples."""
    text = "Слово за слово, и так до конца. " * (characters // 32)
    names = [f"arm_{number}" for number in range(arms)]
    findings = [
        Finding("many", name, -1, "harmful", "all", "all", "all", "harm_rate", 0.3, 0.2, 0.4, n=prompts)
        for name in names
    ]
    samples = [
        Sample(
            f"p{number}", "ru", "harmful", text,
            tuple(Reply(name, f"{name}, {number}: {text}", OUTCOMES[(number + place) % 4], False, len(text))
                  for place, name in enumerate(names)),
            "global" if number % 2 else "local",
        )
        for number in range(prompts)
    ]  # fmt: skip
    return Report(Results(findings), samples=samples)


def counters(session: Any) -> dict[str, float]:
    """What Chromium has done for the page so far."""
    return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}


def measured(browser: Any, path: Path, size: tuple[int, int]) -> list[list[str]]:
    """Rows of the table for one size."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    page.add_init_script(WATCH)
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(path.absolute().as_uri())
    page.wait_for_function("() => document.getElementById('count').textContent.includes(' of ')")
    rows, before = [], {"LayoutCount": 0.0, "RecalcStyleCount": 0.0, "TaskDuration": 0.0}
    for what in ("open", "scroll, folded", "unfold 20", "scroll, 20 unfolded", "search a word"):
        said = {"frames": 0, "tasks": 0, "long": 0.0, "seconds": 0.0}
        page.evaluate("window.tasks.length = 0" if what != "open" else "0")
        if what.startswith("scroll"):
            said = page.evaluate(SCROLL)
        elif what.startswith("unfold"):
            page.evaluate(
                "[...document.querySelectorAll('.samples > details')].slice(0, 20).forEach(o => o.open = true)"
            )
        elif what.startswith("search"):
            page.locator("#choose [name=words]").fill("arm_29, 299:")
            page.wait_for_function("() => document.getElementById('count').textContent.startsWith('1 of')")
        if not said["frames"]:
            said["long"] = page.evaluate("window.tasks.reduce((sum, one) => sum + one, 0)") / 1000
            said["tasks"] = page.evaluate("window.tasks.length")
        now = counters(session)
        busy = now["TaskDuration"] - before["TaskDuration"]
        frames = said["frames"]
        done = (f"{now[name] - before[name]:,.0f}" for name in ("LayoutCount", "RecalcStyleCount"))
        each = f"{1000 * busy / frames:.1f}" if frames else ""
        long = f"{said['tasks']}, {said['long']:.1f} s"
        rows.append([what, f"{now['Nodes']:,.0f}", *done, f"{busy:.2f}", str(frames or ""), each, long])
        before = now
    context.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--arms", type=int, default=30)
    parser.add_argument("--characters", type=int, default=2400)
    parser.add_argument("--chromium", default=os.environ.get("PRISM_CHROMIUM") or shutil.which("chromium"))
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = export(report(options.prompts, options.arms, options.characters), Path(folder) / "many.html")
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox", "--disable-gpu"])
        print(f"{platform.platform()}, Python {platform.python_version()}, Chromium {browser.version}, load "
              f"{os.getloadavg()[0]:.1f}; {path.stat().st_size:,} bytes")  # fmt: skip
        print("| size | what | nodes | layouts | styles | processor, s | frames | ms a frame | tasks over 50 ms |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name, size in SIZES.items():
            for row in measured(browser, path, size):
                print(f"| {name} | {' | '.join(row)} |")
        browser.close()


if __name__ == "__main__":
    main()
