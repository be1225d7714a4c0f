"""`syncytium certs`: TLS for a federation."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, shown


def certs(
    names: Annotated[
        list[str],
        typer.Argument(help="its host names or addresses, as sites see it"),
    ],
    out: Annotated[Path, typer.Option(help="folder for the files")],
    days: Annotated[
        int, typer.Option(min=1, help="days the coordinator's certificate holds")
    ] = 825,
) -> None:
    """Make a certificate authority, if there is none, and the coordinator's certificate."""
    from common.certificates import expiry, make_authority, make_server_certificate

    screen = console()
    if not (out / "ca.crt").exists():
        make_authority(out)
    make_server_certificate(out, names, days)
    until = expiry(out / "server.crt").date()
    for name, what in (
        ("ca.crt", "for every site, which checks the coordinator by it"),
        ("ca.key", "makes further certificates: keep it off the coordinator"),
        ("server.crt", f"the coordinator's certificate, until {until}"),
        ("server.key", "its private key, which stays on the coordinator"),
    ):
        screen.print(f"{shown(out / name)}: {what}", markup=False)
