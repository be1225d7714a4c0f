"""What a synthetic cohort, or the run that made it, gives away: attacks, and what they find."""
