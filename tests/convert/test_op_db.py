"""torch's own database of functions: each sample gives torch's numbers in a module, or is refused by place.

A few functions are tried each time; `JAXNETS_OP_DB=all` tries all of them, which takes minutes.
"""

import os
import warnings
from collections.abc import Mapping

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db

from jaxnets.convert import ConversionError
from tests.convert.calls import check

DRAWN = "its numbers are drawn"
UNSET = "torch's result has no particular numbers"
GAUGE = "its vectors are defined up to signs or phases"
GPU = "torch has it on graphics processors alone"
STRIDES = "torch's samples have strides and storages of their own"

SKIPPED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("bernoulli", "cauchy", "exponential", "geometric", "log_normal", "multinomial", "normal", "uniform"),
            *("normal in_place", "normal number_mean", "rand_like", "randint", "randint_like", "randn", "randn_like"),
            *("nn.functional.alpha_dropout", "nn.functional.dropout", "nn.functional.dropout2d"),
            *("nn.functional.dropout3d", "nn.functional.feature_alpha_dropout with_train", "nn.functional.rrelu"),
            *("nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d"),
        ),
        DRAWN,
    ),
    **dict.fromkeys(
        ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"), UNSET
    ),
    **dict.fromkeys(("linalg.eig", "linalg.eigh", "linalg.svd", "svd"), GAUGE),
    **dict.fromkeys(
        (
            *("jiterator_unary", "jiterator_binary", "jiterator_4inputs_with_extra_args"),
            *("jiterator_binary_return_by_ref", "jiterator_2inputs_2outputs"),
            *("torch.ops.aten._flash_attention_forward", "torch.ops.aten._efficient_attention_forward"),
        ),
        GPU,
    ),
    **dict.fromkeys(("as_strided partial_views", "as_strided_scatter"), STRIDES),
    "chalf": "complex numbers of half precision",
    "matrix_exp": "torch's float32 is no more exact than this: by float64 in the database of jaxnets.ops",
    "linalg.pinv hermitian": "torch's samples are not Hermitian",
    "linalg.lstsq": "torch's samples have no full rank",
    "linalg.lstsq grad_oriented": "torch's samples have no full rank",
    "sgn": "a sample has no numbers in memory",
}
"""Functions whose samples are not compared, and why."""

FUNCTIONS = {f"{info.name} {info.variant_test_name}".strip(): info for info in op_db}
SAMPLES = 3
CHOSEN = [name for i, name in enumerate(FUNCTIONS) if i % 16 == 0 or os.environ.get("JAXNETS_OP_DB") == "all"]


def _samples(info):
    order = (torch.float32, torch.int64, torch.complex64, torch.bool)
    dtype = next((d for d in order if d in info.dtypes), None)
    if dtype is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        found = list(info.sample_inputs("cpu", dtype))
    return found if len(found) <= SAMPLES else [found[i * len(found) // SAMPLES] for i in range(SAMPLES)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in CHOSEN if name not in SKIPPED])
def test_a_function_is_torchs_or_refused(name):
    info, refusals = FUNCTIONS[name], []
    for sample in _samples(info):
        try:
            check(info.op, (sample.input, *sample.args), sample.kwargs)
        except ConversionError as error:
            refusals.append(str(error))
    assert all("calls.py:" in said for said in refusals), refusals


def test_what_is_skipped_is_there():
    assert set(SKIPPED) <= set(FUNCTIONS)
