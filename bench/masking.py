"""What masks cost: encoding and masking at a site, the whole run beside `off`, and the traffic.

`python -m bench.masking DATA_DIR`.
"""

import json
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import anndata
import numpy as np

from bench.crypten_sharing import sharing_seconds
from bench.report import keep
from cli.run import execute
from common.data.split import split_file
from common.secure.backend import SumContext
from common.secure.guard import Guard
from common.secure.masked_site import MaskedSite
from common.secure.ring import FixedPoint
from common.secure.site_keys import SiteKeys
from common.secure.threshold import default_threshold

N_VALUES, N_SITES, REPEATS, RUNS = 4_500_000, 5, 7, 3


def site_seconds() -> dict[str, float]:
    """Median seconds of one site among five for a model of 4.5 million float32 values."""
    values = np.random.default_rng(0).normal(0, 0.1, N_VALUES).astype(np.float32)
    fixed, words = FixedPoint(2.0**12, N_SITES), np.empty(N_VALUES, np.uint64)
    names = tuple(f"site-{i}" for i in range(N_SITES))
    sites = [MaskedSite(SiteKeys("bench"), name, "bench", Guard(name, 3)) for name in names]
    identities = {site.name: site.identity for site in sites}
    times: dict[str, list[float]] = {"encode": [], "mask": []}
    for site in sites:
        site.meet(identities)
    for number in range(REPEATS):
        offers = {site.name: site.offer(number, names, default_threshold(5, 3)) for site in sites}
        publics = {name: offer.round_key for name, offer in offers.items()}
        context = SumContext("bench", "fit", number, 0, N_SITES)
        start = time.perf_counter()
        fixed.encode(values, out=words)
        encoded = time.perf_counter()
        sites[0].begin(context, number, publics)
        sites[0].upload(words, context, number)
        times["encode"].append(encoded - start)
        times["mask"].append(time.perf_counter() - encoded)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def run_seconds(sites: Path, out: Path, **settings: object) -> tuple[float, float]:
    """Seconds of a run after the sites have described themselves; upload bytes per float32 byte."""
    run = execute({"data": str(sites), **settings}, out)
    ledger = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
    described = max(line["time"] for line in ledger if line["phase"] == "describe")
    took = datetime.fromisoformat(run["ended"]) - datetime.fromisoformat(described)
    uploads = [
        line["bytes"] for line in ledger if line["phase"] == "fit" and line["to"] == "coordinator"
    ]
    return took.total_seconds(), statistics.mean(uploads) / (4 * run["n_parameters"])


def difference(one: Path, two: Path) -> float:
    """Largest difference of two runs' corrected cells, in units of their standard deviation."""
    worst = 0.0
    for path in sorted(one.glob("sites/*/corrected.h5ad")):
        cells, others = (
            anndata.read_h5ad(p).obsm["decoded"] for p in (path, two / path.relative_to(one))
        )
        worst = max(worst, float(np.abs(cells - others).max() / cells.std()))
    return worst


def main(data_dir: Path) -> None:
    at_site, crypten = site_seconds(), sharing_seconds(N_SITES, N_VALUES)
    seconds: dict[str, list[float]] = {"masked": [], "off": []}
    with tempfile.TemporaryDirectory() as folder:
        sites = Path(folder) / "sites"
        split_file(data_dir / "pbmc_5study.h5ad", "batch", sites)
        for repeat in range(RUNS):
            for kind in ("off", "masked") if repeat % 2 else ("masked", "off"):
                out = Path(folder) / f"{kind}-{repeat}"
                took, traffic = run_seconds(sites, out, **{"secure-sum": kind})
                seconds[kind].append(took)
                if kind == "masked":
                    masked_traffic = traffic
        cells = [Path(folder) / f"{kind}-0" for kind in ("off", "masked")]
        apart = difference(*cells)
        narrow = {"ring-bits": 32, "rounds": 2}
        _, narrow_traffic = run_seconds(sites, Path(folder) / "narrow", **narrow)
    longer = statistics.median(seconds["masked"]) / statistics.median(seconds["off"]) - 1
    each = sum(at_site.values())
    ratio = crypten["processor"] / each
    keep(
        "masking",
        {
            "data": "pbmc_5study, a site per batch; 4.5 million values among 5 sites",
            "site_seconds": at_site,
            "crypten_site_seconds": crypten,
            "run_seconds": seconds,
            "corrected_cells_apart": apart,
            "upload_bytes_per_float32_byte": {"64": masked_traffic, "32": narrow_traffic},
            "claims": {
                f"encode and mask 4.5 million values, at most 0.10 s: {each:.3f} s": each <= 0.10,
                f"at least 10 times faster than CrypTen's sharing among {N_SITES} processes: "
                f"{ratio:.1f} times (processor time)": ratio >= 10,
                f"masked run at most 15 % longer than off: {100 * longer:.1f} % (medians of "
                f"{RUNS}, after the describe phase)": longer <= 0.15,
                f"masked and off give the same cells, apart by {apart:g} standard deviations": (
                    apart < 1e-5
                ),
                f"upload at most 2.05 times float32: {masked_traffic:.3f}": masked_traffic <= 2.05,
                f"with ring-bits = 32 at most 1.05 times: {narrow_traffic:.3f}": (
                    narrow_traffic <= 1.05
                ),
            },
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
