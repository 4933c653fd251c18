"""The two sides of a comparison: each runs its module and tells the same facts in numpy.

Both work on copies, so neither module, nor its mode, its buffers or its random state changes.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import torch
from flax import nnx
from jax.sharding import AxisType, PartitionSpec

import jaxnets
from parity import trees

Arrays = dict[str, np.ndarray]
Gradients = dict[str, np.ndarray | None]

# Layers that draw numbers in training mode, and the attribute that says how much; no two libraries draw alike.
RANDOM: tuple[tuple[type, str], ...] = (
    (torch.nn.modules.dropout._DropoutNd, "p"),
    (torch.nn.RNNBase, "dropout"),
    (torch.nn.MultiheadAttention, "dropout"),
    (torch.nn.RReLU, "upper"),
)

# Layers that draw in every mode, unless what they would draw is given.
ALWAYS_RANDOM = (torch.nn.FractionalMaxPool2d, torch.nn.FractionalMaxPool3d)


QUICK: Mapping[str, Any] = MappingProxyType(
    {
        "xla_backend_optimization_level": 0,
        "xla_cpu_parallel_codegen_split_count": 1,
        "xla_gpu_autotune_level": 0,
        "xla_gpu_disable_gpuasm_optimizations": True,
    }
    | ({"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {})
)
"""Compiler options where formulas are judged, not programs: a sixth of the time to compile."""

OPTIMISED: Mapping[str, Any] = MappingProxyType(
    {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
)
"""XLA's own defaults, also in a process where most optimisations are off."""

DIFFERENCE = 1e-5
"""The step of central differences in float64: they are off by about its square."""


class TorchError(Exception):
    """What torch raised: its kernel lacks the dtype or the derivative, or the case is none."""


@contextmanager
def torchs_part() -> Iterator[None]:
    """Whatever is raised inside is torch's error."""
    try:
        yield
    except Exception as error:
        raise TorchError(f"{type(error).__name__}: {error}".partition("\n")[0]) from error


@dataclass
class Run:
    """What one side gives: outputs and gradients by name (None when not asked for), and the buffers after the call."""

    structure: str = ""
    outputs: Arrays = field(default_factory=dict)
    buffers: Arrays = field(default_factory=dict)
    parameter_gradients: Gradients | None = None
    input_gradients: Gradients | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class Call:
    """One layer's turn: what went in and what came out."""

    name: str
    inputs: Arrays
    outputs: Arrays


def random_layers(module: Any) -> list[str]:
    """Names of torch's layers that draw numbers in training mode."""
    if not isinstance(module, torch.nn.Module):
        return []
    return [
        name
        for name, layer in module.named_modules()
        if any(isinstance(layer, kind) and getattr(layer, amount) > 0 for kind, amount in RANDOM)
    ]


def draws_always(module: Any) -> bool:
    """Whether a layer draws numbers in evaluation too: then there is nothing to compare but distributions."""
    layers = module.modules() if isinstance(module, torch.nn.Module) else ()
    return any(isinstance(layer, ALWAYS_RANDOM) and layer._random_samples is None for layer in layers)


def cotangents(run: Run, seed: int) -> list[np.ndarray]:
    """A random direction for every floating output, in its dtype; each has a seed of its own."""
    return [_draw(x, seed, i) for i, x in enumerate(run.outputs.values()) if is_inexact(x)]


def _draw(x: np.ndarray, seed: int, index: int) -> np.ndarray:
    rng = np.random.default_rng([seed, index, 77])
    values = rng.normal(0.25, 1.0, x.shape)
    return (values + 1j * rng.normal(0.25, 1.0, x.shape) if x.dtype.kind == "c" else values).astype(x.dtype)


def is_inexact(x: Any) -> bool:
    """Whether gradients flow: floating and complex numbers, bfloat16 among them."""
    if isinstance(x, torch.Tensor):
        return x.is_floating_point() or x.is_complex()
    return jax.numpy.issubdtype(x.dtype, np.inexact)


class TorchSide:
    """A torch module (or function) with its arguments."""

    def __init__(
        self, module: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], train: bool, hold: bool = True
    ):
        self.module = copy.deepcopy(module) if isinstance(module, torch.nn.Module) else module
        self.held: list[str] = []
        if isinstance(self.module, torch.nn.Module):
            self.module.train(train)
            if train and hold:
                self.held = random_layers(self.module)
                layers = dict(self.module.named_modules())
                for name in self.held:
                    layers[name].training = False
        self.paths, self.inputs, self.join = trees.split(trees.torch_tree((tuple(args), dict(kwargs))), "")
        self.state = self._arrays()  # before any call: it may change buffers

    def _arrays(self) -> Arrays:
        """Every parameter and buffer by name, as they are now."""
        if not isinstance(self.module, torch.nn.Module):
            return {}
        return {n: trees.to_numpy(x) for n, x in self.module.state_dict().items() if isinstance(x, torch.Tensor)}

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        if not isinstance(self.module, torch.nn.Module):
            return {}
        return dict(self.module.named_parameters(remove_duplicate=False))

    def in_double(self) -> "TorchSide":
        """The same module and arguments with every floating number in float64."""
        side = copy.copy(self)
        if isinstance(self.module, torch.nn.Module):
            side.module = copy.deepcopy(self.module).double()
        side.inputs = [x.double() if x.is_floating_point() else x for x in self.inputs]
        return side

    def run(
        self, grad: bool, seed: int, directions: Sequence[np.ndarray] | None = None
    ) -> tuple[Run, list[np.ndarray]]:
        """Outputs, gradients along random directions (unless they are given), and those directions."""
        parameters = {n: p for n, p in self.parameters().items() if grad and is_inexact(p)}
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        candidates = [i for i, x in enumerate(self.inputs) if grad and is_inexact(x)]
        notes = []
        try:
            output, leaves = self._call(candidates)
        except RuntimeError:
            # Torch has no derivative in some arguments (targets and weights of losses): find those it has.
            kept = [i for i in candidates if self._is_differentiable(i)]
            if kept == candidates:
                raise
            notes = [f"torch has no derivative in {label(self.paths[i])}" for i in candidates if i not in kept]
            candidates = kept
            output, leaves = self._call(candidates)
        run = Run(trees.structure(output), notes=notes)
        tensors = dict(trees.leaves(output, "output"))
        run.outputs = {name: trees.to_numpy(x) for name, x in tensors.items()}
        directions = cotangents(run, seed) if directions is None else list(directions)
        if grad:
            floating = [x for x in tensors.values() if is_inexact(x)]
            pairs = [(x, trees.to_torch(d).to(x.dtype)) for x, d in zip(floating, directions, strict=True)]
            pairs = [(x, d) for x, d in pairs if x.requires_grad]
            wanted = {f"parameter {n}": p for n, p in parameters.items()} | {
                f"input {self.paths[i]}": leaves[i] for i in candidates
            }
            found = self._gradients(pairs, wanted)
            run.parameter_gradients = {n: found[f"parameter {n}"] for n in parameters}
            run.input_gradients = {label(self.paths[i]): found[f"input {self.paths[i]}"] for i in candidates}
        known = self.parameters()
        run.buffers = {n: x for n, x in self._arrays().items() if n not in known}
        return run, directions

    def run_twice(self, directions: Sequence[np.ndarray], seed: int) -> tuple[Gradients, Arrays]:
        """Second derivatives, and the directions in which the gradients were differentiated.

        With the gradients `g` along `directions`, these are the gradients of the sum of `g * along`, by name.

        Raises:
            RuntimeError: torch has no second derivative.
        """
        parameters = {n: p.requires_grad_(True) for n, p in self.parameters().items() if is_inexact(p)}
        candidates = [i for i, x in enumerate(self.inputs) if is_inexact(x) and self._is_differentiable(i)]
        output, leaves = self._call(candidates)
        floating = [x for _, x in trees.leaves(output, "output") if is_inexact(x)]
        pairs = [(x, trees.to_torch(d).to(x.dtype)) for x, d in zip(floating, directions, strict=True)]
        pairs = [(x, d) for x, d in pairs if x.requires_grad]
        wanted = parameters | {label(self.paths[i]): leaves[i] for i in candidates}
        if not pairs or not wanted:
            return {}, {}
        outputs, vectors = zip(*pairs, strict=True)
        options: Any = {"allow_unused": True, "create_graph": True}
        gradients = torch.autograd.grad(outputs, list(wanted.values()), vectors, **options)
        first = {n: g.to_dense() for n, g in zip(wanted, gradients, strict=True) if g is not None}
        along = {n: _draw(trees.to_numpy(g), seed, 100 + i) for i, (n, g) in enumerate(first.items())}
        bent = [(g, trees.to_torch(along[n])) for n, g in first.items() if g.requires_grad]
        return self._gradients(bent, wanted), along

    def bend(
        self, directions: Sequence[np.ndarray], along: Mapping[str, np.ndarray], way: Mapping[str, np.ndarray]
    ) -> float:
        """How the sum of `gradients * along` changes as parameters and inputs move along `way`, by differences."""
        ends = []
        for step in (-DIFFERENCE, DIFFERENCE):
            side = copy.copy(self)
            side.module = copy.deepcopy(self.module)
            named = dict(zip(map(label, self.paths), self.inputs, strict=True))
            side.inputs = [x + step * trees.to_torch(way[n]) if n in way else x for n, x in named.items()]
            with torch.no_grad():
                for name, x in side.parameters().items():
                    x.add_(trees.to_torch(way[name]), alpha=step)
            run = side.run(True, 0, directions)[0]
            gradients = {**(run.parameter_gradients or {}), **(run.input_gradients or {})}
            ends.append(sum(float(np.vdot(along[n], g)) for n, g in gradients.items() if n in along and g is not None))
        return (ends[1] - ends[0]) / (2 * DIFFERENCE)

    def _call(self, differentiable: Sequence[int]) -> tuple[Any, list[torch.Tensor]]:
        leaves = [x.clone().requires_grad_(i in differentiable) for i, x in enumerate(self.inputs)]
        with torch.enable_grad():
            # Clones, since torch lets nothing write into the leaf itself (ReLU(inplace=True) would).
            args, kwargs = self.join([x.clone() for x in leaves])
            return self.module(*args, **kwargs), leaves

    def _is_differentiable(self, index: int) -> bool:
        try:
            self._call([index])
        except RuntimeError:
            return False
        return True

    @staticmethod
    def _gradients(pairs: list[Any], wanted: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray | None]:
        unique = list({id(x): x for x in wanted.values()}.values())
        if not pairs or not unique:
            return dict.fromkeys(wanted)
        outputs, directions = zip(*pairs, strict=True)
        gradients = torch.autograd.grad(outputs, unique, directions, allow_unused=True)
        found = {id(x): g for x, g in zip(unique, gradients, strict=True)}
        dense = {name: found[id(x)] for name, x in wanted.items()}
        return {n: None if g is None else trees.to_numpy(_dense(g)) for n, g in dense.items()}

    def calls(self) -> list[Call]:
        """Every layer's inputs and outputs, in the order in which they finished."""
        if not isinstance(self.module, torch.nn.Module):
            return []
        record: list[Call] = []
        began: list[Arrays] = []

        def before(layer: Any, args: Any, kwargs: Any) -> None:
            began.append(arrays_of((args, kwargs)))  # now: the layer may overwrite its input

        def after(name: str) -> Callable[..., None]:
            return lambda layer, args, kwargs, output: record.append(Call(name, began.pop(), arrays_of(output)))

        for name, layer in self.module.named_modules():
            layer.register_forward_pre_hook(before, with_kwargs=True)
            layer.register_forward_hook(after(name), with_kwargs=True)
        args, kwargs = self.join([x.clone() for x in self.inputs])
        with torch.no_grad():
            self.module(*args, **kwargs)
        return record


class JaxSide:
    """An NNX module (or a function of arrays) with its arguments; `options` are the compiler's under `jax.jit`."""

    def __init__(
        self,
        module: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        train: bool,
        hold: bool = True,
        options: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.module = module
        self.options = dict(options)
        self.graph: Any = None
        self.parameters: Any = {}
        self.rest: Any = {}
        if isinstance(module, nnx.Module):
            self.module = clone = nnx.clone(module)
            set_mode(clone, train, hold)
            self.graph, self.parameters, self.rest = nnx.split(clone, nnx.Param, ...)  # type: ignore[misc]
        self.paths, self.inputs, self.join = trees.split(trees.jax_tree((tuple(args), dict(kwargs))), "")
        self.differentiable = [i for i, x in enumerate(self.inputs) if is_inexact(x)]
        self._structure = ""
        self._names: list[str] = []
        self._programs: dict[bool, Any] = {}

    @cached_property
    def state(self) -> Arrays:
        return {n: trees.to_numpy(x) for n, x in self._named(self.parameters, self.rest).items()}

    def run(self, grad: bool, directions: Sequence[np.ndarray], jit: bool) -> Run:
        """Outputs, gradients along the given directions (unless the outputs have other shapes), and buffers."""
        function = self._compiled(grad) if jit else self._function(grad)
        outputs, self.after, gradients = function(self.parameters, self.rest, self.inputs, _to_jax(directions))
        return self._told(outputs, self.after, gradients)

    def run_batch(self, others: Sequence[Any], directions: Sequence[Sequence[np.ndarray]]) -> list[Run]:
        """The runs on these inputs and on others of the same shapes, both at once under `jax.vmap`."""
        batch = _stacked([self.inputs, others])
        function = jax.jit(jax.vmap(self._function(True), in_axes=(None, None, 0, 0)), compiler_options=dict(QUICK))
        results = jax.tree.map(_in_numpy, function(self.parameters, self.rest, batch, _stacked(directions)))
        return [self._told(*jax.tree.map(itemgetter(i), results)) for i in range(2)]

    def run_on_devices(self, directions: Sequence[np.ndarray]) -> Run:
        """The run in `jax.shard_map` with all that it checks, over inputs that differ from device to device.

        There is one device, so that the numbers are those of a run without.
        """
        axis = "devices"
        mesh = jax.make_mesh((1,), (axis,), axis_types=(AxisType.Auto,), devices=jax.devices()[:1])

        def local(parameters: Any, rest: Any, inputs: list[Any], directions: list[Any]) -> Any:
            results = self._function(True)(parameters, rest, [x[0] for x in inputs], directions)
            return jax.tree.map(lambda x: x[None], results)

        specs = PartitionSpec(), PartitionSpec(), PartitionSpec(axis), PartitionSpec()
        function = jax.jit(
            jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(axis)), compiler_options=dict(QUICK)
        )
        results = function(self.parameters, self.rest, _stacked([self.inputs]), _to_jax(directions))
        return self._told(*jax.tree.map(itemgetter(0), jax.tree.map(_in_numpy, results)))

    def run_twice(self, directions: Sequence[np.ndarray], along: Mapping[str, np.ndarray]) -> Gradients:
        """Gradients of the sum of `gradients * along`, by name: see `TorchSide.run_twice`."""
        floating = [self.inputs[i] for i in self.differentiable]
        weights = {name: trees.to_jax(x) for name, x in along.items()}

        def slope(parameters: Any, floating: list[Any], rest: Any, inputs: list[Any], directions: Any) -> Any:
            gradients = self._gradients_by_name(self._pull(parameters, floating, rest, inputs)[1](directions))
            return sum(jax.numpy.vdot(weights[n], gradients[n]).real for n in weights)

        twice = jax.jit(jax.grad(slope, argnums=(0, 1)), compiler_options=dict(QUICK))
        gradients = twice(self.parameters, floating, self.rest, self.inputs, _to_jax(directions))
        return {n: _conjugate(x) for n, x in self._gradients_by_name(gradients).items()}

    def lower(self, directions: Sequence[np.ndarray], platforms: Sequence[str]) -> None:
        """Lowers forward and backward for other platforms; raises what stands in the way."""
        arguments = (self.parameters, self.rest, self.inputs, _to_jax(directions))
        jax.export.export(self._compiled(True), platforms=platforms)(*arguments)

    def _told(self, outputs: Any, rest: Any, gradients: Any) -> Run:
        run = Run(self._structure, dict(zip(self._names, map(trees.to_numpy, outputs), strict=True)))
        after = self._named(self.parameters, rest).items()
        run.buffers = {n: trees.to_numpy(x) for n, x in after if n not in self._parameter_names}
        if gradients is not None:
            parameters, inputs = gradients
            named = self._named(parameters, self.rest).items()
            run.parameter_gradients = {n: _conjugate(x) for n, x in named if n in self._parameter_names}
            labels = [label(self.paths[i]) for i in self.differentiable]
            run.input_gradients = dict(zip(labels, map(_conjugate, inputs), strict=True))
        return run

    def _gradients_by_name(self, gradients: Any) -> dict[str, Any]:
        parameters, inputs = gradients
        named = {n: x for n, x in self._named(parameters, self.rest).items() if n in self._parameter_names}
        return named | dict(zip([label(self.paths[i]) for i in self.differentiable], inputs, strict=True))

    def _compiled(self, grad: bool) -> Any:
        if grad not in self._programs:
            self._programs[grad] = jax.jit(self._function(grad), compiler_options=self.options)
        return self._programs[grad]

    def _function(self, grad: bool) -> Callable[..., Any]:
        """A pure function of the module's arrays and the inputs; one trace gives outputs, gradients and buffers."""

        def call(parameters: Any, rest: Any, inputs: list[Any], directions: list[Any]) -> Any:
            floating = [inputs[i] for i in self.differentiable]
            if not grad:
                _, (outputs, after) = self._forward(parameters, floating, rest, inputs)
                return outputs, after, None
            smooth, pull, (outputs, after) = self._pull(parameters, floating, rest, inputs)
            if [(x.shape, x.dtype) for x in smooth] != [(d.shape, d.dtype) for d in directions]:
                return outputs, after, None
            # For complex numbers torch's gradient is the conjugate of JAX's.
            return outputs, after, pull([_varying_as(d.conj(), x) for d, x in zip(directions, smooth, strict=True)])

        return call

    def _pull(self, parameters: Any, floating: list[Any], rest: Any, inputs: list[Any]) -> Any:
        forward = jax.jit(self._forward)  # the gradient of a compiled call, which can keep nothing of another trace
        return jax.vjp(lambda p, x: forward(p, x, rest, inputs), parameters, floating, has_aux=True)

    def _forward(self, parameters: Any, floating: list[Any], rest: Any, inputs: list[Any]) -> Any:
        """The floating outputs, and beside them all outputs and what is not a parameter, after the call."""
        filled = list(inputs)
        for i, x in zip(self.differentiable, floating, strict=True):
            filled[i] = x
        args, kwargs = self.join(filled)
        if self.graph is None:
            output = self.module(*args, **kwargs)
        else:
            # Copied, since Flax lets a variable change only under the trace that made it.
            module = nnx.merge(self.graph, parameters, rest, copy=True)
            output = module(*args, **kwargs)
            _, _, rest = nnx.split(module, nnx.Param, ...)  # type: ignore[misc]
        self._structure = trees.structure(output)
        named = list(trees.leaves(output, "output"))
        self._names = [name for name, _ in named]
        arrays = [jax.numpy.asarray(x) for _, x in named]
        return [x for x in arrays if is_inexact(x)], (arrays, rest)

    @cached_property
    def _parameter_names(self) -> set[str]:
        """torch's names of the parameters: those whose variable is an `nnx.Param`."""
        if self.graph is None:
            return set()
        marks = jax.tree.map(lambda _: np.empty(0), self.parameters)
        known = set(map(id, jax.tree.leaves(marks)))
        return {name for name, x in self._named(marks, self.rest).items() if id(x) in known}

    def _named(self, parameters: Any, rest: Any) -> dict[str, Any]:
        if self.graph is None:
            return {}
        return jaxnets.state_dict(nnx.merge(self.graph, parameters, rest))

    def calls(self) -> list[Call]:
        """Every layer's inputs and outputs, in the order in which they finished."""
        if self.graph is None:
            return []
        module = nnx.merge(self.graph, self.parameters, self.rest)
        args, kwargs = self.join(self.inputs)
        with recording(module) as record:
            module(*args, **kwargs)
        return record


def _to_jax(arrays: Sequence[Any]) -> list[jax.Array]:
    return [trees.to_jax(x) for x in arrays]


def _stacked(lists: Sequence[Sequence[Any]]) -> list[jax.Array]:
    # In numpy: to JAX each small operation on new shapes is a program to compile.
    return [trees.to_jax(np.stack([trees.to_numpy(x) for x in arrays])) for arrays in zip(*lists, strict=True)]


def _varying_as(x: jax.Array, other: jax.Array) -> jax.Array:
    """`x` as differing along those axes of a mesh along which another does, inside of `jax.shard_map`."""
    missing = jax.typeof(other).manual_axis_type.varying - jax.typeof(x).manual_axis_type.varying
    return jax.lax.pcast(x, tuple(missing), to="varying") if missing else x


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    """A sparse gradient with its zeros, and one that torch knows to be zero with its numbers."""
    if gradient._is_zerotensor():
        return torch.zeros_like(gradient)
    return gradient.to_dense() if gradient.is_sparse else gradient


def _in_numpy(x: jax.Array) -> Any:
    return x if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else np.asarray(x)


def set_mode(module: nnx.Module, train: bool, hold: bool) -> None:
    """Training or evaluation; `hold` keeps random layers still in training too."""
    module.train() if train else module.eval()
    if train and hold:
        module.set_attributes(deterministic=True, raise_if_not_found=False)


def arrays_of(tree: Any) -> Arrays:
    """The concrete arrays of a tree; what a layer sees inside its own `jax.jit` has no numbers."""
    return {path: trees.to_numpy(x) for path, x in trees.leaves(tree, "") if not isinstance(x, jax.core.Tracer)}


def label(path: str) -> str:
    """The path of an input as a person would say it: `args[0]`, `kwargs['hx'][1]`."""
    return f"args{path[3:]}" if path.startswith("[0]") else f"kwargs{path[3:]}"


def _conjugate(gradient: Any) -> np.ndarray | None:
    # The gradient of an integer is of dtype float0.
    return None if gradient.dtype == jax.dtypes.float0 else trees.to_numpy(gradient).conj()


_RECORD: dict[int, tuple[str, list[Call]]] = {}


@contextmanager
def recording(module: nnx.Module) -> Iterator[list[Call]]:
    """Records the calls of a module's layers: each becomes, for the moment, an instance of a recording subclass."""
    record: list[Call] = []
    layers = [(".".join(map(str, path)), layer) for path, layer in nnx.iter_modules(module)]
    originals = [(layer, type(layer)) for _, layer in layers]
    for name, layer in layers:
        _RECORD[id(layer)] = name, record
        layer.__class__ = _recorder(type(layer))
    try:
        yield record
    finally:
        for layer, original in originals:
            layer.__class__ = original
            del _RECORD[id(layer)]


@cache  # one subclass of each: Flax registers every class for good
def _recorder(cls: type) -> type:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = cls.__call__(self, *args, **kwargs)
        if id(self) in _RECORD:
            name, record = _RECORD[id(self)]
            record.append(Call(name, arrays_of((args, kwargs)), arrays_of(output)))
        return output

    return type(cls.__name__, (cls,), {"__call__": call})
