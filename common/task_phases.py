"""Which phases are a part of which task: in a run a site answers those of its task, and no others.

A site that lets a task take place has agreed to what that task sums, not to what all tasks sum.
"""

from typing import TYPE_CHECKING

from common.errors import PolicyError
from common.wire_evaluation import EVALUATION

if TYPE_CHECKING:
    from common.config import RunConfig

KEYS = ("identities", "meet", "offers", "agree", "reveal", "partial_sums", "roll_call")
EVERY = (*KEYS, "describe", "energy")
# What a network is trained on.
PREPARED = ("moments", "fixed_values")

PHASES_OF = {
    "correct": (
        *(*EVERY, *PREPARED, "principal_axes", "fit"),
        *("peaks", "latents", "remainders", "correct", *EVALUATION),
    ),
    "classify": (
        *(*EVERY, *PREPARED, "labels", "class_counts", "marker_genes"),
        *("classifier_fit", "classifier_fit_of_some", "linear_gradient"),
        *("bin_counts", "tree_sums", "bagged_trees"),
        *("validation", "temperature", "confidences", "held_out"),
    ),
    # Others sum what no noise is on.
    "synthesize": (*EVERY, "labels", "noised_sums"),
}


def require_phase(config: "RunConfig", phase: str) -> None:
    """Let a phase be a part of a run with these settings.

    Raises
    ------
    PolicyError
        It is none of the run's task; or of its settings, by which no classes are agreed on.
    """
    if phase not in PHASES_OF[config.task]:
        raise PolicyError(f"phase {phase} is none of a run of {config.task}")
    if config.task == "synthesize" and phase == "labels" and config.classes:
        raise PolicyError(f"phase {phase} is none of a run of synthesize with public classes")
