"""Are the weights in a folder whole and safe to open: safetensors only, none truncated, every shard there."""

import json
import struct
from pathlib import Path
from typing import Any

from configs.bilingual import BilingualError

PICKLE_ENDINGS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".joblib")
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 100_000_000  # the format's own limit, in bytes


class WeightsError(BilingualError):
    """Weights that must not be opened or can't be whole; the message names the file and the mend, in both languages."""


def check_weights(folder: Path) -> int:
    """The total size of the folder's safetensors files, in bytes. Raises WeightsError.

    Refuses pickle files whatever they are called, truncated files, and shards that the index names but are not there.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        refuse_pickle(path)
    weights = [path for path in files if path.suffix == ".safetensors"]
    missing = _shards(folder) - {path.name for path in weights}
    if missing:
        name = min(missing)
        raise WeightsError(
            f"{folder / name}: the index names this file and it is missing; fetch the weights again.",
            "索引文件列出了该权重文件，但文件不存在，请重新下载权重。",
        )
    if not weights:
        raise WeightsError(
            f"{folder}: holds no .safetensors file; convert the weights to safetensors first.",
            "目录中没有 safetensors 权重，请先转换为 safetensors 格式。",
        )
    for path in weights:
        check_safetensors(path)
    return sum(path.stat().st_size for path in weights)


def refuse_pickle(path: Path) -> None:
    """Raise WeightsError for a file that loaders would unpickle: opening one runs whatever code is in it."""
    if path.suffix == ".safetensors":  # its first bytes are a length, and may look like anything
        return
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix in PICKLE_ENDINGS or start.startswith(PICKLE_STARTS):
        raise WeightsError(
            f"{path}: is a pickle file, and opening one can run code; convert it to safetensors and delete it.",
            "该文件是 pickle 格式，加载时可能执行代码，请转换为 safetensors 并删除该文件。",
        )


def check_safetensors(path: Path) -> None:
    """Raise WeightsError unless the file is exactly as long as its own header says.

    Source: the safetensors format, 8 bytes of header length, a JSON header with data offsets, the data.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0] if size >= 8 else LONGEST_HEADER + 1
        if length > min(size - 8, LONGEST_HEADER):
            raise _truncated(path)
        try:
            header = json.loads(file.read(length))
            ends = [int(one["data_offsets"][1]) for name, one in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise _truncated(path) from None
    if size != 8 + length + max(ends, default=0):
        raise _truncated(path)


def _truncated(path: Path) -> WeightsError:
    return WeightsError(
        f"{path}: is truncated or damaged (its header and its length disagree); fetch or build it again.",
        "权重文件被截断或已损坏，请重新下载或生成。",
    )


def _shards(folder: Path) -> set[str]:
    index = folder / INDEX
    if not index.is_file():
        return set()
    try:
        return {str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WeightsError(
            f"{index}: can't be read as an index of weights; fetch it again.", "权重索引文件无法解析，请重新下载。"
        ) from None


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in the folder's safetensors files, from their headers. Raises WeightsError."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        check_safetensors(path)
        shapes |= {name: tuple(one["shape"]) for name, one in tensors_of(path).items()}
    return shapes


def tensors_of(path: Path) -> dict[str, dict[str, Any]]:
    """`dtype`, `shape` and `data_offsets` of each tensor in a safetensors file; its header is not checked."""
    with path.open("rb") as file:
        header: dict[str, dict[str, Any]] = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    return header
