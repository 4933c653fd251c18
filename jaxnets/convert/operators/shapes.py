"""Shapes, axes, joining and splitting, dtypes."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert import expressions as e
from jaxnets.convert.operators.rules import Rule, cast, same
from jaxnets.convert.trace import Op, Value

if TYPE_CHECKING:
    from jaxnets.convert.writing.body import Body

__all__ = ["RULES"]


def _listed(args: Sequence[Any]) -> tuple[Any, ...]:
    """Sizes or axes, given one by one or in one sequence."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], tuple | list) else tuple(args)


def _reshape(body: "Body", op: Op, input: Value, *shape: Any, **kwargs: Any) -> e.Expr | None:
    sizes = _listed(shape or tuple(kwargs.values()))
    if len(sizes) == 1 and isinstance(sizes[0], torch.dtype):  # the bits as another dtype
        return None
    return e.method(body.expr(input), "reshape", *_sizes(body, input, sizes))


def _sizes(body: "Body", input: Value, sizes: Sequence[Any]) -> list[e.Expr]:
    return [body.expr(int(x) if isinstance(x, bool) else x) for x in sizes]


def _to_output(body: "Body", op: Op, input: Value, *args: Any, **kwargs: Any) -> e.Expr | None:
    """A reshape to the shape that torch found."""
    return e.method(body.expr(input), "reshape", *_merged(body, op.output))


def _merged(body: "Body", output: Value) -> list[e.Expr]:
    symbolic = [i for i, x in enumerate(output.shape) if body.is_batch(x)]
    return [e.literal(-1) if [i] == symbolic else body.expr(x) for i, x in enumerate(output.shape)]


def _flatten(body: "Body", op: Op, input: Value, start_dim: int = 0, end_dim: int = -1) -> e.Expr | None:
    if not input.ndim:
        return _to_output(body, op, input)
    start, end = start_dim % input.ndim, end_dim % input.ndim
    sizes: list[Any] = [body.size(input, i) for i in range(start)]
    sizes.append(e.literal(-1))
    sizes += [body.size(input, i) for i in range(end + 1, input.ndim)]
    if any(x == 0 for x in input.shape if isinstance(x, int)):  # -1 would have no meaning
        return _to_output(body, op, input)
    return e.method(body.expr(input), "reshape", *sizes)


def _permute(body: "Body", op: Op, input: Value, *dims: Any, **kwargs: Any) -> e.Expr:
    order = _listed(dims or tuple(kwargs.values()))
    return e.method(body.expr(input), "transpose", *order)


def _swap(body: "Body", op: Op, input: Value, dim0: int, dim1: int) -> e.Expr:
    return e.method(body.expr(input), "swapaxes", dim0, dim1) if input.ndim else body.expr(input)


def _attribute(name: str, body: "Body", op: Op, input: Value) -> e.Expr | None:
    return e.ast.Attribute(body.expr(input), name) if input.ndim == 2 or name == "mT" else None


def _squeeze(body: "Body", op: Op, input: Value, dim: Any = None) -> e.Expr | None:
    if not input.ndim:
        return body.expr(input)
    wanted = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = [int(d) for d in wanted]
    if not gone or any(int(input.shape[d]) != 1 for d in gone):
        return None  # which axes go depends on sizes, which may be other ones later: a batch of one
    return e.method(body.expr(input), "squeeze", gone[0] if len(gone) == 1 else tuple(gone))


def _unsqueeze(body: "Body", op: Op, input: Value, dim: int) -> e.Expr:
    place = dim % (input.ndim + 1)
    if place == input.ndim:
        return e.subscript(body.expr(input), ..., None)
    return e.subscript(body.expr(input), *(slice(None),) * place, None)


def _expand(body: "Body", op: Op, input: Value, *sizes: Any, **kwargs: Any) -> e.Expr:
    wanted = _listed(sizes or tuple(kwargs.values()))
    shift = len(wanted) - input.ndim
    shape = [body.size(input, i - shift) if x == -1 else body.expr(x) for i, x in enumerate(wanted)]
    if len(shape) == input.ndim and all(_same_size(a, b) for a, b in zip(op.output.shape, input.shape, strict=True)):
        return body.expr(input)
    return e.call("jnp.broadcast_to", body.expr(input), e.ast.Tuple(shape))


def _same_size(a: Any, b: Any) -> bool:
    return str(a) == str(b)


def _expand_as(body: "Body", op: Op, input: Value, other: Value) -> e.Expr:
    return e.call("jnp.broadcast_to", body.expr(input), e.ast.Attribute(body.expr(other), "shape"))


def _cat(body: "Body", op: Op, tensors: Any, dim: int = 0, **kwargs: Any) -> e.Expr | None:
    dim = kwargs.get("axis", dim)
    arrays = [x for x in tensors if not (x.ndim == 1 and x.shape[0] == 0 and op.output.ndim != 1)]
    return e.call("jnp.concatenate", _cast_all(body, arrays, op.output.dtype), **({"axis": dim} if dim else {}))


def _stack(body: "Body", op: Op, tensors: Any, dim: int = 0) -> e.Expr:
    return e.call("jnp.stack", _cast_all(body, tensors, op.output.dtype), **({"axis": dim} if dim else {}))


def _cast_all(body: "Body", arrays: Any, dtype: torch.dtype) -> e.Expr:
    """A list of arrays in one dtype: the user's own list, where it is one."""
    if all(x.dtype == dtype for x in arrays):
        return body.expr(list(arrays))
    return e.ast.List([cast(body, x, dtype) for x in arrays])


def _split(body: "Body", op: Op, input: Value, *args: Any, **kwargs: Any) -> e.Expr | None:
    """`chunk`, `split`, `tensor_split`: the sizes are those that torch found."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    sizes = [part.shape[dim] for part in op.output]
    if any(map(body.is_batch, sizes)) and len(set(sizes)) > 1:
        return None
    where = len(sizes) if len(set(sizes)) == 1 else list(accumulate(sizes))[:-1]
    return e.call("jnp.split", body.expr(input), where, **({"axis": dim} if dim else {}))


def _unbind(body: "Body", op: Op, input: Value, dim: int = 0) -> e.Expr:
    return e.call("jnp.unstack", body.expr(input), **({"axis": dim} if dim else {}))


def _repeat(body: "Body", op: Op, input: Value, *repeats: Any) -> e.Expr:
    return e.call("jnp.tile", body.expr(input), body.expr(_listed(repeats)))


def _flip(body: "Body", op: Op, input: Value, *dims: Any) -> e.Expr:
    wanted = _listed(dims)
    return e.call("jnp.flip", body.expr(input), axis=wanted[0] if len(wanted) == 1 else wanted)


def _roll(body: "Body", op: Op, input: Value, shifts: Any, dims: Any = None) -> e.Expr:
    single = isinstance(shifts, tuple | list) and len(shifts) == 1
    shifts, dims = (shifts[0] if single else shifts), (dims[0] if single and dims else dims)
    named = {} if dims is None or dims == () else {"axis": body.expr(dims)}
    return e.call("jnp.roll", body.expr(input), body.expr(shifts), **named)


def _movedim(body: "Body", op: Op, input: Value, source: Any, destination: Any) -> e.Expr:
    return e.call("jnp.moveaxis", body.expr(input), source, destination)


def _triangle(function: str, body: "Body", op: Op, input: Value, diagonal: int = 0) -> e.Expr:
    return e.call(function, body.expr(input), *((diagonal,) if diagonal else ()))


def _to(body: "Body", op: Op, input: Value, *args: Any, **kwargs: Any) -> e.Expr:
    """`to`, `float`, `type`, ...: the dtype that torch found."""
    return cast(body, input, op.output.dtype)


def _detach(body: "Body", op: Op, input: Value, *args: Any) -> e.Expr:
    if not input.dtype.is_floating_point or (input.path is None and input.data is not None):
        return body.expr(input)
    return e.call("jax.lax.stop_gradient", body.expr(input))


def _pad(body: "Body", op: Op, input: Value, pad: Any = (), *args: Any, **kwargs: Any) -> e.Expr | None:
    """Nothing, where nothing is added; else `jaxnets.functional` has it."""
    if all(type(n) is int and n == 0 for n in pad):
        return body.expr(input)
    return None


RULES: Mapping[str, Rule] = {
    "functional.pad": _pad,
    **dict.fromkeys(("contiguous", "clone", "identity", "alias", "resolve_conj", "resolve_neg", "cpu"), same),
    **dict.fromkeys(("requires_grad_", "requires_grad", "lift_fresh"), same),
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "_reshape_alias"), _reshape),
    **dict.fromkeys(("view_as", "reshape_as", "unflatten", "ravel"), _to_output),
    "flatten": _flatten,
    "permute": _permute,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _swap),
    "T": partial(_attribute, "T"),
    "t": partial(_attribute, "T"),
    "mT": partial(_attribute, "mT"),
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    **dict.fromkeys(("expand", "broadcast_to"), _expand),
    "expand_as": _expand_as,
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    "stack": _stack,
    **dict.fromkeys(("chunk", "split", "tensor_split", "split_with_sizes"), _split),
    "unbind": _unbind,
    **dict.fromkeys(("repeat", "tile"), _repeat),
    "flip": _flip,
    "roll": _roll,
    "movedim": _movedim,
    "moveaxis": _movedim,
    "tril": partial(_triangle, "jnp.tril"),
    "triu": partial(_triangle, "jnp.triu"),
    **dict.fromkeys(("to", "type", "type_as", "_to_copy"), _to),
    **dict.fromkeys(("float", "double", "half", "bfloat16", "int", "long", "short", "bool", "byte", "char"), _to),
    **dict.fromkeys(("detach", "data"), _detach),
}
