"""The strictest JAX: silent promotion of dtypes or ranks in our code is an error in every test."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Formulas are judged here, not programs, and compiling them would be most of the time.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)

import jax
import pytest


@pytest.fixture(autouse=True)
def strict_promotion():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
