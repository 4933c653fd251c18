"""torch's own database of optimizers, set for set: a hundred steps in float64 and float32."""

from typing import Any

import jax
import numpy as np
import pytest
import torch
from problem import MATRICES, SHAPES, run_jax, run_torch
from torch.testing._internal.common_optimizers import optim_db

from jaxnets import optim
from tests.exhaustive import more

SETS = [
    pytest.param(info.optim_cls, inputs.kwargs, id=f"{info.optim_cls.__name__}-{i}-{inputs.desc}".replace(" ", "_"))
    for info in optim_db
    for i, inputs in enumerate(info.optim_inputs_func(device="cpu"))
]


def test_database_is_whole():
    assert len(SETS) == 91
    assert {info.optim_cls.__name__ for info in optim_db} == {name for name in optim.__all__ if name[0].isupper()}


@pytest.mark.parametrize("dtype", [np.float64, *more([np.float32])])
@pytest.mark.parametrize(("torch_optimizer", "kwargs"), SETS)
def test_hundred_steps(torch_optimizer: Any, kwargs: dict[str, Any], dtype: Any):
    shapes = MATRICES if torch_optimizer is torch.optim.Muon else SHAPES
    sign = -1.0 if kwargs.get("maximize") else 1.0
    with jax.enable_x64(dtype is np.float64):
        ours, _ = run_jax(getattr(optim, torch_optimizer.__name__)(**kwargs), shapes, dtype, 100, sign=sign)
    theirs, _ = run_torch(lambda params: torch_optimizer(params, **kwargs), shapes, dtype, 100, sign=sign)
    bound = 1e-10 if dtype is np.float64 else 1e-5
    if torch_optimizer is torch.optim.SparseAdam and isinstance(kwargs.get("lr"), torch.Tensor):
        bound = max(bound, 1e-9)  # torch's step sizes are rounded to the tensor's 32 bits
    if torch_optimizer is torch.optim.Muon:  # a sum half way between two bfloat16s falls to either: 1 matrix in 400
        bound = max(bound, float(kwargs.get("lr", 1e-3)) / 64)
    if torch_optimizer is torch.optim.LBFGS:  # tiny steps are made of rounding errors: torch with its own, reordered
        again, _ = run_torch(lambda params: torch_optimizer(params[::-1], **kwargs), shapes, dtype, 100)
        bound = max(bound, 5 * distance(again, theirs))
    assert distance(ours, theirs) <= bound


def distance(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The greatest relative difference of a parameter."""
    return max(np.abs(found[name] - x).max() / np.abs(x).max() for name, x in expected.items())
