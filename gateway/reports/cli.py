"""Commands: `opcgate reports`."""

import typer

reports = typer.Typer(help="Work through complaints. / 处理投诉举报。", no_args_is_help=True)


@reports.callback()
def _group() -> None:
    """Every command has its own --help. / 每个子命令都有 --help。"""
