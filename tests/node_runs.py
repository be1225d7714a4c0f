"""Runs over real nodes: their sites, their settings, and what they said."""

import json
import subprocess
from pathlib import Path
from typing import Any

from bench.nodes import LINK, Nodes


def start_site(federation: Nodes, data: Path, name: str, **config: Any) -> None:
    """Start a site's node, over ``NAME.h5ad`` in ``data``."""
    output = str(federation.folder / name)
    path = str(data / f"{name}.h5ad")
    federation.start_site(name, data_path=path, output_dir=output, name=name, **config)


def start_run(federation: Nodes, *options: str, **settings: Any) -> subprocess.Popen:
    """Start a run with these settings, which have underscores."""
    conf = federation.folder / "conf.toml"
    values = {key.replace("_", "-"): value for key, value in settings.items()}
    conf.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    out = str(federation.folder / "run")
    run = ["run", str(conf), "--superlink", LINK, "--out", out, *options]
    return federation.syncytium(*run)


def said(federation: Nodes) -> str:
    """What the run's command has said."""
    return (federation.folder / "run.log").read_text()
