"""Parameters that are functions of others: `torch.nn.utils.parametrize`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
from flax import nnx
from jax.extend.core import get_opaque_trace_state

from jaxnets import check
from jaxnets.nn.container import ModuleDict, ModuleList
from jaxnets.nn.utils import computed

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

MODES = ("deterministic", "use_running_average")


class _Cache:
    """Values computed since the outermost `cached()` began: one for each module, name and trace of JAX."""

    depth = 0
    values: ClassVar[dict[tuple[int, str], tuple[Any, Any, jax.Array]]] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within it, a parametrized attribute is computed once, when it is first read.

    Values are not kept across the borders of `jax.jit` and other transformations.

    Differences from torch: values are kept for each trace.

    >>> from jaxnets import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3, rngs=nnx.Rngs(0)))
    >>> with cached():
    ...     layer.weight[...] is layer.weight[...]
    True

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.cached.html
    """
    _Cache.depth += 1
    try:
        yield
    finally:
        _Cache.depth -= 1
        if not _Cache.depth:
            _Cache.values.clear()


@dataclass(frozen=True)
class _Parametrized(computed.Rule):
    prefix: ClassVar[str] = "Parametrized"

    def compute(self, module: Any) -> jax.Array:
        parametrization = module.parametrizations[self.name]
        if not _Cache.depth:
            return parametrization()
        key, trace = (id(module), self.name), get_opaque_trace_state(convention="flax")
        _, known, value = _Cache.values.get(key, (None, None, None))
        if value is None or known != trace:
            value = parametrization()
            _Cache.values[key] = (module, trace, value)  # the module is kept, lest another gets its id
        return value

    def assign(self, module: Any, value: jax.Array) -> None:
        module.parametrizations[self.name].right_inverse(value)
        _Cache.values.pop((id(module), self.name), None)


class ParametrizationList(ModuleList):
    """The parametrizations of one attribute, called one after the other, and the variables that the first one takes.

    `register_parametrization` makes it; it is `module.parametrizations.weight`.

    Args:
        modules: the parametrizations, at least one.
        original: the variable that is parametrized; it is kept, with another value, if there is one original.
        unsafe: whether shape and dtype may change.

    Attributes:
        original: the variable, if the first parametrization takes one.
        original0, original1, ...: the variables, if its `right_inverse` gives several.
        is_tensor: whether there is one.
        ntensors: how many there are.

    Raises:
        ValueError: no parametrization, or a result that is no array or of another shape or dtype.

    Differences from torch: none.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.ParametrizationList.html
    """

    def __init__(self, modules: Sequence[nnx.Module], original: nnx.Variable, unsafe: bool = False):
        super().__init__(modules)
        if not len(self):
            raise ValueError("modules: expected at least one parametrization, got none")
        self.unsafe = check.flag("unsafe", unsafe)
        value = original.get_value()
        new = value
        for module in reversed(list(self)):
            if hasattr(module, "right_inverse"):
                try:
                    new = module.right_inverse(new)
                except NotImplementedError:
                    continue
        self.is_tensor = not isinstance(new, Sequence)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            _check_result("right_inverse", new, value, shape=False, dtype=True)
            original.set_value(new)
            self.original = original
        else:
            for i, x in enumerate(new):
                _check_result(f"right_inverse, result {i}", x, value, shape=False, dtype=False)
                setattr(self, f"original{i}", type(original)(x))
        if not unsafe:
            _check_result("parametrization", self(), value)

    def _originals(self) -> list[nnx.Variable]:
        """The variables that the first parametrization takes."""
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def __call__(self) -> jax.Array:
        first, *others = self
        value = first(*(x.get_value() for x in self._originals()))
        for parametrization in others:
            value = parametrization(value)
        return value

    def right_inverse(self, value: jax.Array) -> None:
        """Sets the originals such that `value` is computed from them.

        Raises:
            TypeError: a parametrization has no `right_inverse`.
            ValueError: it gives another number of arrays, or another dtype, than at first.
        """
        new: Any = value
        for module in reversed(list(self)):
            if not hasattr(module, "right_inverse"):
                raise TypeError(
                    f"{type(module).__name__}: expected a method right_inverse to assign to what it computes, got none"
                )
            new = module.right_inverse(new)
        new = [new] if self.is_tensor else new
        if not isinstance(new, Sequence) or len(new) != self.ntensors:
            got = f"{len(new)}" if isinstance(new, Sequence) else type(new).__name__
            raise ValueError(f"right_inverse: expected a sequence of {self.ntensors} arrays, got {got}")
        for original, x in zip(self._originals(), new, strict=True):
            _check_result("right_inverse", x, original.get_value(), shape=False)
            original.set_value(x)


def _check_result(what: str, result: Any, like: jax.Array, *, shape: bool = True, dtype: bool = True) -> None:
    if not isinstance(result, jax.Array):
        raise ValueError(f"{what}: expected an array, got {type(result).__name__}")
    for name, wanted in (("dtype", dtype), ("shape", shape)):
        if wanted and getattr(result, name) != getattr(like, name):
            raise ValueError(
                f"{what}: expected the {name} of the attribute, {getattr(like, name)}, got {getattr(result, name)}; "
                "unsafe=True leaves out this check"
            )


def register_parametrization(
    module: nnx.Module, tensor_name: str, parametrization: nnx.Module, *, unsafe: bool = False
) -> nnx.Module:
    """Makes an attribute of a module a function of a variable, `module.parametrizations.<name>.original`.

    `module.weight` reads as `parametrization(original)` from then on, and gradients go to the original. A second
    parametrization of the same attribute is applied to the result of the first. A parametrization is a module; its
    method `right_inverse(value)`, if there is one, gives the original for a value, or a sequence of originals, which
    are then called `original0`, `original1`, ..., and allows to assign to the attribute.

    Args:
        module: the module, changed in place.
        tensor_name: the name of a parameter or buffer of it.
        parametrization: a module that takes the original (or originals) and returns an array.
        unsafe: whether the result may have another shape or dtype; nothing is checked then.

    Returns:
        The module.

    Raises:
        TypeError: `module` or `parametrization` is no module.
        ValueError: no such parameter; a result of another shape or dtype.

    Differences from torch: the method is `__call__`, not `forward`. The parametrization gets the mode of the module
    only if the module has one itself; call `train()` or `eval()` afterwards. `state_dict` and `nnx.split` have the
    originals only.

    >>> from jaxnets import nn
    >>> class Symmetric(nnx.Module):
    ...     def __call__(self, x):
    ...         return jax.numpy.triu(x) + jax.numpy.triu(x, 1).T
    >>> layer = register_parametrization(nn.Linear(3, 3, rngs=nnx.Rngs(0)), "weight", Symmetric())
    >>> bool((layer.weight[...] == layer.weight[...].T).all())
    True

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.register_parametrization.html
    """
    if not isinstance(parametrization, nnx.Module):
        raise TypeError(f"parametrization: expected a flax.nnx.Module, got {type(parametrization).__name__}")
    if not isinstance(module, nnx.Module):
        raise TypeError(f"module: expected a flax.nnx.Module, got {type(module).__name__}")
    modes = [getattr(module, name) for name in MODES if hasattr(module, name)]
    if modes:
        parametrization.eval() if any(modes) else parametrization.train()
    if is_parametrized(module, tensor_name):
        if not unsafe:
            value = getattr(module, tensor_name).get_value()
            result = parametrization(value)
            _check_result("parametrization", result, value)
            if hasattr(parametrization, "right_inverse"):
                with suppress(NotImplementedError):
                    _check_result("right_inverse", parametrization.right_inverse(result), value)
        parametrizations = _of(module)[tensor_name]
        parametrizations.append(parametrization)
        parametrizations.unsafe |= unsafe
        return module
    original = computed.variable(module, tensor_name)
    parametrizations = ParametrizationList([parametrization], original, unsafe=unsafe)
    computed.drop(module, tensor_name)
    if not is_parametrized(module):
        host: Any = module
        host.parametrizations = ModuleDict()
    computed.attach(module, _Parametrized(tensor_name))
    _of(module)[tensor_name] = parametrizations
    return module


def is_parametrized(module: nnx.Module, tensor_name: str | None = None) -> bool:
    """Whether an attribute of a module has a parametrization; without a name, whether any has.

    >>> from jaxnets import nn
    >>> is_parametrized(nn.Linear(2, 3, rngs=nnx.Rngs(0)), "weight")
    False

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.is_parametrized.html
    """
    parametrizations = vars(module).get("parametrizations")
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(module: nnx.Module, tensor_name: str, leave_parametrized: bool = True) -> nnx.Module:
    """Makes a parametrized attribute a variable again.

    Args:
        module: the module, changed in place.
        tensor_name: the name of the attribute.
        leave_parametrized: whether it keeps the value that it has; else it gets that of the original.

    Returns:
        The module.

    Raises:
        ValueError: the attribute is not parametrized, or has several originals and `leave_parametrized` is False.

    Differences from torch: none.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.remove_parametrizations.html
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"tensor_name: expected a parametrized attribute of {type(module).__name__}, got {tensor_name!r}"
        )
    parametrizations = _of(module)[tensor_name]
    original = parametrizations._originals()[0]
    if leave_parametrized:
        value = getattr(module, tensor_name).get_value()
        original = original if parametrizations.is_tensor else type(original)(value)
        original.set_value(value)
    elif not parametrizations.is_tensor:
        raise ValueError(
            f"leave_parametrized: expected True, since {tensor_name!r} is computed from "
            f"{parametrizations.ntensors} arrays, got False"
        )
    del _of(module)[tensor_name]
    if not is_parametrized(module):
        computed.drop(module, "parametrizations")
    computed.detach(module, tensor_name, original)
    return module


def type_before_parametrizations(module: nnx.Module) -> type:
    """The class that a module had before it was parametrized.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.type_before_parametrizations.html
    """
    return computed.origin(type(module))[0]


def transfer_parametrizations_and_params(
    from_module: nnx.Module, to_module: nnx.Module, tensor_name: str | None = None
) -> nnx.Module:
    """Gives the parametrizations of a module, the same objects, to another one.

    Args:
        from_module: the module that has them; if it has none, nothing is done.
        to_module: the module, changed in place; a parameter that it does not have is made.
        tensor_name: the attribute; all of them when not given.

    Returns:
        `to_module`.

    Differences from torch: none.
    """
    if not is_parametrized(from_module):
        return to_module
    for name in list(_of(from_module)) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, nnx.Param(getattr(from_module, name).get_value()))
        for parametrization in _of(from_module)[name]:
            register_parametrization(to_module, name, parametrization)
    return to_module


def _of(module: Any) -> ModuleDict:
    return module.parametrizations
