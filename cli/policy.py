"""`syncytium policy`: a site's rules, to edit."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.console import console, shown
from common.errors import ConfigError


def policy(
    file: Annotated[Path, typer.Argument(help="a TOML file to write, or to --check")],
    check: Annotated[bool, typer.Option("--check", help="read it and show its rules")] = False,
) -> None:
    """Write a commented policy: what a site allows, whatever a run asks."""
    from common.policy import SitePolicy

    screen = console()
    if check:
        _show(SitePolicy.read(str(file)))
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x") as out:
            out.write(SitePolicy.commented())
    except FileExistsError:
        raise ConfigError(
            f"{file} exists and is left as it is; `syncytium policy {file} --check` shows its rules"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
    screen.print(f"{shown(file)}: edit it, then name it in the node config:", markup=False)
    named = f'policy="{file.resolve()}"'
    screen.print(f"  syncytium-supernode ... --node-config '{named} ...'", markup=False)


def _show(rules) -> None:
    table = Table("rule", "value", "meaning", box=None)
    for name, field in type(rules).model_fields.items():
        value = getattr(rules, name)
        if isinstance(value, dict):
            value = "\n".join(f"{site} {key[:16]}..." for site, key in value.items()) or "any site"
        elif isinstance(value, tuple):
            value = ", ".join(value)
        elif isinstance(value, bool):
            value = str(value).lower()
        table.add_row(name.replace("_", "-"), str(value), field.description)
    console().print(table)
