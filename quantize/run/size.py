"""Will it fit: the memory and the disk that a run needs, by arithmetic that the refusal shows."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from models.machine import read_machine
from quantize.errors import DoesNotFit
from quantize.run.base import Base
from quantize.run.schemes import SchemeFacts

GIB = 2**30
LIBRARIES_BYTES = 1.4 * GIB  # the worker's 0.7 and the run's 0.6 GiB without any weights, measured, and a margin
OTHER_FILES_BYTES = 64 * 2**20  # tokenizer, recipe, calibration tokens
KEPT_WHOLE = ("embed_tokens", "lm_head")


@dataclass(frozen=True, slots=True)
class Room:
    """What this machine has free, in bytes."""

    memory: float
    disk: float


def room_here(out: Path) -> Room:
    """Free memory, a container's limit included, and free disk where `out` will be."""
    existing = next(one for one in (out, *out.parents) if one.exists())
    return Room(float(read_machine().free_bytes), float(shutil.disk_usage(existing).free))


def artefact_bytes(base: Base, scheme: SchemeFacts) -> float:
    """The expected size of the quantized weights: matrices at the scheme's bits, the rest in 16 bits."""
    total = 0.0
    for name, shape in base.shapes.items():
        whole = len(shape) < 2 or any(part in name for part in KEPT_WHOLE)
        total += math.prod(shape) * (16 if whole else scheme.bits) / 8
    return total


def check_room(base: Base, scheme: SchemeFacts, calibration_tokens: int, room: Room) -> None:
    """Raise DoesNotFit, with the sum, unless memory and disk suffice."""
    parts = memory_parts(base, scheme, calibration_tokens)
    _refuse_if_short("memory", "内存", parts, room.memory)
    disk = {"quantized weights": artefact_bytes(base, scheme), "other files": float(OTHER_FILES_BYTES)}
    _refuse_if_short("disk", "磁盘", disk, room.disk)


def memory_parts(base: Base, scheme: SchemeFacts, calibration_tokens: int) -> dict[str, float]:
    """What has to be in memory at the same time, in bytes."""
    parts = {
        "weights in 16 bits": 2.0 * sum(map(math.prod, base.shapes.values())),
        "quantized weights": artefact_bytes(base, scheme),
        "libraries": LIBRARIES_BYTES,
    }
    if scheme.least_rows:
        layers = int(base.config["num_hidden_layers"])
        matrices = [s for n, s in base.shapes.items() if len(s) == 2 and not any(part in n for part in KEPT_WHOLE)]
        # One layer at a time: a float32 square per matrix, as wide as its input.
        parts["second moments of one layer"] = sum(4.0 * shape[1] ** 2 for shape in matrices) / layers
        hidden = float(base.config.get("hidden_size", 0))
        parts["activations of the calibration data"] = 2 * 2.0 * hidden * calibration_tokens
    return parts


def _refuse_if_short(what: str, zh: str, parts: dict[str, float], free: float) -> None:
    needed = sum(parts.values())
    if needed <= free:
        return
    terms = " + ".join(f"{name} {value / GIB:.2f}" for name, value in parts.items())
    raise DoesNotFit(
        f"{what}: {terms} = {needed / GIB:.2f} GiB are needed, {free / GIB:.2f} GiB are free; "
        "free some, use a larger machine, or a smaller model.",
        f"{zh}不足：需要 {needed / GIB:.2f} GiB，可用 {free / GIB:.2f} GiB，请释放资源、换用更大的机器或更小的模型。",
    )
