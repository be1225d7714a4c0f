"""Real sites in one process: each with its own file, output folder, policy and key."""

from pathlib import Path
from typing import Any

import tomli_w

from common.site_key import write_site_key
from tests.in_process import run_in_process
from tests.small_sites import TINY, run_json, site, write_sites

CELLS = {("p", "A"): 30, ("p", "B"): 30}


def real_sites(folder: Path, names: list[str], **rules: Any) -> dict[str, dict[str, Any]]:
    """Node configs by site name; ``rules`` are each site's policy, with underscores."""
    data = write_sites(folder / "data", [site(CELLS, seed=s) for s in range(len(names))])
    configs = {}
    for number, name in enumerate(names, start=1):
        configs[name] = {
            "data-path": str(data / f"site-{number}.h5ad"),
            "output-dir": str(folder / name),
            "name": name,
            # Half a minute at each site, for one test alone.
            "report": False,
        }
        if rules:
            configs[name]["policy"] = policy_file(folder / f"{name}.toml", **rules)
    return configs


def policy_file(path: Path, **rules: Any) -> str:
    """A policy with these rules."""
    table = {key.replace("_", "-"): value for key, value in rules.items()}
    path.write_text(tomli_w.dumps(table))
    return str(path)


def pinned_sites(folder: Path, names: list[str], **rules: Any) -> dict[str, dict[str, Any]]:
    """Real sites with long-term keys that are pinned in everyone's policy."""
    folder.mkdir(exist_ok=True)
    keys = {name: write_site_key(folder / f"{name}.key") for name in names}
    roster = {name: key.public.hex() for name, key in keys.items()}
    configs = real_sites(folder, names, roster=roster, **rules)
    return {
        name: {**config, "site-key": str(folder / f"{name}.key")}
        for name, config in configs.items()
    }


def run(out: Path, configs: list[dict[str, Any]], **settings: Any) -> dict[str, Any]:
    """A run of ``correct`` over real sites; returns its ``run.json``."""
    values = {**TINY, "rounds": 1, "n-sites": len(configs), "min-sites": 3, **settings}
    run_in_process(out, len(configs), node_configs=configs, **values)
    return run_json(out)
