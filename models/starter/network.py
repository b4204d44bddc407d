"""The network: a small Qwen3 with fresh weights."""

from typing import Any

from models.starter.copying import lay_copying_heads
from models.starter.recipe import Recipe


def new_network(recipe: Recipe, tokenizer: Any) -> Any:
    """A `Qwen3ForCausalLM` of the recipe's size, seeded."""
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(recipe.seed)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    config = Qwen3Config(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        head_dim=recipe.head_size,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        eos_token_id=end,
        pad_token_id=pad,
        bos_token_id=None,
    )
    network = Qwen3ForCausalLM(config)
    # Faster than the fused kernel on a CPU with sequences this short.
    network.set_attn_implementation("eager")
    if recipe.copying_heads:
        lay_copying_heads(network, recipe.seed)
    network.generation_config = GenerationConfig(eos_token_id=[end, pad], pad_token_id=pad, do_sample=False)
    return network
