"""What the command says and how it ends when something is wrong."""

import sys
from pathlib import Path
from typing import Any

import click
import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from common.errors import SyncytiumError


def console() -> Console:
    """Standard output, made anew so that it follows a redirection."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


class Commands(TyperGroup):
    """The commands; an error that says its own mend is shown without a traceback, exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SyncytiumError as error:
            text = Text("error: ", style="bold red") + Text(str(error), style="default")
            Console(stderr=True, highlight=False, soft_wrap=True).print(text)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            Console(stderr=True).print("stopped", style="bold red")
            raise typer.Exit(130) from None


def shown(path: Path) -> str:
    """A path as the user would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
