"""How much memory an engine needs for a model: weights, KV cache, adapters, activations. All sizes are in bytes."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.weights import tensors_of

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2, "fp8": 1, "auto": 2}
FLOATS = ("F64", "F32", "F16", "BF16")
GIB = 1 << 30
BATCHED_TOKENS = {"cpu": 2048, "cuda": 8192}
SEQUENCES = {"cpu": 128, "cuda": 1024}
"""vLLM's defaults for one step of an API server: how many tokens, of how many requests."""
PROCESSES = {"cpu": round(1.6 * GIB), "cuda": GIB}
"""What the engine itself takes. CPU: its three processes without weights and cache, measured. CUDA: context, graphs."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What one engine needs. `kv_token` is for one token of one request; `activations` and `processes` are margins."""

    weights: int
    kv_token: int
    adapters: int
    activations: int
    processes: int

    def kv_tokens(self, cache_bytes: int, block: int = 16) -> int:
        """How many tokens fit in a cache, in whole blocks, as vLLM counts them."""
        return cache_bytes // (self.kv_token * block) * block if self.kv_token else 0


def needs_of(folder: Path, dtype: str, device: str, lora_rank: int | None) -> Needs:
    """The needs of the weights in a folder, from its config.json and the headers of its files.

    `device` is cpu or cuda; `lora_rank` None is without adapters. Raises ValueError, OSError for what can't be read.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config", config)
    width = _width(config, dtype)
    return Needs(
        weights=_weights(folder, width, stored=bool(config.get("quantization_config"))),
        kv_token=_kv_token(text, width),
        adapters=_adapters(text, width, lora_rank) if lora_rank else 0,
        activations=_activations(text, width, device),
        processes=PROCESSES[device],
    )


def _width(config: dict[str, Any], dtype: str) -> int:
    """Bytes of one number. `auto` is what the config says, and two bytes where that would be four, as vLLM does it."""
    said = str(config.get("dtype") or config.get("torch_dtype") or "auto").removeprefix("torch.")
    return WIDTHS[dtype] if dtype != "auto" else min(2, WIDTHS.get(said, 2))


def _weights(folder: Path, width: int, *, stored: bool) -> int:
    """Quantized weights are held as they are stored; others in the type that the engine computes in."""
    return sum(
        one["data_offsets"][1] - one["data_offsets"][0]
        if stored or one["dtype"] not in FLOATS
        else math.prod(one["shape"]) * width
        for path in sorted(folder.glob("*.safetensors"))
        for one in tensors_of(path).values()
    )


def _kv_token(config: dict[str, Any], width: int) -> int:
    """Keys and values of every layer with attention; 0 for encoders, which keep none."""
    if config.get("model_type") in ("bert", "roberta", "xlm-roberta"):
        return 0
    layers = config["num_hidden_layers"]
    if kinds := config.get("layer_types"):
        layers = sum(1 for one in kinds if "attention" in one and "linear" not in one)
    if latent := config.get("kv_lora_rank"):  # multi-head latent attention keeps one compressed vector for both
        return int(layers * (latent + config["qk_rope_head_dim"]) * width)
    heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    return int(2 * layers * heads * _head(config) * width)


def _head(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _adapters(config: dict[str, Any], width: int, rank: int) -> int:
    """vLLM holds room for one adapter of the largest rank beside every linear layer and the output layer, and as much
    again for the copy it keeps to swap in."""
    hidden, inner = config["hidden_size"], config.get("intermediate_size", 0)
    queries = config["num_attention_heads"] * _head(config)
    keys = (config.get("num_key_value_heads") or config["num_attention_heads"]) * _head(config)
    attention = [(hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden)]
    layer = sum(rank * (into + out) for into, out in [*attention, (hidden, inner), (hidden, inner), (inner, hidden)])
    return int(2 * width * (config["num_hidden_layers"] * layer + 2 * rank * (hidden + config["vocab_size"])))


def _activations(config: dict[str, Any], width: int, device: str) -> int:
    """A margin for one full step: hidden states and the inner layer of every token, and the logits twice in float32."""
    inner = 4 * config["hidden_size"] + 2 * config.get("intermediate_size", 0)
    return int(BATCHED_TOKENS[device] * inner * width + 2 * SEQUENCES[device] * config["vocab_size"] * 4)
