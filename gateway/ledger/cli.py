"""Commands: `opcgate vouchers`."""

import typer

vouchers = typer.Typer(
    help="Grant, import and redeem vouchers; statements. / 算力券的发放、导入、兑换与对账。", no_args_is_help=True
)


@vouchers.callback()
def _group() -> None:
    """Every command has its own --help. / 每个子命令都有 --help。"""
