"""Writes down what happens, in the order in which it happens: operations, their values, and what is refused."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily

from jaxnets.convert.errors import Refusal, UnknownError
from jaxnets.convert.operators.names import canonical, functional_twin
from jaxnets.convert.trace import Call, Op, Place, Value
from jaxnets.convert.tracing.aliasing import Aliases, shares_memory
from jaxnets.convert.tracing.autocast import Casts
from jaxnets.convert.tracing.leaves import Leaves
from jaxnets.convert.tracing.module_calls import ModuleCalls
from jaxnets.convert.tracing.objects import map_objects, object_tensors, valued
from jaxnets.convert.tracing.outcomes import computed
from jaxnets.convert.tracing.reads import Reads
from jaxnets.convert.tracing.statistics import moved_statistics, write_statistics
from jaxnets.convert.tracing.user_code import line, note_names, own_backward

__all__ = ["Recorder"]


class Recorder:
    """What is known while a module runs.

    Args:
        module: the module that will run.
        fake: torch's mode of tensors without data.
        batch: the size of the batch that `BATCH` stands for.
        leaves: what layers gave before.
        longest: after how many calls it is enough.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        fake: FakeTensorMode,
        batch: int | None,
        leaves: Leaves,
        longest: int | None = None,
    ):
        self.module, self.fake = module, fake
        self.refusals: list[Refusal] = []
        self.aliases = Aliases(self)
        self.modules = ModuleCalls(self, leaves)
        self.reads = Reads(self, batch)
        self.casts = Casts(self)
        self.length = 0
        self._longest = longest
        self._hidden = 0
        self._paths = _paths(module)
        self._strangers: set[int] = set()

    @property
    def scope(self) -> Call:
        """The call in which we are."""
        return self.modules.scope

    def count(self) -> None:
        """One more call of a function or module."""
        self.length += 1
        if self._longest is not None and self.length > self._longest:
            raise UnknownError("how much the code does depends on the size of the batch")

    def refuse(self, what: str, remedy: str, place: Place | None = None) -> None:
        """Notes what cannot be converted; the module runs on, to find the rest."""
        self.refusals.append(Refusal(what, self.scope.path, str(place or line() or ""), remedy))

    # -- what is not written down ------------------------------------------------------------------------------------

    @property
    def is_hiding(self) -> bool:
        """Whether what runs is inside of what has been written down."""
        return self._hidden > 0

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """Nothing is written down."""
        self._hidden += 1
        try:
            yield
        finally:
            self._hidden -= 1

    def unheard(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What a function gives for tensors that have their numbers."""
        with unset_fake_temporarily(), self.hiding():
            return func(*args, **kwargs)

    # -- values ------------------------------------------------------------------------------------------------------

    def path(self, tensor: Any) -> str | None:
        """The name of a parameter or buffer."""
        return self._paths.get(id(tensor))

    def moved(self, old: torch.Tensor, new: torch.Tensor, path: str) -> None:
        """A name has another tensor."""
        self._paths.pop(id(old), None)
        self._paths[id(new)] = path

    def holds_what(self, other: "Recorder") -> None:
        """What other attributes have become since is no state."""
        self.modules.holds_what(other.modules)
        known = set(other._paths.values())
        self._paths = {key: path for key, path in self._paths.items() if path in known}

    def new_value(self, tensor: torch.Tensor) -> Value:
        return Value(tuple(tensor.shape), tensor.dtype, self.scope)

    def outside(self, tensor: torch.Tensor) -> Value:
        """The value of a tensor that no operation made: an input, a parameter, a buffer, a constant."""
        value = Value(tuple(tensor.shape), tensor.dtype)
        value.path = self.path(tensor)
        value.data = tensor.constant if isinstance(tensor, FakeTensor) else tensor
        if value.path is None and tensor.requires_grad and id(tensor) not in self._strangers:
            self._strangers.add(id(tensor))
            self.refuse(
                f"a parameter of shape {tuple(tensor.shape)} that the module does not hold",
                "register it, or the layer that has it: as an attribute, or in a torch.nn.ModuleList",
            )
        return value

    def tree(self, tree: Any) -> Any:
        """Arguments or outputs with values in the place of tensors."""
        return valued(self.aliases.value, tree)

    def outputs(self, tree: Any, op: Op, inputs: Sequence[torch.Tensor]) -> Any:
        """The tree of the new values that an operation's tensors get; those that are views are noted as such."""
        seen = [x if isinstance(x, FakeTensor) else self.fake.from_tensor(x) for x in inputs]  # as torch sees them
        tensors = object_tensors(tree)
        bases = [
            next((y for y, z in zip(inputs, seen, strict=True) if shares_memory(x, y) or shares_memory(x, z)), None)
            for x in tensors
        ]
        for i, (tensor, base) in enumerate(zip(tensors, bases, strict=True)):
            value = self.new_value(tensor)
            if base is None:
                self.aliases.bind(tensor, value)
            else:
                self.aliases.view(tensor, base, op, None if isinstance(tree, torch.Tensor) else i, value)
        return self.tree(tree)

    def apart(self, tree: Any, given: Sequence[torch.Tensor]) -> Any:
        """The tree with tensor objects of its own, where something gives back what it was given."""
        known = {id(x) for x in given}

        def alias(x: Any) -> Any:
            if not isinstance(x, torch.Tensor) or id(x) not in known:
                return x
            twin = torch.ops.aten.alias.default(x)
            self.aliases.view(twin, x, Op("identity", (), {}, None))
            return twin

        return map_objects(alias, tree)

    # -- operations --------------------------------------------------------------------------------------------------

    def perform(self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a function, and writes it down."""
        self.count()
        with self.hiding():
            note_names(self.scope, self.aliases)
            if not torch.is_grad_enabled():
                self._refuse_own_gradients()
            op = self._op(canonical(name), args, kwargs)
            tensors = object_tensors((args, kwargs))
            like = functional_twin(name, func, args, kwargs)
            with self.aliases.watching(tensors) as written:
                output = computed(name, func, args, kwargs)
            norm = moved_statistics(name, args, kwargs)
            if norm is not None:
                write_statistics(self, op, output, norm)
                return output
            if like is None and written and kwargs.get("out") is None and not _is_among(output, written):
                self.refuse(f"{op.name}, which writes into its arguments,", "write into them by a statement of its own")
            if written or like is not None:
                self.scope.body.append(op)
                self._write(op, kwargs.get("out", tensors[0]), output if like is None else like)
                return output
            output = self.apart(output, tensors)
            if object_tensors(output):
                self.scope.body.append(op)
                op.output = self.outputs(output, op, tensors)
            return output

    def packed(self, name: str, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """`pack_padded_sequence` or `pad_packed_sequence` was called."""
        with self.hiding():
            note_names(self.scope, self.aliases)
            op = self._op(name, (), arguments)
            output = function(**arguments)
            self.scope.body.append(op)
            op.output = self.outputs(output, op, ())
        return output

    def emit(self, name: str, args: tuple[Any, ...], like: Value, kwargs: Mapping[str, Any] | None = None) -> Value:
        """An operation of our own, on values: what a view, or the array that it is a view of, has become."""
        value = Value(like.shape, like.dtype, self.scope, path=like.path)
        self.scope.body.append(Op(name, args, kwargs or {}, value, torch.is_grad_enabled()))
        return value

    def _op(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Op:
        return Op(name, self.tree(args), self.tree(kwargs), None, torch.is_grad_enabled(), line())

    def _write(self, op: Op, target: Any, result: torch.Tensor | None) -> None:
        """An operation wrote its result into a tensor, in that tensor's dtype."""
        if not isinstance(target, torch.Tensor):
            self.refuse(f"{op.name} with several outputs to write to", "use what it returns")
            return
        op.kwargs = {name: x for name, x in op.kwargs.items() if name != "out"}
        value = self.new_value(target)
        value.path = self.path(target)
        self.reads.refuse_change(value.path)
        if result is None or result.dtype == target.dtype:
            op.output = value
        else:
            op.output = self.new_value(result)
            self.scope.body.append(Op("to", (op.output, target.dtype), {}, value, op.grad, op.place))
        self.aliases.written(target, value)

    def _refuse_own_gradients(self) -> None:
        function = own_backward()
        if function is not None:
            self.refuse(
                f"torch.autograd.Function {function.__name__}, which has a backward of its own,",
                "write what its forward does as a function: JAX finds the derivative",
            )


def _is_among(tree: Any, tensors: Sequence[torch.Tensor]) -> bool:
    """Whether an output is, or shares memory with, one of the tensors."""
    return any(x is y or shares_memory(x, y) for x in object_tensors(tree) for y in tensors)


def _paths(module: torch.nn.Module) -> dict[int, str]:
    """The name of every tensor that a module holds: parameters, buffers, plain attributes."""
    paths: dict[int, str] = {}
    for prefix, child in module.named_modules():
        held = {**child._parameters, **child._buffers, **vars(child)}
        for name, x in held.items():
            if isinstance(x, torch.Tensor):
                paths.setdefault(id(x), f"{prefix}.{name}" if prefix else name)
    return paths
