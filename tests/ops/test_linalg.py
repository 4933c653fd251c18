"""Decompositions by what they are made for: vectors are defined up to signs, so their product is compared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxnets import ops
from tests.ops.operators import agrees, same, to_jax

_random = torch.Generator().manual_seed(1)
A = torch.randn(2, 4, 4, generator=_random)
TALL = torch.randn(5, 3, generator=_random)
GRAM = A @ A.mT + torch.eye(4)
LOOSE = {"rtol": 2e-4, "atol": 2e-4}


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("full", [True, False])
def test_svd(full):
    u, s, vh = ops.linalg.svd(to_jax(TALL), full)
    theirs = torch.linalg.svd(TALL, full)
    assert [x.shape for x in (u, s, vh)] == [tuple(x.shape) for x in theirs]
    close(s, theirs.S)
    close((u[:, :3] * s[None, :]) @ vh, TALL)
    u, s, v = ops.svd(to_jax(TALL))
    close((u * s[None, :]) @ v.T, TALL)


@pytest.mark.parametrize("uplo", ["L", "U"])
def test_eigh_reads_one_triangle(uplo):
    values, vectors = ops.linalg.eigh(to_jax(A), uplo)
    close(values, torch.linalg.eigh(A, uplo).eigenvalues)
    lower = A.tril() + A.tril(-1).mT if uplo == "L" else A.triu() + A.triu(1).mT
    close(jnp.einsum("bij,bj,bkj->bik", vectors, values, vectors), lower)
    agrees("linalg.eigvalsh", A, uplo, grad=True, **LOOSE)


def test_eig():
    values, vectors = ops.linalg.eig(to_jax(A))
    close(to_jax(A).astype(jnp.complex64) @ vectors, vectors * values[:, None, :])
    close(np.sort_complex(ops.linalg.eigvals(to_jax(A))), np.sort_complex(torch.linalg.eigvals(A).numpy()))


def test_qr():
    q, r = ops.linalg.qr(to_jax(TALL))
    close(q @ r, TALL)
    close(q.T @ q, np.eye(3))
    assert ops.linalg.qr(to_jax(TALL), "complete").Q.shape == (5, 5)
    assert ops.linalg.qr(to_jax(TALL), "r").Q.shape == (0,)


@pytest.mark.parametrize("name", ["cholesky", "inv", "det", "slogdet", "matrix_exp", "norm", "cond"])
def test_of_a_matrix(name):
    agrees(f"linalg.{name}", GRAM / 4, grad=name != "cond", **LOOSE)


@pytest.mark.parametrize("upper", [True, False])
def test_cholesky_solves(upper):
    factor, b = torch.linalg.cholesky(GRAM, upper=upper), torch.randn(2, 4, 3, generator=_random)
    agrees("cholesky_solve", b, factor, upper, **LOOSE)
    agrees("cholesky_inverse", factor, upper, **LOOSE)
    agrees("linalg.solve_triangular", factor, b, upper=upper, grad=True, **LOOSE)
    agrees("linalg.cholesky", GRAM, upper=upper, grad=True, **LOOSE)


def test_solve():
    agrees("linalg.solve", GRAM, torch.randn(2, 4, 3, generator=_random), grad=True, **LOOSE)
    agrees("linalg.solve", GRAM, torch.randn(2, 4, generator=_random), **LOOSE)
    agrees("linalg.solve", GRAM, torch.randn(2, 3, 4, generator=_random), left=False, **LOOSE)
    solution = ops.linalg.lstsq(to_jax(TALL), jnp.arange(10, dtype=jnp.float32).reshape(5, 2)).solution
    close(solution, torch.linalg.lstsq(TALL, torch.arange(10.0).reshape(5, 2)).solution)


@pytest.mark.parametrize("p", ["fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")])
def test_matrix_norm(p):
    agrees("linalg.matrix_norm", A, p, grad=True, **LOOSE)
    agrees("linalg.norm", TALL, p, **LOOSE)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.5, float("inf")])
def test_cdist(p):
    agrees("cdist", TALL, TALL[:2] + 1, p, grad=p > 0, **LOOSE)


def test_products():
    x, y = TALL, torch.randn(3, 4, generator=_random)
    for name, args in (
        ("matmul", (A, torch.randn(4, generator=_random))),
        ("addmm", (torch.ones(4), x, y)),
        ("einsum", ("ij,jk->ki", x, y)),
        ("tensordot", (x, y, 1)),
        ("kron", (x, y)),
        ("outer", (x[0], y[0])),
        ("cross", (x, x + 1, 1)),
        ("cov", (x,)),
        ("corrcoef", (x,)),
        ("baddbmm", (A, A, A)),
    ):
        agrees(name, *args, grad=name != "corrcoef", **LOOSE)
    nan = jnp.full((5, 4), jnp.nan, jnp.float32)
    same(ops.addmm(nan, to_jax(x), to_jax(y), beta=0), x @ y)  # not even NaN is left


def test_short_time_transforms():
    x, window = torch.randn(2, 40, generator=_random), torch.hann_window(8)
    arguments = {"n_fft": 8, "hop_length": 3, "window": window}
    spectrum = torch.stft(x, **arguments, return_complex=True)
    agrees("stft", x, **arguments, return_complex=True, **LOOSE)
    agrees("istft", spectrum, **arguments, length=40, **LOOSE)
    for name in ("hann", "hamming", "blackman", "bartlett", "kaiser"):
        for length in (0, 1, 7):
            agrees(f"{name}_window", length)
            agrees(f"{name}_window", length, False)


def test_refusals():
    with pytest.raises(ValueError, match=r"A: expected square matrices \(\*, N, N\), got shape \(5, 3\)"):
        ops.linalg.inv(to_jax(TALL))
    with pytest.raises(TypeError, match="input is float32 but mat2 is float16"):
        ops.mm(jnp.ones((2, 2), jnp.float32), jnp.ones((2, 2), jnp.float16))
    with pytest.raises(ValueError, match=r"equation: 'ij,jk' does not fit operands of shapes \(2, 3\), \(2, 3\)"):
        ops.einsum("ij,jk", jnp.ones((2, 3)), jnp.ones((2, 3)))
    with pytest.raises(TypeError, match="input: expected float32, float64 or complex numbers, got float16"):
        ops.fft.fft(jnp.ones(4, jnp.float16))


def test_under_jit_and_vmap():
    call = jax.jit(jax.vmap(lambda x: ops.linalg.cholesky(x)))
    close(call(to_jax(GRAM)), torch.linalg.cholesky(GRAM))
