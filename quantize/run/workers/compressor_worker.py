"""The worker for w8a8, w4a16-gptq, w4a16-awq and fp8: llm-compressor, in `.venv-quantize`."""

import json
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

PACKAGES = ("compressed-tensors", "llmcompressor", "safetensors", "torch", "transformers")
Report = Callable[[str, int, int], None]


def quantize(job: Job, report: Report) -> Result:
    """Load, quantize layer by layer, save as compressed-tensors."""
    report("load", 0, 0)
    # Sums over calibration data differ in their last bits with the number of threads, and rounding then differs.
    device = seed_everything(job.seed, threads=1 if job.tokens_file else None)
    import torch
    from llmcompressor import oneshot
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.bfloat16)
    if device == "cpu":
        _leave_memory_unpinned()
    _report_layers(model, report)
    report("quantize", 0, 0)
    # llm-compressor moves each layer to the GPU by itself if there is one.
    oneshot(model=model, recipe=_modifiers(job.scheme), dataset=_batches(job.tokens_file))
    report("save", 0, 0)
    model.save_pretrained(job.out, save_compressed=True)
    return Result(device, _recipe(Path(job.out)))


def _modifiers(scheme: str) -> list[Any]:
    from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier

    where = {"targets": ["Linear"], "ignore": ["lm_head"]}
    if scheme == "w8a8":
        return [GPTQModifier(scheme="W8A8", **where)]
    if scheme == "w4a16-gptq":
        return [GPTQModifier(scheme="W4A16", **where)]
    if scheme == "w4a16-awq":
        return [AWQModifier(), QuantizationModifier(scheme="W4A16_ASYM", **where)]
    if scheme == "fp8":
        return [QuantizationModifier(scheme="FP8_DYNAMIC", **where)]
    raise ValueError(f"this worker has no scheme {scheme}")


def _batches(tokens_file: str | None) -> Any:
    """One row a batch, in the file's order, so that nothing is padded, cut or shuffled."""
    import torch

    if tokens_file is None:
        return None
    rows: Any = [json.loads(line) for line in Path(tokens_file).read_text(encoding="utf-8").splitlines()]

    def collate(batch: list[list[int]]) -> dict[str, Any]:
        ids = torch.tensor(batch)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    return torch.utils.data.DataLoader(rows, batch_size=1, shuffle=False, collate_fn=collate)


def _report_layers(model: Any, report: Report) -> None:
    """Count the layers as the library finishes them: it has no hook for it, so its own callback is wrapped."""
    from llmcompressor.core import LifecycleCallbacks

    total = model.config.num_hidden_layers + 1  # the embeddings and the head come as one step more
    finish = LifecycleCallbacks.sequential_epoch_end
    done = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal done
        result = finish(*arguments, **options)
        done = done % total + 1  # AWQ goes through the layers twice
        report("quantize", done, total)
        return result

    LifecycleCallbacks.sequential_epoch_end = counted


def _leave_memory_unpinned() -> None:
    """AWQ in llm-compressor 0.13 pins memory for the way to an accelerator, and torch refuses where there is none.

    Without an accelerator nothing travels, so nothing needs pinning: results are the same.
    """
    from llmcompressor.pipelines.cache import IntermediatesCache

    IntermediatesCache.pin_memory = lambda *_arguments, **_options: None


def _recipe(out: Path) -> dict[str, object]:
    """The recipe with every default filled in, as the library wrote it; the run writes its own file instead."""
    import yaml

    path = out / "recipe.yaml"
    recipe: dict[str, object] = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.unlink()
    return recipe


if __name__ == "__main__":
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }
    sys.exit(serve_one_job(quantize, PACKAGES))
