"""Embeddings of a real model, served by the real engine, through OpenAI's SDK: it asks for base64 by itself."""

import base64
import math
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
import yaml

from configs.loader import load_catalog, load_settings
from configs.schema import EngineSettings
from models.catalog import Catalog
from models.launch import start_engine, wait_for_engine
from tests.conftest import ROOT, free_port, gateway_settings, run_opcgate
from tests.gateway.conftest import Faulty, serving, wait_ready

MODEL = "all-minilm-l6-v2"
TEXTS = ["A kitten sleeps on the sofa.", "A small cat is napping on a couch.", "The invoice is due next month."]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[openai.OpenAI, str]]:
    """The SDK on a gateway in front of vLLM with the embedding model, and the engine's own address."""
    folder = tmp_path_factory.mktemp("vectors")
    engine = EngineSettings(model=MODEL, port=free_port())
    catalog = Catalog(load_catalog(ROOT / "configs" / "models.yaml"))
    child = start_engine(catalog, engine, folder / "engine.log")
    try:
        wait_for_engine(child, catalog, engine, lambda _line: None)
        yield from _gateway(folder, f"http://{engine.host}:{engine.port}")
    finally:
        child.stop(15)


def _gateway(folder: Path, engine: str) -> Iterator[tuple[openai.OpenAI, str]]:
    settings = gateway_settings(engine, free_port(), folder)
    settings["nodes"][0]["models"] = [MODEL]
    config = folder / "opcgate.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    key = run_opcgate("keys", "create", "--name", "t", "--policy", "review", "--config", str(config)).stdout.strip()
    with serving(load_settings(config)) as url:
        with httpx.Client(base_url=url) as http:
            wait_ready(http)
        with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60) as client:
            yield client, engine


@pytest.mark.engine
def test_the_sdk_gets_the_engines_vectors(vectors: tuple[openai.OpenAI, str]) -> None:
    client, engine = vectors
    answer = client.embeddings.create(model=MODEL, input=TEXTS)
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert {len(one.embedding) for one in answer.data} == {384}
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 15
    body = {"model": MODEL, "input": TEXTS}
    direct = httpx.post(f"{engine}/v1/embeddings", json=body, timeout=60).json()
    for mine, own in zip(answer.data, direct["data"], strict=True):
        assert mine.embedding == pytest.approx(own["embedding"], abs=1e-5)
    floats = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(answer.data[0].embedding, abs=1e-5)


@pytest.mark.engine
def test_what_means_the_same_is_near(vectors: tuple[openai.OpenAI, str]) -> None:
    cat, kitten, invoice = (one.embedding for one in vectors[0].embeddings.create(model=MODEL, input=TEXTS).data)
    assert _cosine(cat, kitten) > 0.5 > 0.3 > _cosine(cat, invoice)


@pytest.mark.engine
def test_a_model_of_vectors_does_not_write(vectors: tuple[openai.OpenAI, str]) -> None:
    with pytest.raises(openai.BadRequestError, match="/v1/embeddings") as refused:
        vectors[0].chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert refused.value.param == "model"


@pytest.mark.engine
@pytest.mark.node
def test_the_node_sdk_gets_them_too(vectors: tuple[openai.OpenAI, str]) -> None:
    client, _ = vectors
    done = subprocess.run(
        [str(Path(sys.executable).parent / "node"), "--test", "--test-reporter=tap", "embeddings.test.mjs"],
        cwd=ROOT / "tests" / "node",
        env=os.environ | {"OPCGATE_BASE_URL": str(client.base_url), "OPCGATE_KEY": client.api_key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 1" in done.stdout


def _cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_base64_and_floats_are_passed_through(faulty: Faulty) -> None:
    asked = {"model": "vectors", "input": ["你好", "hello"]}
    floats = faulty.client.post("/v1/embeddings", json=asked).json()
    assert [one["embedding"][0] for one in floats["data"]] == [2.0, 5.0]
    assert set(floats) == {"object", "data", "model", "usage"}
    packed = faulty.client.post("/v1/embeddings", json=asked | {"encoding_format": "base64"}).json()
    assert struct.unpack("<2f", base64.b64decode(packed["data"][1]["embedding"]))[0] == 5.0


def test_texts_are_masked_before_the_engine_sees_them(faulty: Faulty) -> None:
    faulty.client.post("/v1/embeddings", json={"model": "vectors", "input": "电话13800138000"})
    assert faulty.engine.seen.bodies[-1]["input"] == "电话[手机号]"


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"model": "vectors", "input": [1, 2, 3]}, "input", "check_embedding_ctx_length"),
        ({"model": "vectors", "input": [[1, 2], [3]]}, "input", "token ids"),
        ({"model": "vectors", "input": ["x"] * 2049}, "input", "2048"),
        ({"model": "vectors", "input": []}, "input", "at least 1"),
        ({"model": "vectors", "input": "x", "dimensions": 0}, "dimensions", "greater"),
        ({"model": "opc-starter", "input": "x"}, "model", "/v1/chat/completions"),
    ],
)
def test_what_is_refused(body: dict, param: str, says: str, faulty: Faulty) -> None:
    response = faulty.client.post("/v1/embeddings", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == param
    assert says in error["message"]
