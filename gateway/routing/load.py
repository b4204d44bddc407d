"""What vLLM's /metrics says of a node's load."""

import re
from dataclasses import dataclass

MOST_BYTES = 8 * 1024 * 1024

# The last name of each is what vLLM 0.32 has; the others are those of earlier versions.
RUNNING = (b"vllm:num_requests_running",)
WAITING = (b"vllm:num_requests_waiting",)
KV_USAGE = (b"vllm:gpu_cache_usage_perc", b"vllm:cpu_cache_usage_perc", b"vllm:kv_cache_usage_perc")
SAMPLE = re.compile(
    rb"^(" + b"|".join((*RUNNING, *WAITING, *KV_USAGE)) + rb")(?:\{[^}\n]*\})? +([0-9.eE+-]+)(?: [0-9.eE+-]+)?\r?$",
    re.M,
)
ADAPTERS = re.compile(rb"^vllm:lora_requests_info\{([^}\n]*)\} +([0-9.eE+-]+)", re.M)
RUNNING_ADAPTERS = re.compile(rb'running_lora_adapters="([^"\n]*)"')


@dataclass(frozen=True, slots=True)
class Load:
    """A node's own word: requests running and waiting in it, the fullest engine's part of KV cache in use (0 to 1),
    and the adapters at work."""

    running: int
    waiting: int
    kv_usage: float | None = None
    adapters: frozenset[str] = frozenset()


def read_load(text: bytes) -> Load | None:
    """The load that a Prometheus exposition states, summed over engines; None when it says nothing of requests."""
    running: float | None = None
    waiting = 0.0
    usage: float | None = None
    for name, number in SAMPLE.findall(text):
        try:
            value = float(number)
        except ValueError:
            continue
        if not 0 <= value < 1e9:
            continue
        if name in RUNNING:
            running = (running or 0.0) + value
        elif name in WAITING:
            waiting += value
        else:
            usage = max(usage or 0.0, value)
    if running is None:
        return None
    return Load(int(running), int(waiting), usage, _adapters(text))


def _adapters(text: bytes) -> frozenset[str]:
    """Those of the newest sample: vLLM writes one per set of adapters, with the time as its value."""
    samples = ADAPTERS.findall(text)
    if not samples:
        return frozenset()
    try:
        labels, _ = max(samples, key=lambda one: float(one[1]))
    except ValueError:
        return frozenset()
    found = RUNNING_ADAPTERS.search(labels)
    names = found.group(1).decode("utf-8", "replace") if found else ""
    return frozenset(one for one in names.split(",") if one)
