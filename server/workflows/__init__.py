"""The order of phases of each task."""
