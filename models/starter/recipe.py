"""Every number of the starter model in one place."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace

from models.starter.balance import balanced_samples
from models.starter.chat import Sample
from models.starter.corpus import samples
from models.starter.polish import final_samples, polish_samples


@dataclass(frozen=True)
class Recipe:
    """Sizes and training settings; together with the generator's files they determine the result."""

    seed: int = 7
    samples: int = 45_000
    drills: int = 4_000
    first_stage_batches: int = 1200
    second_stage_samples: int = 24_000
    second_stage_rate_share: float = 0.35
    third_stage_samples: int = 32_000
    third_stage_rate_share: float = 0.5
    fourth_stage_samples: int = 14_000
    fourth_stage_any_word_samples: int = 16_000
    fourth_stage_rate_share: float = 0.7
    fifth_stage_samples: int = 19_000
    fifth_stage_any_word_samples: int = 1_500
    fifth_stage_rate_share: float = 0.6
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

    def at_most(self, samples: int) -> "Recipe":
        """The same recipe with no stage larger than this: quick to run, and not good for much."""
        names = [f.name for f in fields(self) if f.name == "samples" or f.name.endswith("_samples")]
        return replace(self, **{name: min(samples, getattr(self, name)) for name in names})

    @property
    def conversations(self) -> int:
        """How many conversations the weights were trained on, drills left out."""
        later = self.second_stage_samples + self.third_stage_samples + self.fourth_stage_samples
        last = self.fourth_stage_any_word_samples + self.fifth_stage_samples + self.fifth_stage_any_word_samples
        return self.samples + later + last

    def digest(self) -> str:
        """One hash over these settings and the beginning of the text they generate."""
        total = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        for sample in _beginning(self.seed):
            total.update(repr(sample).encode())
        return total.hexdigest()


def _beginning(seed: int) -> tuple[Sample, ...]:
    return (
        *samples(seed, 1000),
        *polish_samples(seed + 2, 1000),
        *final_samples(seed + 3, 1000),
        *balanced_samples(seed + 5, 1000),
    )
