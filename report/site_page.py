"""A site's own page: its cells before and after, and what it sent. It stays at the site.

``python -m report.site_page OUTPUT_DIR`` makes it, in a process of its own while a run goes on: its
memory and its faults are no part of the run.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from common.data.labels import PREDICTED
from common.errors import InputError
from common.shift_labels import NEAREST
from report import carbon, page
from report.corrected_files import CorrectedFile
from report.pictures import SHOWN, Pictures, make_pictures
from report.run_evaluation import Gathered, read_site
from report.run_page import own_version
from report.run_record import json_lines
from report.sent import MASKED, PUBLIC, Sent, sent

CORRECTED, OUTBOX = "corrected.h5ad", "outbox.jsonl"
TIMEOUT = 600.0
# Of a shifted cell's label; what is curated needs no word.
BY = {PREDICTED: "by predicted labels", NEAREST: "as their nearest cells"}
JOINED = "Nothing: it corrected itself with a published bundle, and no other site took part."


def is_site(folder: Path) -> bool:
    """Whether it is a site's output-dir, or the folder of one that joined, with a result in it."""
    return (folder / CORRECTED).is_file() and not (folder / "run.json").exists()


def write_site_page(folder: Path) -> Path:
    """Write ``report.html`` in a site's output-dir.

    Raises
    ------
    InputError
        It holds no corrected file, or one that no run wrote.
    """
    about = _about(folder / CORRECTED)
    try:
        shown, no_pictures = _pictures(folder / CORRECTED, about), ""
    except Exception as error:
        shown, no_pictures = None, f"There are none: {type(error).__name__}: {error}"
    joined = bool(about.get("joined", False))
    # A site that joins by a bundle sends nothing; what its folder tells is of other runs.
    lines = [] if joined else json_lines(folder / OUTBOX)
    log = sent(lines, about["run"])
    values = {
        "title": f"{about['n_cells']:,} corrected cells of this site",
        "run": about["run"],
        "facts": _facts(about, log),
        "shown": shown,
        "no_pictures": no_pictures,
        "joined": joined,
        "unshifted": list(about["unshifted_types"]),
        "not_shifted": about["not_shifted"],
        "padded": list(about.get("padded_genes", [])),
        "carbon": carbon.of_site(line for line in lines if line.get("run") == about["run"]),
        "sent": log,
        "finished": joined or any(phase.name == "correct" for phase in log.phases),
        "summary": JOINED if joined else _summary(log),
        "version": own_version(),
        "folder": str(folder),
    }
    written = page.write(page.render("site", **values), folder)
    # It shows single cells: as private as their file.
    shutil.copymode(folder / CORRECTED, written)
    return written


def try_site_page(folder: Path, module: str = "report.site_page") -> str:
    """Make the page in a process of its own; what went wrong, "" if nothing did.

    Parameters
    ----------
    module
        Run with the folder, it makes the page.
    """
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            cwd=root,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return ""


def _about(path: Path) -> dict[str, Any]:
    import h5py
    from anndata.io import read_elem

    try:
        with h5py.File(path, "r") as file:
            about = read_elem(file["uns/syncytium"])
            shifted = file["obs/syncytium_shifted"][:]
            origins = read_elem(file["obs/syncytium_label_origin"])[shifted]
            reasons = read_elem(file["obs/syncytium_not_shifted"])
            return {
                **about,
                "run": str(about["run"]),
                "n_cells": len(file["obsm/X_latent"]),
                "n_shifted": int(shifted.sum()),
                "shifted_by": origins.value_counts().to_dict(),
                "not_shifted": {k: n for k, n in reasons.value_counts().items() if n},
            }
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} is missing or was not written by a run ({error}): give a site's output-dir"
        ) from error


def _pictures(path: Path, about: dict[str, Any]) -> Pictures:
    file = CorrectedFile.read("site", path)
    n_cells, rows = about["n_cells"], np.arange(about["n_cells"])
    if n_cells > SHOWN:
        rows = np.sort(np.random.default_rng(0).choice(n_cells, SHOWN, replace=False))
    cells = Gathered()
    read_site(file, rows, cells)
    batches = [batch.split("/", 1)[1] for batch in cells.batch[0]]
    groups = {"batch": np.array(batches, dtype=object), "cell type": cells.cell_type[0]}
    return make_pictures(cells, n_cells, groups, named=["cell type"], seen={})


def _facts(about: dict[str, Any], log: Sent) -> list[tuple[str, str]]:
    in_all = sum(phase.bytes_of() for phase in log.phases)
    return [
        ("Cells corrected", f"{about['n_cells']:,}"),
        ("of these shifted", f"{about['n_shifted']:,}"),
        *(
            (BY[origin], f"{n:,}")
            for origin, n in about["shifted_by"].items()
            if n and origin in BY
        ),
        ("Genes", f"{len(about['genes']):,}"),
        ("of these not in the file", f"{len(about.get('padded_genes', [])):,}"),
        ("Messages sent", f"{sum(phase.messages for phase in log.phases):,}"),
        ("Left this site", page.in_bytes(in_all)),
    ]


def _summary(log: Sent) -> str:
    if not log.phases:
        return "outbox.jsonl says nothing of this run."
    masked, public, in_all = (
        sum(phase.bytes_of(*kinds) for phase in log.phases) for kinds in ((MASKED,), (PUBLIC,), ())
    )
    text = (
        f"{page.in_bytes(in_all)}: {page.in_bytes(masked)} under masks, of which the coordinator "
        f"sees the total over all sites alone, and {page.in_bytes(public)} public: names, "
        "versions, and keys of the masked sums."
    )
    if bare := in_all - masked - public:
        text += f" {page.in_bytes(bare)} were not masked: the coordinator could read them."
    return text


if __name__ == "__main__":
    write_site_page(Path(sys.argv[1]))
