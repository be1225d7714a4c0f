"""What `python -m bench.energy_methods` kept, in Markdown: the tables of docs/energy.md.

`python -m bench.energy_tables`.
"""

import json
from collections.abc import Mapping
from typing import Any

from bench.report import RESULTS
from common.comparison.results import FRONT

Methods = Mapping[str, Mapping[str, Any]]
# Under which scFL-Green's table has them.
NAMES = {"reduced-form": "reduced"}
PER_KG = 1e3


def label(name: str) -> str:
    """A method's name in the tables."""
    return NAMES.get(name, name)


def spread(figure: Mapping[str, float], factor: float, digits: int) -> str:
    """Mean and half of its 95 % interval."""
    half = (figure["high"] - figure["low"]) / 2
    return f"{factor * figure['mean']:.{digits}f} ± {factor * half:.{digits}f}"


def method_table(methods: Methods) -> list[str]:
    """A row for each method of one framework on one data set."""
    lines = [
        "| | accuracy | macro-F1 | mWh | of it CPU | mg CO2e | EAPS, 1/g | beside the front |",
        "|---" * 8 + "|",
    ]
    for name, method in methods.items():
        f = method["figures"]
        lines.append(
            f"| {label(name)} | {spread(f['accuracy'], 1, 3)} | {spread(f['macro_f1'], 1, 3)} | "
            f"{spread(f['kwh'], 1e6, 1)} | {spread(f['cpu_kwh'], 1e6, 2)} | "
            f"{spread(f['kg'], 1e6, 2)} | {f['eaps']['mean'] / PER_KG:.0f} | {method['verdict']} |"
        )
    return lines


def best_table(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """By framework and data set: best EAPS, and the least energy on the front."""
    lines = ["| data set | framework | best EAPS | its macro-F1 | least energy on the front |"]
    lines.append("|---" * 5 + "|")
    for dataset, own in results.items():
        for framework, one in own.items():
            methods = one["methods"]
            best = max(methods, key=lambda name: methods[name]["figures"]["eaps"]["mean"])
            front = [name for name in methods if methods[name]["verdict"] == FRONT]
            least = min(front, key=lambda name: methods[name]["figures"]["kwh"]["mean"], default="")
            f1 = methods[best]["figures"]["macro_f1"]["mean"]
            verdict = methods[best]["verdict"]
            told = f"{f1:.3f}" + ("" if verdict == FRONT else f", {verdict}")
            lines.append(f"| {dataset} | {framework} | {label(best)} | {told} | {label(least)} |")
    return lines


def differences(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """By method: in how many comparisons its energy differs from the baseline's for sure."""
    counts: dict[str, list[int]] = {}
    for own in results.values():
        for one in own.values():
            for name, method in one["methods"].items():
                if not (found := method["differences"].get("kwh")):
                    continue
                row = counts.setdefault(label(name), [0, 0, 0])
                row[0 if found["high"] < 0 else 2 if found["low"] > 0 else 1] += 1
    lines = ["| | less energy than the baseline | no difference | more |", "|---" * 4 + "|"]
    return lines + [f"| {name} | {a} | {b} | {c} |" for name, (a, b, c) in counts.items()]


def main() -> None:
    """Print them."""
    results = json.loads((RESULTS / "energy_methods.json").read_text())["results"]
    print(*best_table(results), "", *differences(results), sep="\n")
    for dataset, own in results.items():
        for framework, one in own.items():
            print(f"\n{framework} on {dataset}, {one['repeats']} repeats\n")
            print(*method_table(one["methods"]), sep="\n")


if __name__ == "__main__":
    main()
