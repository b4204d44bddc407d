"""What the catalog adds to a deployment's settings: prices, policies of variants, and nodes that are refused."""

from pathlib import Path

import httpx
import pytest

from configs.loader import SettingsError, load_catalog
from configs.schema import Settings
from gateway.from_catalog import with_catalog
from gateway.health import _described
from gateway.ledger.prices import Prices
from tests.conftest import Served
from tests.models.site import make_site, open_catalog


def settings(**more: object) -> Settings:
    node = {"name": "n", "url": "http://127.0.0.1:1", "models": ["m-w4a16-gptq"], "hardware": "cpu-avx512"}
    return Settings.model_validate({"nodes": [node]} | more)


def test_the_catalog_s_prices_hold_where_the_ledger_has_none(tmp_path: Path) -> None:
    file = make_site(tmp_path, "nf4", "w4a16-gptq", price={"prompt": "1", "output": "2"})
    catalog = open_catalog(file)
    family = {one.id: one for scheme in (None, "nf4") for one in catalog.family("m", scheme)}
    free = Prices(with_catalog(settings(), catalog.settings).ledger)
    assert {one: free.of(*model.lineage).output for one, model in family.items()} == dict.fromkeys(family, 2 * 10**9)
    own = {"m": {"prompt": "3", "output": "3"}, "m-lora": {"prompt": "4", "output": "4"}}
    priced = Prices(with_catalog(settings(ledger={"prices": own}), catalog.settings).ledger)
    assert {one: priced.of(*model.lineage).output // 10**9 for one, model in family.items()} == {
        "m": 3,
        "m-lora": 4,
        "m-nf4": 3,
        "m-lora-nf4": 4,
    }


def test_a_variant_has_the_policy_of_the_model_that_it_is_of(tmp_path: Path) -> None:
    catalog = load_catalog(make_site(tmp_path, "nf4", "w4a16-gptq"))
    given = {"m": "strict", "m-lora": "drama", "m-nf4": "own"}
    models = with_catalog(settings(compliance={"models": given}), catalog).compliance.models
    others = {"m-w4a16-gptq": "strict", "m-lora-nf4": "drama", "m-lora-w4a16-gptq": "drama"}
    assert models == given | others


def test_a_node_whose_hardware_cannot_serve_a_model_is_refused(tmp_path: Path) -> None:
    catalog = load_catalog(make_site(tmp_path, "w4a16-gptq"))
    assert with_catalog(settings(), catalog).nodes
    node = {"name": "old", "url": "http://127.0.0.1:1", "models": ["m-w4a16-gptq"], "hardware": "cpu"}
    with pytest.raises(SettingsError, match=r"node 'old' \(cpu\) can't serve 'm-w4a16-gptq': .*AVX-512"):
        with_catalog(settings(nodes=[node]), catalog)


def test_the_model_list_tells_what_answers(tmp_path: Path) -> None:
    catalog = open_catalog(make_site(tmp_path, "nf4", vertical="cantonese"))
    told = [_described(one, 0) for one in catalog.family("m", "nf4")]
    assert [(one["id"], one["parent"], one["quantization"], one["vertical"]) for one in told] == [
        ("m-nf4", "m", "nf4", "cantonese"),
        ("m-lora-nf4", "m-nf4", "nf4", "cantonese"),
    ]
    assert told[0]["digest"] == f"sha256:{catalog.base('m').variants[0].digest}"


@pytest.mark.engine
def test_an_answer_names_the_digest_of_the_weights_that_gave_it(served: Served) -> None:
    headers = {"authorization": f"Bearer {served.key}"}
    with httpx.Client(base_url=served.base_url, headers=headers, timeout=60) as client:
        told = {one["id"]: one["digest"] for one in client.get("/models").json()["data"]}
        for model in ("opc-starter", "opc-starter-short-drama"):
            body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "你好"}]}
            answer = client.post("/chat/completions", json=body)
            assert answer.headers["x-opcgate-model-digest"] == told[model]
        nobody = client.post("/chat/completions", json={"model": "nobody", "messages": []})
        assert "x-opcgate-model-digest" not in nobody.headers
