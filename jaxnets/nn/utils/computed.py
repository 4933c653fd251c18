"""Attributes of a module that are computed from others whenever they are read.

As in torch, the module's class is replaced by a subclass that has a property of the attribute's name. The originals are
ordinary parameters, so that `nnx.split`, `nnx.grad`, optimizers and `state_dict` see them and nothing else.
"""

from dataclasses import dataclass
from functools import cache, partial, wraps
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets import check
from jaxnets.nn.precision import as_held


@dataclass(frozen=True)
class Rule:
    """How the attribute `name` is computed; equal rules on equal classes make one class, and one compiled function."""

    name: str
    prefix: ClassVar[str] = ""
    """What the class of a module with this rule is called more than it was."""
    attributes: ClassVar[dict[str, Any]] = {}
    """What the class has more, where it has no such thing itself."""

    def compute(self, module: Any) -> jax.Array:
        raise NotImplementedError

    def assign(self, module: Any, value: jax.Array) -> None:
        raise AttributeError(
            f"{self.name}: expected no assignment, since {type(self).__name__} computes it; remove the rule first"
        )

    def before_call(self, module: Any) -> None:
        """What is done once in each call of the module."""


class Computed(nnx.Variable):
    """What a computed attribute reads as: a variable whose value is computed when it is needed."""

    def __init__(self, module: nnx.Module, rule: Rule):
        super().__init__(None, module=module, rule=rule)

    def get_value(self, *, index: Any = ...) -> Any:
        if self._raw_value is None:
            metadata = object.__getattribute__(self, "_var_metadata")
            object.__setattr__(self, "_raw_value", metadata["rule"].compute(metadata["module"]))
        return self._raw_value if index is ... else self._raw_value[index]

    def set_value(self, value: Any, *, index: Any = ...) -> None:
        if index is not ...:
            value = self.get_value().at[index].set(value)
        metadata = object.__getattribute__(self, "_var_metadata")
        metadata["rule"].assign(metadata["module"], jnp.asarray(value))
        object.__setattr__(self, "_raw_value", None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.get_value(), name)

    def __jax_array__(self) -> jax.Array:
        return self.get_value()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.get_value().shape


def attach(module: nnx.Module, rule: Rule) -> None:
    """Makes an attribute computed; there is no variable of that name any more."""
    base, rules = origin(type(module))
    object.__setattr__(module, "__class__", with_rules(base, (*rules, rule)))


def detach(module: nnx.Module, name: str, variable: nnx.Variable) -> None:
    """Makes a variable of an attribute again, the last of the module's."""
    base, rules = origin(type(module))
    rules = tuple(rule for rule in rules if rule.name != name)
    object.__setattr__(module, "__class__", with_rules(base, rules))
    drop(module, *(n for n in (name,) if n in vars(module)))
    _forget(module, name)
    setattr(module, name, variable)


def origin(cls: type) -> tuple[type, tuple[Rule, ...]]:
    """The class that was replaced, and the rules of the one that replaces it."""
    return vars(cls).get("_computed", (cls, ()))


def with_rules(base: type, rules: tuple[Rule, ...]) -> type:
    """The class that replaces `base`."""
    return _subclass(base, rules) if rules else base


def find(module: nnx.Module, name: str, kind: type[Rule]) -> Rule | None:
    """The rule of that kind for an attribute."""
    _check_module(module)
    return next((rule for rule in origin(type(module))[1] if rule.name == name and isinstance(rule, kind)), None)


def variable(module: nnx.Module, name: str) -> nnx.Variable:
    """The parameter or buffer of that name, or an error."""
    _check_module(module)
    held = vars(module).get(name)
    if not isinstance(held, nnx.Variable):
        names = [n for n, v in vars(module).items() if isinstance(v, nnx.Variable)]
        raise ValueError(
            f"name: expected a parameter or buffer of {type(module).__name__} "
            f"({', '.join(names) or 'it has none'}), got {name!r}"
        )
    return held


def drop(module: nnx.Module, *names: str) -> None:
    """Takes attributes away; one that comes back later is the last, as in torch's dicts."""
    for name in names:
        delattr(module, name)
        _forget(module, name)


def _forget(module: Any, name: str) -> None:
    nodes = module._pytree__nodes
    object.__setattr__(module, "_pytree__nodes", type(nodes)({k: v for k, v in nodes.items() if k != name}))


def _check_module(module: Any) -> None:
    if not isinstance(module, nnx.Module):
        raise TypeError(f"module: expected a flax.nnx.Module, got {type(module).__name__}")


@cache
def _subclass(base: type, rules: tuple[Rule, ...]) -> type:
    body: dict[str, Any] = {
        "__module__": base.__module__,
        "__doc__": base.__doc__,
        "_computed": (base, rules),
        **{rule.name: property(partial(_get, rule), partial(_set, rule)) for rule in rules},
    }
    if any("__call__" in vars(cls) for cls in base.__mro__):

        @wraps(base.__call__)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            with as_held():
                for rule in rules:
                    rule.before_call(self)
            return base.__call__(self, *args, **kwargs)

        body["__call__"] = call
    for rule in rules:
        body |= {name: value for name, value in rule.attributes.items() if not hasattr(base, name)}
    return type(max(rule.prefix for rule in rules) + base.__name__, (base,), body)


def _get(rule: Rule, module: nnx.Module) -> Computed:
    return Computed(module, rule)


def _set(rule: Rule, module: nnx.Module, value: Any) -> None:
    rule.assign(module, value.get_value() if isinstance(value, nnx.Variable) else check.array(rule.name, value))
