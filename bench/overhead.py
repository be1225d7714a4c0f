"""Federation's own cost: everything but the sites' fitting, start-up of Ray apart.

Sites run one after the other on one core, so that times add up. Fitting is what the sites' own logs
give for it: the validation loss of the received model and the local epochs, which one site alone
would compute as well; rebuilding the model, encoding and sending it are not in it. Start-up is the
describe phase, in which Ray starts its actor and the actor imports its libraries, less what a warm
actor needs for it (the fastest site's time for each), and the import of torch's compiler by the
first optimizer, which is taken from the fitting.

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
IMPORT = "import time, torch; t = time.time(); import torch._dynamo; print(time.time() - t)"


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def import_seconds() -> float:
    """What a process pays once, in its first optimizer."""
    command = [sys.executable, "-c", IMPORT]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    return statistics.median(float(run.stdout) for run in runs)


def main(data_dir: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sites, out = Path(folder) / "sites", Path(folder) / "run"
        split_file(data_dir / "pbmc_5study.h5ad", "batch", sites)
        run = execute({"data": str(sites)}, out, resources={"init-args-num-cpus": 1})
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
    importing = import_seconds()
    startup = (max(described) - moment(run["started"])).total_seconds()
    startup += importing - len(describing) * min(describing)
    fitting -= importing
    overhead = total - startup - fitting
    keep(
        "overhead",
        {
            "data": "pbmc_5study, a site per batch",
            "seconds": {
                "run": total,
                "start_up": startup,
                "fitting": fitting,
                "everything_else": overhead,
                "of_which_work_at_sites": dict(other),
            },
            "megabytes": sum(line["bytes"] for line in ledger) / 1e6,
            "claims": {
                f"at most 20 % of fitting time: {overhead:.1f} s of {fitting:.1f} s, "
                f"{100 * overhead / fitting:.0f} %": overhead <= AIM * fitting
            },
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
