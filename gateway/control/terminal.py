"""What commands that change things share: who acts, and how a command ends in an error."""

import getpass
import os
from pathlib import Path
from typing import NoReturn

import typer

from configs.loader import SettingsError, load_settings
from configs.schema import Settings


def cli_actor() -> str:
    """The actor of an act at a terminal: `cli:` and the system's user."""
    try:
        return f"cli:{getpass.getuser()}"[:100]
    except (KeyError, OSError):  # a container without an entry for its user
        return f"cli:{os.getuid()}"


def fail(message: str) -> NoReturn:
    """End the command with an error, in the words of `opcgate: …`."""
    typer.echo(f"opcgate: {message}", err=True)
    raise typer.Exit(2)


def settings_at(config: Path | None) -> Settings:
    """The settings of `--config`; a file that is wrong ends the command."""
    try:
        return load_settings(config)
    except SettingsError as error:
        fail(str(error))
