"""Differential privacy: exact integer noise, what it costs, and budgets that cannot be overspent."""
