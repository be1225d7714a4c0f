"""Gradient-boosted trees grown from sums over sites of gradient histograms over public bins."""
