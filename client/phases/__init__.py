"""What a site does in each phase, one phase per file."""
