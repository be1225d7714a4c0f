"""`syncytium certs`: TLS for a federation."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, shown
from common.errors import ConfigError

LOOPBACK = ("localhost", "127.0.0.1")


def certs(
    out: Annotated[Path, typer.Option(help="folder for the files")],
    names: Annotated[
        list[str] | None,
        typer.Argument(help="its host names or addresses, as sites see it"),
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, help="days the coordinator's certificate holds")
    ] = 825,
    check: Annotated[
        bool, typer.Option("--check", help="only say whether those there hold")
    ] = False,
) -> None:
    """Make a certificate authority, if there is none, and the coordinator's certificate."""
    from common.certificates import expiry, make_authority, make_server_certificate

    screen = console()
    if bool(names) == check:
        raise ConfigError(
            "give the coordinator's host names or addresses, or --check for files that are there"
        )
    if check:
        from common.served_certificate import check_served_certificate

        served, last = check_served_certificate(out)
        text = f"holds for {', '.join(served)} until {last:%Y-%m-%d %H:%M} UTC"
        screen.print(f"{shown(out / 'server.crt')}: {text}", markup=False)
        return
    if not (out / "ca.crt").exists():
        make_authority(out)
    # The operator's commands reach the Control API on the loopback, by the same certificate.
    own = [name for name in LOOPBACK if name not in names]
    make_server_certificate(out, [*names, *own], days)
    until = expiry(out / "server.crt").date()
    for name, what in (
        ("ca.crt", "for every site, which checks the coordinator by it"),
        ("ca.key", "makes further certificates: keep it off the coordinator"),
        ("server.crt", f"the coordinator's certificate, until {until}"),
        ("server.key", "its private key, which stays on the coordinator"),
    ):
        screen.print(f"{shown(out / name)}: {what}", markup=False)
