"""The classifier's file: n-grams and their weights, thresholds and calibration, as safetensors.

Weights are 8-bit numbers with one scale per column, rounded before anything was measured.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from compliance.verdict import RulesError

SHIPPED = Path(__file__).parent / "risks.safetensors"

_DTYPES = {
    "features": np.uint8,
    "weights": np.int8,
    "scale": np.float32,
    "bias": np.float32,
    "threshold": np.float32,
    "slope": np.float32,
    "gate": np.float32,
    "risks": np.uint8,
}
_LARGEST = 127

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Artefact:
    """One classifier: a row of `weights` per n-gram, a column per risk and a last one for harmless text.

    `gate` is what each n-gram adds to the screening sum, which opens the gate at 1. `threshold` is the harm, as
    log-odds, from which on a sentence of a risk is reported; `slope` is how fast the score grows around it. `digest`
    is the file's SHA-256.
    """

    risks: tuple[str, ...]
    features: tuple[str, ...]
    weights: npt.NDArray[np.int8]
    scale: Floats
    bias: Floats
    threshold: Floats
    slope: Floats
    gate: Floats
    digest: str = ""

    def columns(self) -> Floats:
        """The weights as they count."""
        full: Floats = self.weights * self.scale
        return full


def rounded(risks: tuple[str, ...], features: list[str], weights: Floats, bias: Floats, gate: Floats) -> Artefact:
    """Weights as they will be stored. Thresholds are out of reach until they have been chosen."""
    scale = (np.abs(weights).max(axis=0) / _LARGEST + 1e-12).astype(np.float32)
    return Artefact(
        risks=risks,
        features=tuple(features),
        weights=np.rint(weights / scale).astype(np.int8),
        scale=scale,
        bias=bias.astype(np.float32),
        threshold=np.full(len(risks), 1e6),
        slope=np.ones(1),
        gate=gate.astype(np.float32),
    )


def write_artefact(path: Path, artefact: Artefact) -> str:
    """Write the file; return its SHA-256."""
    data = save(
        {
            "features": _bytes("\n".join(artefact.features)),
            "risks": _bytes("\n".join(artefact.risks)),
            "weights": artefact.weights,
            **{
                name: getattr(artefact, name).astype(np.float32)
                for name in ("scale", "bias", "threshold", "slope", "gate")
            },
        },
        metadata={"kind": "opcgate-risk-classifier 2"},  # one entry: the library writes several in any order
    )
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_artefact(path: Path) -> Artefact:
    """Read and check the file; `RulesError` if it is missing, damaged or of another kind."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RulesError(
            f"{path}: cannot be read ({error.strerror}); build it with `opcgate classifier build`",
            f"{path}：无法读取，请用 opcgate classifier build 生成",
        ) from None
    try:
        tensors = load(data)
        artefact = _parse(tensors, hashlib.sha256(data).hexdigest())
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError, ValueError, KeyError) as error:
        raise RulesError(
            f"{path}: not a risk classifier ({error}); build it with `opcgate classifier build`",
            f"{path}：不是可用的风险分类器文件，请用 opcgate classifier build 重新生成",
        ) from None
    return artefact


def _parse(tensors: dict[str, npt.NDArray[np.generic]], digest: str) -> Artefact:
    for name, dtype in _DTYPES.items():
        dimensions = 2 if name == "weights" else 1
        if tensors[name].dtype != dtype or tensors[name].ndim != dimensions:
            raise ValueError(f"{name} is not {'a table' if dimensions == 2 else 'a row'} of {np.dtype(dtype)}")
    artefact = Artefact(
        risks=_lines(tensors["risks"]),
        features=_lines(tensors["features"]),
        weights=tensors["weights"].astype(np.int8),
        scale=tensors["scale"].astype(np.float32),
        bias=tensors["bias"].astype(np.float32),
        threshold=tensors["threshold"].astype(np.float64),
        slope=tensors["slope"].astype(np.float64),
        gate=tensors["gate"].astype(np.float64),
        digest=digest,
    )
    _check(artefact)
    return artefact


def _check(artefact: Artefact) -> None:
    rows, columns = artefact.weights.shape
    if rows != len(artefact.features) or columns != len(artefact.risks) + 1:
        raise ValueError("the weights do not fit the features and risks")
    if len(artefact.scale) != columns or len(artefact.bias) != columns or len(artefact.threshold) != columns - 1:
        raise ValueError("the numbers do not fit the risks")
    numbers = (artefact.scale, artefact.bias, artefact.threshold, artefact.slope, artefact.gate)
    if not all(np.isfinite(one).all() for one in numbers) or artefact.slope.shape != (1,):
        raise ValueError("a number is missing or not finite")
    if len(artefact.gate) != rows or (artefact.gate < 0).any() or not artefact.gate.any():
        raise ValueError("the gate does not fit the features")
    if len(set(artefact.features)) != len(artefact.features) or "" in artefact.features:
        raise ValueError("features are empty or repeated")


def _lines(data: npt.NDArray[np.generic]) -> tuple[str, ...]:
    return tuple(data.tobytes().decode("utf-8").split("\n"))


def _bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
