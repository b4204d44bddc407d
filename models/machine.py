"""This machine, as far as it decides what an engine can run: processor, memory, GPU, and which vLLM is installed."""

import csv
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from configs.sections.catalog import Hardware

CPUINFO, MEMINFO, CGROUP = Path("/proc/cpuinfo"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")
AVX512 = frozenset({"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"})
"""What torch asks for before vLLM loads its AVX-512 kernels (torch.cpu._is_avx512_supported)."""
MIB = 1 << 20
QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap,memory.total,memory.free", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU. `compute_capability` is NVIDIA's, like 8.9."""

    name: str
    compute_capability: float
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What is there. `gpu` is None unless the installed vLLM would use one."""

    hardware: Hardware
    cpu: str
    total_bytes: int
    free_bytes: int
    gpu: Gpu | None = None


def read_machine() -> Machine:
    """Look at this machine. Asks nvidia-smi only where a vLLM for CUDA is installed."""
    cpuinfo = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.exists() else ""
    meminfo = MEMINFO.read_text(encoding="utf-8") if MEMINFO.exists() else ""
    limit = cgroup_free(CGROUP)
    return machine_of(cpuinfo, meminfo, limit, _nvidia_smi() if _vllm_is_for_cuda() else "")


def machine_of(cpuinfo: str, meminfo: str, cgroup_free_bytes: int | None, nvidia_smi: str) -> Machine:
    """The machine that these texts describe: /proc/cpuinfo, /proc/meminfo, and nvidia-smi's answer (empty: no GPU)."""
    total, free = (_kib(meminfo, name) * 1024 for name in ("MemTotal", "MemAvailable"))
    if cgroup_free_bytes is not None:
        free = min(free, cgroup_free_bytes)
    gpu = _first_gpu(nvidia_smi)
    hardware: Hardware = "cuda" if gpu else "cpu-avx512" if cpu_flags(cpuinfo) >= AVX512 else "cpu"
    return Machine(hardware, _field(cpuinfo, "model name"), total, free, gpu)


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """The processor's flags in /proc/cpuinfo; those of the first processor stand for all."""
    return frozenset(_field(cpuinfo, "flags").split())


def cgroup_free(folder: Path) -> int | None:
    """What a container's limit leaves, in bytes; None without a limit (cgroup v2, then v1)."""
    pairs = ("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")
    for limit, used in pairs:
        try:
            most, now = (folder / limit).read_text().strip(), int((folder / used).read_text())
        except (OSError, ValueError):
            continue
        # v1 writes a number near 2**63 where there is no limit.
        return max(0, int(most) - now) if most.isdigit() and int(most) < 1 << 60 else None
    return None


def _vllm_is_for_cuda() -> bool:
    """vLLM itself tells its builds apart by the word cpu in the version; the CPU wheel here has another name."""
    try:
        return "cpu" not in version("vllm")
    except PackageNotFoundError:
        return False


def _nvidia_smi() -> str:
    if shutil.which(QUERY[0]) is None:
        return ""
    try:
        return subprocess.run(QUERY, capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603 - fixed
    except (OSError, subprocess.SubprocessError):
        return ""


def _first_gpu(nvidia_smi: str) -> Gpu | None:
    """vLLM takes the first GPU unless told otherwise."""
    for row in csv.reader(nvidia_smi.splitlines(), skipinitialspace=True):
        if len(row) == 4 and row[1].replace(".", "").isdigit():
            return Gpu(row[0], float(row[1]), int(row[2]) * MIB, int(row[3]) * MIB)
    return None


def _field(cpuinfo: str, name: str) -> str:
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _kib(meminfo: str, name: str) -> int:
    value = _field(meminfo, name).removesuffix("kB").strip()
    return int(value) if value.isdigit() else 0
