"""y = w0 x + w1 x^2 + w2, fitted to three points, the step written by hand in both frameworks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from examples.training.experiment import ByHand, Data, Experiment
from examples.training.options import command


class Quadratic(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.ones(3))

    def __call__(self, x):
        return jnp.stack([x, x**2, jnp.ones_like(x)], axis=1) @ self.w


def torch_quadratic():
    import torch
    from torch import nn

    class Quadratic(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return torch.stack([x, x**2, torch.ones_like(x)], dim=1) @ self.w

    return Quadratic()


def by_hand(lr: float) -> optax.GradientTransformation:
    """`w = w - lr * gradient`."""
    return optax.GradientTransformation(
        lambda params: optax.EmptyState(),
        lambda grads, state, params=None: (jax.tree.map(lambda g: -lr * g, grads), state),
    )


def by_hand_in_torch(parameters, lr: float):
    """`w = w - lr * gradient`."""
    import torch

    class ByHandSGD(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure):
            with torch.enable_grad():
                loss = closure()
            for group in self.param_groups:
                for w in group["params"]:
                    w -= lr * w.grad
            return loss

    return ByHandSGD(parameters, {})


def loss(model, F, x, y):
    return ((model(x) - y) ** 2).sum()


@command
def main() -> Experiment:
    """y = w0 x + w1 x^2 + w2, fitted to three points, the step written by hand in both frameworks."""
    x, y = np.array([1, 2, 3], np.float32), np.array([2, 4, 6], np.float32)
    return Experiment(
        name="quadratic",
        data=Data((x, y)),
        model=lambda rngs: Quadratic(),
        torch_model=torch_quadratic,
        loss=loss,
        optimizer=ByHand(by_hand, by_hand_in_torch),
        arguments={"lr": 0.001},
        epochs=1000,
        batch=1,
        span=100,
        block=300,
    )


if __name__ == "__main__":
    main()
