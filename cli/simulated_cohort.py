"""Whether a simulation's settings and files fit a run of `synthesize`: said before it starts."""

from pathlib import Path

from common.config import RunConfig
from common.data.h5ad import H5ad
from common.data.labels import read_labels
from common.data.units import with_covariates
from common.errors import ConfigError, InputError
from common.registry import did_you_mean
from common.settings import READING

LABELS = tuple(name for name in READING if "label" in name or "confidence" in name)


def require_donor_key(config: RunConfig, where: str) -> None:
    """Refuse the unit donor without its column; a real site names its own.

    Raises
    ------
    ConfigError
        There is none.
    """
    if config.privacy_unit == "donor" and not config.donor_key:
        raise ConfigError(
            f"{where}: privacy-unit = donor: name the obs column with each record's donor as "
            "donor-key"
        )


def require_listed_classes(config: RunConfig, where: str) -> None:
    """Refuse a class of ``classes`` that no file has: it would be paid for, and be noise alone.

    Real sites' labels are theirs to know: each sees to it by ``syncytium check --classes``.

    Raises
    ------
    ConfigError
        It names the class, and those that there are.
    """
    if not config.public_classes:
        return
    found: set[str] = set()
    try:
        for path in sorted(Path(config.data).glob("*.h5ad")):
            obs = H5ad.open(path).obs
            how = {name: getattr(config, name) for name in LABELS}
            labels = read_labels(obs, config.cell_type_key, **how).steering
            found |= {name for name in with_covariates(labels, obs, config.covariate_keys) if name}
    except InputError:
        return  # its site says it better
    lacking = [name for name in config.public_classes if name not in found]
    if lacking:
        raise ConfigError(
            f"{where}: classes: no file has {lacking[0]!r} in obs[{config.cell_type_key!r}]: "
            f"{did_you_mean(lacking[0], found)}"
        )
