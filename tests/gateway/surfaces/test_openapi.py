"""The OpenAPI document is true: what schemathesis makes of it gets answers that fit, and never a 5xx."""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.request import SURFACES
from tests.gateway.conftest import Faulty

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="session")
def document(faulty_session: Faulty) -> dict[str, Any]:
    return httpx.get(f"{faulty_session.url}/openapi.json").json()


@pytest.fixture(scope="session")
def of_models(document: dict[str, Any], faulty_session: Faulty) -> Any:
    """The models' endpoints, asked for the models that there are: a random name would only ever be a 404."""
    paths = {path: one for path, one in document["paths"].items() if "/api/v1" not in path}
    raw = document | {"paths": paths}
    for name, schema in raw["components"]["schemas"].items():
        if "model" in schema.get("properties", {}) and name.endswith("Request") and name != "ModerationRequest":
            served = "vectors" if name == "EmbeddingsRequest" else "opc-starter"
            schema["properties"]["model"] = {"type": "string", "enum": [served]}
    schema = schemathesis.openapi.from_dict(raw)
    schema.config.update(base_url=faulty_session.url)
    return schema


OPERATIONS = [("POST", one.path) for one in SURFACES] + [
    ("POST", "/v1/moderations"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model_id}"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "broken"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[path for _, path in OPERATIONS])
def test_every_answer_fits_the_document(
    method: str, path: str, mode: GenerationMode, of_models: Any, faulty_session: Faulty
) -> None:
    operation = of_models[path][method]
    if mode is GenerationMode.NEGATIVE and method == "GET":
        return  # there is nothing to break in these
    key = {"authorization": f"Bearer {faulty_session.key}"}

    @seed(1)
    @settings(
        max_examples=10,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.call_and_validate(headers=key, checks=CHECKS, timeout=20)

    run()


def test_every_endpoint_is_in_the_document(document: dict[str, Any]) -> None:
    for surface in SURFACES:
        for path in (surface.path, *surface.aliases):
            operation = document["paths"][path]["post"]
            assert operation["requestBody"]["content"]["application/json"]["schema"]
            assert {"200", "400", "401", "429", "503"} <= set(operation["responses"])
    assert document["paths"]["/v1/moderations"]["post"]
