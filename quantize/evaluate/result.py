"""EVALUATION.json: everything that was fixed before the run, what was measured, and the verdict."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from configs.sections.admission import Bars, TaskKind
from configs.sections.catalog import Digest, Hardware, ModelId, Scheme, Vertical
from configs.strict import Strict
from quantize.evaluate.outputs import ComplianceMeasure
from quantize.evaluate.rows import EvaluationError
from quantize.evaluate.scoring import TaskMeasure
from quantize.evaluate.speed import Serving
from quantize.evaluate.statistics import Paired
from quantize.evaluate.text import TextMeasure
from quantize.evaluate.verdict import Measured, Verdict

RESULT = "EVALUATION.json"
PAGE = "EVALUATION.html"


class DataRef(Strict):
    """A table that was measured on. `rows` were used."""

    use: Literal["text", "tasks", "harmful", "ordinary"]
    name: str
    sha256: Digest
    rows: int


class Plan(Strict):
    """What was fixed before anything was measured: the weights, the data, the bars."""

    model: ModelId
    scheme: Scheme
    vertical: Vertical | None
    artefact: Digest
    base: Digest
    data: tuple[DataRef, ...]
    kinds: tuple[TaskKind, ...]
    longest_answer_tokens: int
    admission_file: Digest
    bars: Bars
    quick: bool


class Size(Strict):
    """Bytes of the weights on disk."""

    base_bytes: int
    variant_bytes: int


class Machine(Strict):
    """Where it was measured."""

    hardware: Hardware
    processor: str
    cores: int
    memory_gib: float
    gpu: str | None


class LmEvalTask(Strict):
    """One task's first metric, by lm-eval on both engines."""

    task: str
    metric: str
    base: float
    variant: float


class Evaluation(Strict):
    """One comparison of an artefact with its base. `answers_path` says what wrote the answers; timings are seconds.

    `plan_sha256` is that of the plan as JSON, which was printed before the run.
    """

    format: Literal[1] = 1
    plan: Plan
    plan_sha256: Digest
    text: TextMeasure
    answers_path: str
    tasks: tuple[TaskMeasure, ...]
    refusals: Paired
    over_refusals: Paired
    compliance: ComplianceMeasure
    size: Size
    serving: Serving | None
    lm_eval: tuple[LmEvalTask, ...] = ()
    measured: Measured
    verdict: Verdict
    seconds: dict[str, float]
    machine: Machine
    date: str
    tools: dict[str, str]


def read_evaluation(path: Path) -> Evaluation:
    """An EVALUATION.json, or the one in a folder. Raises EvaluationError."""
    file = path / RESULT if path.is_dir() else path
    try:
        return Evaluation.model_validate_json(file.read_bytes())
    except OSError as error:
        raise EvaluationError(
            f"{file}: can't be read ({error.strerror}); run `opcgate quantize evaluate` first.",
            "找不到评估结果，请先运行 `opcgate quantize evaluate`。",
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise EvaluationError(
            f"{file}: {where}: {first['msg']}; evaluate again rather than edit it.", "评估结果不合规范，请重新评估。"
        ) from None
