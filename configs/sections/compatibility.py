"""The compatibility matrix: which quantization scheme vLLM serves on which hardware, with and without adapters."""

import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from configs.sections.catalog import Hardware, Scheme
from configs.strict import Strict


def _as_written(value: object) -> object:
    """YAML reads a bare yes or no as a truth value."""
    return ("yes" if value else "no") if isinstance(value, bool) else value


Outcome = Annotated[Literal["yes", "no", "not run"], BeforeValidator(_as_written)]


class RunSettings(Strict):
    """The run that an outcome comes from: day, engine, and the machine or its kernels."""

    date: datetime.date
    engine: str
    machine: str


class CompatibilityRow(Strict):
    """One scheme on one kind of hardware. `scheme` none is unquantized weights.

    `why_en` and `why_zh` say why something doesn't work, or what is known of what was not run. The compute
    capabilities are NVIDIA's: the least that the engine accepts, and the least that has kernels of the scheme's own.
    """

    scheme: Scheme | Literal["none"]
    hardware: Hardware
    serves: Outcome
    adapters: Outcome
    why_en: str = ""
    why_zh: str = ""
    ran: RunSettings | None = None
    least_compute_capability: float | None = Field(None, gt=0)
    native_compute_capability: float | None = Field(None, gt=0)

    def model_post_init(self, _context: object) -> None:
        outcomes = {self.serves, self.adapters}
        if "no" in outcomes and not (self.why_en and self.why_zh):
            raise ValueError("why_en, why_zh: say why it doesn't work")
        if self.ran is None and outcomes != {"not run"}:
            raise ValueError("ran: name the run that this outcome comes from, or write not run")
        if self.serves == "no" and self.adapters == "yes":
            raise ValueError("adapters: what isn't served carries none")


class CompatibilitySettings(Strict):
    """The matrix file."""

    rows: tuple[CompatibilityRow, ...] = Field(min_length=1)

    @field_validator("rows")
    @classmethod
    def _one_for_each_pair(cls, rows: tuple[CompatibilityRow, ...]) -> tuple[CompatibilityRow, ...]:
        pairs = [(one.scheme, one.hardware) for one in rows]
        doubled = sorted(
            {f"{scheme} on {hardware}" for scheme, hardware in pairs if pairs.count((scheme, hardware)) > 1}
        )
        if doubled:
            raise ValueError(f"given twice: {', '.join(doubled)}")
        return rows
