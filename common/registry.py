"""Names to things: models, metrics and phases register themselves, each in its own file."""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from common.errors import ConfigError

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that lists the known names and the nearest one to ``name``."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known: {', '.join(known)}."


class Registry(Generic[T]):
    """A table of named things of one kind, filled by importing every module of a package.

    Parameters
    ----------
    kind
        What an entry is ("model", "metric"), for error messages.
    package
        The package whose modules register entries when imported.
    """

    def __init__(self, kind: str, package: str):
        self.kind = kind
        self.package = package
        self._entries: dict[str, T] = {}

    def register(self, name: str, **attributes: Any) -> Callable[[T], T]:
        """Decorator: enter the decorated object under ``name``, setting ``attributes`` on it."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ConfigError(f"two {self.kind}s are named {name!r}; rename one of them")
            for key, value in attributes.items():
                setattr(entry, key, value)
            self._entries[name] = entry
            return entry

        return enter

    def names(self) -> list[str]:
        """Every registered name, sorted."""
        self._discover()
        return sorted(self._entries)

    def get(self, name: str) -> T:
        """The entry called ``name``.

        Raises
        ------
        ConfigError
            The name is unknown; the message lists the known ones.
        """
        self._discover()
        if name not in self._entries:
            raise ConfigError(f"unknown {self.kind} {name!r}: {did_you_mean(name, self._entries)}")
        return self._entries[name]

    def _discover(self) -> None:
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
