"""What the coordinator and the sites share: plain numpy and torch, no Flower."""
