"""The example adapter: LoRA on the starter model, for short-drama copy."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.starter.build import ARTEFACTS_DIR
from models.starter.drama import drama_samples
from models.starter.encoding import Encoded, encode_all
from models.starter.training import Schedule, batch_loss, make_batches, train

ADAPTER_DIR = ARTEFACTS_DIR / "adapters" / "short-drama"


@dataclass(frozen=True)
class AdapterRecipe:
    """Size and training settings of the adapter."""

    seed: int = 11
    samples: int = 6000
    held_out: int = 200
    rank: int = 8
    alpha: int = 16
    learning_rate: float = 6e-3
    tokens_per_batch: int = 1536
    shards: int = 2
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def build_adapter(
    recipe: AdapterRecipe, base: Path, out: Path, report: Callable[[int, int, float], None]
) -> dict[str, Any]:
    """Train on the base in `base` and write the adapter into `out`; returns what the manifest says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoTokenizer, Qwen3ForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    started = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(base)
    network = Qwen3ForCausalLM.from_pretrained(base, dtype=torch.float32)
    held_out_samples = list(drama_samples(recipe.seed + 1, recipe.held_out))
    kept_out = {s.prompts for s in held_out_samples}
    samples = (s for s in drama_samples(recipe.seed, recipe.samples) if s.prompts not in kept_out)
    held_out = list(encode_all(tokenizer, held_out_samples, 512))
    data = list(encode_all(tokenizer, samples, 512))
    before = mean_loss(network, held_out, tokenizer.pad_token_id)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=0.0,
        target_modules=list(recipe.targets),
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(network, config)
    train(adapted, data, _schedule(recipe), tokenizer.pad_token_id, report)
    after = mean_loss(adapted, held_out, tokenizer.pad_token_id)
    # A path of this machine would mean nothing elsewhere.
    adapted.peft_config["default"].base_model_name_or_path = "opcgate-starter"
    adapted.to(torch.bfloat16).save_pretrained(out, save_embedding_layers=False)
    return {
        "seed": recipe.seed,
        "base_sha256": hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest(),
        "held_out_loss_base": round(before, 3),
        "held_out_loss_adapter": round(after, 3),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }


def mean_loss(network: Any, data: Sequence[Encoded], pad: int) -> float:
    """The mean loss per batch of the tokens to learn, without training."""
    import random

    import torch

    batches = make_batches(data, 4096, random.Random(0))
    device = next(network.parameters()).device
    with torch.inference_mode():
        return float(sum(batch_loss(network, b, pad, device).item() for b in batches) / len(batches))


def _schedule(recipe: AdapterRecipe) -> Schedule:
    return Schedule(
        tokens_per_batch=recipe.tokens_per_batch,
        learning_rate=recipe.learning_rate,
        embedding_learning_rate=recipe.learning_rate,
        warmup_share=0.05,
        seed=recipe.seed,
        shards=recipe.shards,
    )
