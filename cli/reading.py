"""Options that say how a site's file is read: the same in every command that reads one.

In the signature of such a command ``reading`` stands for them; it is called with a node config.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from common.node_config import NodeConfig
from common.settings import READING

Command = Callable[..., None]


def reads_a_file(command: Command) -> Command:
    """Give a command all options of reading."""
    return reads(*READING)(command)


def reads(*names: str) -> Callable[[Command], Command]:
    """Give a command these options of reading, by their names in :class:`NodeConfig`."""
    fields = {name: NodeConfig.model_fields[name] for name in names}

    def with_options(command: Command) -> Command:
        signature = inspect.signature(command)
        parameters = dict(signature.parameters)
        options = [
            parameters["reading"].replace(
                name=name,
                default=field.default,
                annotation=Annotated[type(field.default), typer.Option(help=field.description)],
            )
            for name, field in fields.items()
        ]

        @functools.wraps(command)
        def called(**given: Any) -> None:
            entries = {field.alias: given.pop(name) for name, field in fields.items()}
            command(**given, reading=entries)

        place = list(parameters).index("reading")
        shown = list(parameters.values())
        shown[place : place + 1] = options
        called.__signature__ = signature.replace(parameters=shown)
        return called

    return with_options
