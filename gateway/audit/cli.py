"""Commands: `opcgate audit`."""

import typer

audit = typer.Typer(help="Verify and export the audit log. / 校验与导出审计日志。", no_args_is_help=True)


@audit.callback()
def _group() -> None:
    """Every command has its own --help. / 每个子命令都有 --help。"""
