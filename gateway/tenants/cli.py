"""Commands: `opcgate tenants`."""

import typer

tenants = typer.Typer(help="Organisations, members and their keys. / 管理企业、成员与密钥。", no_args_is_help=True)


@tenants.callback()
def _group() -> None:
    """Every command has its own --help. / 每个子命令都有 --help。"""
