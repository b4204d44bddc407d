"""The worker for nf4 and int8: bitsandbytes through transformers, in the project's own environment."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantize.run.workers.messages import Job, Result
    from quantize.run.workers.talking import seed_everything, serve_one_job
else:  # run as a program, this folder is all that is on the path
    from messages import Job, Result
    from talking import seed_everything, serve_one_job

PACKAGES = ("bitsandbytes", "safetensors", "torch", "transformers")
SETTINGS: dict[str, dict[str, object]] = {
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"},
    "int8": {"load_in_8bit": True},
}


def quantize(job: Job, report: Callable[[str, int, int], None]) -> Result:
    """Weights are quantized while they are loaded, on the GPU if there is one."""
    report("load", 0, 0)
    device = seed_everything(job.seed, threads=None)
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    settings = SETTINGS[job.scheme]
    model: Any = AutoModelForCausalLM.from_pretrained(
        job.base, quantization_config=BitsAndBytesConfig(**settings), dtype="bfloat16", device_map=device
    )
    report("save", 0, 0)
    model.save_pretrained(Path(job.out))
    return Result(device, dict(settings))


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    sys.exit(serve_one_job(quantize, PACKAGES))
