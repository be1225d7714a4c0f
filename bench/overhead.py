"""Federation's own cost: everything but the sites' fitting, start-up of Ray apart.

Sites run one after the other on one core, so that times add up. Fitting is what the sites' own logs
say of their fit messages. Start-up is the describe phase, in which Ray starts its actor and the
actor imports its libraries, less what a warm actor needs for it: the fastest site's time for each.

`python -m bench.overhead DATA_DIR`.
"""

import json
import sys
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path

from bench.report import keep
from cli.run import execute
from common.data.split import split_file


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def main(data_dir: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sites, out = Path(folder) / "sites", Path(folder) / "run"
        split_file(data_dir / "pbmc_5study.h5ad", "batch", sites)
        run = execute({"data": str(sites)}, out, resources={"init-args-num-cpus": 1})
        work, describing = Counter(), []
        for log in out.glob("sites/*/outbox.jsonl"):
            for line in lines(log):
                work[line["phase"]] += line["seconds"]
                if line["phase"] == "describe":
                    describing.append(line["seconds"])
        ledger = lines(out / "ledger.jsonl")
    moment = datetime.fromisoformat
    described = [moment(line["time"]) for line in ledger if line["phase"] == "describe"]
    total = (moment(run["ended"]) - moment(run["started"])).total_seconds()
    startup = (max(described) - moment(run["started"])).total_seconds()
    startup -= len(describing) * min(describing)
    overhead = total - startup - work["fit"]
    keep(
        "overhead",
        {
            "data": "pbmc_5study, a site per batch",
            "seconds": {
                "run": total,
                "start_up": startup,
                "fitting": work["fit"],
                "everything_else": overhead,
                "of_which_work_at_sites": {k: v for k, v in work.items() if k != "fit"},
            },
            "megabytes": sum(line["bytes"] for line in ledger) / 1e6,
            "claims": {
                f"at most 20 % of fitting time: {overhead:.1f} s of {work['fit']:.1f} s, "
                f"{100 * overhead / work['fit']:.0f} %": overhead <= 0.2 * work["fit"]
            },
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
