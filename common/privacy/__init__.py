"""Differential privacy: exact integer noise, what it costs, and budgets that hold."""
