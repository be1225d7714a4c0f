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


def require_cohort(config: RunConfig, where: str) -> None:
    """Refuse the unit donor without its column, and a class that no file has.

    A listed class that nobody has would be paid for, and be noise alone. Real sites name their own
    columns and know their own labels: each sees to it by ``syncytium check --classes``.

    Raises
    ------
    ConfigError
        It names the setting or the class, and the classes that there are.
    """
    if config.privacy_unit == "donor" and not config.donor_key:
        raise ConfigError(
            f"{where}: privacy-unit = donor: name the obs column with each record's donor as "
            "donor-key"
        )
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
