"""Who can tell a member of a bulk cohort, knowing the generator and every sum that was released?

For each fold the rule's generator is fitted to the training records with a trusted centre's noise;
members are these records, the others the fold's held-out ones. AUC and the share of members found
at 1 % and 10 % of false positives, mean over folds; beside it what no attack on one unit can pass
at that epsilon (Gaussian mechanism: AUC Phi(mu / sqrt 2)), and the same with noise off.

`python -m bench.synthesis_audit DATA_DIR [--epsilons 1,inf] [--repeats 2]`
"""

import argparse
import math
from pathlib import Path
from typing import Any

from scipy.stats import norm

from bench.report import keep
from bench.synthesis_data import BRCA, Fold, folds
from common.comparison.statistics import interval
from common.synthesis.audit.membership import membership
from common.synthesis.audit.tracing import tracing_scores
from common.synthesis.audit.watched import Watched
from common.synthesis.pooled import fit_pooled, mu_of_run
from common.synthesis.registry import GENERATORS
from common.synthesis.rule import generator_for

DELTA, MOST = 1e-5, 0.55


def attacked(fold: Fold, epsilon: float, seed: int) -> dict[str, float]:
    """One release, traced."""
    n, schema = len(fold.train.values), fold.schema
    name, options = generator_for(n, schema.n_genes, schema.n_classes, epsilon, DELTA)
    watched = Watched(GENERATORS.get(name)(schema, epsilon, DELTA, options))
    fit_pooled(watched, [fold.train])
    scores = tracing_scores(watched, watched.releases, fold.train, fold.test, seed=seed)
    found = membership(*scores, seed=seed)
    at = {rate: found.tpr[rate].value for rate in (0.01, 0.1)}
    return {"auc": found.auc.value, "tpr_1": at[0.01], "tpr_10": at[0.1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epsilons", default="1,inf")
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    parts = list(folds(asked.data, BRCA))
    table: dict[str, Any] = {}
    claims = {}
    for epsilon in map(float, asked.epsilons.split(",")):
        repeats = asked.repeats if math.isfinite(epsilon) else 1
        runs = [attacked(fold, epsilon, seed) for seed in range(repeats) for fold in parts]
        row = {key: vars(interval([run[key] for run in runs])) for key in runs[0]}
        table[f"{epsilon:g}"] = row
        auc = row["auc"]
        text = f"epsilon {epsilon:g}: AUC {auc['mean']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
        text += f", {100 * row['tpr_1']['mean']:.1f} % and {100 * row['tpr_10']['mean']:.1f} % of "
        text += "members at 1 % and 10 % false positives"
        if math.isinf(epsilon):
            claims[f"{text}: found with noise off"] = auc["low"] > MOST
        else:
            most = float(norm.cdf(mu_of_run(epsilon, DELTA) / math.sqrt(2)))
            text += f"; no attack passes {most:.3f}"
            claims[f"{text}; at most {MOST} at epsilon 1"] = epsilon > 1 or auc["mean"] <= MOST
        print(text, flush=True)
    keep("synthesis_audit", {"dataset": BRCA, "table": table, "claims": claims})


if __name__ == "__main__":
    main()
