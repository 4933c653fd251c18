"""What of torch's functions of tensors `jaxnets.ops` has, and what it has not and why.

`python -m parity.tensor_names docs/parity/operators.md` writes the page.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import MappingProxyType

import torch

from parity.tensor_db import FUNCTIONS, NOT_COMPARED, ours, samples

CASTS = "a cast: `x.astype(...)`, or `ops.to`"
DEVICES = "devices and memory are `jax.device_put`'s and the compiler's"
GRAPHS = "says how torch records gradients; JAX's are functions"
SPARSE = "sparse tensors: JAX's are `jax.experimental.sparse`"
QUANTISED = "quantised tensors, which torch has deprecated"
STATE = "a setting or a state of torch itself"
FACTORS = "LAPACK's own form of a factor, which JAX has not"
RARE = "a special function that JAX has not, and layers do not use"
SAID = "an attribute or method of arrays of the same name"

EXCLUDED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("bfloat16", "bool", "byte", "cdouble", "cfloat", "chalf", "char", "double", "float"), CASTS),
        **dict.fromkeys(("half", "int", "long", "short", "type"), CASTS),
        **dict.fromkeys(
            ("cpu", "cuda", "ipu", "mtia", "xpu", "device", "get_device", "pin_memory", "is_pinned"), DEVICES
        ),
        **dict.fromkeys(
            ("is_cpu", "is_cuda", "is_ipu", "is_meta", "is_mps", "is_xla", "is_xpu", "record_stream"), DEVICES
        ),
        **dict.fromkeys(
            ("const_data_ptr", "data_ptr", "untyped_storage", "storage_offset", "stride", "is_set_to"), DEVICES
        ),
        **dict.fromkeys(
            ("is_contiguous", "is_conj", "is_neg", "from_file", "frombuffer", "new_empty_strided"), DEVICES
        ),
        **dict.fromkeys(("Event", "Generator", "Stream", "get_num*_threads", "set_num*_threads"), STATE),
        **dict.fromkeys(("get_default_dtype", "set_flush_denormal", "as_subclass", "_assert_async"), STATE),
        **dict.fromkeys(("grad", "grad_dtype", "is_leaf", "requires_grad", "retain*_grad", "is_grad_enabled"), GRAPHS),
        **dict.fromkeys(("is_inference", "is_inference_mode_enabled"), GRAPHS),
        **dict.fromkeys(("H", "T", "mH", "mT"), SAID + " (`H` and `mH`: `ops.adjoint`)"),
        **dict.fromkeys(("dim", "element_size", "itemsize", "nbytes", "ndim", "ndimension", "nelement", "numpy"), SAID),
        **dict.fromkeys(("size", "tolist"), SAID),
        **dict.fromkeys(("sparse_*", "to_sparse*", "to_dense", "to_mkldnn", "to_padded_tensor", "coalesce"), SPARSE),
        **dict.fromkeys(("is_sparse*", "is_coalesced", "*col_indices*", "*row_indices*", "crow_indices*"), SPARSE),
        **dict.fromkeys(("indices", "indices_copy", "values", "values_copy", "dense_dim", "hspmm", "smm"), SPARSE),
        "sspaddmm": SPARSE,
        **dict.fromkeys(("q_*", "qscheme", "quantize*", "dequantize", "fake_quantize*", "int_repr"), QUANTISED),
        "is_quantized": QUANTISED,
        **dict.fromkeys(("geqrf", "orgqr", "ormqr", "linalg.ldl_*"), FACTORS),
        **dict.fromkeys(("svd_lowrank", "pca_lowrank"), "random projections: `linalg.svd` says the same"),
        "hardshrink": "in `jaxnets.functional`",
        "histogramdd": "a histogram over several axes, whose bins have no fixed number",
        "segment_reduce": "lengths of segments that are data: `ops.scatter_reduce`",
        "hash_tensor": "a hash of torch's own bits",
        **dict.fromkeys(("special.airy_ai", "special.*bessel*", "special.erfcx", "special.*polynomial*"), RARE),
    }
)
"""Documented names of torch that are not here, with the reason; `*` stands for any letters."""

VERSION = torch.__version__.partition("+")[0]

ROOMS = ("linalg", "fft", "special")


@cache
def documented() -> tuple[str, ...]:
    """Every documented function of `torch`, `Tensor` and torch's rooms of functions; in-place twins aside."""
    folder = Path(torch.__path__[0])
    found = set(torch.functional.__all__)
    found |= set(re.findall(r"add_docstr\(\s*torch\.(\w+)\s*,", (folder / "_torch_docs.py").read_text()))
    found |= set(re.findall(r'add_docstr_all\(\s*"(\w+)"', (folder / "_tensor_docs.py").read_text()))
    for room in ROOMS:
        functions = [n for n, f in vars(getattr(torch, room)).items() if callable(f) and not isinstance(f, type)]
        found |= {f"{room}.{name}" for name in functions if not name.startswith("_")}
    return tuple(sorted(name for name in found if not name.endswith("_") and not name.startswith("__")))


def missing() -> Iterator[str]:
    """Documented names that are neither here nor excluded."""
    for name in documented():
        if ours(name) is None and excluded(name) is None:
            yield name


def excluded(name: str) -> str | None:
    """Why a name is not here, or None."""
    return next((why for pattern, why in EXCLUDED.items() if fnmatchcase(name, pattern)), None)


def markdown() -> str:
    """The page: what is here, what is compared with torch's database, what is not and why."""
    names = [name for name in documented() if ours(name) is not None]
    reasons: dict[str, list[str]] = {}
    for name in documented():
        if ours(name) is None:
            reasons.setdefault(excluded(name) or "", []).append(name)
    skipped: dict[str, list[str]] = {}
    for name, why in NOT_COMPARED.items():
        skipped.setdefault(why, []).append(name)
    return "\n".join(
        [
            "# Coverage of torch's functions of tensors",
            "",
            f"Of torch {VERSION}: `jaxnets.ops` has {len(names)} of {len(documented())}",
            "documented functions of `torch`, `torch.Tensor`, `torch.linalg`, `torch.fft` and `torch.special`,",
            "in-place twins aside. `python -m parity --only op_db/torch.` compares",
            f"{len(FUNCTIONS)} functions and variants on {len(samples())} samples of torch's own database.",
            "",
            "## Not here",
            "",
            "| why | torch |",
            "| - | - |",
            *(f"| {why} | {', '.join(f'`{n}`' for n in sorted(group))} |" for why, group in reasons.items()),
            "",
            "## Not compared on torch's samples",
            "",
            "| why | torch |",
            "| - | - |",
            *(f"| {why} | {', '.join(f'`{n}`' for n in sorted(group))} |" for why, group in skipped.items()),
            "",
            "## Here",
            "",
            ", ".join(f"`{name}`" for name in names),
            "",
        ]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(markdown(), encoding="utf-8")
