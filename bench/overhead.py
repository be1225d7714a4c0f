"""Federation's own cost: everything but the sites' fitting, start-up of Ray apart.

Of a run whose sites train (`fedavg`), as the aim is of, and of the default, whose 100 rounds are a
step each (`fedsgd`): it has a smaller share of fitting, and the seconds of both are told.

Sites run one after the other on one core, so that times add up. Fitting is what the sites' own logs
give for it: the validation loss of the received model and the local epochs, which one site alone
would compute as well; rebuilding the model, encoding and sending it are not in it. Start-up is the
describe phase, in which Ray starts its actor and the actor imports its libraries, less what a warm
actor needs for it (the fastest site's time for each), and the import of torch's compiler by the
first optimizer, which is taken from the fitting. Sums are plain: what masks cost is not in it.

`python -m bench.overhead DATA_DIR`.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path

from bench.report import keep
from cli.run import execute
from common.data.split import split_file

AIM = 0.2
REPEATS = 5
TOLD = ("run", "fitting", "everything_else", "ratio", "megabytes")
IMPORT = "import time, torch; t = time.time(); import torch._dynamo; print(time.time() - t)"


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def import_seconds() -> float:
    """What a process pays once, in its first optimizer."""
    command = [sys.executable, "-c", IMPORT]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    return statistics.median(float(run.stdout) for run in runs)


def one_run(sites: Path, out: Path, importing: float, strategy: str) -> dict[str, float | dict]:
    """Seconds of one run, by what they were spent on."""
    settings = {"data": str(sites), "secure-sum": "off", "strategy": strategy}
    run = execute(settings, out, resources={"init-args-num-cpus": 1})
    fitting, other, describing = 0.0, Counter(), []
    for log in out.glob("sites/*/outbox.jsonl"):
        for line in lines(log):
            own = line.get("fitting_seconds", 0.0)
            fitting += own
            other[line["phase"]] += line["seconds"] - own
            if line["phase"] == "describe":
                describing.append(line["seconds"])
    ledger = lines(out / "ledger.jsonl")
    moment = datetime.fromisoformat
    described = [moment(line["time"]) for line in ledger if line["phase"] == "describe"]
    total = (moment(run["ended"]) - moment(run["started"])).total_seconds()
    startup = (max(described) - moment(run["started"])).total_seconds()
    startup += importing - len(describing) * min(describing)
    fitting -= importing
    overhead = total - startup - fitting
    return {
        "run": total,
        "start_up": startup,
        "fitting": fitting,
        "everything_else": overhead,
        "of_which_work_at_sites": dict(other),
        "ratio": overhead / fitting,
        "megabytes": sum(line["bytes"] for line in ledger) / 1e6,
    }


def main(data_dir: Path) -> None:
    importing = import_seconds()
    runs: dict[str, list] = {"fedavg": [], "fedsgd": []}
    with tempfile.TemporaryDirectory() as folder:
        sites = Path(folder) / "sites"
        split_file(data_dir / "pbmc_5study.h5ad", "batch", sites)
        for i in range(REPEATS):
            for strategy, own in runs.items():
                own.append(one_run(sites, Path(folder) / f"{strategy}-{i}", importing, strategy))
    ratio, low, high = (
        f([r["ratio"] for r in runs["fedavg"]]) for f in (statistics.median, min, max)
    )
    middle = {
        strategy: {key: statistics.median(r[key] for r in own) for key in TOLD}
        for strategy, own in runs.items()
    }
    keep(
        "overhead",
        {
            "data": "pbmc_5study, a site per batch",
            "median": middle,
            "runs": runs,
            "claims": {
                f"fedavg: at most 20 % of fitting time: {100 * ratio:.1f} % (median of {REPEATS} "
                f"runs, {100 * low:.1f} to {100 * high:.1f} %)": ratio <= AIM
            },
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
