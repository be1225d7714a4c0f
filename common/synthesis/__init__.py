"""Synthetic cohorts of statistics that are summed over sites with noise."""
