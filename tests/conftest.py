"""The strictest JAX: silent promotion of dtypes or ranks in our code is an error in every test."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

# What was compiled is kept from run to run, that of the programs which tests start, too: a third of a run's time.
os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(os.environ["XDG_CACHE_HOME"], "jaxnets", "tests"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax
import pytest

# Formulas are judged here, not programs, and compiling them would be most of the time.
FLAGS = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if jax.__version_info__ < (0, 11):  # later ones do not know it, and an unknown flag ends the process
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="every random problem, and every training program")


def pytest_collection_modifyitems(config, items):
    left = [item for item in items if item.get_closest_marker("exhaustive")]
    if left and not config.getoption("--exhaustive"):
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


@pytest.fixture(autouse=True)
def strict_promotion():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(autouse=True, scope="module")
def programs():
    """What a file compiled is let go: a process that keeps thousands of programs compiles at a third of its speed."""
    yield
    jax.clear_caches()
