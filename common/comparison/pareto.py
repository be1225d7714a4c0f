"""Which methods nobody beats in both quality and cost, and the one-number rating beside it."""

from collections.abc import Mapping


def dominators(points: Mapping[str, tuple[float, float]]) -> dict[str, list[str]]:
    """Of each method those that are at least as good in both and better in one.

    Parameters
    ----------
    points
        (quality, cost) by name: more quality is better, less cost is. A method is on the Pareto
        front where its list is empty; two alike in both do not beat each other.
    """
    return {
        name: [
            other
            for other, (good, dear) in points.items()
            if good >= quality and dear <= cost and (good, dear) != (quality, cost)
        ]
        for name, (quality, cost) in points.items()
    }


def eaps(f1: float, kg: float) -> float:
    """F1 per kg CO2e of a run.

    Without a floor it is no measure of a method: halving the emissions weighs as much as doubling
    F1, so that a model of no use that costs next to nothing has any EAPS you like.

    References
    ----------
    scFL-Green, github.com/ThreeSwordAI/scFL-Green: F1, weighted by the classes' cells, over
    codecarbon's kg CO2e.
    """
    return f1 / kg
