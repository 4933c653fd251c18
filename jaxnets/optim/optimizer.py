"""What torch's optimizers share: a learning rate, weight decay, a count of steps, and their arguments on record.

An optimizer here is a function with torch's arguments that returns a `Rule`; `torch_optimizer` makes an
`optax.GradientTransformation` of it. The rule says what a step subtracts from the parameters, and keeps one tree like
the parameters for each of torch's state names (`exp_avg`, `momentum_buffer`, ...).
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnets.arrays import is_array, to_numpy
from jaxnets.nn.precision import widest
from jaxnets.optim.names import named_leaves

__all__ = [
    "Hyperparameters",
    "OptimizerState",
    "Part",
    "Rule",
    "elementwise",
    "from_optax",
    "is_zero",
    "lerp",
    "needs",
    "number",
    "torch_optimizer",
]

Slots = dict[str, Any]


@jax.tree_util.register_static
class Hyperparameters(Mapping):
    """The arguments of an optimizer by torch's names, less those that are traced: a note in its state, no array.

    Attributes:
        optimizer: its name.
        parameters: the names of the parameters that it was given.
    """

    def __init__(self, optimizer: str, arguments: Mapping[str, Any], parameters: Iterable[str] = ()) -> None:
        self.optimizer = optimizer
        self.parameters = tuple(parameters)
        self._arguments = {name: value for name, value in arguments.items() if _is_static(value)}
        self._key = (self.optimizer, self.parameters, tuple(self._arguments.items()))
        self._hash = hash(self._key)

    def __getitem__(self, name: str) -> Any:
        return self._arguments[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arguments)

    def __len__(self) -> int:
        return len(self._arguments)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Hyperparameters) and self._key == other._key)

    def __repr__(self) -> str:
        return f"{self.optimizer}({', '.join(f'{name}={value}' for name, value in self.items())})"


def _is_static(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:  # an array, or what holds one
        return False
    return True


class OptimizerState(NamedTuple):
    """The state of each optimizer of `jaxnets.optim`.

    Attributes:
        step: how many steps were made.
        slots: for each of torch's state names a tree like the parameters.
        hyperparameters: the arguments of the optimizer, and the names of its parameters; no array.
    """

    step: jax.Array
    slots: Slots
    hyperparameters: Hyperparameters


class Rule(NamedTuple):
    """What makes one optimizer differ from another.

    Attributes:
        init: the slots for a tree of parameters.
        update: `(gradients, slots, parameters, step, lr)` to what the step subtracts, and the new slots. `step` is 1
            in the first step.
        weight_decay: of the parameters, added to the gradients.
        decoupled: whether `lr * weight_decay * parameter` is subtracted instead.
        maximize: whether to climb.
        real: whether complex parameters are refused, as torch does; else their two parts are treated as numbers.
    """

    init: Callable[[Any], Slots]
    update: Callable[..., tuple[Any, Slots]]
    weight_decay: Any = 0.0
    decoupled: bool = False
    maximize: bool = False
    real: bool = False


def torch_optimizer(make: Callable[..., Rule]) -> Callable[..., optax.GradientTransformation]:
    """The optimizer whose `Rule` the function `make` gives, under its name and with its arguments."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def optimizer(*args: Any, **kwargs: Any) -> optax.GradientTransformation:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{make.__name__}: {error}; expected {make.__name__}{_plain(signature)}") from None
        bound.apply_defaults()
        bound.arguments.update({name: number(value) for name, value in bound.arguments.items()})
        rule, lr = make(*bound.args, **bound.kwargs), bound.arguments["lr"]

        def init(params: Any) -> OptimizerState:
            if rule.real and any(map(jnp.iscomplexobj, jax.tree.leaves(params))):
                raise TypeError(f"params: {make.__name__} expects real parameters, got complex ones; see param_groups")
            hyperparameters = Hyperparameters(make.__name__, bound.arguments, named_leaves(params))
            return OptimizerState(jnp.zeros((), jnp.int32), rule.init(_as_real(params)), hyperparameters)

        def update(grads: Any, state: OptimizerState, params: Any = None) -> tuple[Any, OptimizerState]:
            if not is_zero(rule.weight_decay):
                needs(f"{make.__name__} with weight_decay", params)
            rate = lr(state.step) if callable(lr) else lr
            step = optax.safe_increment(state.step)
            like, grads, params = grads, _as_real(grads), _as_real(params)
            if rule.maximize:
                grads = jax.tree.map(jnp.negative, grads)
            if not rule.decoupled:
                grads = _decayed(grads, rule.weight_decay, params)
            decrement, slots = rule.update(grads, state.slots, params, step, rate)
            if rule.decoupled:
                decrement = _decayed(decrement, rule.weight_decay, params, rate)
            updates = jax.tree.map(lambda d, g: _like(-d, g), decrement, like)
            return updates, OptimizerState(step, slots, state.hyperparameters)

        return optax.GradientTransformation(init, update)

    return optimizer


def _plain(signature: inspect.Signature) -> str:
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(parameters))


def number(value: Any) -> Any:
    """Torch's and numpy's numbers as Python's; those of JAX may be traced and stay what they are."""
    if isinstance(value, list | tuple):
        return tuple(map(number, value))
    if is_array(value) and not isinstance(value, jax.Array):
        array = to_numpy(value)
        return array.item() if array.size == 1 else value
    return value


def is_zero(value: Any) -> bool:
    """Whether a number is known to be zero: what is injected by optax may become something else."""
    return not isinstance(value, jax.Array) and value == 0


def needs(optimizer: str, params: Any) -> None:
    """Refuses a step without the parameters."""
    if params is None:
        raise ValueError(f"params: {optimizer} needs the parameters: update(grads, state, params)")


def _decayed(tree: Any, weight_decay: Any, params: Any, rate: Any = 1.0) -> Any:
    """The parameters, times weight decay and a rate, added to a tree like them."""
    if is_zero(weight_decay):
        return tree
    return jax.tree.map(lambda x, p: x + jnp.asarray(rate * weight_decay, p.dtype) * p, tree, params)


def _as_real(tree: Any) -> Any:
    """Complex arrays as real ones with a last axis for the two parts, as torch's optimizers see them."""

    def real(x: Any) -> Any:
        return jnp.stack([x.real, x.imag], -1) if jnp.iscomplexobj(x) else x

    return jax.tree.map(real, tree)


def _like(x: jax.Array, original: Any) -> jax.Array:
    if jnp.iscomplexobj(original):
        return jax.lax.complex(x[..., 0], x[..., 1])
    return x.astype(jnp.result_type(original))


def elementwise(
    slots: Callable[[jax.Array], Slots], formula: Callable[..., tuple[jax.Array, Slots]], **options: Any
) -> Rule:
    """The rule that treats each parameter by itself.

    Args:
        slots: the first state of a parameter, by torch's names.
        formula: `(gradient, slots, parameter, step, lr)` of one parameter to what the step subtracts, and the new
            slots; in the parameter's dtype, or in float32 if that is narrower. `step` is an array of that dtype.
        options: of the `Rule`.
    """

    def init(params: Any) -> Slots:
        return _by_name([slots(jnp.asarray(p)) for p in jax.tree.leaves(params)], jax.tree.structure(params))

    def update(grads: Any, state: Slots, params: Any, step: jax.Array, lr: Any) -> tuple[Any, Slots]:
        leaves = jax.tree.leaves(grads)
        tree: Any = jax.tree.structure(grads)
        columns = {name: tree.flatten_up_to(slot) for name, slot in state.items()}
        states = [{name: column[i] for name, column in columns.items()} for i in range(len(leaves))]
        parameters = [None] * len(leaves) if params is None else tree.flatten_up_to(params)
        results = []
        for g, s, p in zip(leaves, states, parameters, strict=True):
            dtype = widest(g.dtype, jnp.float32)
            wide = {name: value.astype(dtype) for name, value in s.items() if value is not None}
            p = None if p is None else p.astype(dtype)
            d, new = formula(g.astype(dtype), wide, p, step.astype(dtype), _as(lr, dtype))
            results.append((d.astype(g.dtype), {name: value.astype(s[name].dtype) for name, value in new.items()}))
        return tree.unflatten([d for d, _ in results]), _by_name([new for _, new in results], tree, tuple(state))

    return Rule(init, update, **options)


def _as(number: Any, dtype: Any) -> Any:
    """A number of Python's stays one, exact; an array takes the dtype."""
    return number.astype(dtype) if isinstance(number, jax.Array) else number


def _by_name(states: list[Slots], tree: Any, names: tuple[str, ...] = ()) -> Slots:
    """One tree for each name; None where a parameter has no such state."""
    names = names or tuple(dict.fromkeys(name for state in states for name in state))
    return {name: tree.unflatten([state.get(name) for state in states]) for name in names}


class Part(NamedTuple):
    """A transformation of optax and what it calls torch's names: `{"momentum_buffer": "trace"}`."""

    transformation: optax.GradientTransformation
    state: type
    names: dict[str, str]


def from_optax(*parts: Part, **options: Any) -> Rule:
    """The rule that is optax's own: the parts one after the other, times the learning rate."""

    def init(params: Any) -> Slots:
        states = [(part, part.transformation.init(params)) for part in parts]
        return {name: getattr(state, field) for part, state in states for name, field in part.names.items()}

    def update(grads: Any, slots: Slots, params: Any, step: jax.Array, lr: Any) -> tuple[Any, Slots]:
        new = {}
        for part in parts:
            state = part.state(**{field: slots[name] for name, field in part.names.items()})
            grads, state = part.transformation.update(grads, state, params)
            new.update({name: getattr(state, field) for name, field in part.names.items()})
        return jax.tree.map(lambda g: jnp.asarray(lr, g.dtype) * g, grads), new

    return Rule(init, update, **options)


def lerp(start: jax.Array, end: jax.Array, weight: Any) -> jax.Array:
    """`start + weight * (end - start)`."""
    return start + weight * (end - start)
