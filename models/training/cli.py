"""The options of `opcgate models train-adapter` (docs/adapters.md)."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import typer

from configs.sections.catalog import Vertical


class Method(StrEnum):
    """Adapter on the base as it is, or on the base in 4 bits."""

    lora = "lora"
    qlora = "qlora"


def train_adapter(
    model: Annotated[str, typer.Option(help="Base: a catalog id or a model's folder. / 基础模型。")],
    data: Annotated[Path, typer.Option(help="Chats, one per line of a JSONL file. / 训练对话。")],
    out: Annotated[Path, typer.Option(help="Folder for the adapter. / 输出目录。")],
    held_out: Annotated[
        Path | None, typer.Option(help="Chats to measure on; a tenth of the data if absent. / 评估对话。")
    ] = None,
    method: Annotated[Method, typer.Option(help="qlora holds the base in 4 bits. / 训练方法。")] = Method.lora,
    rank: Annotated[int, typer.Option(min=1, help="LoRA rank, at most the base's max_lora_rank. / 秩。")] = 8,
    alpha: Annotated[int, typer.Option(min=1, help="LoRA scale. / 缩放系数。")] = 16,
    learning_rate: Annotated[float, typer.Option(min=1e-8, max=1.0, help="At its highest. / 学习率。")] = 2e-4,
    epochs: Annotated[int, typer.Option(min=1, help="Times through the data at most. / 最多轮数。")] = 3,
    batch_tokens: Annotated[int, typer.Option(min=64, help="Tokens per step, padding too. / 每步 token 数。")] = 4096,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same kind of machine: same result. / 随机种子。")] = 7,
    target_modules: Annotated[
        str, typer.Option(help="Comma-separated; the usual linear layers if empty. / 目标模块，逗号分隔。")
    ] = "",
    patience: Annotated[
        int, typer.Option(min=1, help="Evaluations without progress before stopping. / 早停耐心。")
    ] = 3,
    eval_every: Annotated[int, typer.Option(min=1, help="Steps between evaluations. / 评估间隔步数。")] = 50,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run. / 继续中断的训练。")] = False,
    vertical: Annotated[str | None, typer.Option(help="Vertical that the card names. / 垂直领域。")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file, for the catalog. / 配置文件。")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest. / 输出 JSON。")] = False,
) -> None:
    """Train a LoRA adapter on chats; score it beside its base; write card and manifest. / 训练 LoRA 适配器。"""
    from rich.console import Console

    from models.training.commands import run_training
    from models.training.settings import TrainSettings
    from models.training.train_adapter import Job

    if vertical is not None and vertical not in get_args(Vertical):
        raise typer.BadParameter(f"use one of {', '.join(get_args(Vertical))}", param_hint="--vertical")
    settings = TrainSettings.model_validate(
        {
            "method": method.value,
            "rank": rank,
            "alpha": alpha,
            "learning_rate": learning_rate,
            "epochs": epochs,
            "batch_tokens": batch_tokens,
            "seed": seed,
            "target_modules": tuple(one.strip() for one in target_modules.split(",") if one.strip()),
            "patience": patience,
            "eval_every": eval_every,
            "vertical": vertical,
        }
    )
    job = Job(model=model, data=data, held_out=held_out, out=out, settings=settings, config=config, resume=resume)
    raise typer.Exit(run_training(job, Console(stderr=as_json), as_json=as_json))
