"""The annotation app: one process that serves pages from one database."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from alignment_prism.annotation.database import Database
from alignment_prism.annotation.projects import Kind, all_projects
from alignment_prism.annotation.web import account, desk, lead
from alignment_prism.annotation.web.render import go, page
from alignment_prism.annotation.web.security import Denied, Guard, Limits, visitor_of
from alignment_prism.domain import LANGUAGES, InputError, PrismError
from alignment_prism.scoring.reply_language import in_language


def make_app(database: Database, *, secure: bool = False, limits: Limits | None = None) -> Guard:
    """The app, to be served by any ASGI server.

    Args:
        database: as opened.
        secure: the pages are reached over HTTPS: cookies are marked so.
        limits: of how often something may be tried.
    """
    # Nothing is reported to anybody, whatever the environment says; versions of FastAPI without telemetry ignore it.
    silent: dict[str, Any] = {"telemetry": dict.fromkeys(("tracing", "metrics", "logs", "auto_configure"), False)}
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, **silent)
    app.state.database = database
    app.state.secure = secure
    app.state.limits = limits or Limits()
    for router in (account.router, desk.router, lead.router):
        app.include_router(router)
    static = resources.files("alignment_prism.annotation.web") / "static"
    app.mount("/static", StaticFiles(directory=Path(str(static))))
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return Guard(app)


def _denied(request: Request, error: Exception) -> Response:
    assert isinstance(error, Denied)
    visitor = visitor_of(request)
    if error.status == 401 and request.method == "GET" and request.url.path != "/token":
        return go("/login")
    if request.url.path.endswith("/draft") or request.url.path == "/token":
        return JSONResponse({"error": error.key}, status_code=error.status)
    return page(visitor, "message", error.status, title=error.key, text=f"{error.key}_text")


def _not_found(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return page(visitor_of(request), "message", status, title="not_found", text="not_found_text")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, PrismError)
    said = f"{error.what}; {error.fix}" if error.fix else error.what
    return page(visitor_of(request), "message", 422, title="refused", text="", detail=said)


def _failed(request: Request, error: Exception) -> Response:
    return page(visitor_of(request), "message", 500, title="failed", text="failed_text")


HANDLERS: dict[int | type[Exception], Callable[[Request, Exception], Response]] = {
    Denied: _denied,
    404: _not_found,
    405: _not_found,
    RequestValidationError: _not_found,
    PrismError: _refused,
    500: _failed,
}


def serve(
    database: Database,
    *,
    host: str = "127.0.0.1",
    port: int = 8400,
    secure: bool = False,
    listening: Callable[[], None] = lambda: None,
) -> None:
    """Serve until stopped.

    Args:
        database: as opened.
        host: address to listen at; others than this machine's belong behind HTTPS.
        port: likewise.
        secure: the pages are reached over HTTPS.
        listening: called once whoever comes is let in.

    Raises:
        InputError: nobody can listen at that address and port.
    """
    import uvicorn

    try:
        place = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        fix, settings = "choose another port, or stop what listens there", {"port": "PORT"}
        if isinstance(error, socket.gaierror):
            fix, settings = "name an address of this machine", {"host": "127.0.0.1"}
        raise InputError(
            f"cannot listen: {error.strerror}", where=f"{host}:{port}", fix=fix, settings=settings
        ) from error
    listening()
    with database.read() as connection:
        writes = any(project.kind is Kind.WRITING for project in all_projects(connection))
    if writes:  # the tables of languages take half a second to load: not while somebody waits for a warning
        in_language("Write a letter to my neighbour", LANGUAGES.find("en"))
    # No access log: addresses hold the tokens of invitations and of items.
    config = uvicorn.Config(make_app(database, secure=secure), host=host, port=port, server_header=False,
                            access_log=False, log_level="warning", timeout_keep_alive=60)  # fmt: skip
    with place:
        uvicorn.Server(config).run(sockets=[place])
