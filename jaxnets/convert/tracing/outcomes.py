"""What functions of torch's give for tensors without data, where their code looks at numbers, too."""

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    unset_fake_temporarily,
)

from jaxnets.convert.errors import UnknownError
from jaxnets.convert.tracing.aliasing import shares_memory
from jaxnets.convert.tracing.objects import map_objects, object_leaves

__all__ = ["computed"]

INDEXING = {"__getitem__", "__setitem__"}

SHAPED_BY_NUMBERS = {
    f"aten.{name}"
    for name in (
        *("argwhere", "bincount", "masked_select", "nonzero", "nonzero_numpy", "unique_consecutive", "unique_dim"),
        *("_unique", "_unique2", "repeat_interleave.Tensor"),
    )
}
"""Operators whose results have sizes that depend on numbers."""


def computed(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function gives; of one whose code looks at numbers, what it gives for ones."""
    args = _known_index(args) if name in INDEXING else args
    try:
        return func(*args, **kwargs)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        if str(getattr(error, "func", "")).removesuffix(".default") in SHAPED_BY_NUMBERS:
            raise
        try:
            return _by_example(func, args, kwargs)
        except Exception:
            raise error from None


def _known_index(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of an indexing with numbers where torch looks at some: ints for arrays of one, places for bools."""
    array, index, *rest = args

    def known(x: Any) -> Any:
        if isinstance(x, list) and x and all(isinstance(y, bool) for y in x):
            return [i for i, y in enumerate(x) if y]
        is_number = isinstance(x, torch.Tensor) and not x.ndim and x.dtype not in (torch.bool, torch.uint8)
        return 0 if is_number else x

    return array, tuple(map(known, index)) if isinstance(index, tuple) else known(index), *rest


def _by_example(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function gives for ones, if it gives as much for other numbers."""
    with unset_fake_temporarily(), torch.random.fork_rng(devices=[]):
        output = _filled_call(func, args, kwargs, 1)
        for number in (2, 0):
            try:
                other = _filled_call(func, args, kwargs, number)
            except RuntimeError:  # a number that the function does not take
                continue
            if [x.shape for x in object_leaves(output)] != [x.shape for x in object_leaves(other)]:
                raise UnknownError("a size that depends on numbers")
            break
        else:
            raise UnknownError("what depends on numbers")
    return map_objects(lambda x: torch.empty_like(x, device="cpu"), output)


def _filled_call(func: Callable[..., Any], args: Any, kwargs: Any, number: int) -> Any:
    """What a function gives for arrays of one number; of no use if it is no array, or a view."""
    given: dict[int, torch.Tensor] = {}

    def filled(x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        return given.setdefault(id(x), torch.full(tuple(x.shape), number, dtype=x.dtype))

    output = func(*map_objects(filled, args), **map_objects(filled, kwargs))
    for x in object_leaves(output):
        if not isinstance(x, torch.Tensor) or any(shares_memory(x, y) or y._version for y in given.values()):
            raise UnknownError("what depends on numbers")
    return output
