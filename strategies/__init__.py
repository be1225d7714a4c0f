"""What happens across sites in a phase: Flower strategies."""
