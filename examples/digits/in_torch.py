"""Both ends of the journey, in PyTorch: `train` writes the checkpoints, `read_back` reads what JAX made of them."""

import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from examples.digits.torch_models import Autoencoder, RowReader

MODELS = {"autoencoder": Autoencoder, "row_reader": RowReader}
EPOCHS = 6


def train(folder: Path, say=print) -> None:
    """Trains both models on three quarters of the digits and writes what the JAX process needs.

    `NAME.pt` is the model's state_dict, `NAME.npz` the output of each of its layers on the other quarter.
    """
    torch.manual_seed(0)
    digits = load_digits()
    pictures = torch.from_numpy(digits.images.astype("float32") / 16).unsqueeze(1)
    labels = torch.from_numpy(digits.target)
    held_out = torch.arange(len(labels)) % 4 == 0
    np.savez(folder / "held_out.npz", pictures=pictures[held_out], labels=labels[held_out])
    for name, make in MODELS.items():
        model = make()
        begin = time.perf_counter()
        for epoch, loss in enumerate(epochs(model, pictures[~held_out], labels[~held_out]), start=1):
            say(f"  {name}: epoch {epoch}/{EPOCHS}, loss {loss:.4f}, {time.perf_counter() - begin:.1f} s")
        torch.save(model.state_dict(), folder / f"{name}.pt")
        np.savez(folder / f"{name}.npz", **layer_outputs(model.eval(), pictures[held_out]))


def epochs(model, pictures, labels):
    """Trains, and yields the mean loss of each epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        losses = []
        for batch in torch.randperm(len(labels)).split(64):
            output = model(pictures[batch])
            logits, drawn = output if isinstance(output, tuple) else (output, pictures[batch])
            loss = nn.functional.cross_entropy(logits, labels[batch]) + nn.functional.mse_loss(drawn, pictures[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        yield sum(losses) / len(losses)


@torch.no_grad()
def layer_outputs(model, pictures) -> dict[str, np.ndarray]:
    """The output of every layer by its name, and the model's own under `output`."""
    outputs = {}

    def keep(name):
        def hook(module, args, output):
            first = output[0] if isinstance(output, tuple) else output
            outputs[name] = first.numpy()

        return hook

    layers = [(name or "output", module) for name, module in model.named_modules()]
    hooks = [module.register_forward_hook(keep(name)) for name, module in layers]
    model(pictures)
    for hook in hooks:
        hook.remove()
    return outputs


def read_back(folder: Path, name: str) -> tuple[bool, bool]:
    """Loads what JAX saved: whether it is bit for bit what was trained, and whether it predicts the same."""
    trained = torch.load(folder / f"{name}.pt", weights_only=True)
    returned = torch.load(folder / f"{name}.back.pt", weights_only=True)
    identical = list(trained) == list(returned) and all(
        a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(trained.values(), returned.values(), strict=True)
    )
    model = MODELS[name]().eval()
    model.load_state_dict(returned)
    pictures = torch.from_numpy(np.load(folder / "held_out.npz")["pictures"])
    again = layer_outputs(model, pictures)["output"].argmax(1)
    return identical, bool((again == np.load(folder / f"{name}.npz")["output"].argmax(1)).all())
