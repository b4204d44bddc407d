"""`opcgate models train-adapter`: progress on the console, errors in both languages, exit codes."""

import json

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.training.errors import TrainingError
from models.training.manifest import AdapterManifest
from models.training.train_adapter import Job, train_adapter


def run_training(job: Job, console: Console, *, as_json: bool = False) -> int:
    """Train with a progress bar; returns the exit code: 0, or 2 for bad input."""
    try:
        manifest = train_with_progress(job, console)
    except TrainingError as error:
        console.print(f"opcgate models train-adapter: {error.en}", markup=False, highlight=False, soft_wrap=True)
        console.print(error.zh, markup=False, highlight=False, soft_wrap=True)
        return 2
    if as_json:
        typer.echo(json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False))
    else:
        console.print(scores_table(manifest))
        console.print(f"written to / 已写入 {job.out}", markup=False, soft_wrap=True)
    return 0


def train_with_progress(job: Job, console: Console) -> AdapterManifest:
    """Train, showing steps, the last losses and the time left. Raises TrainingError."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("training / 训练", total=None)
        shown: dict[str, float] = {}

        def report(step: int, steps: int, loss: float | None, held_out: float | None) -> None:
            shown.update({k: v for k, v in (("loss", loss), ("held-out", held_out)) if v is not None})
            told = ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
            progress.update(bar, completed=step, total=steps, description=f"training / 训练 {told}")
            if held_out is not None and not console.is_terminal:
                console.print(f"step {step} of {steps}: {told}")

        return train_adapter(job, report, lambda text: console.print(text, markup=False, soft_wrap=True))


def scores_table(manifest: AdapterManifest) -> Table:
    """Scores of the base alone beside those with the adapter."""
    table = Table("score / 指标", "base / 基础模型", "adapter / 适配器")
    before, after = manifest.scores["base"].model_dump(), manifest.scores["adapter"].model_dump()
    for name, value in before.items():
        if value is not None:
            table.add_row(name, str(value), str(after[name]))
    return table
