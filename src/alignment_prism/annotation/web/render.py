"""Pages from templates. Every text in them is escaped; languages and directions are set where the texts stand."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from alignment_prism.annotation.database import now
from alignment_prism.annotation.guidelines import as_html
from alignment_prism.annotation.texts import INTERFACES, direction, say
from alignment_prism.annotation.web.security import VISIT, Visitor, set_cookie
from alignment_prism.annotation.writing import CATEGORY_KEYS
from alignment_prism.domain import LANGUAGES


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates."""
    made = Environment(
        loader=PackageLoader("alignment_prism.annotation.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "category_keys": CATEGORY_KEYS,
        "direction": direction,
        "interfaces": INTERFACES,
        "language_name": _name,
        "now": now,
        "own_name": _own_name,
    }
    made.filters |= {"guidelines": as_html, "iso": _iso, "minutes": _minutes}
    return made


def page(visitor: Visitor, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page in the visitor's language."""
    said = partial(say, visitor.language)
    content = environment().get_template(f"{template}.html.j2").render(visitor=visitor, t=said, **values)
    response = HTMLResponse(content, status_code=status)
    if visitor.person is None:
        set_cookie(visitor, response, VISIT, visitor.cookie, days=1)
    return response


def go(address: str) -> Response:
    """On to another page, after something was done."""
    return RedirectResponse(address, status_code=303)


def _name(code: str) -> str:
    return LANGUAGES.find(code).name if code in LANGUAGES else code


def _own_name(code: str) -> str:
    """As its speakers call a language, where we know."""
    return INTERFACES.get(code) or _name(code)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f}" if seconds >= 600 else f"{seconds / 60:.1f}"
