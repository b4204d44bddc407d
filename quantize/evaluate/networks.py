"""Weights loaded through transformers, quantized or not."""

import contextlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantize.evaluate.rows import EvaluationError

FEW_PARAMETERS = 50_000_000


@dataclass(frozen=True, slots=True)
class Network:
    """A tokenizer and its network; `path` says how they were loaded, for the report."""

    tokenizer: Any
    network: Any
    path: str


def load_network(weights: Path) -> Network:
    """A folder's model, on CUDA where there is a GPU, else on the CPU in float32.

    float32 so that only the quantization makes the difference, and not the rounding of the rest.
    Raises EvaluationError when transformers can't load it.
    """
    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    # It says once per layer and call that its inputs are cast.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if gpu else torch.float32
    noise = io.StringIO()
    try:
        with contextlib.redirect_stderr(noise):  # progress bars of compressed-tensors
            tokenizer = transformers.AutoTokenizer.from_pretrained(weights)
            network = transformers.AutoModelForCausalLM.from_pretrained(
                weights, dtype=dtype, use_safetensors=True, device_map="cuda" if gpu else None
            ).eval()
            # The first call unpacks what is packed, and fails here where something for it is missing.
            with torch.inference_mode():
                network(input_ids=torch.zeros((1, 1), dtype=torch.long, device=network.device))
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"{weights.name}: transformers can't load it ({type(error).__name__}: {str(error)[:300]}); "
            "verify the folder with `opcgate models verify`, or quantize again.",
            "transformers 无法加载该模型，请校验目录或重新量化。",
        ) from None
    if network.num_parameters() < FEW_PARAMETERS:
        # Threads that meet in every operation of a small network cost more than they bring.
        torch.set_num_threads(1)
    kind = "CUDA, bfloat16" if gpu else "CPU, float32"
    return Network(tokenizer, network, f"transformers {transformers.__version__}, {kind}")
