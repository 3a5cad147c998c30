"""A page follows a study from its steps to its report, for this machine alone."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy_study
from browser import chromium, needs_chromium, page_at

from alignment_prism.studies.live import Live, server


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps({"steps": {"a": "x", "b": "y"}}), encoding="utf-8")
    running = server(Live(folder, redact=True))
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield folder, running.server_address[1]
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def asked(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read().decode("utf-8")


@pytest.mark.slow
@needs_chromium
def test_it_follows_a_study_from_its_steps_to_its_report(served: tuple[Path, int], tmp_path: Path) -> None:
    folder, port = served
    with chromium() as browser, page_at(browser, f"http://127.0.0.1:{port}/") as (page, seen):
        frame = page.frame_locator("iframe")
        frame.get_by_text("0 of 2 steps are done").wait_for()
        line = {"at": "2026-01-01T00:00:00+00:00", "event": "begin", "step": "train <b>sft</b>"}
        (folder / "steps.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
        frame.get_by_text("train <b>sft</b>: under way").wait_for()
        done = {**line, "event": "done", "seconds": 3}
        (folder / "steps.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(done) + "\n", encoding="utf-8")
        frame.get_by_text("1 of 2 steps are done").wait_for()
        made = toy_study.folder(tmp_path / "made", tmp_path / "inputs", each=2, arms=("sft",), contrasts=[])
        for path in made.out.rglob("*"):
            if path.is_file() and path.name != "findings.parquet" and not path.name.startswith("."):
                target = folder / path.relative_to(made.out)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        (folder / "findings.parquet").write_bytes((made.out / "findings.parquet").read_bytes())
        frame.locator("#verdict .say").wait_for()
        assert frame.locator(".asked").count() == 0 and frame.locator(".samples > details").count() > 0
        assert seen.errors == [] and all(f"127.0.0.1:{port}/" in url for url in seen.requests)


def test_nobody_else_is_answered(served: tuple[Path, int]) -> None:
    _, port = served
    assert asked(port, "/version")[0] == 200 and asked(port, "/", f"localhost:{port}")[0] == 200
    assert asked(port, "/report", "evil.example")[0] == 403
    for path in ("/../plan.json", "/plan.json", "/report?x", "//etc/passwd"):
        assert asked(port, path)[0] == 404, path


@pytest.mark.parametrize("plan", ['{"steps": 5}', "[" * 100_000, "5"])
def test_a_plan_that_is_none_is_a_study_without_steps(plan: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(plan, encoding="utf-8")
    assert "0 of 0 steps are done" in Live(tmp_path).page()
