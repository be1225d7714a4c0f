"""Integration metrics on plain arrays, one per file."""
