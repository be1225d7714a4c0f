"""FedProx's proximal term: a pull of local training towards the model it started from.

References
----------
Li et al. 2018, arXiv:1812.06127, Algorithm 2: a site minimises F(w) + mu/2 ||w - w_0||^2.
"""

import torch
from torch import nn


class ProximalTerm:
    """The term's gradient, mu (w - w_0), for the trainable parameters of a model.

    Added to the loss's gradient, it spares a graph over every parameter in each step.

    Parameters
    ----------
    model
        At w_0, on the device where it is trained.
    mu
        0 adds nothing and keeps no copy of w_0.
    """

    def __init__(self, model: nn.Module, mu: float):
        trained = [p for p in model.parameters() if p.requires_grad] if mu else []
        self.mu = mu
        self._started = [(parameter, parameter.detach().clone()) for parameter in trained]

    @torch.no_grad()
    def add_gradient(self) -> None:
        """Add to the gradients that a backward pass has left."""
        for parameter, start in self._started:
            if parameter.grad is not None:
                parameter.grad.add_(parameter - start, alpha=self.mu)
