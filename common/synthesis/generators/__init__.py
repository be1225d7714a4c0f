"""One generator a file; each enters the table of :mod:`common.synthesis.registry`."""
