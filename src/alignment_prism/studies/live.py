"""A page that follows a running study: its steps while it runs, its report when it is done; on this machine only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from alignment_prism.domain import PrismError, StoreError
from alignment_prism.reports.page import page
from alignment_prism.store.names import DECLARATIONS, FINDINGS, PLAN, STEPS
from alignment_prism.studies.report import study_report
from alignment_prism.studies.step_log import read_step_log

HOST = "127.0.0.1"
"""Nobody else's machine is to read harmful replies from here."""

HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light dark"><title>{title}</title><link rel="icon" href="data:,">'
)
FRAME = (
    HEAD
    + "<style>html, body, iframe {{ margin: 0; border: 0; width: 100%; height: 100%; display: block }}</style>"
    + '<iframe title="{title}" src="/report"></iframe><script src="/follow.js"></script></html>'
)
FOLLOW = """
let seen = null;
async function look() {
  try {
    const now = await (await fetch("/version")).text();
    if (seen !== null && seen !== now) document.querySelector("iframe").contentWindow.location.reload();
    seen = now;
  } catch { }
  setTimeout(look, 2000);
}
look();
"""
STYLE = (
    "<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }"
    " progress { width: 100% } li { margin: .2rem 0 }</style>"
)


class Live:
    """What is to be seen of a study's folder now.

    Args:
        folder: of the study.
        samples: prompts with replies on the page; as the study says if None.
        redact: leave prompts and replies out.

    Raises:
        StoreError: there is no such folder, or something else is in it.
    """

    def __init__(self, folder: str | Path, *, samples: int | None = None, redact: bool = False) -> None:
        self.folder, self._samples, self._redact = Path(folder), samples, redact
        known = any((self.folder / name).exists() for name in (PLAN, DECLARATIONS))
        if not self.folder.is_dir() or (any(self.folder.iterdir()) and not known):
            fix = "name the folder of a study that runs or has run"
            raise StoreError("no study is in that folder", where=str(folder), fix=fix)
        self._lock, self._made = Lock(), ("", "")

    def version(self) -> str:
        """Another one whenever a step begins or ends, or there are other findings."""
        stamps = []
        for name in (PLAN, STEPS, FINDINGS):
            path = self.folder / name
            stamps.append((path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None)
        return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16]

    def page(self) -> str:
        """The report, or how far the study is."""
        with self._lock:
            version = self.version()
            if self._made[0] != version:
                self._made = (version, self._page())
            return self._made[1]

    def _page(self) -> str:
        if (self.folder / FINDINGS).exists():
            try:
                return page(study_report([self.folder], count=self._samples, redact=self._redact))
            except PrismError as error:  # findings that are just being replaced
                return self._progress(str(error))
        return self._progress("")

    def _progress(self, note: str) -> str:
        """Which steps are done, and which are under way."""
        ended: dict[str, Mapping[str, object]] = {}
        for line in read_step_log(self.folder / STEPS):
            ended[str(line.get("step", ""))] = line
        done = [step for step, line in ended.items() if line.get("event") == "done"]
        total = max(_planned(self.folder), len(ended))
        items = "".join(f"<li>{escape(step)}: {escape(_words(line))}</li>" for step, line in ended.items())
        name = escape(self.folder.name)
        return (
            HEAD.format(title=name)
            + f"{STYLE}<main><h1>{name}</h1><p><label>{len(done)} of {total} steps are done "
            + f'<progress value="{len(done)}" max="{max(total, 1)}"></progress></label></p>'
            + f"<ol>{items}</ol><p>{escape(note)}</p></main></html>"
        )


def _planned(folder: Path) -> int:
    """How many steps the plan has."""
    try:
        return len(json.loads((folder / PLAN).read_text(encoding="utf-8")).get("steps", ()))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return 0


def _words(line: Mapping[str, object]) -> str:
    seconds = f" in {line['seconds']} s" if "seconds" in line else ""
    return {"begin": "under way", "done": f"done{seconds}"}.get(str(line.get("event")), str(line.get("event")))


def server(live: Live, port: int = 0) -> ThreadingHTTPServer:
    """A server on this machine's own address, not running yet; `serve_forever()` runs it.

    Args:
        live: what is shown.
        port: 0 takes one that is free (`server_address`).

    Raises:
        StoreError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            if host not in (HOST, "localhost"):  # a page elsewhere that gave this address a name of its own
                self.send_error(HTTPStatus.FORBIDDEN)
                return
            ways: dict[str, tuple[str, Callable[[], str]]] = {
                "/": ("text/html", lambda: FRAME.format(title=escape(live.folder.name))),
                "/report": ("text/html", live.page),
                "/version": ("text/plain", live.version),
                "/follow.js": ("text/javascript", lambda: FOLLOW),
            }
            if self.path not in ways:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            kind, make = ways[self.path]
            content = make().encode("utf-8", "replace")
            with suppress(ConnectionError):  # who asked has gone
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a page asks every two seconds."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        what = f"cannot listen on port {port}: {error.strerror}"
        raise StoreError(what, where=HOST, fix="name another port, or 0 for any", settings={"port": "0"}) from error
