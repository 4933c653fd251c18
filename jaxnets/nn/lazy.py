"""Layers that take one size from their first input: `torch.nn.LazyLinear`, `LazyConv2d`, `LazyBatchNorm2d`, ..."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend.core import get_opaque_trace_state

from jaxnets import check
from jaxnets.nn import precision
from jaxnets.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from jaxnets.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from jaxnets.nn.instancenorm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from jaxnets.nn.linear import Linear
from jaxnets.nn.parameters import Family, stream

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
]

EAGER = get_opaque_trace_state(convention="nnx")


@jax.tree_util.register_static
class Uninitialized:
    """What a lazy layer's parameter holds before there are values. An axis of unknown size is None in its shape."""

    def __init__(self, shape: tuple[int | None, ...], dtype: Any):
        self.shape, self.dtype = shape, jnp.dtype(dtype)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uninitialized) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"<Uninitialized {self.dtype}{list(self.shape)}>".replace("None", "?")

    def __getitem__(self, index: Any) -> NoReturn:
        raise ValueError(f"{self!r} has no values yet: call the layer once, or load a state")

    __jax_array__ = __array__ = lambda self, *args, **kwargs: self[...]


class _Recipe:
    """How to build the plain layer once its size is known. It is no data: flax compares it by identity."""

    def __init__(self, plain: Any, size: str, arguments: Mapping[str, Any], takes_rngs: bool):
        self.plain, self.size, self.arguments, self.takes_rngs = plain, size, dict(arguments), takes_rngs
        groups = arguments.get("groups", 1)
        self.least = groups if isinstance(groups, int) else 1  # other sizes are no multiples of the groups
        self.trace = get_opaque_trace_state(convention="nnx")

    def __deepcopy__(self, memo: Any) -> "_Recipe":
        return self

    def may_change_module(self) -> bool:
        """Whether nothing is under way that was handed the module: what changes in it then would be lost."""
        return get_opaque_trace_state(convention="nnx") in (EAGER, self.trace)

    def build(self, size: int, rngs: nnx.Rngs | None) -> Any:
        return self.plain(size, **self.arguments, **({"rngs": rngs} if self.takes_rngs else {}))

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        return {name: v.shape for name, v in self.attributes(size).items() if isinstance(v, nnx.Variable)}

    def attributes(self, size: int) -> dict[str, Any]:
        """The attributes of the plain layer, with shapes in place of values; nothing is drawn."""
        found: dict[str, Any] = {}
        jax.eval_shape(lambda: found.update(vars(self.build(size, nnx.Rngs(0)))))
        return {name: value for name, value in found.items() if not name.startswith("_pytree__")}


class Lazy(Family):
    """A plain layer but for its first argument, which is the input's size in the first call.

    Until then, or until `load_state_dict` brings them, parameters hold `Uninitialized`. With the first call the
    layer draws its parameters from `rngs` and becomes one of the plain class.
    """

    cls_to_become: ClassVar[type[nnx.Module]]
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Arguments whose defaults are not those of the plain class."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "cls_to_become" in vars(cls):
            cls.__init__ = _constructor(cls.__name__, cls.cls_to_become, cls.defaults)  # type: ignore[method-assign]

    def _prepare(self, size: str, arguments: dict[str, Any], needs_rngs: bool) -> None:
        rngs = arguments.pop("rngs", None)
        if needs_rngs:
            stream(rngs, "params")
        recipe = _Recipe(self.cls_to_become, size, arguments, needs_rngs)
        self._dtype_of_parameters(arguments.get("dtype"), arguments.get("param_dtype"))
        attributes, twice = recipe.attributes(recipe.least), recipe.attributes(2 * recipe.least)
        for name, attribute in attributes.items():
            if isinstance(attribute, nnx.Variable):
                shapes = zip(attribute.shape, twice[name].shape, strict=True)
                shape = tuple(a if a == b else None for a, b in shapes)
                drawn = isinstance(attribute, nnx.Param) or None in shape
                dtype = attribute.get_value().dtype
                # what is not drawn and has its shape is the count of batches
                attribute = attribute.replace(Uninitialized(shape, dtype) if drawn else jnp.zeros(shape, dtype))
            setattr(self, name, 0 if name == size else attribute)
        self._recipe, self._rngs = recipe, rngs if needs_rngs else None

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or a buffer has no values yet."""
        return any(_is_uninitialized(v) for v in vars(self).values())

    def initialize_parameters(self, input: jax.Array, *args: Any, **kwargs: Any) -> None:
        """Draws the parameters that have no values yet, for inputs like this one; only its shape is read."""
        recipe, uninitialized = self._recipe, self.has_uninitialized_params()
        if uninitialized and not recipe.may_change_module():
            raise ValueError(
                f"{type(self).__name__}: its parameters have no values yet, and what is drawn inside jax.jit, jax.grad "
                "or another transformation would be lost; call the model once outside, e.g. on zeros of the input's "
                "shape, or load a state"
            )
        size = self._infer(check.array("input", input))
        for name, shape in recipe.shapes(size).items():
            held = getattr(self, name)
            if not _is_uninitialized(held) and held.shape != shape:
                raise ValueError(
                    f"input: of shape {input.shape} it has {recipe.size}={size}, for which {name} has shape {shape}; "
                    f"but its shape is {held.shape} in the state that was loaded"
                )
        if uninitialized:
            plain = recipe.build(size, self._rngs)
            for name, variable in self._variables().items():
                if _is_uninitialized(variable):
                    variable.set_value(vars(plain)[name].get_value())
        setattr(self, recipe.size, size)

    def state_loaded(self, prefix: str) -> None:
        """Becomes one of the plain class, if the state that was loaded has all values, and they belong together."""
        recipe, held = self._recipe, {name: v.shape for name, v in self._variables().items()}
        if self.has_uninitialized_params() or not recipe.may_change_module():
            return
        least = recipe.shapes(recipe.least)
        sizes = {
            recipe.least * size // unit
            for name in held
            for size, unit in zip(held[name], least[name], strict=True)
            if size != unit
        }
        size = max(sizes, default=recipe.least)
        if held and recipe.shapes(size) == held:
            setattr(self, recipe.size, size)
            self._become()

    def _variables(self) -> dict[str, nnx.Variable]:
        return {name: v for name, v in vars(self).items() if isinstance(v, nnx.Variable)}

    def _infer(self, input: jax.Array) -> int:
        """The size that the first argument of the plain layer has for this input."""
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if "input" in kwargs:
            args, kwargs = (kwargs.pop("input"), *args), kwargs
        self.initialize_parameters(*args, **kwargs)
        recipe = self._recipe
        if recipe.may_change_module():  # otherwise it stays lazy, filled as it is, until a call outside
            self._become()
        return recipe.plain.__call__(self, *args, **kwargs)

    def _become(self) -> None:
        plain = self._recipe.plain
        del self._recipe, self._rngs
        self.__class__ = precision.like(type(self), plain)


def _constructor(name: str, plain: type[nnx.Module], defaults: Mapping[str, Any]) -> Callable[..., None]:
    """`__init__` with the signature of the plain layer's less its first argument."""
    theirs = inspect.signature(plain.__init__)
    own, size, *others = theirs.parameters.values()
    others = [p.replace(default=defaults.get(p.name, p.default)) for p in others]
    signature = theirs.replace(parameters=[own, *others])
    needs_rngs = signature.parameters["rngs"].default is inspect.Parameter.empty

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            arguments = signature.bind(self, *args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
        del arguments[own.name]
        self._prepare(size.name, {**defaults, **arguments}, needs_rngs)

    init.__name__, init.__signature__ = "__init__", signature  # type: ignore[attr-defined]
    return init


def _is_uninitialized(value: Any) -> bool:
    return isinstance(value, nnx.Variable) and isinstance(value.get_value(), Uninitialized)


class _LazyConv(Lazy):
    n: ClassVar[int]

    def _infer(self, input: jax.Array) -> int:
        check.rank("input", input, {self.n + 1: "(C_in, *spatial)", self.n + 2: "(N, C_in, *spatial)"})
        return input.shape[-self.n - 1]


class _LazyBatchNorm(Lazy):
    def _infer(self, input: jax.Array) -> int:
        self._check_axes(input)  # type: ignore[attr-defined]
        return input.shape[1]


class _LazyInstanceNorm(Lazy):
    # torch's lazy norms have one constructor, that of batch normalisation
    defaults = {"affine": True, "track_running_stats": True}  # noqa: RUF012

    def _infer(self, input: jax.Array) -> int:
        return input.shape[self._channel_axis(input)]  # type: ignore[attr-defined]


class LazyLinear(Lazy, Linear):
    """`Linear` whose `in_features` is the last size of its first input; its other arguments.

    Until the first call `weight` and `bias` have no values. The call draws them from `rngs` and makes the layer a
    `Linear`. It may not be inside `jax.jit` or another transformation that the layer is handed to: what is drawn
    there would be lost. `load_state_dict` fills a layer that has not been called as well.

    Raises:
        TypeError, ValueError: as `Linear`; the first call is inside a transformation; it does not fit a state that
            was loaded before.

    Differences from torch: no `device`; `rngs` is new.

    >>> layer = LazyLinear(3, rngs=nnx.Rngs(0))
    >>> layer.weight.shape, layer(jnp.ones((4, 5))).shape, layer.weight.shape, type(layer).__name__
    ((3, None), (4, 3), (3, 5), 'Linear')

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyLinear.html
    """

    cls_to_become = Linear

    def _infer(self, input: jax.Array) -> int:
        if not input.ndim:
            raise ValueError("input: expected at least 1 axis, got shape ()")
        return input.shape[-1]


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` whose `in_channels` are those of its first input; see `LazyLinear`.

    >>> LazyConv1d(6, 3, rngs=nnx.Rngs(0))(jnp.ones((2, 4, 9))).shape
    (2, 6, 7)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv1d.html
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` whose `in_channels` are those of its first input; see `LazyLinear`.

    >>> LazyConv2d(6, 3, groups=2, rngs=nnx.Rngs(0))(jnp.ones((2, 4, 9, 8))).shape
    (2, 6, 7, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv2d.html
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """`Conv3d` whose `in_channels` are those of its first input; see `LazyLinear`.

    >>> LazyConv3d(6, 3, rngs=nnx.Rngs(0))(jnp.ones((4, 9, 8, 7))).shape
    (6, 7, 6, 5)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv3d.html
    """

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """`ConvTranspose1d` whose `in_channels` are those of its first input; see `LazyLinear`.

    >>> LazyConvTranspose1d(6, 3, rngs=nnx.Rngs(0))(jnp.ones((2, 4, 9))).shape
    (2, 6, 11)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose1d.html
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """`ConvTranspose2d` whose `in_channels` are those of its first input; see `LazyLinear`.

    >>> LazyConvTranspose2d(6, 3, stride=2, rngs=nnx.Rngs(0))(jnp.ones((2, 4, 9, 8)), output_size=(20, 18)).shape
    (2, 6, 20, 18)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose2d.html
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):
    """`ConvTranspose3d` whose `in_channels` are those of its first input; see `LazyLinear`.

    >>> LazyConvTranspose3d(6, 3, rngs=nnx.Rngs(0))(jnp.ones((4, 9, 8, 7))).shape
    (6, 11, 10, 9)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose3d.html
    """

    cls_to_become = ConvTranspose3d


class LazyBatchNorm1d(_LazyBatchNorm, BatchNorm1d):
    """`BatchNorm1d` whose `num_features` are the channels of its first input; see `LazyLinear`.

    >>> layer = LazyBatchNorm1d()
    >>> layer(jnp.ones((2, 3))).shape, layer.running_mean.shape
    ((2, 3), (3,))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm1d.html
    """

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyBatchNorm, BatchNorm2d):
    """`BatchNorm2d` whose `num_features` are the channels of its first input; see `LazyLinear`.

    >>> LazyBatchNorm2d(momentum=None)(jnp.ones((2, 3, 4, 5))).shape
    (2, 3, 4, 5)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm2d.html
    """

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyBatchNorm, BatchNorm3d):
    """`BatchNorm3d` whose `num_features` are the channels of its first input; see `LazyLinear`.

    >>> LazyBatchNorm3d()(jnp.ones((2, 3, 4, 5, 6))).shape
    (2, 3, 4, 5, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm3d.html
    """

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d):
    """`InstanceNorm1d` whose `num_features` are the channels of its first input; see `LazyLinear`.

    Other than there, `affine` and `track_running_stats` are True when not given.

    Differences from torch: an input without a batch gives its channels too, where torch takes its length.

    >>> layer = LazyInstanceNorm1d(affine=True)
    >>> layer(jnp.ones((2, 3, 7))).shape, layer.weight.shape
    ((2, 3, 7), (3,))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm1d.html
    """

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d):
    """`InstanceNorm2d` whose `num_features` are the channels of its first input; see `LazyInstanceNorm1d`.

    >>> LazyInstanceNorm2d()(jnp.ones((2, 3, 4, 5))).shape
    (2, 3, 4, 5)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm2d.html
    """

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d):
    """`InstanceNorm3d` whose `num_features` are the channels of its first input; see `LazyInstanceNorm1d`.

    >>> LazyInstanceNorm3d()(jnp.ones((2, 3, 4, 5, 6))).shape
    (2, 3, 4, 5, 6)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm3d.html
    """

    cls_to_become = InstanceNorm3d
