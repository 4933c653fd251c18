"""Runs a torch module on tensors without data, and writes down what it does.

Two listeners see every operation: torch's function mode sees what the user's code calls (`F.interpolate(x, ...)`), the
dispatch mode below it sees the ATen operators that this becomes. What the first knows is written down as it was called;
whatever else happens (scripted functions, `vmap`, functions that are not known) is written down operator by operator.
"""

import functools
import inspect
import logging
import operator
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch._C._functorch import is_functorch_wrapped_tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
    unset_fake_temporarily,
)
from torch.nn.utils import rnn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from jaxnets.convert import operators, packing
from jaxnets.convert.aliasing import Aliases, shares_memory
from jaxnets.convert.copies import copied
from jaxnets.convert.errors import ConversionError, Refusal, refuse
from jaxnets.convert.general import holds
from jaxnets.convert.kinds import is_chain
from jaxnets.convert.leaves import Leaves
from jaxnets.convert.lift import lift
from jaxnets.convert.objects import Opened, map_objects, object_leaves, opened, without_objects
from jaxnets.convert.sizes import Axis, Size
from jaxnets.convert.trace import Call, Op, Place, Structure, Value, map_tree, tree_values

__all__ = ["BATCH", "Trace", "capture"]

BATCH = 1009
"""The size that a batch has while a module is looked at: a prime, so that its multiples are known for what they are."""

PLUMBING = (f"{Path(torch.__file__).parent}{os.sep}", f"{Path(__file__).parent}{os.sep}", "<@", inspect.__file__)
"""Files whose frames are not the user's code."""

TORCHS = ("_computed", "function", "operator")
"""Methods of the recorder in which torch's own functions are called: what they raise is not ours."""

AUTOGRAD = torch.autograd.function.__file__


class UnknownError(Exception):
    """Code asks for what is not there while a module is looked at: numbers, or the size of the batch."""


@dataclass
class Trace:
    """What `capture` found.

    Args:
        root: the call of the module.
        refusals: what cannot be converted.
        decides: whether the code decided something by the sizes of its arrays.
        length: how many calls of functions and modules there are.
    """

    root: Call
    refusals: list[Refusal] = field(default_factory=list)
    decides: bool = False
    length: int = 0


def capture(
    module: torch.nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    train: bool,
    dynamic: set[int],
    size: int = BATCH,
    longest: int | None = None,
    leaves: Leaves | None = None,
) -> Trace:
    """The trace of `module(*args, **kwargs)`.

    Args:
        module: left as it is; a copy runs.
        args: positional arguments.
        kwargs: keyword arguments.
        train: whether the whole module is in training mode.
        dynamic: which of the tensors among the arguments have a batch of any size as their first axis.
        size: that the batch has meanwhile.
        longest: after how many calls of functions and modules it is enough, since it was that many with another batch.
        leaves: what its layers gave before.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    inside = copied(module)
    inside.train(train)
    leaves = leaves or Leaves()
    recorder = Recorder(inside, fake, _batch((args, kwargs), dynamic), leaves, longest)
    given_args, given_kwargs = _faked((tuple(args), dict(kwargs)), fake, dynamic, size)
    before = _attributes(inside)
    _listen(recorder, inside, given_args, given_kwargs)
    left = _changed(before, _attributes(inside))
    if left and not recorder.refusals:
        again = Recorder(inside, fake, _batch((args, kwargs), dynamic), leaves, longest=recorder.length)
        inputs = _faked((tuple(args), dict(kwargs)), fake, dynamic, size)
        if not (_repeats(recorder, again, inside, inputs, size) or again.refusals):
            what = f"a result that depends on earlier calls, by the attribute {' or '.join(map(repr, left))},"
            recorder.refusals.append(Refusal(what, "", "", "make it a buffer, or an argument and a result of forward"))
    recorder.end()
    if not recorder.refusals:
        lift(recorder.root)
    return Trace(recorder.root, recorder.refusals, recorder.decides, recorder.length)


def _listen(recorder: "Recorder", module: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    states = random.getstate(), np.random.get_state()
    with packing.intercepted(recorder.packed), _quiet(), recorder.listening():
        recorder.run(lambda: module.forward(*args, **kwargs))
    drawn = [
        *(["random"] if random.getstate() != states[0] else []),
        *(["numpy.random"] if str(np.random.get_state()) != str(states[1]) else []),
    ]
    random.setstate(states[0])
    np.random.set_state(states[1])
    for name in drawn:
        remedy = "draw with torch, whose draws are written, or pass the numbers as arguments"
        recorder.refusals.append(Refusal(f"random numbers of the Python module {name}", "", "", remedy))


def _attributes(module: torch.nn.Module) -> dict[str, Any]:
    """What modules hold besides their layers, parameters, buffers and other arrays: containers as they are now."""
    found: dict[str, Any] = {}
    usual = {name for name in vars(torch.nn.Module()) if name.startswith("_")}
    for path, part in module.named_modules():
        for name, x in vars(part).items():
            if name in usual:
                continue
            held = tuple(x) if isinstance(x, list) else tuple(x.items()) if isinstance(x, dict) else x
            found[f"{path}.{name}" if path else name] = held
    return found


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The attributes that forward has changed, but for arrays, which are state."""
    names = [*before, *(n for n in after if n not in before)]
    pairs = ((n, before.get(n), after.get(n)) for n in names)
    return [n for n, a, b in pairs if not isinstance(a, torch.Tensor) and not _is_same(a, b)]


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_is_same, a, b))
    return a is b or (isinstance(a, bool | int | float | str) and type(a) is type(b) and a == b)


def _repeats(first: "Recorder", again: "Recorder", module: torch.nn.Module, inputs: Any, size: int) -> bool:
    """Whether a second call does what the first one did, or uses what that has kept of constants alone."""
    again.holds_what(first)
    try:
        _listen(again, module, *inputs)
    except ConversionError:
        return False
    kept = [x for x in again.strangers() if all(x is not y for y in object_leaves(inputs))]
    if kept:
        values = [first.aliases.known(x) for x in kept]
        return all(x is not None and not first.depends(x) for x in values)
    return holds(first.root, again.root, (size, size))


@contextmanager
def _quiet() -> Iterator[None]:
    """torch logs nothing, and takes no path of its own for inference."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    was_off, was_fast = log.disabled, torch.backends.mha.get_fastpath_enabled()
    log.disabled = True
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        log.disabled = was_off
        torch.backends.mha.set_fastpath_enabled(was_fast)


def _batch(tree: Any, dynamic: set[int]) -> int | None:
    """The batch of the arguments, where it may be of any size."""
    tensors = [x for x in object_leaves(tree) if isinstance(x, torch.Tensor)]
    return tensors[min(dynamic)].shape[0] if dynamic else None


def _faked(tree: Any, fake: FakeTensorMode, dynamic: set[int], size: int) -> Any:
    """The arguments with tensors that have no data, and with a batch of another size."""
    count = iter(range(sys.maxsize))

    def make(x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        sizes = (size, *x.shape[1:]) if next(count) in dynamic else x.shape
        with fake:
            return torch.empty(sizes, dtype=x.dtype)

    return map_objects(make, tree)


class Recorder:
    """Writes down what happens, in the order in which it happens.

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
        self.module, self.fake, self.batch, self.leaves = module, fake, batch, leaves
        self.length, self.longest = 0, longest
        self.aliases = Aliases(self)
        self.root: Call = Call("", module, False)
        self.stack: list[Call] = []
        self.refusals: list[Refusal] = []
        self.decides = False
        self._over = False
        self._hidden = 0  # above 0 nothing is written down: what runs is inside of what was
        self._paths = _paths(module)
        self._looked: dict[str, str] = {}  # buffers of which code has read numbers, and where
        self._strangers: set[int] = set()
        self._modules = dict(module.named_modules())
        self._held = {path: _settable(part) for path, part in self._modules.items()}
        self._casts: list[tuple[torch.Tensor, torch.dtype]] | None = None  # what autocast casts, where that is asked

    # -- running -----------------------------------------------------------------------------------------------------

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Both listeners are on, and every module's forward tells of its calls."""
        modules = dict(self.module.named_modules())
        telling = {path: self._telling(path, module) for path, module in modules.items()}
        own = {path: vars(module)["forward"] for path, module in modules.items() if "forward" in vars(module)}
        try:
            for path, module in modules.items():
                module.__dict__["forward"] = telling[path]
            with self.fake, DispatchListener(self), FunctionListener(self):
                yield
        finally:
            for path, module in modules.items():
                module.__dict__.pop("forward", None)
                if path in own:
                    module.__dict__["forward"] = own[path]

    def run(self, function: Callable[[], Any]) -> None:
        """Runs what is to be looked at. What goes wrong after something was refused, goes wrong because of that."""
        try:
            function()
        except (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException) as error:
            operator_of = getattr(error, "func", error)
            remedy = "no array of JAX has a size that depends on numbers; write it with masks, or outside of the module"
            self._refuse_at(error, f"{operator_of}, which depends on the numbers of arrays,", remedy)
        except UnknownError as error:
            if not self.refusals:
                raise ConversionError(f"{type(self.module).__name__} cannot be converted: {error}") from None
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            own = Path(last.filename).is_relative_to(Path(__file__).parent) and last.name not in TORCHS
            if own and not self.refusals:
                raise
            if not self.refusals:
                what = f"{type(error).__name__}: {error},"
                self._refuse_at(error, what, "give example inputs with which the torch module itself runs")
                refuse(self.refusals, type(self.module).__name__, error)

    def _refuse_at(self, error: BaseException, what: str, remedy: str) -> None:
        frames = list(traceback.walk_tb(error.__traceback__))
        users = [(f, line) for f, line in frames if not f.f_code.co_filename.startswith(PLUMBING)]
        calls = [f.f_locals["call"] for f, _ in frames if f.f_code.co_name == "telling" and "call" in f.f_locals]
        place = Place(users[-1][0].f_code.co_filename, users[-1][1], users[-1][0].f_code.co_name) if users else ""
        self.refusals.append(Refusal(what, calls[-1].path if calls else "", str(place), remedy))

    def holds_what(self, other: "Recorder") -> None:
        """What other attributes have become since is no state."""
        for path, held in self._held.items():
            self._held[path] = {name: x for name, x in held.items() if name in other._held[path]}
        known = set(other._paths.values())
        self._paths = {key: path for key, path in self._paths.items() if path in known}

    def strangers(self) -> list[torch.Tensor]:
        """Tensors without data that no operation has made."""
        return self.aliases.strangers()

    def depends(self, value: Value) -> bool:
        """Whether a value depends on what the module was called with."""
        made: dict[Value, Any] = {}
        for call in (self.root, *self.root.calls()):
            for item in call.body:
                if isinstance(item, Call) and not item.leaf:
                    outputs = zip(tree_values(item.output), tree_values(item.returned), strict=False)
                    made |= {outer: [inner] for outer, inner in outputs}
                else:
                    made |= {x: list(tree_values((item.args, item.kwargs))) for x in tree_values(item.output)}
        open_, seen = [value], set()
        while open_:
            x = open_.pop()
            if x not in seen and x not in made and x.path is None and x.data is None:
                return True
            open_ += made.get(x, []) if x not in seen else []
            seen.add(x)
        return False

    def end(self) -> None:
        """From here on sizes are looked at to write source."""
        self._over = True

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """Nothing is written down."""
        self._hidden += 1
        try:
            yield
        finally:
            self._hidden -= 1

    def _telling(self, path: str, module: torch.nn.Module) -> Callable[..., Any]:
        forward, leaf = module.forward, self.leaves.is_stock(path, module)

        @wraps(forward)
        def telling(*args: Any, **kwargs: Any) -> Any:
            if self._hidden or (_is_autocast() and (leaf or is_chain(module))):  # layers compute in one dtype
                return forward(*args, **kwargs)
            if any(call.path == path for call in self.stack):  # what calls itself is one call
                return forward(*args, **kwargs)
            with self.hiding():
                call = self._begin(path, module, leaf, args, kwargs)
                call.arguments = self._arguments(forward, args, kwargs)
            if leaf:
                with self.hiding():
                    return self._leaf(call, forward, args, kwargs)
            self.stack.append(call)
            try:
                output = (forward if call.parent else module)(*args, **kwargs)  # the root with its hooks
                with self.hiding():
                    self._keep(call)
                    call.returned = map_tree(without_objects, self.tree(output))
            finally:
                self.stack.pop()
            with self.hiding():
                return self._end(call, output, args, kwargs)

        return telling

    def _keep(self, call: Call) -> None:
        """Buffers that forward has set to other arrays: of the module, and of all modules when the root ends."""
        for path in (call.path,) if call.parent else self._held:
            held = self._held[path]
            for name, old in held.items():
                new = getattr(self._modules[path], name, None)
                if new is old or not (isinstance(new, torch.Tensor) or isinstance(old, torch.Tensor)):
                    continue
                full = f"{path}.{name}" if path else name
                if not (isinstance(new, torch.Tensor) and isinstance(old, torch.Tensor)) or (
                    (new.shape, new.dtype) != (old.shape, old.dtype)
                ):
                    what = f"a value of another shape or dtype for the buffer {full!r}"
                    self.refuse(what, "keep its shape and dtype, or return the value")
                    continue
                value = Value(tuple(new.shape), new.dtype, self.scope, path=full)
                both = self.aliases.value(old), self.aliases.value(new)
                self.scope.body.append(Op("copy_", both, {}, value, torch.is_grad_enabled()))
                self.aliases.rename(new, value)
                self._paths.pop(id(old), None)
                self._paths[id(new)] = full
                held[name] = new

    def _count(self) -> None:
        self.length += 1
        if self.longest is not None and self.length > self.longest:
            raise UnknownError("how much the code does depends on the size of the batch")

    def _begin(self, path: str, module: torch.nn.Module, leaf: bool, args: Any, kwargs: Any) -> Call:
        self._count()
        frame = sys._getframe(2)
        self._note_names(frame)
        call = Call(path, module, leaf, self.tree(args), self.tree(kwargs), training=module.training)
        call.grad, call.place = torch.is_grad_enabled(), self._place(frame)
        if leaf and module.training != self.module.training and _has_modes(module):
            self.refuse(
                f"{type(module).__name__} {path!r}, which is set to another mode than the module that it is in,",
                "leave train() and eval() as torch has them, and set the converted layer's mode where you train",
            )
        call.parent = self.stack[-1] if self.stack else None
        if call.parent:
            call.parent.body.append(call)
        else:
            self.root = call
        return call

    def _arguments(self, forward: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
        """The arguments of a call by the names in the signature, defaults and those of `**kwargs` included."""
        bound = inspect.signature(forward).bind(*args, **kwargs)
        bound.apply_defaults()
        named: dict[str, Any] = {}
        for name, x in bound.arguments.items():
            kind = bound.signature.parameters[name].kind
            named |= x if kind is inspect.Parameter.VAR_KEYWORD else {name: x}
        return {name: self.tree(x) for name, x in named.items()}

    def _end(self, call: Call, output: Any, args: Any, kwargs: Any) -> Any:
        """What a module gives back gets values of the caller's."""
        if call.parent is None:
            call.output = call.returned = self.tree(opened(output))
            return output
        given = {id(x): x for x in object_leaves((args, kwargs))}
        output = map_objects(lambda x: self._apart(x, given), output)
        call.output = map_tree(without_objects, self._renewed(output))
        return output

    def _leaf(self, call: Call, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        tensors = [x for x in object_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        with self.aliases.watching(tensors) as written:
            recurrent = isinstance(call.module, torch.nn.RNNBase)
            output: Any = (
                packing.recurrent(call.module, *args, **kwargs)
                if recurrent
                else self.leaves.run(call.path, call.module, forward, args, kwargs)
            )
        if written and getattr(call.module, "inplace", False):
            value = self.new_value(output)
            call.output = value
            self.aliases.written(tensors[0], value)
            return output
        given = {id(x): x for x in tensors}
        output = map_objects(lambda x: self._apart(x, given), output)
        call.output = self.outputs(output, Op("reshape", (), {}, None), tensors)
        return output

    def _apart(self, x: Any, given: Mapping[int, Any]) -> Any:
        """A tensor object of its own, where a module gives back what it was given."""
        if isinstance(x, torch.Tensor) and id(x) in given:
            alias = torch.ops.aten.alias.default(x)
            self.aliases.view(alias, x, Op("identity", (), {}, None))
            return alias
        return x

    # -- values ------------------------------------------------------------------------------------------------------

    @property
    def scope(self) -> Call:
        return self.stack[-1] if self.stack else self.root

    def new_value(self, tensor: torch.Tensor) -> Value:
        return Value(tuple(tensor.shape), tensor.dtype, self.scope)

    def outside(self, tensor: torch.Tensor) -> Value:
        """The value of a tensor that no operation made: an input, a parameter, a buffer, a constant."""
        value = Value(tuple(tensor.shape), tensor.dtype)
        value.path = self._paths.get(id(tensor))
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
        if isinstance(tree, torch.Tensor):
            return self.aliases.value(tree)
        if isinstance(tree, Opened):
            return Structure(tree.kind, {name: self.tree(x) for name, x in tree.attributes.items()})
        if isinstance(tree, torch.Size):
            return tuple(tree)
        if isinstance(tree, rnn.PackedSequence) or hasattr(tree, "_fields"):
            return Structure(type(tree), {name: self.tree(getattr(tree, name)) for name in tree._fields})
        if isinstance(tree, Mapping):
            plain = {key: self.tree(x) for key, x in tree.items()}
            return plain if type(tree) is dict else Structure(type(tree), plain)
        if isinstance(tree, slice):
            return slice(*(self.tree(x) for x in (tree.start, tree.stop, tree.step)))
        if isinstance(tree, tuple | list):
            items = [self.tree(x) for x in tree]
            return tuple(items) if isinstance(tree, tuple) else items
        if is_dataclass(tree) and not isinstance(tree, type):
            return Structure(type(tree), {f.name: self.tree(getattr(tree, f.name)) for f in fields(tree)})
        return tree

    def outputs(self, tree: Any, op: Op, inputs: Sequence[torch.Tensor]) -> Any:
        """The tree of the new values that an operation's tensors get; those that are views are noted as such."""
        tensors = [x for x in object_leaves(tree) if isinstance(x, torch.Tensor)]
        inputs = [x for x in inputs if isinstance(x, torch.Tensor)]
        seen = [x if isinstance(x, FakeTensor) else self.fake.from_tensor(x) for x in inputs]  # as torch sees them
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

    def _renewed(self, tree: Any) -> Any:
        """The tree of new values for tensors that stay what they are."""
        for tensor in object_leaves(tree):
            if isinstance(tensor, torch.Tensor):
                self.aliases.rename(tensor, self.new_value(tensor))
        return self.tree(tree)

    # -- operations --------------------------------------------------------------------------------------------------

    def function(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The user's code calls a function of torch's, or an operator."""
        name = function_name(func)
        if self._hidden:  # torch's own checks
            if name in ("__bool__", "__int__", "__index__") and not isinstance(args[0], FakeTensor):
                with unset_fake_temporarily():
                    return func(*args, **kwargs)
            return MADE_UP[name] if name in MADE_UP else func(*args, **kwargs)
        if name in FROM_NUMPY and not any(isinstance(x, torch.Tensor) for x in object_leaves((args, kwargs))):
            with unset_fake_temporarily(), self.hiding():
                return func(*args, **kwargs)
        if name in SIZES:
            return self._sizes(name, args, kwargs, func(*args, **kwargs))
        if name in COMPARISONS:
            if any(isinstance(x, FakeTensor) for x in args):
                return self._made_up(name)
            with unset_fake_temporarily(), self.hiding():
                return func(*args, **kwargs)
        if name in READS:
            return self._read(name, func, args, kwargs)
        if name in SETTERS:
            self.refuse(f"an array put into another one by its attribute, {name},", "use x.copy_(y), or y itself")
        wrapped = any(
            isinstance(x, torch.Tensor) and is_functorch_wrapped_tensor(x) for x in object_leaves((args, kwargs))
        )
        if wrapped or not operators.is_known(name):
            return func(*args, **kwargs)  # its operators are seen by the other listener
        if _is_autocast():
            cast = self._cast(func, args, kwargs)
            if cast is None:
                return func(*args, **kwargs)
            args, kwargs = cast
            with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
                return self._perform(name, func, args, kwargs)
        return self._perform(name, func, args, kwargs)

    def _cast(self, func: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """Arguments in the dtypes in which autocast has a function compute; None where it casts inside of it, too."""
        with self.hiding():
            given = {id(x): x for x in object_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
            self._casts = []
            func(*args, **kwargs)
            casts, self._casts = self._casts, None
        wanted: dict[int, torch.dtype] = {}
        for x, dtype in casts:  # a view is cast in its stead
            sources = [x] if given.get(id(x)) is x else [y for y in given.values() if shares_memory(x, y)]
            if not sources or any(wanted.setdefault(id(y), dtype) != dtype for y in sources):
                return None
        frame = sys._getframe(2)

        def cast(x: Any) -> Any:
            if not isinstance(x, torch.Tensor) or id(x) not in wanted:
                return x
            with self.hiding():
                op = Op("to", (self.tree(x), wanted[id(x)]), {}, None, torch.is_grad_enabled(), self._place(frame))
                output = x.to(wanted[id(x)])
                self.scope.body.append(op)
                op.output = self.outputs(output, op, ())
            return output

        return map_objects(cast, args), map_objects(cast, kwargs)

    def operator(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operator runs that is not inside of what was written down."""
        name = function_name(func)
        if self._casts is not None and name == "aten._to_copy":
            self._casts.append((args[0], kwargs.get("dtype", args[0].dtype)))
        if name == "aten.lift_fresh" and not isinstance(args[0], FakeTensor):
            with self.hiding():
                output = func(*args, **kwargs)
            self.aliases.bind(output, self.outside(args[0]))  # an array of numpy's
            return output
        if self._hidden or name in UNSEEN:
            return func(*args, **kwargs)
        if not operators.is_known(name):
            self.refuse(f"operator {name}", "write it with other functions, or as a module of its own in Flax")
        return self._perform(name, func, args, kwargs)

    def _refuse_own_gradients(self, frame: FrameType | None) -> None:
        """A function with a derivative of the user's own: JAX would take that of its forward."""
        while frame is not None and frame.f_code.co_name != "telling":
            if frame.f_code.co_name == "apply" and frame.f_code.co_filename == AUTOGRAD:
                cls = frame.f_locals.get("cls")
                if cls is not None and not cls.__module__.startswith("torch."):
                    self.refuse(
                        f"torch.autograd.Function {cls.__name__}, which has a backward of its own,",
                        "write what its forward does as a function: JAX finds the derivative",
                    )
                return
            frame = frame.f_back

    def _perform(self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._count()
        with self.hiding():
            frame = sys._getframe(3)
            self._note_names(frame)
            if not torch.is_grad_enabled():
                self._refuse_own_gradients(frame)
            op = Op(
                *(operators.canonical(name), self.tree(args), self.tree(kwargs), None),
                *(torch.is_grad_enabled(), self._place(frame)),
            )
            tensors = [x for x in object_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
            like = operators.functional_twin(name, func, args, kwargs)
            with self.aliases.watching(tensors) as written:
                output = self._computed(func, _known_index(args) if name in INDEXING else args, kwargs)
            norm = operators.tracking(name, args, kwargs)
            if norm is not None:
                return self._tracked(op, output, norm)
            if like is None and written and kwargs.get("out") is None and not _is_among(output, written):
                self.refuse(f"{op.name}, which writes into its arguments,", "write into them by a statement of its own")
            if written or like is not None:
                self.scope.body.append(op)
                self._write(op, kwargs.get("out", tensors[0]), output if like is None else like)
                return output
            given = {id(x): x for x in tensors}
            output = map_objects(lambda x: self._apart(x, given), output)
            if not any(isinstance(x, torch.Tensor) for x in object_leaves(output)):
                return output
            self.scope.body.append(op)
            op.output = self.outputs(output, op, tensors)
            return output

    def _computed(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a function gives; of one whose code looks at numbers, what it gives for ones."""
        try:
            return func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            if str(getattr(error, "func", "")).removesuffix(".default") in operators.SHAPED_BY_NUMBERS:
                raise
            try:
                return self._by_example(func, args, kwargs)
            except Exception:
                raise error from None

    def _by_example(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
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

    def _tracked(self, op: Op, output: Any, norm: Mapping[str, Any]) -> Any:
        """A normalisation that moves its running statistics towards those of the batch."""
        inputs = self.tree(tuple(norm[name] for name in ("input", "weight", "bias", "eps")))
        written, momentum = (norm["running_mean"], norm["running_var"]), norm["momentum"]
        if isinstance(output, torch.Tensor):
            op.output = self.new_value(output)
            self.aliases.bind(output, op.output)
        else:  # ATen's functions give more, for the backward pass
            self.scope.body.append(op)
            op.output = self.outputs(output, op, ())
            op = Op(op.name, (), {}, self.new_value(output[0]), op.grad, op.place)
        room, kind = "functional", "instance" if "instance" in op.name else "batch"
        op.name, op.args, op.kwargs = f"{room}.{kind}_norm_with_statistics", inputs, {}
        batch = [Value(tuple(x.shape), torch.promote_types(x.dtype, torch.float32), self.scope) for x in written]
        for value, known in zip(batch, ("mean", "var"), strict=True):
            value.names[self.scope] = [known]
        op.output = (op.output, *batch)
        self.scope.body.append(op)
        with torch.no_grad():
            for running, of_batch in zip(written, batch, strict=True):
                old = self.aliases.value(running)
                moved = self.emit("mul", (momentum, of_batch), Value(old.shape, of_batch.dtype))
                kept = self.emit("mul", (1 - momentum, old), Value(old.shape, old.dtype))
                value = self.emit("add", (moved, kept), Value(old.shape, of_batch.dtype))
                if value.dtype != old.dtype:
                    value = self.emit("to", (value, old.dtype), Value(old.shape, old.dtype))
                value.path = self._paths.get(id(running))
                self.aliases.written(running, value)
        return output

    def _write(self, op: Op, target: Any, result: torch.Tensor | None) -> None:
        """An operation wrote its result into a tensor, in that tensor's dtype."""
        if not isinstance(target, torch.Tensor):
            self.refuse(f"{op.name} with several outputs to write to", "use what it returns")
            return
        op.kwargs = {name: x for name, x in op.kwargs.items() if name != "out"}
        value = self.new_value(target)
        value.path = self._paths.get(id(target))
        if value.path in self._looked:
            self._refuse_changing(value.path)
        if result is None or result.dtype == target.dtype:
            op.output = value
        else:
            op.output = self.new_value(result)
            self.scope.body.append(Op("to", (op.output, target.dtype), {}, value, op.grad, op.place))
        self.aliases.written(target, value)

    def emit(self, name: str, args: tuple[Any, ...], like: Value, kwargs: Mapping[str, Any] | None = None) -> Value:
        """An operation of our own, on values: what a view, or the array that it is a view of, has become."""
        value = Value(like.shape, like.dtype, self.scope, path=like.path)
        self.scope.body.append(Op(name, args, kwargs or {}, value, torch.is_grad_enabled()))
        return value

    def packed(self, name: str, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """`pack_padded_sequence` or `pad_packed_sequence` was called."""
        with self.hiding():
            frame = sys._getframe(3)
            self._note_names(frame)
            op = Op(name, (), self.tree(arguments), None, torch.is_grad_enabled(), self._place(frame))
            output = function(**arguments)
            self.scope.body.append(op)
            op.output = self.outputs(output, op, ())
        return output

    def _read(self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Numbers out of a tensor: those of constants, and of buffers of integers, are known."""
        tensor = args[0]
        if isinstance(tensor, FakeTensor) and tensor.constant is not None:  # `torch.tensor(2).item()`
            with unset_fake_temporarily(), self.hiding():
                return func(tensor.constant, *args[1:], **kwargs)
        known = not isinstance(tensor, FakeTensor | torch.nn.Parameter)
        if known and not (self._paths.get(id(tensor)) and tensor.is_floating_point()):
            with self.hiding():
                self._look(tensor)
            with unset_fake_temporarily(), self.hiding():
                return func(*args, **kwargs)
        return self._made_up(name)

    def _made_up(self, name: str) -> Any:
        """Notes that the code asks for numbers; another one stands for them, so that the rest can be looked at."""
        place = self._place(sys._getframe(3))
        if name in ("__bool__", "is_nonzero"):
            what, remedy = "a decision by the numbers of an array", "choose with torch.where, or decide outside of it"
        else:
            what, remedy = f"{name.strip('_')}() of an array", "keep it an array, or pass the number as an argument"
        again = any(x.place == str(place) for x in self.refusals)
        self.refusals.append(Refusal(what, self.scope.path, str(place or ""), remedy))
        if again or name not in MADE_UP:  # as in a loop that ends when the numbers say so
            raise UnknownError(what)
        return MADE_UP[name]

    def _look(self, tensor: torch.Tensor) -> None:
        """A number of a buffer becomes part of what is written: then forward may not change it."""
        value = self.aliases.value(tensor)
        path = self._paths.get(id(tensor))
        if path is not None:
            self._looked[path] = str(self._place(sys._getframe(3)) or "")
            if value.scope is not None:
                self._refuse_changing(path)

    def _refuse_changing(self, path: str) -> None:
        what = f"a number that is read of the buffer {path!r}, which forward changes,"
        remedy = "keep it an array, or count outside of the module"
        self.refusals.append(Refusal(what, self.scope.path, self._looked[path], remedy))

    def _sizes(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], found: Any) -> Any:
        """Sizes that know where they come from."""
        tensor = args[0]
        with self.hiding():
            value = self.aliases.value(tensor)
        axes = [Size(n, Axis(value, i), self._decided) for i, n in enumerate(tensor.shape)]
        if isinstance(found, torch.Size):
            return torch.Size(axes)
        if name == "size":
            return axes[args[1] if len(args) > 1 else kwargs["dim"]]
        return functools.reduce(operator.mul, axes, 1) if name in ("numel", "nelement") else found

    def _decided(self, compare: Any = None, *operands: Any) -> None:
        """Code decides by sizes: what it does holds for these, and for every batch only if it does for this one."""
        if self._over:
            return
        plain = [int.__add__(x, 0) if isinstance(x, Size) else x for x in operands]
        real = [x // BATCH * self.batch if self.batch and _has_batch(x) else x for x in plain]
        if plain == real:
            self.decides = True
        elif compare(*plain) != compare(*real):
            raise UnknownError("what the code does depends on the size of the batch")

    def refuse(self, what: str, remedy: str, place: Place | None = None) -> None:
        """Notes what cannot be converted; the module runs on, to find the rest."""
        place = place or self._place(sys._getframe(1))
        self.refusals.append(Refusal(what, self.scope.path, str(place or ""), remedy))

    # -- the user's code ---------------------------------------------------------------------------------------------

    def _frames(self, frame: FrameType | None) -> Iterator[FrameType]:
        """The frames of the user's code in the module's forward, the innermost first."""
        while frame is not None:
            if not frame.f_code.co_filename.startswith(PLUMBING):
                yield frame
            elif frame.f_code.co_name == "telling":
                return
            frame = frame.f_back

    def _place(self, frame: FrameType | None) -> Place | None:
        for user in self._frames(frame):
            return Place(user.f_code.co_filename, user.f_lineno, user.f_code.co_name)
        return None

    def _note_names(self, frame: FrameType | None) -> None:
        """Notes how the local variables of the user's code call the tensors and sizes that there are."""
        for user in reversed(list(self._frames(frame))):  # forward's own names first
            for name, x in user.f_locals.items():
                x = x.data if isinstance(x, rnn.PackedSequence) else x
                if isinstance(x, torch.Tensor):
                    value = self.aliases.known(x)
                    if value is not None:
                        names = value.names.setdefault(self.scope, [])
                        if name not in names:
                            names.append(name)
                elif isinstance(x, list) and x and all(isinstance(y, torch.Tensor) for y in x):
                    held = tuple(self.aliases.known(y) for y in x)
                    if all(held) and held not in self.scope.lists.values():
                        self.scope.lists[name, len(self.scope.lists)] = held
                elif isinstance(x, Size):
                    self.scope.sizes.setdefault(id(x), (x, name))
                elif isinstance(x, float | int) and not isinstance(x, bool):
                    self.scope.numbers.setdefault(x, name)


class FunctionListener(TorchFunctionMode):
    """Hears what functions of torch's the user's code calls."""

    def __init__(self, recorder: Recorder):
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._recorder.function(func, args, kwargs or {})


class DispatchListener(TorchDispatchMode):
    """Hears what operators run."""

    def __init__(self, recorder: Recorder):
        super().__init__()
        self._recorder = recorder

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._recorder.operator(func, args, kwargs or {})


SIZES = {"shape", "size", "numel", "nelement", "__len__"}
"""How code asks for sizes."""

READS = {"item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__complex__", "is_nonzero", "numpy"}
"""How code asks for numbers."""

FROM_NUMPY = {"from_numpy", "as_tensor", "asarray", "frombuffer"}
"""How code makes constants of what is no tensor."""

MADE_UP = {"item": 1, "__bool__": False, "__int__": 1, "__float__": 1.0, "__index__": 1, "is_nonzero": False}
"""What stands for numbers that are not there."""

COMPARISONS = {"allclose", "equal"}
"""Comparisons of two arrays whose outcome is Python's."""

METHODS = {"torch.Tensor.polygamma", "torch.Tensor.where"}
"""Methods whose arguments come in another order than those of the functions of their names."""

SETTERS = {f"{name}.__set__" for name in ("data", "imag", "real")}
"""How code puts other numbers into a tensor."""

INDEXING = {"__getitem__", "__setitem__"}

ROOMS = {
    "torch.nn.functional": "functional",
    **{f"torch.{room}": room for room in ("fft", "linalg", "nested", "sparse", "special")},
}
"""Packages of torch's in which functions have names that other ones have elsewhere."""

UNSEEN = {
    "aten.device",
    "aten.lift_fresh",
    "aten.size",
    "aten.stride",
    "prim.device",
    "aten._assert_async",
    "aten._assert_scalar",
}
"""Operators that compute nothing."""


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


def _known_index(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of an indexing with numbers where torch looks at some: ints for arrays of one, places for bools."""
    array, index, *rest = args

    def known(x: Any) -> Any:
        if isinstance(x, list) and x and all(isinstance(y, bool) for y in x):
            return [i for i, y in enumerate(x) if y]
        is_number = isinstance(x, torch.Tensor) and not x.ndim and x.dtype not in (torch.bool, torch.uint8)
        return 0 if is_number else x

    return array, tuple(map(known, index)) if isinstance(index, tuple) else known(index), *rest


def _has_modes(layer: torch.nn.Module) -> bool:
    """Whether a layer computes something else in training."""
    norms, drops = torch.nn.modules.batchnorm._NormBase, torch.nn.modules.dropout._DropoutNd
    for part in layer.modules():
        if isinstance(part, norms) and part.track_running_stats:
            return True
        if (isinstance(part, drops) and part.p) or isinstance(part, torch.nn.RReLU):
            return True
        if isinstance(part, torch.nn.RNNBase | torch.nn.MultiheadAttention) and part.dropout:
            return True
    return False


def _is_among(tree: Any, tensors: Sequence[torch.Tensor]) -> bool:
    """Whether an output is, or shares memory with, one of the tensors."""
    outputs = [x for x in object_leaves(tree) if isinstance(x, torch.Tensor)]
    return any(x is y or shares_memory(x, y) for x in outputs for y in tensors)


def _has_batch(x: Any) -> bool:
    return isinstance(x, int) and x > 0 and x % BATCH == 0


def _is_autocast() -> bool:
    return torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")


def _paths(module: torch.nn.Module) -> dict[int, str]:
    """The name of every tensor that a module holds: parameters, buffers, plain attributes."""
    paths: dict[int, str] = {}
    for prefix, child in module.named_modules():
        held = {**child._parameters, **child._buffers, **vars(child)}
        for name, x in held.items():
            if isinstance(x, torch.Tensor):
                paths.setdefault(id(x), f"{prefix}.{name}" if prefix else name)
    return paths


def _settable(module: torch.nn.Module) -> dict[str, Any]:
    """The buffers of a module, and the other arrays among its attributes."""
    return {**module._buffers, **{name: x for name, x in vars(module).items() if isinstance(x, torch.Tensor)}}


def function_name(func: Any) -> str:
    """torch's name of a function, without class: "add", "functional.relu", "linalg.norm", "aten.add"."""
    if isinstance(func, torch._ops.OpOverload):
        return f"aten.{func._schema.name.partition('::')[2]}"
    if isinstance(func, torch._ops.OpOverloadPacket):
        return f"aten.{func.__name__}"
    full = resolve_name(func) or f"torch.{getattr(func, '__name__', repr(func))}"
    if full.endswith(".__set__"):
        return ".".join(full.split(".")[-2:])
    if full.endswith(".__get__"):
        return full.rpartition(".")[0].rpartition(".")[2]
    if full in METHODS:
        return full.removeprefix("torch.")
    head, _, name = full.rpartition(".")
    return f"{ROOMS[head]}.{name}" if head in ROOMS else name
