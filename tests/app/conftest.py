"""The pages over the small real ensemble, answered without a browser."""

from collections.abc import Callable
from typing import Any

import pytest
from dash import Dash

from support import Trained
from vaefrag.jobs.job_store import JobStore
from vaefrag.pages.site import Site
from vaefrag.queries import Queries
from webpages import app_of, post_to


class NoCache:
    """Remembers nothing, so that every test sees what is computed."""

    def get(self, key: str) -> None:
        return None

    def set(self, key: str, value: object) -> None:
        return None


@pytest.fixture(scope="session")
def app(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    return app_of(trained.store, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def queries(trained: Trained) -> Queries:
    return Queries(trained.store, NoCache())


@pytest.fixture
def site(queries: Queries) -> Site:
    return Site(queries, "/", JobStore(queries.store.workspace))


@pytest.fixture
def post(app: Dash) -> Callable[..., Any]:
    return lambda *args, **kwargs: post_to(app, *args, **kwargs)
