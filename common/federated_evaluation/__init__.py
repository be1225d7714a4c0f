"""How good a correction is, from sums over sites alone: what a site adds, what the sums give."""
