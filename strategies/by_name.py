"""A run's training strategy: one of Flower's own classes by its name in lower case, or FedSGD.

What each of them does, and its reference, is in docs/strategies.md.
"""

from flwr.serverapp.strategy import (
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    FedYogi,
    Krum,
    Strategy,
)

from common.config import RunConfig
from common.errors import ConfigError
from common.strategy_names import ROBUST
from strategies.fedsgd import FedSGD, Rates

# Where server-learning-rate is 0: measured, see docs/strategies.md.
SERVER_LEARNING_RATES = {"fedavgm": 0.5, "fedadam": 0.03, "fedyogi": 0.01, "fedadagrad": 0.01}


def strategy_of(config: RunConfig, n_sites: int = 0, training: Rates | None = None) -> Strategy:
    """The strategy that the run config names.

    Parameters
    ----------
    config
        Its name and settings.
    n_sites
        Sites whose single models it is fed, for those that compare models.
    training
        Of the run: ``fedsgd`` steps at its rate.

    Raises
    ------
    ConfigError
        So few sites do not withstand ``malicious-sites`` wrong ones.
    """
    name = config.strategy_name
    if name in ROBUST:
        return _robust(config, n_sites)
    rate = config.server_learning_rate or SERVER_LEARNING_RATES.get(name, 0.0)
    adaptive = {"eta": rate, "tau": config.tau}
    betas = {"beta_1": config.beta_1, "beta_2": config.beta_2}
    match name:
        case "fedsgd":
            if training is None:
                raise ConfigError("fedsgd steps at the rate of a training: give one")
            return FedSGD(training)
        case "fedavg":
            return FedAvg()
        case "fedprox":
            return FedProx(proximal_mu=config.proximal_mu)
        case "fedavgm":
            return FedAvgM(server_learning_rate=rate, server_momentum=config.server_momentum)
        case "fedadam":
            return FedAdam(**adaptive, **betas)
        case "fedyogi":
            return FedYogi(**adaptive, **betas)
        case "fedadagrad":
            return FedAdagrad(**adaptive)


def _robust(config: RunConfig, n_sites: int) -> Strategy:
    enough_for(config, n_sites)
    malicious = config.malicious_sites
    match config.strategy:
        case "krum":
            return Krum(num_malicious_nodes=malicious)
        case "fedmedian":
            return FedMedian()
        case "fedtrimmedavg":
            # Flower cuts floor(beta n) at either end; a quarter keeps rounding off the edge.
            return FedTrimmedAvg(beta=(malicious + 0.25) / n_sites)


def enough_for(config: RunConfig, n_sites: int) -> None:
    """Refuse so few sites that a robust strategy cannot withstand ``malicious-sites`` of them.

    Raises
    ------
    ConfigError
        It says how many it takes.
    """
    if config.strategy_name not in ROBUST:
        return
    malicious = config.malicious_sites
    least = 2 * malicious + (3 if config.strategy == "krum" else 1)
    if n_sites < least:
        raise ConfigError(
            f"{config.strategy} with malicious-sites = {malicious} needs {least} sites and there "
            f"are {n_sites}; lower malicious-sites, or take more sites or another strategy"
        )
