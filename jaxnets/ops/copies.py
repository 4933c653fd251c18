"""ATen's `*_copy`: what is a view in torch, as an array of its own. Arrays are immutable: both are one here."""

from jaxnets.ops.aten import alias
from jaxnets.ops.complexes import view_as_complex, view_as_real
from jaxnets.ops.indexing import narrow, select, slice
from jaxnets.ops.joining import split, split_with_sizes, unbind
from jaxnets.ops.shape import (
    as_strided,
    detach,
    diagonal,
    expand,
    permute,
    squeeze,
    t,
    transpose,
    unfold,
    unsqueeze,
    view,
)

__all__ = [
    "alias_copy",
    "as_strided_copy",
    "detach_copy",
    "diagonal_copy",
    "expand_copy",
    "narrow_copy",
    "permute_copy",
    "select_copy",
    "slice_copy",
    "split_copy",
    "split_with_sizes_copy",
    "squeeze_copy",
    "t_copy",
    "transpose_copy",
    "unbind_copy",
    "unfold_copy",
    "unsqueeze_copy",
    "view_as_complex_copy",
    "view_as_real_copy",
    "view_copy",
]

alias_copy = alias
as_strided_copy = as_strided
detach_copy = detach
diagonal_copy = diagonal
expand_copy = expand
narrow_copy = narrow
permute_copy = permute
select_copy = select
slice_copy = slice
split_copy = split
split_with_sizes_copy = split_with_sizes
squeeze_copy = squeeze
t_copy = t
transpose_copy = transpose
unbind_copy = unbind
unfold_copy = unfold
unsqueeze_copy = unsqueeze
view_copy = view
view_as_complex_copy = view_as_complex
view_as_real_copy = view_as_real
