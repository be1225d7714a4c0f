"""What a comparison of methods is made of: methods, equal work, order, intervals, Pareto front."""
