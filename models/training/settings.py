"""Every number of a training run in one place."""

from typing import Literal

from pydantic import Field

from configs.sections.catalog import Vertical
from configs.strict import Strict


class TrainSettings(Strict):
    """How an adapter is trained; with the data and the base it determines the result.

    `batch_tokens` counts padding too. `eval_every` is in steps; `patience` counts evaluations without a better loss
    before training stops.
    """

    method: Literal["lora", "qlora"] = "lora"
    rank: int = Field(8, ge=1)
    alpha: int = Field(16, ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    epochs: int = Field(3, ge=1)
    batch_tokens: int = Field(4096, ge=64)
    seed: int = Field(7, ge=0)
    target_modules: tuple[str, ...] = ()
    patience: int = Field(3, ge=1)
    eval_every: int = Field(50, ge=1)
    vertical: Vertical | None = None
