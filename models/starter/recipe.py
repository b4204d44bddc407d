"""Every number of the starter model in one place."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recipe:
    """Sizes and training settings; together with the generator's files they determine the result."""

    seed: int = 7
    samples: int = 60_000
    tokenizer_samples: int = 30_000
    vocabulary: int = 8000
    hidden: int = 256
    layers: int = 6
    feed_forward: int = 704
    heads: int = 6
    key_value_heads: int = 2
    head_size: int = 64
    context: int = 2048
    longest_sample: int = 400
    tokens_per_batch: int = 4096
    learning_rate: float = 2e-3
    embedding_learning_rate: float = 3e-3
    warmup_share: float = 0.03
    threads: int = 2

    def digest(self) -> str:
        """One hash over these settings and the files of the recipe."""
        here = Path(__file__).parent
        total = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        for path in sorted([*here.glob("*.py"), *here.glob("*.jinja"), *here.glob("data/*.yaml")]):
            total.update(path.name.encode() + path.read_bytes())
        return total.hexdigest()
