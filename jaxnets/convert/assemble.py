"""The whole source: classes in the order in which they need each other, imports, formatting."""

import ast
import builtins
import copy
import inspect
import keyword
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from flax import nnx

from jaxnets.convert import expressions as e
from jaxnets.convert.body import Body, Method
from jaxnets.convert.constants import constant
from jaxnets.convert.errors import ConversionError, Refusal, refuse
from jaxnets.convert.kinds import is_chain
from jaxnets.convert.loops import rolled
from jaxnets.convert.nodes import Children, Held, Own, Shared, Slot, node_expression, ordered
from jaxnets.convert.sizes import BATCH
from jaxnets.convert.stock import build, is_stock
from jaxnets.convert.templates import Instance, Template, shape_of, template
from jaxnets.convert.trace import Call, Op, Value, has_arrays, tree_values
from jaxnets.convert.tracing.merge import merged

__all__ = ["Assembler"]

CONTAINERS: Mapping[type, str] = {
    torch.nn.Sequential: "Sequential",
    torch.nn.ModuleList: "ModuleList",
    torch.nn.ModuleDict: "ModuleDict",
    torch.nn.ParameterList: "ParameterList",
    torch.nn.ParameterDict: "ParameterDict",
}


class Assembler:
    """Writes the source of a module from what it did in training and in evaluation.

    Args:
        module: the root.
        training, evaluation: the calls of the root; None for a module of stock layers alone.
        checks_shapes: whether the shapes of the inputs are part of what was looked at.
        dynamic: whether the batch may be of any size.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        training: Call | None = None,
        evaluation: Call | None = None,
        *,
        checks_shapes: bool = False,
        dynamic: bool = False,
    ):
        self.dynamic = dynamic
        self.module = module
        self.modules = dict(module.named_modules())
        self.checks_shapes = checks_shapes
        self.calls: dict[str, list[tuple[Call | None, Call | None]]] = _by_path(training, evaluation)
        self.structures: dict[type, str] = {}
        self.templates: list[Template] = []
        self._names: set[str] = {*IMPORTS, *dir(builtins), "Any", "build"}
        self._nodes: dict[str, Any] = {}
        self._first: dict[int, str] = {}
        self._inputs: dict[type, list[str]] = {}
        self._methods: dict[str, list[Method | None]] = {}
        self._variants: dict[Call, int] = {}
        self._shapes: dict[type, list[str]] = {}
        self._ties = self._shared()

    # -- what bodies ask ---------------------------------------------------------------------------------------------

    def member(self, scope: str, path: str) -> e.Expr:
        """`self.layers[0].attn`, from the module `scope`."""
        path = self._below(scope, path)
        expr: e.Expr = ast.Name("self")
        node: Any = self.modules.get(scope, self.module)
        for name in path.split(".") if path else ():
            names = list(node._modules) if isinstance(node, torch.nn.Module) else []
            if isinstance(node, torch.nn.ParameterList):
                expr = e.subscript(expr, int(name)) if name.isdigit() else ast.Attribute(expr, name)
            elif isinstance(node, torch.nn.ModuleDict | torch.nn.ParameterDict):
                expr = e.subscript(expr, name)
            elif name.isdigit() and isinstance(node, torch.nn.ModuleList | torch.nn.Sequential):
                expr = e.subscript(expr, names.index(name))
            elif _is_name(name):
                expr = ast.Attribute(expr, name)
            else:
                expr = e.call("getattr", expr, name)
            node = getattr(node, name, None) if not isinstance(node, torch.nn.ParameterDict) else node[name]
        return expr

    def _below(self, scope: str, path: str) -> str:
        """A name of the module or array that begins with `scope`, without that beginning."""
        if not scope:
            return path
        if path == scope:
            return ""
        if path.startswith(f"{scope}."):
            return path[len(scope) + 1 :]
        for other in self._other_names(path):
            if other.startswith(f"{scope}."):
                return other[len(scope) + 1 :]
        raise ConversionError(
            f"{path!r} is used by {scope!r}, which does not hold it; hold it in both, or pass its result as an argument"
        )

    def _other_names(self, path: str) -> Iterator[str]:
        module = self.module
        found: Any = self.modules.get(path)
        if found is not None:
            yield from (n for n, m in module.named_modules(remove_duplicate=False) if m is found)
            return
        tensors = dict(
            [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
        )
        if path in tensors:
            yield from (n for n, t in tensors.items() if t is tensors[path])

    def parameters(self, call: Call) -> Sequence[str]:
        """The names of what a module of ours is called with."""
        if not call.path:
            return list(call.arguments)
        return self._inputs[type(call.module)]

    def structure(self, kind: type, fields: Mapping[str, e.Expr]) -> e.Expr:
        """An object of a class of the user's."""
        if issubclass(kind, torch.nn.utils.rnn.PackedSequence):
            return e.call("nn.utils.rnn.PackedSequence", *fields.values())
        if kind.__name__ == "LinearCrossEntropyOptions":  # newer than the oldest torch that we take
            return e.call("nn.LinearCrossEntropyOptions", **fields)
        if issubclass(kind, Mapping):
            return ast.Dict([e.literal(name) for name in fields], list(fields.values()))
        if kind not in self.structures:
            self.structures[kind] = self._class_name(kind)
        self._fields = getattr(self, "_fields", {})
        self._fields[kind] = list(fields)
        return e.call(self.structures[kind], **fields)

    def constant(self, scope: str, value: Value) -> e.Expr:
        return constant(value.data)

    # -- classes -----------------------------------------------------------------------------------------------------

    def source(self) -> str:
        """The module's source."""
        self._refuse_names()
        for pairs in self.calls.values():
            for pair in pairs:
                for call in pair:
                    if call is not None and not call.leaf:
                        names = self._inputs.setdefault(type(call.module), [])
                        for name, x in call.arguments.items():
                            if name not in names and has_arrays(x):
                                names.append(name)
        for root_calls in self.calls.get("", []):
            for root_call in root_calls:
                if root_call is not None:
                    self._open_chains(root_call)
        root = self._node("")
        classes = [
            _class(t, _frozen(self.module) if isinstance(root, Own) and t is root.template else ())
            for t in self.templates
        ]
        if not isinstance(root, Own):
            classes.append(_factory(self.module, root, self._ties.get("", ()), _frozen(self.module)))
        return formatted(_module(self, classes))

    def _refuse_names(self) -> None:
        """Names that have another meaning in Flax, or in the source, are refused."""
        refusals = []
        for path, module in self.modules.items():
            held = (*module._modules, *module._parameters, *module._buffers)
            for name in (n for n in held if n in RESERVED and type(module) not in CONTAINERS):
                refusals.append(Refusal(f"an attribute named {name!r}, which is Flax's own,", path, "", "rename it"))
        for call in (c for pair in self.calls.get("", []) for c in pair if c is not None):
            for name in call.arguments:
                if name in IMPORTS or keyword.iskeyword(name):
                    what = f"an argument of forward named {name!r}, which the source needs for something else,"
                    refusals.append(Refusal(what, "", "", "rename it"))
        refuse(refusals, type(self.module).__name__)

    def entry(self) -> str:
        """The name of what builds the module."""
        node = self._node("")
        return node.template.name if isinstance(node, Own) else _factory_name(self.module)

    def _node(self, path: str) -> Any:
        """How a module is built."""
        if path in self._nodes:
            return self._nodes[path]
        module = self.modules[path]
        if is_stock(module):
            node: Any = build(module)
        elif type(module) in CONTAINERS:
            node = self._container(path, module)
        else:
            self._unify(type(module), _level(module))
            node = self._nodes[path]
        self._nodes[path] = node
        return node

    def _container(self, path: str, module: torch.nn.Module) -> Any:
        kind = CONTAINERS[type(module)]
        if kind.startswith("Parameter"):
            items: list[Any] = [(n, _held(x, False)) for n, x in module._parameters.items() if x is not None]
        else:
            items = [(name, self._child(_join(path, name), child)) for name, child in module._modules.items()]
        return Children(kind, tuple(items))

    def _child(self, path: str, child: torch.nn.Module | None) -> Any:
        if child is None:
            return None
        first = self._first.setdefault(id(child), path)
        return self._node(first) if first == path or _is_free(child) else Shared(first)

    def _unify(self, cls: type, level: int) -> None:
        """Writes the class of all modules of one class of the user's, of those that hold others of it that deep."""
        of_class: list[Any] = [(p, m) for p, m in self.modules.items() if type(m) is cls]
        paths = [p for p, m in of_class if _level(m) == level and not is_stock(m)]
        instances = [self._instance(p) for p in paths]
        base = "nnx.Module"
        if issubclass(cls, torch.nn.Sequential | torch.nn.ModuleList | torch.nn.ModuleDict):
            base = f"nn.{next(k for c, k in CONTAINERS.items() if issubclass(cls, c))}"
        name = self._class_name(cls)
        if base != "nnx.Module" and _differ_much(instances):
            for x in instances:
                x.children = Children(base.removeprefix("nn."), tuple((n, x.parts.pop(n)) for n in x.module._modules))
        found, arguments = template(name, base, f"{cls.__module__}.{cls.__qualname__}", instances)
        methods = [m for p in paths for m in self._methods.get(p, ()) if m]
        found.uses_mode = any(m.uses_mode for m in methods)
        found.draws = any(m.draws for m in methods)
        found.inputs = self._signature(cls, paths)
        built = [node_expression(x) for x in found.parts.values() if not isinstance(x, Shared)]
        found.needs_rngs = found.draws or any(
            isinstance(n, ast.Name) and n.id == "rngs" for x in built for n in ast.walk(x)
        )
        self.templates.append(found)
        for path, args in zip(paths, arguments, strict=True):
            self._nodes[path] = Own(found, args)

    def _class_name(self, cls: type) -> str:
        name, k = cls.__name__, 2
        while name in self._names:
            name, k = f"{cls.__name__}{k}", k + 1
        self._names.add(name)
        return name

    def _instance(self, path: str) -> Instance:
        module = self.modules[path]
        parts: dict[str, Any] = {}
        norm = isinstance(module, torch.nn.modules.batchnorm._NormBase)
        for name, x in module._parameters.items():
            parts[name] = None if x is None else _held(x, False)
        for name, x in module._buffers.items():
            if x is not None:
                transient = name in module._non_persistent_buffers_set
                parts[name] = _held(x, norm, transient)
            else:
                parts[name] = None
        for name, x in vars(module).items():
            if isinstance(x, torch.Tensor):
                parts[name] = _held(x, False, True)
        for name, child in module._modules.items():
            parts[name] = self._child(_join(path, name), child)
        methods = self._written(path)
        numbers = {
            k: v for pair in self.calls.get(path, []) for c in pair if c is not None for k, v in c.numbers.items()
        }
        bodies = [None if m is None else rolled(m.statements, self._containers(path)) for m in methods]
        ties = tuple((t[len(path) :].lstrip("."), f[len(path) :].lstrip(".")) for t, f in self._ties.get(path, ()))
        return Instance(path, module, parts, bodies[0] if bodies else None, numbers, ties, further=bodies[1:])

    def _containers(self, path: str) -> dict[str, list[str]]:
        """The keys of a module's lists and dicts of layers, by what stands between `self` and the key."""
        result: dict[str, list[str]] = {}
        for name, child in self.modules[path].named_modules():
            names = list(child._modules)
            if isinstance(child, torch.nn.ModuleList | torch.nn.Sequential) and names:
                result[f".{name}" if name else ""] = [str(i) for i in range(len(names))]
            elif isinstance(child, torch.nn.ModuleDict) and names:
                result[f".{name}" if name else ""] = [repr(n) for n in names]
        return result

    def _shared(self) -> dict[str, list[tuple[str, str]]]:
        """Names of the same parameter or module, by the module of the user's that holds both."""
        result: dict[str, list[tuple[str, str]]] = {}
        first: dict[int, str] = {}
        for name, child in self.module.named_modules(remove_duplicate=False):
            if id(child) in first and _owner(name) in self.modules and not _is_free(child):
                result.setdefault(self._common(name, first[id(child)]), []).append((name, first[id(child)]))
            first.setdefault(id(child), name)
        owners: dict[int, tuple[str, int]] = {}
        for path, child in self.modules.items():
            for name, x in child._parameters.items():
                if x is None:
                    continue
                full = _join(path, name)
                if id(x) in owners:
                    known = owners[id(x)][0]
                    result.setdefault(self._common(full, known), []).append((full, known))
                owners.setdefault(id(x), (full, id(child)))
        return result

    def _common(self, a: str, b: str) -> str:
        """The innermost module whose class is written out, or the root, that holds both."""
        path = ".".join(
            x for x, _ in takewhile(lambda pair: pair[0] == pair[1], zip(a.split("."), b.split("."), strict=False))
        )
        while path and (
            path not in self.modules or is_stock(self.modules[path]) or type(self.modules[path]) in CONTAINERS
        ):
            path = _owner(path)
        return path

    def method_name(self, call: Call) -> str | None:
        """Which method does what was done in a call; None where it is `__call__`."""
        self._written(call.path)
        variant = self._variants.get(call, 0)
        return f"call_{variant + 1}" if variant else None

    def _written(self, path: str) -> list[Method | None]:
        """The methods of a module: one for each of the different things that it does when it is called."""
        if path in self._methods:
            return self._methods[path]
        found: dict[str, tuple[Method, list[Call]]] = {}
        for pair in self.calls.get(path, []):
            method = self._one_method(*pair)
            if method is not None:
                text = e.unparse(ast.Module(method.statements, []))
                found.setdefault(text, (method, []))[1].extend(c for c in pair if c is not None)
        methods: list[Method | None] = [method for method, _ in found.values()]
        if len(methods) > 1:
            methods = self._in_order(path, list(found.values()))
        self._methods[path] = methods
        return methods

    def _in_order(self, path: str, found: Sequence[tuple[Method, list[Call]]]) -> list[Method | None]:
        """The methods in the order in which other modules of the class have their like."""
        shapes = self._shapes.setdefault(type(self.modules[path]), [])
        methods: dict[int, Method] = {}
        for method, calls in found:
            shape = shape_of(method.statements)
            place = next((i for i, x in enumerate(shapes) if x == shape and i not in methods), len(shapes))
            if place == len(shapes):
                shapes.append(shape)
            methods[place] = method
            self._variants |= dict.fromkeys(calls, place)
        return [methods.get(i) for i in range(max(methods) + 1)]

    def _open_chains(self, call: Call) -> None:
        """Puts what a Sequential does into its caller, where a layer of it has to be called in another way."""
        for inner in [x for x in call.body if isinstance(x, Call)]:
            self._open_chains(inner)
            is_plain = inner.leaf or not is_chain(inner.module)
            if is_plain or all(len(self._written(x.path)) < 2 for x in inner.calls() if not x.leaf):
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

    def _one_method(self, training: Call | None, evaluation: Call | None) -> Method | None:
        call = training or evaluation
        if call is None or is_chain(call.module):
            return None
        if training is None or evaluation is None:
            return self._checked(Body(call, self).write(), call)
        both = merged(training, evaluation)
        if both is not None:
            return self._checked(Body(both, self).write(), both)
        yes, no = Body(evaluation, self).write(), Body(training, self).write()
        found = Method(_by_mode(yes.statements, no.statements), True, yes.draws or no.draws)
        return self._checked(found, training)

    def _checked(self, method: Method, call: Call) -> Method:
        """The root refuses arguments for which it was not converted."""
        if call.path:
            return method
        checks: list[ast.stmt] = []
        kinds = inspect.signature(type(call.module).forward).parameters
        for name, x in call.arguments.items():
            variadic = name in kinds and kinds[name].kind is inspect.Parameter.VAR_POSITIONAL
            if variadic:
                checks.append(
                    ast.Expr(e.call("check.unchanged", f"len({name})", e.call("len", ast.Name(name)), len(x)))
                )
            elif not has_arrays(x) and _is_literal(x):
                checks.append(ast.Expr(e.call("check.unchanged", name, ast.Name(name), x)))
            elif isinstance(x, Value) and self.checks_shapes:
                shape = tuple(None if self.dynamic and size % BATCH == 0 else size for size in x.shape)
                if any(size is not None for size in shape):
                    checks.append(ast.Expr(e.call("check.shape", name, ast.Name(name), shape)))
        method.statements = [*checks, *method.statements]
        return method

    def _signature(self, cls: type, paths: Sequence[str]) -> ast.arguments:
        """The parameters of `__call__`, but for `self`."""
        calls = [c for p in paths for pair in self.calls.get(p, []) for c in pair if c is not None]
        if not calls:
            return _arguments([], [])
        if not calls[0].path:
            return _root_signature(calls[0])
        args: list[ast.arg] = []
        defaults: list[ast.expr] = []
        for name in self._inputs[cls]:
            xs = [c.arguments.get(name) for c in calls]
            args.append(ast.arg(name, e.dotted("jax.Array") if isinstance(xs[0], Value) else None))
            if defaults or any(not has_arrays(x) for x in xs):
                defaults.append(ast.Constant(None))
        return _arguments(args, defaults)


def _by_path(training: Call | None, evaluation: Call | None) -> dict[str, list[tuple[Call | None, Call | None]]]:
    """The calls of each module: those of both modes that belong together."""
    sides: list[dict[str, list[Call]]] = []
    for root in (training, evaluation):
        found: dict[str, list[Call]] = {}
        if root is not None:
            for call in (root, *root.calls()):
                found.setdefault(call.path, []).append(call)
        sides.append(found)
    result: dict[str, list[tuple[Call | None, Call | None]]] = {}
    for path in dict.fromkeys((*sides[0], *sides[1])):
        a, b = (side.get(path, []) for side in sides)
        n = max(len(a), len(b))
        result[path] = list(zip([*a, *[None] * (n - len(a))], [*b, *[None] * (n - len(b))], strict=True))
    return result


def _is_free(module: torch.nn.Module) -> bool:
    """Whether a layer holds nothing, so that another one is as good."""
    return is_stock(module) and not any(True for _ in module.parameters()) and not any(True for _ in module.buffers())


def _level(module: torch.nn.Module) -> int:
    """How deep modules of its own class are nested in a module."""
    inside: list[torch.nn.Module] = [
        x for child in module.children() for x in child.modules() if type(x) is type(module)
    ]
    return 1 + max(map(_level, inside)) if inside else 0


def _differ_much(instances: Sequence[Instance]) -> bool:
    """Whether modules of one class hold so different children that they are better given to the constructor."""
    names = [tuple(x.module._modules) for x in instances]
    numbered = all(n == tuple(str(i) for i in range(len(n))) for n in names)
    sizes = {len(n) for n in names}
    chained = all(is_chain(x.module) for x in instances)  # else the body asks for single layers
    return len(set(names)) > 1 and (max(sizes) - min(sizes) > 1 or not numbered or not chained)


def _is_literal(x: Any) -> bool:
    try:
        e.literal(x)
    except (TypeError, KeyError):
        return False
    return True


RESERVED = {
    *(name for name in dir(nnx.Module) if not name.startswith("_")),
    *("deterministic", "use_running_average", "rngs", "call_2", "call_3"),
}
"""Attributes that mean something to Flax, or to what is written here."""


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _owner(path: str) -> str:
    return path.rpartition(".")[0]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _held(x: torch.Tensor, norm: bool, transient: bool = False) -> Held:
    kind = "Param" if isinstance(x, torch.nn.Parameter) else "BatchStat" if norm else "Buffer"
    return Held(kind, tuple(x.shape), x.dtype, x.detach() if transient else None)


def _by_mode(evaluation: list[ast.stmt], training: list[ast.stmt]) -> list[ast.stmt]:
    """What is done in evaluation behind `if self.deterministic`, with what both modes begin with before it."""
    start = 0
    while start < min(len(evaluation), len(training)) - 1 and e.unparse(evaluation[start]) == e.unparse(
        training[start]
    ):
        start += 1
    condition = e.dotted("self.deterministic")
    return [*training[:start], ast.If(condition, evaluation[start:], []), *training[start:]]


def _arguments(args: list[ast.arg], defaults: list[ast.expr]) -> ast.arguments:
    return ast.arguments(posonlyargs=[], args=args, kwonlyargs=[], kw_defaults=[], defaults=defaults)


def _root_signature(call: Call) -> ast.arguments:
    """The parameters of the user's forward; those that went to `**kwargs` have their names."""
    found = _arguments([], [])
    known = inspect.signature(call.module.forward).parameters
    for name, parameter in known.items():
        annotation = e.dotted("jax.Array") if isinstance(call.arguments.get(name), Value) else None
        arg = ast.arg(name, annotation)
        default: ast.expr | None = None
        if parameter.default is not parameter.empty:
            default = e.literal(parameter.default) if _is_literal(parameter.default) else ast.Constant(None)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            found.vararg = arg
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            found.kwonlyargs.append(arg)
            found.kw_defaults.append(default)
        elif parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            found.args.append(arg)
            found.defaults += [default] if default else []
    for name in (n for n in call.arguments if n not in known):
        found.kwonlyargs.append(ast.arg(name))
        found.kw_defaults.append(ast.Constant(None))
    return found


# -- writing ---------------------------------------------------------------------------------------------------------


def _class(found: Template, frozen: Sequence[str]) -> ast.stmt:
    body: list[ast.stmt] = [ast.Expr(ast.Constant(f"`{found.origin}`."))]
    init = _constructor(found, frozen)
    if init is not None:
        body.append(init)
    if found.statements is not None:
        body.append(_call_method(found, "__call__", found.statements))
        body += [_call_method(found, f"call_{i + 2}", x) for i, x in enumerate(found.further) if x is not None]
    elif found.base == "nnx.Module":
        body.append(
            ast.parse(
                "def __call__(self, *args):\n"
                f"    raise NotImplementedError('{found.name} was not called when this source was written')"
            ).body[0]
        )
    return ast.ClassDef(found.name, [e.dotted(found.base)], [], body, [])


def _frozen(module: torch.nn.Module) -> list[str]:
    """The modules, and the single parameters, that are not trained."""
    own = list(module.parameters())
    if not own or all(x.requires_grad for x in own):
        return []
    if not any(x.requires_grad for x in own):
        return [""]
    found = [name for name, x in module.named_parameters(recurse=False) if not x.requires_grad]
    return [*found, *(f"{n}.{p}".rstrip(".") for n, child in module.named_children() for p in _frozen(child))]


def _constructor(found: Template, frozen: Sequence[str] = ()) -> ast.stmt | None:
    body: list[ast.stmt] = []
    names = {p.name for p in found.parameters}
    if found.children is not None:
        stars = "*" if found.base == "nn.Sequential" else ""
        body += ast.parse(f"super().__init__({stars}{found.children})").body
    if found.base == "nn.Sequential" and found.children is None:
        children = found.parts
        optional = [isinstance(x, Slot) and any(y is None for y in _values(found, x)) for x in children.values()]
        if any(optional):
            every = ast.List([node_expression(x) for x in children.values()])
            body.append(ast.parse("super().__init__(*[layer for layer in [] if layer is not None])").body[0])
            body[0].value.args[0].value.generators[0].iter = every  # type: ignore[attr-defined]
        elif list(children) == [str(i) for i in range(len(children))]:
            body.append(ast.Expr(e.call("super().__init__", *map(node_expression, children.values()))))
        else:
            named = ordered({n: node_expression(x) for n, x in children.items()})
            body.append(ast.Expr(e.call("super().__init__", named)))
        body[0].value.func = ast.parse("super().__init__", mode="eval").body  # type: ignore[attr-defined]
    else:
        for name, node in found.parts.items():
            target = ast.Attribute(ast.Name("self"), name)
            if node is None:
                body.append(ast.Assign([target], ast.Constant(None)))
            elif _is_name(name):
                body.append(ast.Assign([target], node_expression(node)))
            else:
                body.append(ast.Expr(e.call("setattr", ast.Name("self"), name, node_expression(node))))
    for name, slot in found.settings.items():
        body.append(ast.Assign([ast.Attribute(ast.Name("self"), name)], node_expression(slot)))
    for there, here in found.ties:
        body += _tie("self", there, here)
    for path in frozen:
        body.append(ast.parse(f"nn.utils.freeze({_reach('self', path) if path else 'self'})").body[0])
    if found.uses_mode:
        body.append(ast.Assign([e.dotted("self.deterministic")], ast.Constant(False)))
    if found.draws:
        body.append(ast.Assign([e.dotted("self.rngs")], e.template("rngs.dropout.fork()")))
    if (not body and not names) or (found.children is not None and len(body) == 1):
        return None
    required = [p for p in found.parameters if not p.has_default]
    usual = [p for p in found.parameters if p.has_default]
    own = [ast.arg(p.name, _annotation(p)) for p in (*required, *usual)]
    defaults = [node_expression(p.default) for p in usual]
    rngs = [ast.arg("rngs", e.dotted("nnx.Rngs"))] if found.needs_rngs else []
    arguments = ast.arguments([], [ast.arg("self"), *own], None, rngs, [None] * len(rngs), None, defaults)
    if found.children and found.base == "nn.Sequential":
        by_name: list[ast.expr | None] = [*[None] * len(required), *defaults, *[None] * len(rngs)]
        arguments = ast.arguments([], [ast.arg("self")], ast.arg(found.children), [*own, *rngs], by_name, None, [])
    elif found.children:
        arguments.args.insert(1, ast.arg(found.children))
    return ast.FunctionDef("__init__", arguments, body or [ast.Pass()], [])


def _reach(owner: str, path: str) -> str:
    """`self.layers[0].weight`, of attributes and numbered children."""
    for name in path.split("."):
        if name.isdigit():
            owner = f"{owner}[{name}]"
        else:
            owner = f"{owner}.{name}" if _is_name(name) else f"getattr({owner}, {name!r})"
    return owner


def _tie(owner: str, there: str, here: str) -> list[ast.stmt]:
    """The statement that makes a name one for what another name has."""
    above, _, name = there.rpartition(".")
    value = _reach(owner, here)
    if name.isdigit() or _is_name(name):
        return ast.parse(f"{_reach(owner, there)} = {value}").body
    return ast.parse(f"setattr({_reach(owner, above) if above else owner}, {name!r}, {value})").body


def _values(found: Template, slot: Slot) -> list[Any]:
    return next((p.values for p in found.parameters if p.name == slot.name), [])


def _annotation(parameter: Any) -> ast.expr | None:
    kinds = {type(x) for x in parameter.values}
    for kind in (bool, int, float, str):
        if kinds == {kind}:
            return ast.Name(kind.__name__)
    return None


def _call_method(found: Template, name: str, statements: list[ast.stmt]) -> ast.stmt:
    arguments = copy.deepcopy(found.inputs)
    arguments.args.insert(0, ast.arg("self"))
    return ast.FunctionDef(name, arguments, copy.deepcopy(statements), [])


def _factory_name(module: torch.nn.Module) -> str:
    return "build"


def _factory(module: torch.nn.Module, node: Any, ties: Sequence[tuple[str, str]], frozen: Sequence[str]) -> ast.stmt:
    cls = type(module)
    text = f"def build(*, rngs: nnx.Rngs):\n    '''`{cls.__module__}.{cls.__qualname__}`.'''\n"
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    if not ties and not frozen:
        function.body.append(ast.Return(node_expression(node)))
        return function
    function.body.append(ast.Assign([ast.Name("module")], node_expression(node)))
    for there, here in ties:
        function.body += _tie("module", there, here)
    function.body += ast.parse(
        "".join(f"nn.utils.freeze({_reach('module', x) if x else 'module'})\n" for x in frozen)
    ).body
    function.body.append(ast.Return(ast.Name("module")))
    return function


IMPORTS = {
    "OrderedDict": "from collections import OrderedDict",
    "NamedTuple": "from typing import Any, NamedTuple",
    "jax": "import jax",
    "jnp": "import jax.numpy as jnp",
    "nnx": "from flax import nnx",
    "check": "from jaxnets import check",
    "F": "from jaxnets import functional as F",
    "nn": "from jaxnets import nn",
    "ops": "from jaxnets import ops",
}


def _module(around: Assembler, classes: list[ast.stmt]) -> str:
    for kind, name in around.structures.items():
        fields = "\n".join(f"    {f}: Any" for f in around._fields[kind])
        classes.insert(
            0,
            ast.parse(f"class {name}(NamedTuple):\n    '''`{kind.__module__}.{kind.__qualname__}`.'''\n{fields}").body[
                0
            ],
        )
    tree = ast.fix_missing_locations(ast.Module(classes, []))
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    imports = [line for name, line in IMPORTS.items() if name in used]
    cls = type(around.module)
    title = f'"""{cls.__name__} in Flax, converted from `{cls.__module__}.{cls.__qualname__}` by jaxnets."""'
    return "\n".join([title, "", *imports, "", ast.unparse(tree)])


def formatted(text: str) -> str:
    """The source as ruff formats it."""
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        return text
    settings = ["--isolated", "--quiet", "--line-length", "100", "--stdin-filename", "model.py", "-"]
    imports = ["check", "--select", "I", "--fix", "--config", "lint.isort.known-first-party=[]"]
    for command in (imports, ["format"]):
        done = subprocess.run([ruff, *command, *settings], input=text, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1) or not done.stdout:
            raise RuntimeError(f"ruff {command[0]}: {done.stderr}\n{text}")
        text = done.stdout
    return text
