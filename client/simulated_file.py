"""The file of a simulated site: one of a folder's, or made up for the demo."""

import tempfile
from pathlib import Path

from common.config import RunConfig
from common.errors import ConfigError, InputError

DEMO_CELLS_PER_SITE = 1000


def simulated_file(config: RunConfig, out: Path, index: int, n_sites: int) -> Path:
    """The file of the site with this number, of so many.

    Raises
    ------
    InputError
        The run's folder of files does not exist.
    ConfigError
        It has not one file for each site.
    """
    if not config.data:
        return _demo_file(out / "data", index, n_sites, config.seed)
    folder = Path(config.data).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"data = {config.data!r} is not a folder; give the absolute path of one with a .h5ad "
            "per site"
        )
    files = sorted(folder.glob("*.h5ad"))
    if len(files) != n_sites:
        raise ConfigError(
            f"{folder} holds {len(files)} .h5ad files and the federation has {n_sites} nodes; "
            f"run with --federation-config 'num-supernodes={len(files)}', or use `syncytium run`"
        )
    return files[index]


def _demo_file(folder: Path, index: int, n_sites: int, seed: int) -> Path:
    from common.data.simulator import SimulationPlan, simulate_site

    path = folder / f"hospital-{index + 1}.h5ad"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        plan = SimulationPlan(n_sites=n_sites, n_cells=DEMO_CELLS_PER_SITE * n_sites, seed=seed)
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            temporary = Path(partial) / path.name
            simulate_site(plan, index).write_h5ad(temporary)
            temporary.replace(path)
    return path
