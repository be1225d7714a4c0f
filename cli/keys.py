"""`syncytium keys`: a site's own keys, by which the coordinator and the other sites know it."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, shown

SITE, NODE = "site.key", "node.key"


def keys(
    name: Annotated[str, typer.Argument(help="the site's name, as in its node config")],
    out: Annotated[Path, typer.Option(help="folder for the keys, which stays at the site")],
    show: Annotated[bool, typer.Option("--show", help="of keys that exist")] = False,
) -> None:
    """Make a site's keys, and show what of them the others need."""
    import tomli_w

    from common.certificates import make_node_key
    from common.site_key import read_site_key, write_site_key

    screen = console()
    if not show:
        # Refuses before anything is made.
        make_node_key(out / NODE)
        write_site_key(out / SITE)
        for file, what in (
            (SITE, "signs the keys of each run; the node config's site-key"),
            (NODE, "the SuperNode's: syncytium-supernode --auth-supernode-private-key"),
            (f"{NODE}.pub", "for the coordinator, who registers it"),
        ):
            screen.print(f"{shown(out / file)}: {what}", markup=False)
        screen.print("For the [roster] of every site's policy, this one's too:", markup=False)
    public = read_site_key(str(out / SITE)).public.hex()
    screen.print(tomli_w.dumps({name: public}).strip(), markup=False, soft_wrap=True)
