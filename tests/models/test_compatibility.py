"""The compatibility matrix: what it answers, and that no pair is without a row."""

from pathlib import Path
from typing import get_args

import pytest

from configs.compatibility import carries_adapters, matrix, node_refusals, supported
from configs.loader import SettingsError, load_catalog, load_compatibility
from configs.sections.catalog import Hardware, Scheme
from configs.sections.routing import NodeSettings
from models.overview import matrix_markdown
from tests.conftest import ROOT, read_cases
from tests.models.site import make_site


@pytest.mark.parametrize("case", read_cases("compatibility.jsonl"), ids=lambda case: str(list(case.values())[:3]))
def test_the_matrix_answers(case: dict) -> None:
    found = supported(case["scheme"], case["hardware"], case["adapters"])
    assert found.verdict == case["verdict"]
    assert case.get("why", "") in found.why


def test_every_pair_has_a_row() -> None:
    assert set(matrix()) == {(scheme, one) for scheme in ("none", *get_args(Scheme)) for one in get_args(Hardware)}


def test_the_page_has_the_table() -> None:
    assert matrix_markdown() in (ROOT / "docs" / "quantization.md").read_text(encoding="utf-8")


def test_adapters_are_offered_unless_it_says_no_wherever_the_engine_may_stand() -> None:
    assert carries_adapters("w8a8", "cpu").verdict == "no"
    assert carries_adapters("w8a8").verdict == "not run", "it may stand on CUDA"
    assert carries_adapters("nf4").verdict == "yes"


@pytest.mark.parametrize(
    ("hardware", "models", "says"),
    [
        ("cpu", ["m-w4a16-gptq"], ["node 'n' (cpu) can't serve 'm-w4a16-gptq'", "AVX-512", "指令集"]),
        ("cpu-avx512", ["m-w4a16-gptq"], []),
        ("cpu-avx512", ["m-w8a8", "m-lora-w8a8"], ["can't serve 'm-lora-w8a8'", "LoRA"]),
        ("cpu", ["m"], ["can't serve 'm'", "AVX-512"]),  # its id is answered from a variant
        ("cuda", ["m-w4a16-gptq", "m-lora-w8a8"], []),
        (None, ["m-w4a16-gptq"], []),
    ],
)
def test_a_node_is_refused_what_its_hardware_cannot_serve(
    hardware: str | None, models: list[str], says: list[str], tmp_path: Path
) -> None:
    catalog = load_catalog(make_site(tmp_path, "w8a8", "w4a16-gptq", served_variant="w4a16-gptq"))
    node = NodeSettings.model_validate({"name": "n", "url": "http://x", "models": models, "hardware": hardware})
    found = node_refusals([node], catalog)
    assert len(found) == bool(says)
    assert all(words in found[0] for words in says)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("serves: no, adapters: no", "say why"),
        ("serves: yes, adapters: yes", "name the run"),
        ("serves: maybe, adapters: yes", "rows.0.serves"),
        (
            "serves: not run, adapters: not run}\n- {scheme: nf4, hardware: cpu, serves: not run, adapters: not run",
            "twice",
        ),
    ],
)
def test_a_wrong_row_is_named(row: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(f"rows:\n- {{scheme: nf4, hardware: cpu, {row}}}\n")
    with pytest.raises(SettingsError, match=says):
        load_compatibility(file)
