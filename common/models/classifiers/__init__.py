"""Cell-type classifiers, one per file, and their registry."""
