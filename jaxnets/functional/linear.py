"""Affine and bilinear maps: `torch.nn.functional.linear`, `bilinear`."""

import jax
import jax.numpy as jnp

from jaxnets import check

__all__ = ["bilinear", "linear"]


def linear(input: jax.Array, weight: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """Affine map of the last axis.

    `y = x Aᵀ + b`

    Args:
        input: any number of leading axes, `in_features` last.
        weight: `(out_features, in_features)`, or `(in_features,)` for one output without an axis.
        bias: `(out_features,)`, or `()` with a one-axis weight and input.

    Shape:
        `(*, in_features)` to `(*, out_features)`.

    Raises:
        TypeError: the arrays have different dtypes.
        ValueError: sizes do not fit.

    Differences from torch: none.

    >>> linear(jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0]]), jnp.array([0.5]))
    Array([[11.5]], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html
    """
    input, weight = check.array("input", input), check.array("weight", weight)
    bias = None if bias is None else check.array("bias", bias)
    check.same_dtype(input=input, weight=weight, bias=bias)
    check.rank("weight", weight, {1: "(in_features,)", 2: "(out_features, in_features)"})
    if not input.ndim or input.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"input: expected the last axis to have in_features={weight.shape[-1]} entries, got shape {input.shape}"
        )
    if bias is not None and weight.ndim == 1 and input.ndim > 1:
        raise ValueError(
            f"bias: expected None beside a weight of one axis and input of shape {input.shape}; "
            "give the weight as (1, in_features)"
        )
    if bias is not None and bias.shape != weight.shape[:-1]:
        raise ValueError(f"bias: expected shape {weight.shape[:-1]}, got {bias.shape}")
    output = input @ weight.T
    return output if bias is None else output + jnp.broadcast_to(bias, output.shape)


def bilinear(input1: jax.Array, input2: jax.Array, weight: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """Bilinear map of the last axes of two inputs.

    `y_k = x1ᵀ A_k x2 + b_k`

    Args:
        input1: `(*, in1_features)`.
        input2: `(*, in2_features)`, the same leading axes.
        weight: `(out_features, in1_features, in2_features)`.
        bias: `(out_features,)`.

    Shape:
        `(*, in1_features)`, `(*, in2_features)` to `(*, out_features)`.

    Raises:
        TypeError: the arrays have different dtypes.
        ValueError: sizes do not fit.

    Differences from torch: none.

    >>> bilinear(jnp.array([1.0, 2.0]), jnp.array([3.0]), jnp.array([[[1.0], [10.0]]]))
    Array([63.], dtype=float32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.bilinear.html
    """
    input1, input2 = check.array("input1", input1), check.array("input2", input2)
    weight = check.array("weight", weight)
    bias = None if bias is None else check.array("bias", bias)
    check.same_dtype(input1=input1, input2=input2, weight=weight, bias=bias)
    check.rank("weight", weight, {3: "(out_features, in1_features, in2_features)"})
    for name, x, features in (("input1", input1, weight.shape[1]), ("input2", input2, weight.shape[2])):
        if not x.ndim or x.shape[-1] != features:
            raise ValueError(f"{name}: expected the last axis to have {features} entries, got shape {x.shape}")
    if input1.shape[:-1] != input2.shape[:-1]:
        raise ValueError(f"input2: expected the leading axes of input1, {input1.shape[:-1]}, got {input2.shape[:-1]}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias: expected shape {weight.shape[:1]}, got {bias.shape}")
    output = jnp.einsum("...i,kij,...j->...k", input1, weight, input2)
    return output if bias is None else output + jnp.broadcast_to(bias, output.shape)
