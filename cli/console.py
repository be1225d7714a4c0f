"""What the command says and how it ends when something is wrong."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
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


@contextlib.contextmanager
def stops() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the block as Ctrl-C does, with all it cleans up."""

    def stop(*_: Any) -> None:
        # Once: neither of them may interrupt the cleaning up.
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        # Python hands signals to the main thread only.
        yield
        return
    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    # What is ignored stays so, as under nohup.
    before = {n: signal.getsignal(n) for n in numbers if n is not None}
    before = {n: handler for n, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def shown(path: Path) -> str:
    """A path as the user would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
