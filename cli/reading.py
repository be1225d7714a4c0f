"""Options that say how a site's file is read: the same in every command that reads one."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from common.node_config import NodeConfig
from common.settings import READING

FIELDS = {name: NodeConfig.model_fields[name] for name in READING}


def reads_a_file(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options in place of ``reading``, which has them as a node config."""
    signature = inspect.signature(command)
    parameters = dict(signature.parameters)
    options = [
        parameters["reading"].replace(
            name=name,
            default=field.default,
            annotation=Annotated[type(field.default), typer.Option(help=field.description)],
        )
        for name, field in FIELDS.items()
    ]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        entries = {field.alias: given.pop(name) for name, field in FIELDS.items()}
        command(**given, reading=entries)

    place = list(parameters).index("reading")
    shown = list(parameters.values())
    shown[place : place + 1] = options
    called.__signature__ = signature.replace(parameters=shown)
    return called
