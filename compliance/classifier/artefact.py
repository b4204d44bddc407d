"""The classifier's file: n-grams, sparse weights, thresholds and calibration, as safetensors.

Weights are stored by n-gram (compressed sparse rows): 16-bit numbers, rounded before anything was measured.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from compliance.verdict import RulesError

SHIPPED = Path(__file__).parent / "risks.safetensors"

_DTYPES = {
    "features": np.uint8,
    "starts": np.uint32,
    "columns": np.uint8,
    "values": np.float16,
    "gate": np.float32,
    "bias": np.float32,
    "threshold": np.float32,
    "slope": np.float32,
    "offset": np.float32,
    "risks": np.uint8,
}

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Artefact:
    """One classifier. `threshold` and `bias` are log-odds before calibration; `digest` is the file's SHA-256.

    `gate` is what each n-gram adds to the screening sum, which opens the gate at 1.
    """

    risks: tuple[str, ...]
    features: tuple[str, ...]
    starts: npt.NDArray[np.uint32]
    columns: npt.NDArray[np.uint8]
    values: npt.NDArray[np.float16]
    gate: Floats
    bias: Floats
    threshold: Floats
    slope: Floats
    offset: Floats
    digest: str = ""

    def weights(self) -> Floats:
        """The weights as a full matrix, n-grams by risks."""
        full = np.zeros((len(self.features), len(self.risks)), np.float32)
        rows = np.repeat(np.arange(len(self.features)), np.diff(self.starts.astype(np.int64)))
        full[rows, self.columns] = self.values
        return full


def sparse(risks: tuple[str, ...], features: list[str], weights: Floats, bias: Floats, least: float) -> Artefact:
    """Weights as they will be stored: those below `least` dropped.

    The gate is shut, thresholds are out of reach and scores uncalibrated until they have been chosen.
    """
    kept = np.abs(weights) >= least
    return Artefact(
        risks=risks,
        features=tuple(features),
        starts=np.concatenate(([0], np.cumsum(kept.sum(axis=1)))).astype(np.uint32),
        columns=np.nonzero(kept)[1].astype(np.uint8),
        values=weights[kept].astype(np.float16),
        gate=np.zeros(len(features)),
        bias=bias.astype(np.float64),
        threshold=np.full(len(risks), 1e6),
        slope=np.ones(len(risks)),
        offset=np.zeros(len(risks)),
    )


def without_idle_features(artefact: Artefact) -> Artefact:
    """The same classifier without n-grams that have neither a weight nor a part in the gate."""
    sizes = np.diff(artefact.starts.astype(np.int64))
    used = np.flatnonzero((sizes > 0) | (artefact.gate > 0))
    return replace(
        artefact,
        features=tuple(artefact.features[i] for i in used),
        starts=np.concatenate(([0], np.cumsum(sizes[used]))).astype(np.uint32),
        gate=artefact.gate[used],
    )


def write_artefact(path: Path, artefact: Artefact) -> str:
    """Write the file; return its SHA-256."""
    data = save(
        {
            "features": _bytes("\n".join(artefact.features)),
            "risks": _bytes("\n".join(artefact.risks)),
            "starts": artefact.starts,
            "columns": artefact.columns,
            "values": artefact.values,
            **{
                name: getattr(artefact, name).astype(np.float32)
                for name in ("gate", "bias", "threshold", "slope", "offset")
            },
        },
        metadata={"kind": "opcgate-risk-classifier 1"},  # one entry: the library writes several in any order
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
        if tensors[name].dtype != dtype or tensors[name].ndim != 1:
            raise ValueError(f"{name} is not a row of {np.dtype(dtype)}")
    artefact = Artefact(
        risks=_lines(tensors["risks"]),
        features=_lines(tensors["features"]),
        starts=tensors["starts"].astype(np.uint32),
        columns=tensors["columns"].astype(np.uint8),
        values=tensors["values"].astype(np.float16),
        gate=tensors["gate"].astype(np.float64),
        bias=tensors["bias"].astype(np.float64),
        threshold=tensors["threshold"].astype(np.float64),
        slope=tensors["slope"].astype(np.float64),
        offset=tensors["offset"].astype(np.float64),
        digest=digest,
    )
    _check(artefact)
    return artefact


def _check(artefact: Artefact) -> None:
    starts = artefact.starts.astype(np.int64)
    numbers = (artefact.bias, artefact.threshold, artefact.slope, artefact.offset)
    if len(starts) != len(artefact.features) + 1 or starts[0] != 0 or (np.diff(starts) < 0).any():
        raise ValueError("starts do not fit the features")
    if len(artefact.columns) != starts[-1] or len(artefact.values) != starts[-1]:
        raise ValueError("columns and values do not fit starts")
    if any(len(one) != len(artefact.risks) for one in numbers) or (artefact.columns >= len(artefact.risks)).any():
        raise ValueError("the numbers do not fit the risks")
    if not all(np.isfinite(one).all() for one in (*numbers, artefact.values, artefact.gate)):
        raise ValueError("a number is not finite")
    if len(artefact.gate) != len(artefact.features) or (artefact.gate < 0).any() or not artefact.gate.any():
        raise ValueError("the gate does not fit the features")
    if len(set(artefact.features)) != len(artefact.features) or "" in artefact.features:
        raise ValueError("features are empty or repeated")


def _lines(data: npt.NDArray[np.generic]) -> tuple[str, ...]:
    return tuple(data.tobytes().decode("utf-8").split("\n"))


def _bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
