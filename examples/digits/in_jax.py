"""The middle of the journey, in JAX, in a process that cannot import torch."""

import json
import sys
import time
from pathlib import Path

sys.modules["torch"] = None  # from here on `import torch` is an error

import jax
import numpy as np
from flax import nnx

import jaxnets
from examples.digits.jax_models import Autoencoder, RowReader

MODELS = {"autoencoder": Autoencoder, "row_reader": RowReader}


@jax.jit
def forward(model, pictures):
    """The model's output and, by Flax's own means, that of each of its layers."""
    return nnx.capture(model, nnx.Intermediate, method_outputs=nnx.Intermediate)(pictures)


def port(folder: Path, name: str) -> dict:
    """Loads torch's checkpoint, evaluates under `jax.jit`, saves it again; returns what was measured."""
    held_out = np.load(folder / "held_out.npz")
    expected = np.load(folder / f"{name}.npz")

    begin = time.perf_counter()
    model = MODELS[name](rngs=nnx.Rngs(0))
    jaxnets.load_state_dict(model, jaxnets.load(folder / f"{name}.pt"))
    loaded = time.perf_counter()

    model.eval()
    _, layers = jax.block_until_ready(forward(model, held_out["pictures"]))
    compiled = time.perf_counter()
    output, layers = jax.block_until_ready(forward(model, held_out["pictures"]))
    done = time.perf_counter()
    jaxnets.save(jaxnets.state_dict(model), folder / f"{name}.back.pt")

    logits = np.asarray(output[0] if isinstance(output, tuple) else output)
    predicted, labels = logits.argmax(1), held_out["labels"]
    outputs = {path: jax.tree.leaves(value)[0] for path, value in called(layers)}
    return {
        "differences": {key: float(abs(np.asarray(outputs[key]) - expected[key]).max()) for key in expected.files},
        "accuracy": float((predicted == labels).mean()),
        "torch_accuracy": float((expected["output"].argmax(1) == labels).mean()),
        "disagreements": int((predicted != expected["output"].argmax(1)).sum()),
        "seconds": {"load": loaded - begin, "compile and run": compiled - loaded, "run": done - compiled},
    }


def called(layers) -> list[tuple[str, tuple]]:
    """Names of layers, as in torch, with what their `__call__` gave."""
    flat = nnx.to_flat_state(layers)
    return [
        (".".join(map(str, path[:-1])) or "output", value.get_value()) for path, value in flat if path[-1] == "__call__"
    ]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(json.dumps({name: port(folder, name) for name in MODELS}))
