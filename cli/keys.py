"""`syncytium keys`: a site's long-term key, by which other sites know it."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, shown


def keys(
    file: Annotated[Path, typer.Argument(help="file of the private key, which stays at the site")],
    name: Annotated[str, typer.Option(help="the site's name, as in its node config")],
    show: Annotated[bool, typer.Option("--show", help="of a key that exists")] = False,
) -> None:
    """Make a site's long-term key, and show the line for the other sites' rosters."""
    import tomli_w

    from common.site_key import read_site_key, write_site_key

    screen = console()
    key = read_site_key(str(file)) if show else write_site_key(file)
    if not show:
        screen.print(
            f"{shown(file)}: the private key. Keep it at the site and name it in the node config "
            "as site-key.",
            markup=False,
        )
        screen.print("For the [roster] of every site's policy, this one's too:", markup=False)
    line = tomli_w.dumps({name: key.public.hex()}).strip()
    screen.print(line, markup=False, soft_wrap=True)
