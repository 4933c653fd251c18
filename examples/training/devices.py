"""Where arrays live: one device, a mesh of `data` and `fsdp` axes, several processes."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

__all__ = ["gathered", "join", "mesh_of", "on_every_device", "put_block", "put_state", "state_shardings"]


def join(coordinator: str, processes: int, process: int) -> None:
    """Makes this process one of several; before JAX is asked for anything else."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, processes, process)


def mesh_of(data_parallel: int | None, fsdp: int) -> Mesh:
    """A mesh whose axes are `data` and `fsdp`, as large as asked for.

    Args:
        data_parallel: parts of a batch that see different devices; as many as the processes need if None.
        fsdp: devices over which each parameter and its optimizer state is laid out; they split the batch, too.
    """
    devices, processes = jax.devices(), jax.process_count()
    if data_parallel is None:
        data_parallel = 1 if processes == 1 else max(1, len(devices) // fsdp)
    wanted = data_parallel * fsdp
    if wanted > len(devices) or (processes > 1 and wanted != len(devices)):
        raise ValueError(
            f"--data-parallel {data_parallel} times --fsdp {fsdp} needs {wanted} devices, but there are {len(devices)}"
            f" in {processes} process{'es' if processes > 1 else ''}; on a CPU, XLA_FLAGS="
            f"--xla_force_host_platform_device_count={-(-wanted // processes)} makes more of one"
        )
    return Mesh(np.array(devices[:wanted]).reshape(data_parallel, fsdp), ("data", "fsdp"))


def on_every_device(mesh: Mesh) -> NamedSharding:
    """The sharding of what each device holds in full."""
    return NamedSharding(mesh, P())


def state_shardings(state: Any, mesh: Mesh) -> Any:
    """For each array of a tree, its largest axis that `fsdp` divides over `fsdp`; the others stay whole."""

    def sharding(x: Any) -> NamedSharding:
        parts = mesh.shape["fsdp"]
        axes = [axis for axis, size in enumerate(x.shape) if size % parts == 0 and size]
        if parts == 1 or not axes:
            return on_every_device(mesh)
        axis = max(axes, key=lambda axis: x.shape[axis])
        return NamedSharding(mesh, P(*[None] * axis, "fsdp"))

    return jax.tree.map(sharding, state)


def put_state(state: Any, shardings: Any) -> Any:
    """A tree of arrays that every process has in full, laid out over the mesh."""

    def put(x: Any, sharding: NamedSharding) -> jax.Array:
        if sharding.is_fully_addressable or jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.device_put(x, sharding, may_alias=False)  # a state may hold one array twice
        whole = np.asarray(x)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(put, state, shardings)


def put_block(block: Any, mesh: Mesh, split: bool) -> tuple[jax.Array, ...]:
    """This process's share of a block, `(steps, batch, ...)`, as part of the arrays of all; whole if not `split`."""
    sharding = NamedSharding(mesh, P(None, ("data", "fsdp")) if split else P())
    if sharding.is_fully_addressable:
        return tuple(jax.device_put(array, sharding) for array in block)
    return tuple(
        jax.make_array_from_process_local_data(sharding, array.astype(jax.dtypes.canonicalize_dtype(array.dtype)))
        if split
        else jax.make_array_from_callback(array.shape, sharding, lambda index, array=array: array[index])
        for array in block
    )


def gathered(tree: Any, mesh: Mesh) -> Any:
    """The tree with every array whole on each process."""
    return jax.jit(lambda x: x, out_shardings=on_every_device(mesh))(tree)
