"""Rows of layers that the table of layers has not, as data: `python -m benchmarks.layers --every`."""

from collections.abc import Callable
from typing import Any

from benchmarks.rows import Ints, Row

__all__ = ["EVERY"]

Shape = tuple[int, ...]
Input = Shape | Ints

FEATURES = (8, 64, 56, 56)
VECTORS = (4096, 256)
SCORES = (4096, 1000)
LABELS = Ints((4096,), 1000)
TOKENS = (8, 128, 256)


def _layer(kind: str, *shapes: Input, **settings: Any) -> Row:
    """A row of `nn.KIND(**settings)`, whose name shows them."""
    shown = ", ".join(f"{key}={value}" for key, value in settings.items())
    sizes = "; ".join("x".join(map(str, s.shape if isinstance(s, Ints) else s)) for s in shapes)
    return Row(f"{kind}({shown}), {sizes}", lambda nn: getattr(nn, kind)(**settings), shapes)


def _called(row: Row, call: Callable[..., Any]) -> Row:
    return Row(row.name, row.make, row.shapes, call)


def _function(name: str, function: Callable[..., Any], *shapes: Input) -> Row:
    """A row of a function of `nn.functional` and the inputs."""
    return Row(name, lambda nn: lambda *inputs: function(nn.functional, *inputs), shapes)


ACTIVATIONS = (
    "CELU", "ELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid", "Mish", "ReLU",
    "ReLU6", "SELU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Softmax2d",
)  # fmt: skip

LOSSES = ("L1Loss", "MSELoss", "HuberLoss", "SmoothL1Loss", "BCEWithLogitsLoss", "PoissonNLLLoss")

EVERY = (
    *(_layer(kind, FEATURES) for kind in ACTIVATIONS),
    _layer("GELU", FEATURES, approximate="tanh"),
    _layer("PReLU", FEATURES, num_parameters=64),
    _layer("Threshold", FEATURES, threshold=0.1, value=20.0),
    _layer("GLU", FEATURES, dim=1),
    _layer("Softmin", SCORES, dim=-1),
    _layer("LogSoftmax", SCORES, dim=-1),
    _layer("LogSoftmax", (4, 21, 128, 128), dim=1),
    _layer("BatchNorm1d", VECTORS, num_features=256),
    _layer("BatchNorm1d", (16, 64, 512), num_features=64),
    _layer("BatchNorm3d", (2, 16, 16, 28, 28), num_features=16),
    _layer("InstanceNorm2d", FEATURES, num_features=64),
    _layer("InstanceNorm2d", (1, 128, 64, 64), num_features=128, affine=True),
    _layer("GroupNorm", FEATURES, num_groups=8, num_channels=64),
    _layer("GroupNorm", (8, 256, 14, 14), num_groups=32, num_channels=256),
    _layer("LayerNorm", VECTORS, normalized_shape=256),
    _layer("LayerNorm", (8, 56, 56, 96), normalized_shape=96),
    _layer("LayerNorm", (8, 64, 28, 28), normalized_shape=[64, 28, 28]),
    _layer("LocalResponseNorm", FEATURES, size=5),
    _layer("MaxPool1d", (16, 64, 512), kernel_size=2),
    _layer("MaxPool1d", (16, 64, 512), kernel_size=5, stride=2, padding=2),
    _layer("MaxPool1d", (16, 64, 1000), kernel_size=100, stride=50),
    _layer("MaxPool2d", (8, 64, 28, 28), kernel_size=5, stride=1, padding=2),
    _layer("MaxPool3d", (2, 16, 16, 28, 28), kernel_size=2),
    _layer("MaxPool3d", (2, 16, 16, 28, 28), kernel_size=3, stride=2, padding=1),
    _layer("AvgPool1d", (16, 64, 512), kernel_size=2),
    _layer("AvgPool2d", FEATURES, kernel_size=2),
    _layer("AvgPool2d", (8, 256, 7, 7), kernel_size=7),
    _layer("AvgPool2d", FEATURES, kernel_size=3, stride=1, padding=1),
    _layer("AvgPool3d", (2, 16, 16, 28, 28), kernel_size=2),
    _layer("AdaptiveAvgPool1d", (16, 64, 512), output_size=10),
    _layer("AdaptiveAvgPool2d", (8, 64, 55, 55), output_size=6),
    _layer("AdaptiveAvgPool3d", (2, 16, 16, 28, 28), output_size=(4, 7, 7)),
    _layer("AdaptiveMaxPool1d", (16, 64, 512), output_size=10),
    _layer("AdaptiveMaxPool2d", FEATURES, output_size=7),
    _layer("AdaptiveMaxPool2d", (8, 64, 55, 55), output_size=6),
    _layer("AdaptiveMaxPool2d", (8, 64, 28, 28), output_size=1),
    _layer("LPPool2d", FEATURES, norm_type=2, kernel_size=2),
    _layer("ReflectionPad2d", FEATURES, padding=3),
    _layer("ReflectionPad1d", (16, 64, 512), padding=8),
    _layer("ReplicationPad2d", FEATURES, padding=3),
    _layer("ReplicationPad3d", (2, 16, 16, 28, 28), padding=1),
    _layer("ZeroPad2d", FEATURES, padding=1),
    _layer("CircularPad2d", FEATURES, padding=2),
    _layer("PixelShuffle", (8, 64, 56, 56), upscale_factor=2),
    _layer("PixelUnshuffle", (8, 16, 112, 112), downscale_factor=2),
    _layer("ChannelShuffle", FEATURES, groups=4),
    _layer("Fold", (8, 576, 784), output_size=28, kernel_size=3, padding=1),
    _layer("Unfold", (8, 64, 28, 28), kernel_size=3, padding=1),
    _layer("Upsample", (8, 64, 28, 28), scale_factor=2, mode="bilinear", align_corners=True),
    _layer("Upsample", (16, 64, 256), scale_factor=2, mode="linear"),
    _layer("Upsample", (2, 16, 8, 28, 28), scale_factor=2, mode="trilinear"),
    _layer("Upsample", (8, 64, 28, 28), size=(50, 41), mode="nearest"),
    *(_layer(kind, VECTORS, VECTORS) for kind in LOSSES),
    _layer("KLDivLoss", VECTORS, VECTORS, log_target=True, reduction="batchmean"),
    _layer("NLLLoss", SCORES, LABELS),
    _layer("NLLLoss", (4, 21, 128, 128), Ints((4, 128, 128), 21)),
    _layer("CrossEntropyLoss", (4, 21, 128, 128), Ints((4, 128, 128), 21)),
    _layer("CrossEntropyLoss", SCORES, LABELS, label_smoothing=0.1),
    _layer("MultiMarginLoss", SCORES, LABELS),
    _layer("TripletMarginLoss", VECTORS, VECTORS, VECTORS),
    _layer("CosineSimilarity", VECTORS, VECTORS),
    _layer("PairwiseDistance", VECTORS, VECTORS),
    _layer("Bilinear", (256, 64), (256, 64), in1_features=64, in2_features=64, out_features=32),
    _layer("EmbeddingBag", Ints((512, 20), 10000), num_embeddings=10000, embedding_dim=128),
    _layer("EmbeddingBag", Ints((512, 20), 10000), num_embeddings=10000, embedding_dim=128, mode="sum"),
    _layer("EmbeddingBag", Ints((512, 20), 10000), num_embeddings=10000, embedding_dim=128, mode="max"),
    _layer("Embedding", Ints((64, 35), 33278), num_embeddings=33278, embedding_dim=200),
    _layer("Conv1d", (16, 64, 512), in_channels=64, out_channels=128, kernel_size=3, stride=2, padding=1),
    _layer("ConvTranspose1d", (16, 64, 256), in_channels=64, out_channels=32, kernel_size=4, stride=2, padding=1),
    _layer("ConvTranspose3d", (2, 32, 8, 14, 14), in_channels=32, out_channels=16, kernel_size=2, stride=2),
    _layer("GRUCell", (256, 128), input_size=128, hidden_size=256),
    _called(_layer("LSTMCell", (256, 128), input_size=128, hidden_size=256), lambda cell, x: cell(x)[0]),
    _layer("RNNCell", (256, 128), input_size=128, hidden_size=256),
    _layer("TransformerEncoderLayer", TOKENS, d_model=256, nhead=8, dropout=0.0, batch_first=True),
    _layer("TransformerDecoderLayer", TOKENS, TOKENS, d_model=256, nhead=8, dropout=0.0, batch_first=True),
    _function("grid_sample, 8x32x64x64", lambda F, x, grid: F.grid_sample(x, grid, align_corners=False),
              (8, 32, 64, 64), (8, 64, 64, 2)),
    _function("interpolate area, 8x64x56x56 to 20x20", lambda F, x: F.interpolate(x, (20, 20), mode="area"), FEATURES),
    _function("normalize, 4096x256", lambda F, x: F.normalize(x, dim=-1), VECTORS),
    _function("attention causal, 2x8x256x64", lambda F, *x: F.scaled_dot_product_attention(*x, is_causal=True),
              *[(2, 8, 256, 64)] * 3),
)  # fmt: skip
"""Sizes are such that torch takes some tenths of a millisecond or more, and no more than some tens."""
