"""Models, one per file, and their registry."""
