"""The `opcgate` command: collects every package's commands without importing them until they are used."""

from importlib.metadata import EntryPoint, entry_points

import click
import typer

GROUP = "opcgate.commands"


class CommandsByEntryPoint(click.Group):
    """A click group whose commands are the entry points of group `opcgate.commands`.

    Loading one on use keeps `opcgate scan` from paying for the web framework, and keeps the packages
    from importing each other.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        point = _points().get(cmd_name)
        return None if point is None else typer.main.get_command(point.load())


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


main = CommandsByEntryPoint(
    name="opcgate",
    help="opcgate: a public model service with exact streaming compliance. / 面向一人公司的公共模型服务。",
)
