"""What a phase costs on real nodes beyond its work, beside Flower's FedAvg.start as it comes.

`python -m bench.rounds DATA`: a SuperLink and three SuperNodes, each process its own, on this
machine and without TLS; first flower-supernode with a PyTorch app like Flower's examples
(bench/stock), then syncytium-supernode with `correct`, masked, over as many arrays of the same
shapes. Beyond the work: from the coordinator's first message of a phase to its last reply, less
the longest work that a site itself measured in each trip.
"""

import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path

from bench.nodes import LINK, Nodes, nodes
from bench.report import keep
from cli.flower import Flower
from common.bundle import Bundle
from common.data.split import split_file

ROUNDS, SECONDS = 6, 900.0
STOCK = Path(__file__).parent / "stock"
# Trips that open the sum of the phase before them.
OPENING = ("reveal", "partial_sums", "agree")


def stamp(line: dict) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def start_sites(federation: Nodes, files: list[Path]) -> None:
    for path in files:
        own = str(federation.folder / path.stem)
        federation.start_site(path.stem, data_path=str(path), output_dir=own, name=path.stem)


def ours(folder: Path, files: list[Path]) -> dict:
    """Phases of a run of `correct`, in order: name, seconds, seconds of work, trips."""
    with nodes(folder) as federation:
        start_sites(federation, files)
        conf = Path(__file__).parent.parent / "conf/correct.toml"
        settings = (f"rounds={ROUNDS}", "patience=0", f"n-sites={len(files)}", "min-sites=3")
        options = [part for setting in settings for part in ("--set", setting)]
        run = ["run", str(conf), "--superlink", LINK, "--out", str(folder / "run"), *options]
        if federation.syncytium(*run).wait(SECONDS):
            raise RuntimeError((folder / "run.log").read_text()[-4000:])
    work: dict[str, list[float]] = defaultdict(list)
    for path in files:
        seen: dict[str, int] = defaultdict(int)
        for line in lines(folder / path.stem / "outbox.jsonl"):
            n = seen[line["phase"]]
            seen[line["phase"]] += 1
            if n == len(work[line["phase"]]):
                work[line["phase"]].append(0.0)
            work[line["phase"]][n] = max(work[line["phase"]][n], line["seconds"])
    phases: list[dict] = []
    done: dict[str, int] = defaultdict(int)
    last = ""
    for line in lines(folder / "run/ledger.jsonl"):
        sent = line["from"] == "coordinator"
        if sent and last != "sent":
            name = line["phase"]
            if name not in OPENING:
                phases.append({"phase": name, "begin": stamp(line), "work": 0.0, "trips": 0})
            phases[-1]["work"] += work[name][done[name]]
            phases[-1]["trips"] += 1
            done[name] += 1
        if not sent:
            phases[-1]["end"] = stamp(line)
        last = "sent" if sent else "received"
    return {"phases": phases, "shapes": shapes_of(folder / "run/bundle")}


def shapes_of(bundle: Path) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in Bundle.load(bundle).state.items()}


def stock(folder: Path, files: list[Path], shapes: dict[str, list[int]]) -> dict:
    """Phases of FedAvg.start, in order."""
    with nodes(folder, "flower-supernode") as federation:
        start_sites(federation, files)
        out = folder / "phases.json"
        config = {"n-sites": len(files), "rounds": ROUNDS, "shapes": json.dumps(shapes)}
        flower = Flower(LINK, federation.home, STOCK)
        flower.submit({**config, "out": str(out)}, {}, folder)
        end = time.monotonic() + SECONDS
        while not out.exists():
            if time.monotonic() > end:
                raise TimeoutError((folder / "superlink.log").read_text()[-4000:])
            time.sleep(0.5)
        return {"phases": json.loads(out.read_text())}


def beyond(phases: list[dict]) -> dict[str, list[float]]:
    """Seconds beyond the work by phase."""
    found: dict[str, list[float]] = defaultdict(list)
    for phase in phases:
        found[phase["phase"]].append(round(phase["end"] - phase["begin"] - phase["work"], 2))
    return dict(found)


def per_round(phases: list[dict], first: str) -> list[float]:
    """Whole rounds, from the begin of one to the begin of the next."""
    begins = [phase["begin"] for phase in phases if phase["phase"] == first]
    return [round(b - a, 2) for a, b in itertools.pairwise(begins)]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("give the folder with the datasets: python -m bench.rounds DATA")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = Path(sys.argv[1]) / "pancreas_human_3study_mini.h5ad"
        files = split_file(data, "batch", folder / "data")
        own = ours(folder / "ours", files)
        flower = stock(folder / "stock", files, own["shapes"])
    cost = {"stock": beyond(flower["phases"]), "ours": beyond(own["phases"])}
    rounds = {
        "stock": per_round(flower["phases"], "train"),
        "ours": per_round(own["phases"], "fit"),
    }
    for which, by_phase in cost.items():
        for phase, seconds in by_phase.items():
            middle = statistics.median(seconds)
            print(f"{which:6} {phase:15} {middle:6.2f} s beyond its work, {len(seconds)} times")
    middles = {which: statistics.median(seconds) for which, seconds in rounds.items()}
    work = statistics.median([p["work"] for p in own["phases"] if p["phase"] == "fit"])
    print(
        f"a round: stock {middles['stock']:.1f} s, ours {middles['ours']:.1f} s, work {work:.1f} s"
    )
    largest = max(statistics.median(seconds) for seconds in cost["ours"].values())
    keep(
        "rounds",
        {
            "sites": len(files),
            "arrays": len(own["shapes"]),
            "beyond_work_seconds": cost,
            "round_seconds": rounds,
            "trips": {p["phase"]: p["trips"] for p in own["phases"]},
            "claims": {
                f"every phase at most 3.5 s beyond its work: {largest:.1f} s": largest <= 3.5,
                f"a round below stock's: {middles['ours'] / middles['stock']:.2f} of it": (
                    middles["ours"] < middles["stock"]
                ),
            },
        },
    )


if __name__ == "__main__":
    main()
