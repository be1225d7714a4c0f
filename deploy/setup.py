"""What `docker compose up` needs once: certificates, keys, and a file of cells for each site.

On real machines each hospital and the coordinator make their own (docs/deployment.md).
`python setup.py N_SITES FOLDER`: FOLDER holds a .h5ad per site; without any, sites are simulated.
"""

import os
import shutil
import sys
from pathlib import Path

from cli.keys import NODE, SITE
from common.certificates import make_authority, make_node_key, make_server_certificate
from common.data.simulator import SimulationPlan, simulate_site
from common.site_key import write_site_key

APP = 49999
COORDINATOR, SITES, RESULTS = Path("/coordinator"), Path("/sites"), Path("/results")
CELLS_PER_SITE, SEED = 1000, 42


def certificates() -> None:
    """The coordinator's TLS, and the authority's certificate for every site."""
    if not (COORDINATOR / "tls/server.crt").exists():
        make_authority(COORDINATOR / "tls")
        make_server_certificate(COORDINATOR / "tls", ["superlink", "localhost", "127.0.0.1"])
    shutil.copy(COORDINATOR / "tls/ca.crt", "/ca/ca.crt")


def site(number: int, n_sites: int, given: Path | None) -> None:
    """A site's keys and cells; the coordinator gets the public half of its node key."""
    folder, name = SITES / str(number), f"hospital-{number}"
    if not (folder / "keys" / NODE).exists():
        make_node_key(folder / "keys" / NODE)
        write_site_key(folder / "keys" / SITE)
    (COORDINATOR / "nodes").mkdir(exist_ok=True)
    shutil.copy(folder / "keys" / f"{NODE}.pub", COORDINATOR / "nodes" / f"{name}.pub")
    cells = folder / "data/site.h5ad"
    if given is not None:
        shutil.copy(given, cells.with_suffix(".part"))
        cells.with_suffix(".part").replace(cells)
    elif not cells.exists():
        plan = SimulationPlan(n_sites=n_sites, n_cells=CELLS_PER_SITE * n_sites, seed=SEED)
        simulate_site(plan, number - 1).write_h5ad(cells.with_suffix(".part"))
        cells.with_suffix(".part").replace(cells)
    print(f"{name}: keys and cells are there", flush=True)


def main(n_sites: int, folder: Path) -> None:
    """Everything, unless it is there."""
    files = sorted(folder.glob("*.h5ad")) if folder.is_dir() else []
    if folder.is_dir() and len(files) != n_sites:
        sys.exit(
            f"SYNCYTIUM_DATA holds {len(files)} .h5ad files; docker-compose.yml has {n_sites} sites"
        )
    certificates()
    for number in range(1, n_sites + 1):
        site(number, n_sites, files[number - 1] if files else None)
        (RESULTS / f"hospital-{number}").mkdir(exist_ok=True)
    for path in (
        COORDINATOR,
        RESULTS,
        *COORDINATOR.rglob("*"),
        *SITES.glob("*/**/*"),
        *RESULTS.glob("*"),
    ):
        os.chown(path, APP, APP)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
