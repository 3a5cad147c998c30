"""The page of an error that can be mended."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from alignment_prism.annotation.database import Database
from alignment_prism.annotation.web.app import make_app
from alignment_prism.domain import InputError


@pytest.mark.parametrize(("fix", "shown"), [("mend it", "it is damaged; mend it"), (None, "it is damaged")])
def test_it_says_what_is_wrong_and_the_remedy_where_there_is_one(
    database: Database, fix: str | None, shown: str
) -> None:
    def refuse() -> None:
        raise InputError("it is damaged", fix=fix)

    site = make_app(database)
    site.app.add_api_route("/damaged", refuse)
    page = TestClient(site, base_url="http://prism.test").get("/damaged")
    assert page.status_code == 422 and re.search(rf">\s*{shown}\s*<", page.text)
