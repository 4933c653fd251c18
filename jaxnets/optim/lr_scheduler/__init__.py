"""`torch.optim.lr_scheduler` as `optax` schedules: functions of the number of steps made.

Torch's first argument, the optimizer, is here `lr`, the base learning rate. `schedule(count)` is the rate that torch's
optimizer has in step `count` (from 0) if `scheduler.step()` follows each step; with `per_epoch`, each epoch. The rates
are what torch's `step()` makes of one another, not its second formulas, which differ from them in corners; but nothing
is looped over where the steps have a closed form.

`last_epoch = k >= 0` is torch's scheduler made with it for an optimizer whose rate was loaded, and stands where `k`
calls of `scheduler.step()` brought it: `count` 0 is epoch `k + 1`. Some of torch's schedulers hold the rate at this
first epoch; so do these. A count that is loaded with the state of an optimizer needs none of it.

Differences from torch, of all: numbers of epochs are whole. A list with an entry for each parameter group is refused:
make one schedule for each group.
"""

from jaxnets.optim.lr_scheduler.compose import ChainedScheduler, SequentialLR
from jaxnets.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from jaxnets.optim.lr_scheduler.cycle import CyclicLR, OneCycleLR
from jaxnets.optim.lr_scheduler.decay import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from jaxnets.optim.lr_scheduler.plateau import ReduceLROnPlateau, ReduceLROnPlateauState
from jaxnets.optim.lr_scheduler.schedule import LRScheduler, per_epoch

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "ReduceLROnPlateauState",
    "SequentialLR",
    "StepLR",
    "per_epoch",
]
