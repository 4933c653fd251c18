"""torchvision's classification models, beside a CPU build of torch too: two of its operators are declared there."""

import sys

import torch

__all__ = ["models", "prepared", "side"]

try:
    from torchvision import models
except RuntimeError:  # its own library, which has the operators, did not load
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _library = torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import models

FIXED = {"vit": 224, "swin": 224, "maxvit": 224, "inception": 299, "alexnet": 224}
"""Models that take no small pictures, by what their name begins with."""


def side(name: str) -> int:
    """The side of the pictures on which a model is tried."""
    return next((size for start, size in FIXED.items() if name.startswith(start)), 64)


def prepared(name: str, seed: int = 0, **kwargs: object) -> torch.nn.Module:
    """A model with random weights, in evaluation, whose statistics and zero weights are random, too."""
    torch.manual_seed(seed)
    if name in ("googlenet", "inception_v3"):
        kwargs = {"init_weights": False, **kwargs}
    return filled(models.get_model(name, **kwargs), seed)


def filled(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The module in evaluation, its statistics and whatever weights are zero made random."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.1, generator=generator)
    return module.eval()
