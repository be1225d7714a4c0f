"""What the scores say in words: are the batches mixed, are the cell types kept?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A change that is little more than rounding in three decimals is called none.
SMALL = 0.005
# A type is pointed out where a score of it fell by more.
NOTABLE = 0.05

# The scores that speak for their group, the first that has values; what 0 and 1 mean.
HEADLINES = {
    "mixing": ("entropy_of_batch_mixing_shared", "entropy_of_batch_mixing", "silhouette_batch"),
    "types": ("knn_purity", "nmi_best", "silhouette_label"),
}
SCALES = {
    "entropy_of_batch_mixing_shared": "of the cells whose type two or more batches hold; 0: each "
    "cell's neighbours are of one batch, 1: all batches in equal shares; unequal batches keep it "
    "below 1",
    "entropy_of_batch_mixing": "0: each cell's neighbours are of one batch, 1: all batches in "
    "equal shares; unequal batches and types of one batch keep it below 1",
    "knn_purity": "share of a cell's neighbours that have its type, mean over types",
}
QUESTIONS = {"mixing": "Are the batches mixed?", "types": "Are the cell types kept?"}
ANSWERS = {
    "mixing": ("Better than before", "No better than before", "Worse than before"),
    "types": ("Yes, and better apart than before", "Yes, as before", "Less than before"),
}
TONES = ("good", "same", "bad")


@dataclass(frozen=True)
class Finding:
    """An answer for one output.

    Parameters
    ----------
    question, answer, tone
        In words; the tone is "good", "same", "bad" or "unknown".
    output
        Which corrected output.
    title, scale
        The score's name and what its values mean.
    before, after
        The score; None where it has no value.
    reason
        Why it has none.
    """

    question: str
    answer: str
    tone: str
    output: str
    title: str
    scale: str
    before: float | None
    after: float | None
    reason: str = ""


def findings(evaluation: Mapping[str, Any]) -> list[Finding]:
    """An answer per question and output; no question without a score."""
    before, *outputs = evaluation["overall"]
    return [
        finding
        for output in outputs
        for group in QUESTIONS
        if (finding := _finding(evaluation, group, before, output))
    ]


def _finding(evaluation: Mapping[str, Any], group: str, before: str, output: str) -> Finding | None:
    metrics, overall = evaluation["metrics"], evaluation["overall"]
    in_group = [name for name, metric in metrics.items() if metric["group"] == group]
    if not in_group:
        return None
    order = [name for name in HEADLINES[group] if name in in_group] or in_group
    defined = [n for n in order if None not in (overall[c][n]["value"] for c in (before, output))]
    name = (defined or order)[0]
    values = [overall[column][name]["value"] for column in (before, output)]
    described = metrics[name]["title"], SCALES.get(name, "")
    if not defined:
        reasons = (overall[column][name]["reason"] for column in (before, output))
        reason = next((reason for reason in reasons if reason), "")
        about = (output, *described, *values, reason)
        return Finding(QUESTIONS[group], "Cannot be said", "unknown", *about)
    gain = values[1] - values[0]
    if metrics[name]["better"] == "lower":
        gain = -gain
    which = 1 if abs(gain) < SMALL else 0 if gain > 0 else 2
    about = (output, *described, *values)
    return Finding(QUESTIONS[group], ANSWERS[group][which], TONES[which], *about)


def types_to_look_at(evaluation: Mapping[str, Any], most: int = 6) -> list[str]:
    """A sentence for each score of a cell type that fell notably, the largest falls first."""
    before, *outputs = evaluation["overall"]
    falls = []
    for name, about in evaluation["per_type"].items():
        for output in outputs:
            for metric, value in about["scores"].get(output, {}).items():
                start = about["scores"].get(before, {}).get(metric)
                if value is None or start is None:
                    continue
                sign = 1 if evaluation["metrics"][metric]["better"] == "higher" else -1
                fall = sign * (start - value)
                if fall > NOTABLE:
                    title = evaluation["metrics"][metric]["title"]
                    change = f"from {start:.2f} to {value:.2f}"
                    falls.append((fall, f"{name}: {title} went {change} ({output})"))
    told = [text for _, text in sorted(falls, key=lambda fall: -fall[0])]
    rest = [f"and {len(told) - most} more, in the table by cell type"] if told[most:] else []
    return told[:most] + rest
