"""Commands: `opcgate nodes`."""

import typer

nodes = typer.Typer(help="Show, add, cordon and drain engine nodes. / 查看与管理推理节点。", no_args_is_help=True)


@nodes.callback()
def _group() -> None:
    """Every command has its own --help. / 每个子命令都有 --help。"""
