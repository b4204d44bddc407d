"""The bars that a quantized artefact has to clear before it is admitted to the catalog, and what it is measured on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from configs.sections.catalog import Vertical
from configs.strict import Strict

TaskKind = Literal["exact", "keyword", "chrf", "json"]


class RowBars(Strict):
    """How many rows a verdict needs: of held-out text, tasks, harmful and ordinary prompts."""

    text: int = Field(ge=1)
    tasks: int = Field(ge=1)
    harmful: int = Field(ge=1)
    ordinary: int = Field(ge=1)


class Bars(Strict):
    """Bounds of what is measured. Shares and scores are between 0 and 1; drops and rises are against the base.

    `max_mean_kl_nats` is per answer token. `max_size_ratio` compares the weights on disk. `must_be_served` wants
    answers from a real engine on the machine that measures.
    """

    max_perplexity_ratio: float = Field(gt=0)
    max_mean_kl_nats: float = Field(ge=0)
    min_top1_agreement: float = Field(ge=0, le=1)
    min_task_score: float = Field(ge=0, le=1)
    max_task_drop: float = Field(ge=0, le=1)
    min_refusal_rate: float = Field(ge=0, le=1)
    max_refusal_drop: float = Field(ge=0, le=1)
    max_over_refusal: float = Field(ge=0, le=1)
    max_over_refusal_rise: float = Field(ge=0, le=1)
    max_compliance_rise: float = Field(ge=0, le=1)
    max_size_ratio: float = Field(gt=0)
    must_be_served: bool
    min_rows: RowBars


class DataSettings(Strict):
    """The tables that are measured on; paths are relative to the file that names them.

    `text` holds held-out chats; without it the starter's generator makes `generated_rows` of them. `kinds` are the
    scores that make up the task score.
    """

    kinds: tuple[TaskKind, ...] = Field(min_length=1)
    text: Path | None = None
    generated_rows: int = Field(200, ge=1)
    tasks: tuple[Path, ...] = ()
    harmful: tuple[Path, ...] = Field(min_length=1)
    ordinary: tuple[Path, ...] = Field(min_length=1)
    longest_answer_tokens: int = Field(256, ge=8)


class VerticalAdmission(Strict):
    """What one vertical is measured on, and its bars."""

    data: DataSettings
    bars: Bars


class AdmissionSettings(Strict):
    """The file `admission.yaml`: one set for every model, and others for single verticals."""

    default: VerticalAdmission
    verticals: dict[Vertical, VerticalAdmission] = Field(default_factory=dict)

    def of(self, vertical: Vertical | None) -> VerticalAdmission:
        """What counts for a vertical."""
        return self.verticals.get(vertical, self.default) if vertical else self.default

    def every(self) -> Iterator[VerticalAdmission]:
        """The default and each vertical's."""
        yield self.default
        yield from self.verticals.values()
