"""What `syncytium join` and `syncytium label` say alike."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape

from cli.console import shown

AS_IN_ITS_RUN = "as the bundle's run"
LISTED = 10


class Lacking(Protocol):
    """What a site's file lacks of a bundle's genes."""

    n_genes: int
    n_vocabulary: int
    padded_genes: tuple[str, ...]
    n_padded_vocabulary: int


@contextmanager
def told(screen: Console) -> Iterator[Callable[[str], None]]:
    """Show steps: the present one on a terminal, a line for each elsewhere."""
    started = time.monotonic()
    if screen.is_terminal:
        with screen.status("reading the bundle") as status:
            yield lambda text: status.update(escape(text))
        return
    yield lambda text: screen.print(f"[{time.monotonic() - started:6.1f} s] {text}", markup=False)


def show_lacking(done: Lacking, key: str, screen: Console) -> None:
    """Say which genes count as zeros, if any do; uns[key] of the result names them all."""
    if not done.n_padded_vocabulary:
        return
    genes = done.padded_genes
    more = f" and {len(genes) - LISTED:,} more" if len(genes) > LISTED else ""
    listed = f" ({', '.join(genes[:LISTED])}{more}; all in uns['{key}']['padded_genes'])"
    screen.print(
        f"[yellow]not in the file[/]: {len(genes):,} of the {done.n_genes:,} genes of the model, "
        f"{done.n_padded_vocabulary:,} of the {done.n_vocabulary:,} of its vocabulary; they count "
        f"as zeros{escape(listed if genes else '')}"
    )


def show_page(fault: str, out: Path, screen: Console, *, report: bool) -> None:
    """Say where the page is, or why there is none."""
    if fault:
        screen.print(f"there is no report: {fault}", style="yellow", markup=False)
    elif report:
        screen.print(f"report: {shown(out / 'report.html')}", markup=False)
