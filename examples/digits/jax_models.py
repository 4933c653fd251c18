"""The two models in JAX. Read it beside `torch_models.py`."""

import jax.numpy as jnp
from flax import nnx

from jaxnets import nn


class Autoencoder(nnx.Module):
    """Says which digit an 8 x 8 picture shows, and draws it again."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1, rngs=rngs),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1, groups=4, rngs=rngs),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding="same", dilation=2, padding_mode="reflect", rngs=rngs),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1, groups=2, rngs=rngs),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 1, 3, padding=1, rngs=rngs),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.2, rngs=rngs), nn.Linear(16 * 4 * 4, 10, rngs=rngs))

    def __call__(self, picture):
        code = self.encoder(picture)
        return self.classifier(code), self.decoder(code)


class RowReader(nnx.Module):
    """Reads a picture row by row, from the top and from the bottom, and says which digit it was."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.rnn = nn.LSTM(8, 32, num_layers=2, batch_first=True, bidirectional=True, rngs=rngs)
        self.head = nn.Linear(2 * 32, 10, rngs=rngs)

    def __call__(self, picture):
        _, (h, _) = self.rnn(picture.squeeze(1))
        return self.head(jnp.concatenate([h[-2], h[-1]], axis=1))
