"""Trilinear forms whose gradients are said by hand, as autodiff would not find them fast.

A form `t(a, b, c)` is a number that is linear in each of three arrays. Its gradient in one of them is a bilinear
function of the other two: of `t(x, weight, y) = sum of conv(x, weight) * y` that in `y` is the convolution, and the
other two are the gradients of the convolution. A tangent of one of the three is a sum of two of the same, and its
transpose is another one: all derivatives, of all orders, forward and backward, are computed by three functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Protocol, Self

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad, batching, mlir
from jax.sharding import PartitionSpec

from jaxnets.lowering.choice import asked_for, is_known, only
from jaxnets.lowering.mesh import alike
from jaxnets.lowering.primitives import lowered, primitive

__all__ = ["Trilinear", "gradient"]

Shape = tuple[int, ...]
Slots = frozenset[int]


class Trilinear(Protocol):
    """A form of the arrays in its slots 0, 1 and 2, and of others behind them in which it has no derivative.

    It is hashable: two that are equal are one in the compiled program.
    """

    def shape(self, slot: int) -> Shape:
        """That of the array in a slot."""

    def gradient(self, platform: str, slot: int, *arrays: jax.Array) -> jax.Array:
        """That in one of the slots, of the arrays in the others, as computed on `cpu`, `cuda` or by `default`."""

    def merged(self, size: int, mapped: Slots) -> tuple[Self, Mapping[int, int]] | None:
        """The form of arrays of which some are mapped over so many, if it is the same with some axes that much longer.

        And which axis that is in each of these slots.
        """


def gradient(form: Trilinear, slot: int, *arrays: jax.Array) -> jax.Array:
    """The gradient in one of the slots, of the arrays in the other two, in their order, and the rest."""
    return _bound(*arrays, form=form, slot=slot, here=_Surroundings.here())


@dataclass(frozen=True)
class _Surroundings:
    """What decides how it is computed, which is when they are left."""

    form: str | None
    precision: str | None

    @classmethod
    def here(cls) -> Self:
        return cls(asked_for(), jax.config.jax_default_matmul_precision)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _Mapped:
    """A form of arrays of which some have one axis more, in front: a sum of forms."""

    form: Trilinear
    size: int
    mapped: Slots

    def shape(self, slot: int) -> Shape:
        shape = self.form.shape(slot)
        return (self.size, *shape) if slot in self.mapped else shape

    def gradient(self, platform: str, slot: int, *arrays: jax.Array) -> jax.Array:
        axes = [0 if other in self.mapped else None for other in _others(slot, len(arrays))]
        found = jax.vmap(partial(self.form.gradient, platform, slot), axes)(*arrays)
        return found if slot in self.mapped else found.sum(0)

    def merged(self, size: int, mapped: Slots) -> None:
        return None


def _others(slot: int, count: int) -> list[int]:
    """The slots of so many arrays, all but one."""
    return [other for other in range(count + 1) if other != slot]


# -- the primitive -----------------------------------------------------------------------------------------------------

_gradient = primitive("gradient_of_trilinear", ("form", "slot", "here"))


def _bound(*arrays: Any, **params: Any) -> jax.Array:
    return _gradient.bind(*alike(*arrays), **params)


def _abstract(*arrays: Any, form: Trilinear, slot: int, here: _Surroundings) -> Any:
    shape = form.shape(slot)
    sharding = arrays[0].sharding.update(spec=PartitionSpec(*(None,) * len(shape)))
    return arrays[0].update(shape=shape, sharding=sharding, weak_type=False)


def _lowered(platform: str) -> Any:
    def compute(*arrays: jax.Array, form: Trilinear, slot: int, here: _Surroundings) -> jax.Array:
        with only(here.form), jax.default_matmul_precision(here.precision):
            return form.gradient(platform, slot, *arrays)

    return lowered(compute)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[jax.Array, Any]:
    value = _bound(*primals, **params)
    along = [
        _bound(*primals[:i], tangent, *primals[i + 1 :], **params)
        for i, tangent in enumerate(tangents[:2])
        if not isinstance(tangent, ad.Zero)
    ]
    return value, reduce(ad.add_tangents, along, ad.Zero(jax.typeof(value).to_tangent_aval()))


def _transposed(cotangent: Any, *arrays: Any, slot: int, **params: Any) -> list[Any]:
    operand = next(i for i, x in enumerate(arrays) if ad.is_undefined_primal(x))
    given = dict(zip(_others(slot, len(arrays)), arrays, strict=True))
    sought = _others(slot, len(arrays))[operand]
    given[slot] = ad.instantiate_zeros(cotangent)
    del given[sought]
    found = _bound(*(given[other] for other in sorted(given)), slot=sought, **params)
    return [found if i == operand else None for i in range(len(arrays))]


def _batched(
    arrays: Sequence[Any], axes: Sequence[int | None], *, form: Trilinear, slot: int, **params: Any
) -> tuple[jax.Array, int]:
    size = next(x.shape[axis] for x, axis in zip(arrays, axes, strict=True) if axis is not None)
    others = _others(slot, len(arrays))
    mapped = frozenset({slot, *(other for other, axis in zip(others, axes, strict=True) if axis is not None)})
    longer = form.merged(size, mapped) if is_known([size]) and size else None
    form, into = longer or (_Mapped(form, size, mapped), None)

    def placed(x: jax.Array, axis: int | None, other: int) -> jax.Array:
        if axis is None:
            return x
        to = into[other] if into else 0
        moved = jnp.moveaxis(x, axis, to)
        return lax.collapse(moved, to, to + 2) if into else moved

    found = _bound(*map(placed, arrays, axes, others), form=form, slot=slot, **params)
    if not into:
        return found, 0
    return found.reshape(*found.shape[: into[slot]], size, -1, *found.shape[into[slot] + 1 :]), into[slot]


_gradient.def_abstract_eval(_abstract)
ad.primitive_jvps[_gradient], ad.primitive_transposes[_gradient] = _jvp, _transposed
batching.primitive_batchers[_gradient] = _batched
mlir.register_lowering(_gradient, _lowered("default"))
for _platform in ("cpu", "cuda"):
    mlir.register_lowering(_gradient, _lowered(_platform), platform=_platform)
