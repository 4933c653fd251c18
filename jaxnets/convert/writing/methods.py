"""The methods of modules: one for each of the different things that a module does when it is called."""

import ast
import inspect
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from jaxnets.convert import expressions as e
from jaxnets.convert.errors import ConversionError
from jaxnets.convert.layers.kinds import is_chain
from jaxnets.convert.sizes import BATCH
from jaxnets.convert.trace import Call, Op, Value, has_arrays, tree_values
from jaxnets.convert.tracing.merge import merged
from jaxnets.convert.writing.body import Body, Method
from jaxnets.convert.writing.branches import shared_start
from jaxnets.convert.writing.members import Members
from jaxnets.convert.writing.signatures import inner_signature, is_literal, root_signature
from jaxnets.convert.writing.structures import Structures
from jaxnets.convert.writing.unify import shape_of

__all__ = ["Methods"]

Pair = tuple[Call | None, Call | None]
"""The calls in training and in evaluation that belong together."""


class Methods:
    """Writes methods; for their bodies it is what is around them (`body.Surroundings`).

    Args:
        members: the modules.
        structures: the classes of the user's that are no modules.
        training, evaluation: the calls of the root; None for a module of stock layers alone.
        checks_shapes: whether the shapes of the inputs are part of what was looked at.
        dynamic: whether the batch may be of any size.
    """

    def __init__(
        self,
        members: Members,
        structures: Structures,
        training: Call | None,
        evaluation: Call | None,
        *,
        checks_shapes: bool,
        dynamic: bool,
    ):
        self.checks_shapes, self.dynamic = checks_shapes, dynamic
        self._members, self._structures = members, structures
        self._pairs = _by_path(training, evaluation)
        self._inputs: dict[type, list[str]] = {}
        self._methods: dict[str, list[Method | None]] = {}
        self._variants: dict[Call, int] = {}
        self._shapes: dict[type, list[str]] = {}
        for path in self._pairs:
            for call in self.calls(path):
                if not call.leaf:
                    names = self._inputs.setdefault(type(call.module), [])
                    names += [n for n, x in call.arguments.items() if n not in names and has_arrays(x)]

    def calls(self, path: str) -> list[Call]:
        """All calls of a module."""
        return [call for pair in self._pairs.get(path, ()) for call in pair if call is not None]

    # -- what bodies ask ---------------------------------------------------------------------------------------------

    def member(self, scope: str, path: str) -> e.Expr:
        """How the module `scope` reaches the module, parameter or buffer `path`."""
        return self._members.reached(scope, path)

    def parameters(self, call: Call) -> Sequence[str]:
        """The names of what a module of ours is called with."""
        return self._inputs[type(call.module)] if call.path else list(call.arguments)

    def method_name(self, call: Call) -> str | None:
        """Which method does what was done in a call; None where it is `__call__`."""
        self.of(call.path)
        variant = self._variants.get(call, 0)
        return f"call_{variant + 1}" if variant else None

    def structure(self, kind: type, fields: Mapping[str, e.Expr]) -> e.Expr:
        """An object of a class of the user's."""
        return self._structures.expression(kind, fields)

    # -- writing -----------------------------------------------------------------------------------------------------

    def of(self, path: str) -> list[Method | None]:
        """The methods of a module; None where only other modules of its class have that one."""
        if path in self._methods:
            return self._methods[path]
        found: dict[str, tuple[Method, list[Call]]] = {}
        for pair in self._pairs.get(path, []):
            method = self._method(*pair)
            if method is not None:
                found.setdefault(_text(method), (method, []))[1].extend(c for c in pair if c is not None)
        methods: list[Method | None] = [method for method, _ in found.values()]
        if len(methods) > 1:
            methods = self._in_order(path, list(found.values()))
        self._methods[path] = methods
        return methods

    def _in_order(self, path: str, found: Sequence[tuple[Method, list[Call]]]) -> list[Method | None]:
        """The methods in the order in which other modules of the class have their like."""
        shapes = self._shapes.setdefault(type(self._members.modules[path]), [])
        methods: dict[int, Method] = {}
        for method, calls in found:
            shape = shape_of(method.statements)
            place = next((i for i, x in enumerate(shapes) if x == shape and i not in methods), len(shapes))
            if place == len(shapes):
                shapes.append(shape)
            methods[place] = method
            self._variants |= dict.fromkeys(calls, place)
        return [methods.get(i) for i in range(max(methods) + 1)]

    def _method(self, training: Call | None, evaluation: Call | None) -> Method | None:
        call = training or evaluation
        if call is None or is_chain(call.module):
            return None
        if training is None or evaluation is None:
            return self._checked(Body(call, self).write(), call)
        both = merged(training, evaluation) if self._are_called_alike(training, evaluation) else None
        if both is not None:
            return self._checked(Body(both, self).write(), both)
        yes, no = Body(evaluation, self).write(), Body(training, self).write()
        if _text(yes) != _text(no):
            no = Method(_by_mode(yes.statements, no.statements), True, yes.draws or no.draws)
        return self._checked(no, training)

    def _are_called_alike(self, training: Call, evaluation: Call) -> bool:
        """Whether what both call are the same methods: a module may be called more often in one mode."""
        return all(
            self.method_name(a) == self.method_name(b)
            for a, b in zip(training.body, evaluation.body, strict=False)
            if isinstance(a, Call) and isinstance(b, Call) and not (a.leaf or b.leaf)
        )

    def _checked(self, method: Method, call: Call) -> Method:
        """The root refuses arguments for which it was not converted."""
        if call.path:
            return method
        checks: list[e.Expr] = []
        kinds = inspect.signature(type(call.module).forward).parameters
        for name, x in call.arguments.items():
            if name in kinds and kinds[name].kind is inspect.Parameter.VAR_POSITIONAL:
                checks.append(e.call("check.unchanged", f"len({name})", e.call("len", ast.Name(name)), len(x)))
            elif not has_arrays(x) and is_literal(x):
                checks.append(e.call("check.unchanged", name, ast.Name(name), x))
            elif isinstance(x, Value) and self.checks_shapes:
                shape = tuple(None if self.dynamic and size % BATCH == 0 else size for size in x.shape)
                if any(size is not None for size in shape):
                    checks.append(e.call("check.shape", name, ast.Name(name), shape))
        method.statements = [*map(ast.Expr, checks), *method.statements]
        return method

    def open_chains(self) -> None:
        """Puts what a Sequential does into its caller, where a layer of it has to be called in another way."""
        for call in self.calls(""):
            self._open_chains(call)

    def _open_chains(self, call: Call) -> None:
        for inner in [x for x in call.body if isinstance(x, Call)]:
            self._open_chains(inner)
            is_plain = inner.leaf or not is_chain(inner.module)
            if is_plain or all(len(self.of(x.path)) < 2 for x in inner.calls() if not x.leaf):
                continue
            pairs = zip(tree_values(inner.output), tree_values(inner.returned), strict=True)
            passed = [Op("identity", (old,), {}, new, inner.grad, inner.place) for new, old in pairs]
            place = call.body.index(inner)
            call.body[place : place + 1] = [*inner.body, *passed]
        if not call.path and is_chain(call.module) and any(len(x) > 1 for x in self._methods.values()):
            raise ConversionError(
                f"{type(call.module).__name__}: a layer is called several times and does different things; "
                "call it in a forward of your own"
            )

    def signature(self, cls: type, paths: Sequence[str]) -> ast.arguments:
        """The parameters of `__call__` of the modules of a class, but for `self`."""
        calls = [c for p in paths for c in self.calls(p)]
        if calls and not calls[0].path:
            return root_signature(calls[0])
        return inner_signature(self._inputs[cls] if calls else [], calls)


def _by_path(training: Call | None, evaluation: Call | None) -> dict[str, list[Pair]]:
    """The calls of each module: those of both modes that belong together."""
    here, there = _calls_by_path(training), _calls_by_path(evaluation)
    return {path: list(zip_longest(here.get(path, []), there.get(path, []))) for path in (here | there)}


def _calls_by_path(root: Call | None) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {}
    for call in (root, *root.calls()) if root is not None else ():
        found.setdefault(call.path, []).append(call)
    return found


def _text(method: Method) -> str:
    return e.unparse(ast.Module(method.statements, []))


def _by_mode(evaluation: list[ast.stmt], training: list[ast.stmt]) -> list[ast.stmt]:
    """What is done in evaluation behind `if self.deterministic`, with what both modes begin with before it."""
    start = min(shared_start(evaluation, training), len(evaluation) - 1, len(training) - 1)
    condition = e.dotted("self.deterministic")
    return [*training[:start], ast.If(condition, evaluation[start:], []), *training[start:]]
