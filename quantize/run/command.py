"""What `opcgate quantize run` shows: a bar per stage, the result, or the error."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from configs.loader import SettingsError, load_catalog, load_settings
from models.stopping import Stopped, signals_stop
from quantize.errors import QuantizeError
from quantize.run.run import Made, Report, Request, quantize_model
from quantize.run.workers.messages import Progress

STAGES = {
    "calibration": "reading calibration data / 读取校准数据",
    "load": "loading / 加载模型",
    "quantize": "quantizing / 量化",
    "save": "saving / 保存",
    "finish": "recipe, card, manifest / 配方、说明与清单",
}


def run_command(config: Path | None, request: Request, *, as_json: bool) -> int:
    """Exit code 0 when the artefact is there, 2 for an error."""
    errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        with signals_stop(), _bars(errors) as report:
            catalog = load_catalog(load_settings(config).catalog)
            made = quantize_model(catalog, request, report)
    except (QuantizeError, SettingsError) as error:
        errors.print(f"opcgate quantize: {error}")
        return 2
    except Stopped:
        errors.print("opcgate quantize: stopped; the same command goes on from the last finished stage.")
        errors.print("已停止；重新运行同一命令将从上一个完成的阶段继续。")
        return 2
    if as_json:
        print(json.dumps(asdict(made) | {"out": str(made.out)}, sort_keys=True))  # noqa: T201 - the answer
    else:
        _show(made, request, Console(soft_wrap=True, markup=False, highlight=False))
    return 0


@contextmanager
def _bars(console: Console) -> Iterator[Report]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def report(progress: Progress) -> None:
            for stage, task in tasks.items():
                if stage != progress.stage:
                    bars.update(task, total=bars.tasks[task].total or 1, completed=bars.tasks[task].total or 1)
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(STAGES.get(progress.stage, progress.stage), total=None)
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total or None)

        yield report
        for task in tasks.values():
            bars.update(task, total=bars.tasks[task].total or 1, completed=bars.tasks[task].total or 1)


def _show(made: Made, request: Request, console: Console) -> None:
    if made.reused:
        console.print(f"{made.out}: is there already and whole / 已存在且完整")
    else:
        again = " (weights from the interrupted run / 沿用中断前的权重)" if made.resumed else ""
        console.print(f"{made.out}: made in {made.seconds:.0f} s on {made.device} / 已生成{again}")
    share = made.bytes / made.base_bytes
    console.print(f"weights / 权重: {made.bytes / 1e6:.1f} MB, {share:.0%} of {made.base_bytes / 1e6:.1f} MB")
    if made.calibration_rows:
        console.print(
            f"calibration / 校准: {made.calibration_rows} rows, {made.calibration_tokens} tokens; "
            f"{made.rows_cut} cut / 截断, {made.rows_duplicate} duplicates left out / 重复并忽略"
        )
    elif request.calibration:
        console.print(f"{made.scheme} uses no calibration data; the file was checked only / 该方案不使用校准数据")
    console.print(f"digest / 摘要: {made.digest}")
    console.print("next / 下一步: opcgate quantize evaluate")
