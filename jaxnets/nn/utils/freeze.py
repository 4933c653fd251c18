"""Parameters that are not trained: torch's `requires_grad`."""

from typing import Any

from flax import nnx

__all__ = ["freeze", "is_trainable"]


def freeze(module: Any, frozen: bool = True) -> Any:
    """Marks all parameters of a module, or one parameter, as not to be trained: torch's `requires_grad_(False)`.

    The mark is the metadata `requires_grad=False` of each `nnx.Param`. It changes no gradient by itself: give
    `is_trainable` to what differentiates and to what updates.

    Args:
        module: a Flax NNX module, or an `nnx.Param`; changed in place.
        frozen: False takes the mark away.

    Returns:
        `module`.

    Raises:
        TypeError: neither a module nor a parameter.

    Differences from torch: a mark, which optimizers and `nnx.grad` must be told to respect.

    >>> from jaxnets import nn
    >>> layer = nn.Linear(2, 3, rngs=nnx.Rngs(0))
    >>> freeze(layer).weight.get_metadata("requires_grad")
    False

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.requires_grad_
    """
    if isinstance(module, nnx.Param):
        module.set_metadata(requires_grad=not frozen)
        return module
    if not isinstance(module, nnx.Module):
        raise TypeError(f"module: expected a flax.nnx.Module or nnx.Param, got {type(module).__name__}")
    for _, parameter in nnx.iter_graph(module):
        if isinstance(parameter, nnx.Param):
            parameter.set_metadata(requires_grad=not frozen)
    return module


def is_trainable(path: Any, variable: Any) -> bool:
    """A filter of Flax's: parameters that are not frozen.

    >>> from jaxnets import nn
    >>> net = nn.Sequential(nn.Linear(2, 3, rngs=nnx.Rngs(0)), freeze(nn.Linear(3, 1, rngs=nnx.Rngs(0))))
    >>> len(nnx.to_flat_state(nnx.state(net, is_trainable)))
    2
    """
    kind = getattr(variable, "type", type(variable))
    if not (isinstance(kind, type) and issubclass(kind, nnx.Param)):
        return False
    return variable.get_metadata().get("requires_grad", True) is not False
