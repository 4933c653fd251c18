"""A program from its flags to its results."""

import sys
from collections.abc import Callable, Iterable

import jax
import numpy as np
from jax.sharding import Mesh

import jaxnets
from examples.training import devices, in_jax, report
from examples.training.checkpoints import Checkpoints
from examples.training.experiment import Experiment
from examples.training.loader import Blocks
from examples.training.options import Options, Precision

__all__ = ["run_all"]


def run_all(make: Callable[[], Experiment | Iterable[Experiment]], options: Options) -> None:
    """Trains each experiment in JAX, beside it in torch if asked to, and writes what came of it."""
    if options.coordinator:
        devices.join(options.coordinator, options.processes, options.process)
    jax.config.update("jax_enable_x64", options.precision is Precision.FLOAT64)
    try:
        made = make()
        experiments = [options.applied(e) for e in ([made] if isinstance(made, Experiment) else made)]
        mesh = devices.mesh_of(options.data_parallel, options.fsdp)
        kept = [options.checkpoints and options.checkpoints / experiment.name for experiment in experiments]
        checkpoints = [Checkpoints(folder, options.every, options.resume) for folder in kept]
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    results = [run(*pair, mesh, options) for pair in zip(experiments, checkpoints, strict=True)]
    if options.process == 0:
        report.show(results, options.out)


def run(experiment: Experiment, checkpoints: Checkpoints, mesh: Mesh, options: Options) -> report.Result:
    """Trains one experiment; process 0 writes its files."""
    first = options.process == 0
    blocks = Blocks(experiment, options.seed, (jax.process_index(), jax.process_count()), mesh.size)
    if first and not blocks.is_split(blocks.batch):
        report.console.print(
            f"A batch of {blocks.batch} is not split over {mesh.size} devices; --batch chooses another"
        )
    trainer = in_jax.Trainer(experiment, options.seed, mesh, options.precision)
    with report.progress(f"{experiment.name} in JAX", blocks, first) as say:
        state, ours = in_jax.train(trainer, blocks, options.workers, checkpoints, say)
    *inputs, _ = experiment.test
    outputs = trainer.outputs(state, tuple(inputs))
    weights = devices.gathered({**state.params, **state.rest}, mesh)
    if not first:
        return report.Result(experiment.name, ours)

    out = options.out / experiment.name
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "losses.npy", ours.curve)
    model = trainer.model(weights, weights)
    jaxnets.save(jaxnets.state_dict(model), out / "weights.pt")
    if experiment.finish:
        experiment.finish(outputs, out)
    if not options.torch:
        return report.Result(experiment.name, ours)

    from examples.training import in_torch

    blocks = Blocks(experiment, options.seed)
    torch_model, same = in_torch.first_model(experiment, options.seed, trainer.first_weights, options.precision)
    with report.progress(f"{experiment.name} in torch", blocks, first) as say:
        theirs = in_torch.train(experiment, torch_model, blocks, options.workers, say)
    np.save(out / "losses_torch.npy", theirs.curve)
    return report.Result(experiment.name, ours, theirs, same)
