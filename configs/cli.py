"""The `opcgate` command: collects every package's commands without importing them until they are used."""

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

GROUP = "opcgate.commands"
HELP = {
    "up": "Start the engine and the gateway, and print a working example. / 启动引擎与网关。",
    "serve": "Serve the gateway alone. / 只启动网关。",
    "keys": "Create, list and revoke API keys. / 管理 API 密钥。",
    "tenants": "Organisations, members and their keys. / 管理企业、成员与密钥。",
    "vouchers": "Grant, import and redeem vouchers; statements. / 算力券的发放、导入、兑换与对账。",
    "nodes": "Show, add, cordon and drain engine nodes. / 查看与管理推理节点。",
    "limits": "Show and set limits of keys, organisations, models. / 查看与设置限额。",
    "audit": "Verify and export the audit log. / 校验与导出审计日志。",
    "reports": "Work through complaints. / 处理投诉举报。",
    "engine": "Start a vLLM engine for a model of the catalog. / 启动模型引擎。",
    "models": "List models; build and evaluate the starter model. / 模型目录与起步模型。",
    "scan": "Scan text through the compliance pipeline. / 文本合规检查。",
    "classifier": "Build and evaluate the classifier of the 31 risks. / 构建与评估 31 类风险分类器。",
    "label": "Label generated files; show and verify labels. / 为生成内容添加、查看、验证标识。",
    "lexicon": "Import, check and compare word lists. / 导入、检查与对比词库。",
    "policy": "List, show and test policies. / 查看与测试策略。",
    "quality": "Measure the scanners on the golden tables. / 在标准用例上评估各检测器。",
    "quantize": "Quantize a model, measure the result, admit it. / 模型量化、评估与准入。",
    "config": "Check and show the settings. / 检查并显示配置。",
}


class CommandsByEntryPoint(typer.core.TyperGroup):
    """A command group whose commands are the entry points of group `opcgate.commands`.

    Loading one on use keeps `opcgate scan` from paying for the web framework, and keeps the packages
    from importing each other.
    """

    listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.listing = True
        super().format_help(ctx, formatter)

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(_points())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        point = _points().get(cmd_name)
        if point is None:
            return None
        if self.listing:
            # The list of commands needs a name and a line each, not the packages behind them.
            return typer.core.TyperCommand(cmd_name, help=HELP.get(cmd_name, ""))
        command = typer.main.get_command(point.load())
        command.name = cmd_name
        return command


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def main() -> None:
    """Run the command line; the entry point of `opcgate`."""
    root = typer.Typer(
        cls=CommandsByEntryPoint,
        add_completion=False,
        no_args_is_help=True,
        help="opcgate: a public model service with exact streaming compliance. / 面向一人公司的公共模型服务。",
    )
    root.callback()(_root)
    root()


def _root() -> None:
    """Every command has its own --help. / 每个子命令都有 --help。"""


config = typer.Typer(help="Check and show the settings. / 检查并显示配置。", no_args_is_help=True)
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file; default $OPCGATE_CONFIG or configs/opcgate.yaml."),
]


@config.command()
def check(path: ConfigPath = None) -> None:
    """Check a settings file and say which field is wrong. / 检查配置文件。"""
    settings = _load(path)
    for problem in _refusals(settings):
        typer.echo(f"opcgate config: {problem}", err=True)
        raise typer.Exit(2)
    typer.echo(f"ok: {len(settings.nodes)} node(s), database {settings.database.public_url()}")


@config.command()
def show(path: ConfigPath = None) -> None:
    """Print the settings in force, defaults included, secrets left out. / 显示生效的配置。"""
    typer.echo(_load(path).model_dump_json(indent=2, exclude={"database": {"url"}}))


def _refusals(settings: Any) -> list[str]:
    """What the catalog has against the settings' nodes."""
    from configs.compatibility import node_refusals
    from configs.loader import SettingsError, load_catalog

    try:
        return [f"nodes: {one}" for one in node_refusals(settings.nodes, load_catalog(settings.catalog))]
    except SettingsError as error:
        return [str(error)]


def _load(path: Path | None) -> Any:
    from configs.loader import SettingsError, load_settings

    try:
        return load_settings(path)
    except SettingsError as error:
        typer.echo(f"opcgate config: {error}", err=True)
        raise typer.Exit(2) from None
