"""`opcgate quantize …`: make quantized variants of a catalog model, measure them, admit them."""

from pathlib import Path
from typing import Annotated

import typer

quantize = typer.Typer(
    no_args_is_help=True, help="Quantize a model, measure the result, admit it. / 量化、评估与准入。"
)

ConfigPath = Annotated[
    Path | None, typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml.")
]
Model = Annotated[str, typer.Option("--model", help="Catalog id of the unquantized model. / 目录中的模型 id。")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object. / 输出 JSON。")]


@quantize.callback()
def _quantize() -> None:
    """Quantized variants of a catalog model. / 目录模型的量化版本。"""


@quantize.command("run")
def run(
    model: Model,
    scheme: Annotated[str, typer.Option(help="nf4, int8, w8a8, w4a16-gptq, w4a16-awq or fp8.")],
    calibration: Annotated[
        Path | None, typer.Option(help="JSONL of chats or texts; w8a8 and w4a16 need one. / 校准数据文件。")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to make; default .state/quantized/<model>-<scheme>. / 输出目录。")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes. / 随机种子。")] = 7,
    rows: Annotated[int | None, typer.Option(min=1, help="Use only the first rows. / 仅使用前若干条数据。")] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Quantize a model into an artefact folder; an interrupted run goes on where it was. / 量化模型，可断点续跑。"""
    from quantize.run.command import run_command
    from quantize.run.run import Request

    out = out or Path(".state") / "quantized" / f"{model.replace('/', '--')}-{scheme}"
    raise typer.Exit(run_command(config, Request(model, scheme, out, calibration, seed, rows), as_json=as_json))


@quantize.command("calibration")
def calibration(
    out: Annotated[Path, typer.Option(help="JSONL file to write. / 输出文件。")],
    model: Model = "opc-starter",
    rows: Annotated[int, typer.Option(min=32, max=5000, help="How many chats. / 对话条数。")] = 256,
) -> None:
    """Write calibration data for the starter model, from its own recipe. / 为起步模型生成校准数据。"""
    from quantize.calibration.starter import write_starter_calibration

    if model != "opc-starter":
        typer.echo(
            f"opcgate quantize: '{model}' has no recipe to generate data from, only opc-starter has; "
            "write a JSONL file of chats (docs/quantization.md).\n"
            "只有 opc-starter 能自动生成校准数据，请自备 JSONL 对话文件。",
            err=True,
        )
        raise typer.Exit(2)
    try:
        write_starter_calibration(out, rows)
    except OSError as error:
        typer.echo(f"opcgate quantize: {out}: can't be written ({error.strerror}). / 无法写入。", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{out}: {rows} chats / {rows} 条对话")


@quantize.command("evaluate")
def evaluate(
    artefact: Annotated[Path, typer.Option(help="Folder that `opcgate quantize run` made. / 量化产物目录。")],
    model: Annotated[str | None, typer.Option(help="The base's catalog id, to be sure. / 核对基础模型 id。")] = None,
    data: Annotated[Path | None, typer.Option(help="Held-out chats, JSONL. / 留出对话。")] = None,
    admission: Annotated[
        Path | None, typer.Option(help="Bars and tables; default configs/admission.yaml. / 门槛与数据配置。")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few rows of each table, no verdict. / 快查。")] = False,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Start no engines. / 不启动推理引擎。")] = False,
    admit: Annotated[bool, typer.Option("--admit", help="Put it into the catalog if it clears. / 准入。")] = False,
    out: Annotated[Path | None, typer.Option(help="The result's folder; default the artefact's. / 结果目录。")] = None,
    lm_eval: Annotated[str | None, typer.Option(help="lm-eval tasks, by commas. / lm-eval 任务，逗号分隔。")] = None,
    lm_eval_include: Annotated[Path | None, typer.Option(help="Folder of own lm-eval tasks. / 自有任务目录。")] = None,
    lm_eval_limit: Annotated[int | None, typer.Option(min=1, help="Rows per lm-eval task. / 每个任务的条数。")] = None,
    lm_eval_online: Annotated[bool, typer.Option("--lm-eval-online", help="lm-eval may fetch data. / 联网。")] = False,
    limit_minutes: Annotated[float, typer.Option(min=0.1, help="Give up after that. / 时限（分钟）。")] = 60.0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Compare an artefact with its unquantized base; exit 0: clears every bar, 1: not, 2: error. / 评估量化产物。"""
    from quantize.evaluate.command import Request, evaluate_command, lm_eval_of

    tasks = lm_eval_of(lm_eval, lm_eval_include, lm_eval_limit, online=lm_eval_online)
    request = Request(
        artefact, model, data, admission, quick, not no_serve, admit, out, lm_eval=tasks, limit_minutes=limit_minutes
    )
    raise typer.Exit(evaluate_command(config, request, as_json=as_json))


@quantize.command("report")
def report(
    evaluations: Annotated[list[Path], typer.Argument(help="Folders with EVALUATION.json, or such files. / 结果。")],
    out: Annotated[Path, typer.Option(help="HTML file to write; JSON goes beside it. / 输出 HTML，旁附 JSON。")],
    as_json: AsJson = False,
) -> None:
    """Put evaluated schemes side by side on one page that needs no network. / 各量化方案并排对比。"""
    from quantize.report.command import report_command

    raise typer.Exit(report_command(evaluations, out, as_json=as_json))
