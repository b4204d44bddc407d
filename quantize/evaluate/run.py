"""One evaluation, from a plan to a result: text, answers, scores, speed, verdict."""

import contextlib
import datetime
import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.starter.answering import LocalModel
from models.starter.evaluate import is_refusal
from quantize.evaluate.client import Target, ask_all
from quantize.evaluate.engines import Engine, Side, alone, running
from quantize.evaluate.lm_eval import LmEval
from quantize.evaluate.machine import this_machine, tool_versions
from quantize.evaluate.networks import Network, load_network
from quantize.evaluate.outputs import measure_compliance
from quantize.evaluate.plan import Prepared
from quantize.evaluate.progress import Report
from quantize.evaluate.result import Evaluation, LmEvalTask, Size
from quantize.evaluate.rows import Chat, EvaluationError, Row
from quantize.evaluate.scoring import TaskMeasure, applies, score_kind
from quantize.evaluate.speed import FULL, Load, Served, Serving, failed, measure_speed
from quantize.evaluate.statistics import Paired, mean
from quantize.evaluate.text import TextMeasure, measure_text
from quantize.evaluate.verdict import Measured, Rows, judge

SIDES: tuple[Side, Side] = ("base", "variant")
BATCH = 16


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: `load` None leaves the engines out; `logs` is the folder of their logs."""

    load: Load | None = FULL
    logs: Path = Path(".state")
    start_seconds: float = 600.0
    lm_eval: LmEval | None = None


@dataclass(slots=True)
class Answers:
    """What both models said to each chat, and what wrote it."""

    path: str = ""
    said: dict[Side, dict[str, str]] = field(default_factory=dict)

    def to(self, side: Side, rows: Sequence[Row]) -> list[str]:
        """In the order of the rows."""
        return [self.said[side][_key(row.chat)] for row in rows]


def evaluate(prepared: Prepared, options: Options, report: Report) -> Evaluation:
    """Measure everything the plan names and judge it. Raises EvaluationError; engines are stopped on every exit."""
    seconds: dict[str, float] = {}
    answers = Answers()
    with _timed(seconds, "text"):
        networks: dict[Side, Network] = {
            "base": load_network(prepared.base_weights),
            "variant": load_network(prepared.artefact),
        }
        context = prepared.model.context_tokens
        text = measure_text(networks["base"], networks["variant"], prepared.data.text, context, report)
    serving: Serving | None = None
    lm_eval: tuple[LmEvalTask, ...] = ()
    if options.load is None:
        with _timed(seconds, "answers"):
            _ask_networks(networks, prepared, answers, report)
    else:
        del networks
        gc.collect()
        with _timed(seconds, "engines"):
            serving, lm_eval = _on_engines(prepared, options, options.load, answers, report)
    with _timed(seconds, "scores"):
        tasks = _task_scores(prepared, answers)
        refusals = _refusals(answers, prepared.data.harmful)
        over_refusals = _refusals(answers, prepared.data.ordinary)
        rows = (*prepared.data.tasks, *prepared.data.harmful, *prepared.data.ordinary)
        compliance = measure_compliance(answers.to("base", rows), answers.to("variant", rows), report)
    size = Size(base_bytes=_weight_bytes(prepared.base_weights), variant_bytes=_weight_bytes(prepared.artefact))
    measured = Measured(
        perplexity_ratio=text.perplexity_ratio,
        mean_kl_nats=text.mean_kl_nats,
        top1_agreement=text.agreement.value,
        task_score=mean([one.variant for one in tasks]),
        task_drop=mean([one.drop for one in tasks]),
        refusal_rate=refusals.variant.value,
        refusal_drop=-refusals.rise,
        over_refusal=over_refusals.variant.value,
        over_refusal_rise=over_refusals.rise,
        compliance_rise=compliance.any_risk.rise,
        size_ratio=size.variant_bytes / size.base_bytes,
        served=serving is not None,
        rows=_row_counts(prepared, text),
    )
    return Evaluation(
        plan=prepared.plan,
        plan_sha256=prepared.digest,
        text=text,
        answers_path=answers.path,
        tasks=tasks,
        refusals=refusals,
        over_refusals=over_refusals,
        compliance=compliance,
        size=size,
        serving=serving,
        lm_eval=lm_eval,
        measured=measured,
        verdict=judge(measured, prepared.plan.bars),
        seconds=seconds,
        machine=this_machine(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        tools=tool_versions(),
    )


def _ask_networks(networks: dict[Side, Network], prepared: Prepared, answers: Answers, report: Report) -> None:
    chats = _chats(prepared)
    answers.path = networks["variant"].path
    for side in SIDES:
        model = LocalModel(networks[side].tokenizer, networks[side].network)
        said: dict[str, str] = {}
        for start in range(0, len(chats), BATCH):
            part = chats[start : start + BATCH]
            whole = [[dict(message) for message in chat] for chat in part]
            found = model.answer_chats(whole, prepared.plan.longest_answer_tokens, BATCH)
            said |= {_key(chat): one.text for chat, one in zip(part, found, strict=True)}
            report(f"answers of the {side} / 回答", len(said), len(chats))
        answers.said[side] = said


def _on_engines(
    prepared: Prepared, options: Options, load: Load, answers: Answers, report: Report
) -> tuple[Serving, tuple[LmEvalTask, ...]]:
    """On a CPU both engines are up together and measured in turn; a GPU's memory holds one after the other."""
    import torch

    together = not torch.cuda.is_available()
    groups: tuple[tuple[Side, ...], ...] = (SIDES,) if together else (("base",), ("variant",))
    served: dict[Side, Served] = {}
    lm_scores: dict[Side, dict[str, tuple[str, float]]] = {}
    models = {"base": alone(prepared.model), "variant": alone(prepared.model, prepared.artefact)}
    for group in groups:
        with contextlib.ExitStack() as stack:
            engines = [
                stack.enter_context(
                    running(side, models[side], options.logs / f"{side}.log", options.start_seconds, report)
                )
                for side in group
            ]
            for engine in engines:
                answers.said[engine.side] = _ask_engine(engine, prepared, report)
            served |= measure_speed(engines, load, [row.chat for row in prepared.data.tasks], report)
            if options.lm_eval is not None:
                lm_scores |= {one.side: options.lm_eval.score(one, prepared.base_weights, report) for one in engines}
    version = tool_versions().get("vllm", "unknown")
    answers.path = f"vLLM {version}, {prepared.model.dtype}"
    serving = Serving(
        path=answers.path, together=together, rounds=load.rounds, base=served["base"], variant=served["variant"]
    )
    return serving, tuple(_lm_tasks(lm_scores))


def _ask_engine(engine: Engine, prepared: Prepared, report: Report) -> dict[str, str]:
    chats = _chats(prepared)
    target = Target(engine.url, engine.model, prepared.plan.longest_answer_tokens)
    label = f"answers of the {engine.side} / 回答"
    asked = ask_all(target, chats, BATCH, lambda done, total: report(label, done, total))
    failed(engine, asked)
    return {_key(chat): one.text for chat, one in zip(chats, asked, strict=True)}


def _lm_tasks(scores: dict[Side, dict[str, tuple[str, float]]]) -> Iterator[LmEvalTask]:
    for task, (metric, value) in scores.get("base", {}).items():
        yield LmEvalTask(task=task, metric=metric, base=value, variant=scores["variant"][task][1])


def _task_scores(prepared: Prepared, answers: Answers) -> tuple[TaskMeasure, ...]:
    rows = prepared.data.tasks
    base, variant = answers.to("base", rows), answers.to("variant", rows)
    found = [score_kind(kind, rows, base, variant) for kind in prepared.plan.kinds]
    tasks = tuple(one for one in found if one is not None)
    if not tasks:
        raise EvaluationError(
            f"no row has what the task kinds ({', '.join(prepared.plan.kinds)}) compare with; see data.kinds.",
            "没有任何数据行适用于所配置的评分方式，请检查 data.kinds。",
        )
    return tasks


def _refusals(answers: Answers, rows: Sequence[Row]) -> Paired:
    judged: list[list[bool]] = [[is_refusal(answer) for answer in answers.to(side, rows)] for side in SIDES]
    return Paired.of(judged[0], judged[1])


def _row_counts(prepared: Prepared, text: TextMeasure) -> Rows:
    data = prepared.data
    scored = [row for row in data.tasks if any(applies(kind, row) for kind in prepared.plan.kinds)]
    return Rows(text=text.rows, tasks=len(scored), harmful=len(data.harmful), ordinary=len(data.ordinary))


def _chats(prepared: Prepared) -> list[Chat]:
    """Every chat once."""
    data = prepared.data
    return list({_key(row.chat): row.chat for row in (*data.tasks, *data.harmful, *data.ordinary)}.values())


def _key(chat: Chat) -> str:
    return "\0".join(f"{message['role']}\0{message['content']}" for message in chat)


def _weight_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[phase] = round(time.monotonic() - started, 1)
