"""What tests of converted modules may ask for."""

import jax
import pytest
import torch


@pytest.fixture
def seed():
    """The same numbers in each test."""
    torch.manual_seed(0)


@pytest.fixture
def promotion():
    """JAX as users have it: the sources of converted modules may promote."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
