"""What one release of statistics spends, as a record that can be kept on disk.

Every spend is of one privacy unit added or removed; what a release may change by is in its
sensitivity.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from common.errors import ConfigError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Times = Annotated[int, Field(ge=1, le=10**7)]


class _Spend(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GaussianSpend(_Spend):
    """Gaussian or discrete Gaussian noise on a vector.

    ``mu`` is the L2 sensitivity over the standard deviation, ``ratio`` what integers cost beyond
    (``integer_gaussian``), ``sampling`` the probability with which a unit takes part in each of
    ``times`` steps (Poisson sampling).
    """

    kind: Literal["gaussian"] = "gaussian"
    mu: Positive
    ratio: NotNegative = 0.0
    sampling: Annotated[float, Field(gt=0, le=1)] = 1.0
    times: Times = 1


class PureSpend(_Spend):
    """Any mechanism that is (epsilon, delta)-private, such as a choice by noisy scores."""

    kind: Literal["pure"] = "pure"
    epsilon: Positive
    delta: Annotated[float, Field(ge=0, lt=1)] = 0.0
    times: Times = 1


class SkellamSpend(_Spend):
    """Skellam noise of a total variance on whole numbers; sensitivities in grid steps."""

    kind: Literal["skellam"] = "skellam"
    l1: Annotated[float, Field(ge=1, le=1e15)]
    l2: Annotated[float, Field(ge=1, le=1e15)]
    variance: Positive
    times: Times = 1


Spend = Annotated[GaussianSpend | PureSpend | SkellamSpend, Field(discriminator="kind")]
_SPEND: TypeAdapter[Spend] = TypeAdapter(Spend)


def spend_of(record: object) -> Spend:
    """The spend that a JSON object tells.

    Raises
    ------
    ConfigError
        It is none.
    """
    try:
        return _SPEND.validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{record!r} is no privacy spend: {where}: {first['msg']}") from None
