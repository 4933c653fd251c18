"""A picture, sharpened by one convolution."""

from pathlib import Path
from typing import Annotated

import matplotlib.image
import numpy as np
import typer
from flax import nnx
from rich.console import Console
from sklearn.datasets import load_sample_image

import jaxnets
from jaxnets import nn

app = typer.Typer(add_completion=False)


def kernel() -> np.ndarray:
    """Minus a ninth everywhere, one in the middle, for each of three colours."""
    weight = np.full((1, 3, 3, 3), -1 / 9, np.float32)
    weight[:, :, 1, 1] = 1
    return weight


def in_torch(picture: np.ndarray) -> np.ndarray:
    import torch
    from torch import nn

    conv = nn.Conv2d(3, 1, 3, bias=False)
    conv.load_state_dict({"weight": torch.from_numpy(kernel())})
    with torch.no_grad():
        return conv(torch.from_numpy(picture)).numpy()


@app.command()
def main(
    image: Annotated[str, typer.Option(help="One of scikit-learn's: china.jpg, flower.jpg.")] = "china.jpg",
    out: Annotated[Path, typer.Option(help="Folder for the picture.")] = Path("out"),
    torch: Annotated[bool, typer.Option("--torch", help="Compare with torch.")] = False,
) -> None:
    """A picture, sharpened by one convolution."""
    picture = np.moveaxis(load_sample_image(image), 2, 0)[None].astype(np.float32) / 255
    conv = nn.Conv2d(3, 1, 3, bias=False, rngs=nnx.Rngs(0))
    jaxnets.load_state_dict(conv, {"weight": kernel()})
    sharp = np.asarray(conv(picture))
    out.mkdir(parents=True, exist_ok=True)
    matplotlib.image.imsave(out / "sharp.png", sharp[0, 0].clip(0, 1), cmap="gray")
    Console().print(f"{image}, {picture.shape} to {sharp.shape}: {out / 'sharp.png'}")
    if torch:
        Console().print(f"greatest difference from torch: {abs(sharp - in_torch(picture)).max():.1e}")


if __name__ == "__main__":
    app()
