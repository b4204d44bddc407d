"""The OpenAPI document is true of the control API and the other routes too; asked by an operator."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.gateway.surfaces.test_openapi import CHECKS
from tests.gateway.tenants.conftest import Site, fake, open_site  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def site(open_site: Callable[..., Any]) -> Iterator[Site]:  # noqa: F811 - the fixture
    """A gateway of its own: what is made up here is really done."""
    with open_site() as site:
        yield site


def test_every_route_answers_as_the_document_says(site: Site) -> None:
    document = httpx.get(f"{site.url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=site.url)
    operations = [one.ok() for one in schema.get_all_operations() if "/api/v1" in one.ok().path]
    assert len(operations) > 10
    problems = {}
    for operation in operations:
        try:
            _ask(operation, site)
        except (Exception, BaseExceptionGroup) as problem:  # noqa: BLE001 - every route's problem is told, not only the first
            found = getattr(problem, "exceptions", [problem])
            problems[f"{operation.method} {operation.path}"] = "; ".join(str(one)[:600] for one in found)
    assert problems == {}


def _ask(operation: Any, site: Site) -> None:
    key = {"authorization": f"Bearer {site.operator}"}

    @seed(1)
    @settings(
        max_examples=4,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        case.call_and_validate(headers=key, checks=CHECKS, timeout=20)

    run()
