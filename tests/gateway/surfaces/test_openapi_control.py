"""The OpenAPI document is true of the control API, files and batches too; asked by an operator."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.generation import GenerationMode

from tests.gateway.surfaces.test_openapi import CHECKS
from tests.gateway.tenants.conftest import Site, fake, open_site  # noqa: F401 - fixtures

ASKED = ("/api/v1/", "/v1/files", "/v1/batches")


@pytest.fixture(scope="module")
def site(open_site: Callable[..., Any]) -> Iterator[Site]:  # noqa: F811 - the fixture
    """A gateway of its own: what is made up here is really done."""
    with open_site() as site:
        yield site


def test_every_route_answers_as_the_document_says(site: Site) -> None:
    document = httpx.get(f"{site.url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=site.url)
    operations = [one.ok() for one in schema.get_all_operations() if one.ok().path.startswith(ASKED)]
    assert {one.path.split("/")[2] for one in operations} >= {"v1", "files", "batches"}
    assert len(operations) > 20
    problems = {}
    for operation in operations:
        try:
            _ask(operation, site, GenerationMode.POSITIVE)
            if not operation.path.startswith("/api/"):  # files and batches belong to every caller
                _ask(operation, site, GenerationMode.NEGATIVE)
        except (Exception, BaseExceptionGroup) as problem:  # noqa: BLE001 - every route's problem is told, not only the first
            found = getattr(problem, "exceptions", [problem])
            problems[f"{operation.method} {operation.path}"] = "; ".join(str(one)[:600] for one in found)
    assert problems == {}


def _ask(operation: Any, site: Site, mode: GenerationMode) -> None:
    key = {"authorization": f"Bearer {site.operator}"}

    @seed(1)
    @settings(
        max_examples=4,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.call_and_validate(headers=key, checks=CHECKS, timeout=20)

    run()
