"""Every number of the starter model in one place."""

import hashlib
import json
from dataclasses import asdict, dataclass

from models.starter.corpus import samples
from models.starter.polish import polish_samples


@dataclass(frozen=True)
class Recipe:
    """Sizes and training settings; together with the generator's files they determine the result."""

    seed: int = 7
    samples: int = 45_000
    drills: int = 4_000
    first_stage_batches: int = 1200
    second_stage_samples: int = 16_000
    second_stage_rate_share: float = 0.35
    tokenizer_samples: int = 30_000
    vocabulary: int = 8000
    hidden: int = 256
    layers: int = 4
    feed_forward: int = 768
    heads: int = 4
    key_value_heads: int = 4
    head_size: int = 64
    copying_heads: bool = True
    context: int = 2048
    longest_sample: int = 400
    tokens_per_batch: int = 3072
    learning_rate: float = 3e-3
    embedding_learning_rate: float = 1.5e-3
    warmup_share: float = 0.03
    shards: int = 2

    def digest(self) -> str:
        """One hash over these settings and the beginning of the text they generate."""
        total = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        for sample in (*samples(self.seed, 2000), *polish_samples(self.seed + 2, 2000)):
            total.update(repr(sample).encode())
        return total.hexdigest()
