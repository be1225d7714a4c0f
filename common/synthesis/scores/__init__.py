"""How good a synthetic cohort is, beside the real one that it was made from."""
