"""A generator's own public settings, checked before anything is released."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import ConfigError
from common.registry import did_you_mean


class Options(BaseModel):
    """Base of the generators' options; a name is written with hyphens."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-")
    )


O = TypeVar("O", bound=Options)  # noqa: E741


def options_of(kind: type[O], generator: str, given: Mapping[str, Any] | None) -> O:
    """Options with their defaults for those not given.

    Raises
    ------
    ConfigError
        One is unknown, or has no such value.
    """
    given = dict(given or {})
    known = [field.alias for field in kind.model_fields.values()]
    for name in given:
        if name not in known:
            raise ConfigError(
                f"generator {generator} has no option {name!r}: {did_you_mean(name, known)}"
            )
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        value = given.get(where.partition(".")[0])
        raise ConfigError(
            f"option {where} = {value!r} of generator {generator}: {first['msg']}"
        ) from None
