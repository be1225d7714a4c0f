"""A generator's own public settings, checked before anything is released."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from common.errors import ConfigError
from common.registry import did_you_mean
from common.synthesis.contributions import COUNTED, STEPS

# Weights and radii, of what is usual: below, what units add is lost in the grid.
LEAST_PART = COUNTED / STEPS
# On the scale of values: variances below its square are taken for it, and bounds are below 1e9.
LEAST_SCALE, LARGEST_SCALE = 1e-6, 1e9


def absent_or_on_scale(value: float) -> float:
    """A setting on the scale of values, or 0 for none.

    Raises
    ------
    ValueError
        It is neither.
    """
    if value and not LEAST_SCALE <= value <= LARGEST_SCALE:
        raise ValueError(f"must be 0 or of {LEAST_SCALE:g} ... {LARGEST_SCALE:g}")
    return value


Scale = Annotated[float, Field(ge=LEAST_SCALE, le=LARGEST_SCALE)]
OptionalScale = Annotated[float, Field(allow_inf_nan=False), AfterValidator(absent_or_on_scale)]


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
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"option {where} = {value!r} of generator {generator}: {said}") from None
