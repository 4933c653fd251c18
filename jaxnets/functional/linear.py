"""Affine and bilinear maps: `torch.nn.functional.linear`, `bilinear`, `grouped_mm`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets import check
from jaxnets.lowering.linear import add_bias, affine

__all__ = ["bilinear", "grouped_mm", "linear"]


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
    return affine(input, weight, bias)


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
    return add_bias(jnp.einsum("...i,kij,...j->...k", input1, weight, input2), bias)


def grouped_mm(
    mat_a: jax.Array,
    mat_b: jax.Array,
    *,
    offs: jax.Array | None = None,
    bias: None = None,
    out_dtype: Any = None,
) -> jax.Array:
    """Matrix products of groups that differ in one size.

    The axis that a matrix of two axes shares among the groups is cut at `offs`: group g is `offs[g - 1]` to
    `offs[g] - 1`.

    Args:
        mat_a: `(G, M, K)`, or `(M, K)`: cut along M, or along K if `mat_b` has two axes as well.
        mat_b: `(G, K, N)`, or `(K, N)`: cut along N, or along K if `mat_a` has two axes as well.
        offs: `(G,)`, int32, the end of each group, not falling; None when both matrices have three axes.
        bias: None; torch does not support it yet.
        out_dtype: None, or the matrices' dtype.

    Shape:
        - `(G, M, K)`, `(G, K, N)` to `(G, M, N)`
        - `(M, K)`, `(G, K, N)` to `(M, N)`, rows behind the last group being 0
        - `(G, M, K)`, `(K, N)` to `(M, N)`, columns behind the last group being 0
        - `(M, K)`, `(K, N)` to `(G, M, N)`

    Raises:
        TypeError: the dtype is not float32, bfloat16 or float16, the matrices' differ, or `offs` is not int32.
        ValueError: sizes do not fit, `offs` is missing or superfluous, or a bias is given.

    Differences from torch: rows of any length are accepted, where torch wants multiples of 16 bytes; what lies
    behind the last group is 0, not left to chance; offsets that fall or lie outside are no error here either, and
    give other numbers.

    >>> a, b = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([[[1.0]], [[10.0]]])
    >>> grouped_mm(a, b, offs=jnp.array([1, 3], jnp.int32)).tolist()
    [[1.0], [20.0], [30.0]]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.grouped_mm.html
    """
    a, b = check.array("mat_a", mat_a), check.array("mat_b", mat_b)
    check.same_dtype(mat_a=a, mat_b=b)
    if a.dtype not in (jnp.float32, jnp.bfloat16, jnp.float16):
        raise TypeError(f"mat_a: expected float32, bfloat16 or float16, got {a.dtype}; cast both matrices")
    for name, matrix in (("mat_a", a), ("mat_b", b)):
        check.rank(name, matrix, {2: "of one matrix", 3: "of a matrix for each group"})
    if bias is not None:
        raise ValueError("bias: expected None, which is all that torch supports; add it to the result")
    if out_dtype is not None and check.dtype("out_dtype", out_dtype) != a.dtype:
        raise ValueError(f"out_dtype: expected None or mat_a's {a.dtype}, got {out_dtype}")
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"mat_b: expected {a.shape[-1]} rows for mat_a of shape {a.shape}, got shape {b.shape}")
    if (offs is None) != (a.ndim == b.ndim == 3):
        raise ValueError(
            f"offs: expected offsets if a matrix has two axes, and None if both have three, got "
            f"{'None' if offs is None else 'offsets'} for shapes {a.shape} and {b.shape}"
        )
    groups = [len(m) for m in (a, b) if m.ndim == 3]
    if offs is not None:
        offs = check.array("offs", offs)
        if offs.dtype != jnp.int32 or offs.ndim != 1:
            raise TypeError(f"offs: expected int32 of one axis, got {offs.dtype} of shape {offs.shape}")
        groups.append(len(offs))
    if len(set(groups)) > 1:
        raise ValueError(f"mat_a, mat_b, offs: expected one number of groups, got {', '.join(map(str, groups))}")
    return _grouped(a, b, offs).astype(a.dtype)


class _Pieces(NamedTuple):
    """The cut axis in pieces of one size, each once for every group that has a part of it."""

    group: jax.Array
    """`(P,)`: the group of a piece."""
    places: jax.Array
    """`(P, T)`: where a piece's entries lie on the axis; its end where they are another group's."""


def _pieces(size: int, offs: jax.Array) -> _Pieces:
    """Pieces as long as the average group: then there are at most twice as many as groups, whatever the offsets."""
    groups = offs.size
    length = max(-(-size // groups), 1)
    most = -(-size // length) + groups - 1
    starts = jnp.concatenate([jnp.zeros(1, offs.dtype), offs[:-1]])
    first = starts // length
    counts = jnp.where(offs > starts, (offs - 1) // length - first + 1, 0)
    group = jnp.repeat(jnp.arange(groups), counts, total_repeat_length=most)
    place = jnp.arange(most, dtype=offs.dtype)
    ends = jnp.cumsum(counts, dtype=offs.dtype)
    piece = first[group] + place - (ends - counts)[group]
    index = piece[:, None] * length + jnp.arange(length, dtype=offs.dtype)[None]
    own = (index >= starts[group][:, None]) & (index < offs[group][:, None]) & (place < ends[-1])[:, None]
    return _Pieces(group, jnp.where(own, index, size))


def _grouped(a: jax.Array, b: jax.Array, offs: jax.Array | None) -> jax.Array:
    """The products, in float32: one product for each piece, in place of one of the whole for each group."""
    if offs is None:
        return jnp.matmul(a, b, preferred_element_type=jnp.float32)
    if a.ndim == 3:
        return _grouped(b.T, a.mT, offs).T
    groups, (m, _), n = offs.size, a.shape, b.shape[-1]
    shape = (m, n) if b.ndim == 3 else (groups, m, n)
    zeros = jnp.zeros(shape, jnp.float32)
    if not a.size * b.size * groups:
        return zeros
    pieces = _pieces(len(a) if b.ndim == 3 else len(b), offs)
    if b.ndim == 3:
        rows = a.at[pieces.places].get(mode="fill", fill_value=0)
        products = jnp.matmul(rows, b[pieces.group], preferred_element_type=jnp.float32)
        return zeros.at[pieces.places].set(products, mode="drop")
    left = a.T.at[pieces.places].get(mode="fill", fill_value=0)
    right = b.at[pieces.places].get(mode="fill", fill_value=0)
    return zeros.at[pieces.group].add(jnp.matmul(left.mT, right, preferred_element_type=jnp.float32))
