"""The base of every settings model."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of every settings model: frozen, and a misspelt key is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
