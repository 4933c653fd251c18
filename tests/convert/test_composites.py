"""What models call between their layers, in the forms in which they call it."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from flax import nnx
from torch.nn import Parameter
from torch.utils.checkpoint import checkpoint

import jaxnets
from jaxnets.convert import ConversionError
from tests.convert.calls import check, equal
from tests.convert.proof import proven
from tests.convert.small import net

_random = torch.Generator().manual_seed(0)


def real(*shape):
    return torch.randn(shape, generator=_random)


def _heads(n=3):
    return real(2, n, 5, 4)


attend = F.scaled_dot_product_attention
x, y, image, deep = real(3, 4), real(3, 4), real(2, 3, 4, 5), real(2, 3, 4)
positive, line, ints = real(4).abs() + 0.1, real(4), torch.tensor([1, 2, 3])
target, rows = torch.tensor([1, 0, 2]), torch.tensor([[0, 1], [2, 3], [3, 1]])
EQUATIONS = {
    "ij,jk->ik": (x, x.T),
    "ij,jk": (x, x.T),
    "...ij,...jk->...ik": (real(5, 2, 3), real(5, 3, 4)),
    "ii": (real(3, 3),),
    "ii->i": (real(3, 3),),
    "i...->...": (x,),
    "ij->": (x,),
    "i,j,k->ijk": (real(2), real(3), real(4)),
    "bhid,bhjd->bhij": (_heads(), real(2, 3, 6, 4)),
    "bn,anm,bm->ba": (real(2, 5), real(3, 5, 4), real(2, 4)),
    "bij , bjk -> bik": (real(2, 2, 3), real(2, 3, 4)),
    "aB,Bc->ac": (x, x.T),
}
ACTIVATIONS = (
    *("relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "hardswish"),
    *("hardsigmoid", "hardtanh", "leaky_relu", "logsigmoid", "tanhshrink", "softshrink", "hardshrink", "tanh"),
)


def _autocast(function):
    def cast(*arrays):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return function(*arrays)

    return cast


def _partly_cast(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        product = x @ x.t()
        with torch.autocast("cpu", enabled=False):
            whole = x @ x.t()
    return product, whole


def _without_gradient(x):
    with torch.no_grad():
        doubled = x * 2
    return doubled + x, (x * 3).detach() + x


def _gated(x, y):
    z = x * torch.sigmoid(y)
    w = torch.nn.functional.layer_norm(torch.nn.functional.linear(z, y), [3]).tanh()
    return torch.nn.functional.gelu(z) + torch.softmax(z, -1), w.chunk(3, 1)[0]


def _scripted(x, y):
    return SCRIPTS[0](x, y)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch no longer wants it
    SCRIPTS = [torch.jit.script(_gated)]

CALLS = {
    "attention": (lambda q, k, v: attend(q, k, v), _heads(), _heads(), _heads()),
    "attention, a mask": (lambda q, k, m: attend(q, k, k, m), _heads(), _heads(), real(5, 5) > -1),
    "attention, numbers": (lambda q, k, m: attend(q, k, k, attn_mask=m), _heads(), _heads(), real(2, 1, 5, 5)),
    "attention, causal": (lambda q, k: attend(q, k, k, is_causal=True, scale=0.3), _heads(), _heads()),
    "attention, groups": (lambda q, k: attend(q, k, k, enable_gqa=True), _heads(6), _heads()),
    "attention, 3 axes": (lambda q, k, v: attend(q, k, v, None, 0.0), real(3, 5, 4), real(3, 6, 4), real(3, 6, 2)),
    "layer_norm": (lambda x, w: (F.layer_norm(x, (4,), w, w, 1e-3), torch.layer_norm(x, x.shape[1:])), deep, line),
    "group_norm": (lambda x, w: (F.group_norm(x, 2, w), torch.group_norm(x, 2, w, w)), real(2, 4, 3), line),
    "rms_norm": (lambda x, w: F.rms_norm(x, (4,), w), x, line),
    "batch_norm": (lambda x, m, v: F.batch_norm(x, m, v, m, v), real(3, 4, 2), line, positive),
    "batch_norm, of the batch": (lambda x: F.batch_norm(x, None, None, training=True), real(3, 4, 2)),
    "batch_norm, tracked": (
        lambda x, m, v: (F.batch_norm(x, m, v, None, None, True), m, v),
        image,
        real(3),
        real(3).abs(),
    ),
    "torch.batch_norm": (
        lambda x, m, v: torch.batch_norm(x, v, m, m, v, False, 0.1, 1e-5, True),
        *(real(3, 4, 2), line, positive),
    ),
    "torch.batch_norm, tracked": (
        lambda x, m, v: (torch.native_batch_norm(x, None, None, m, v, True, 0.1, 1e-5), m, v),
        *(real(3, 4, 2), line, positive),
    ),
    "instance_norm, tracked": (lambda x, m, v: (F.instance_norm(x, m, v), m, v), real(3, 4, 5), line, positive),
    **{f"einsum {k}": (lambda *a, k=k: (torch.einsum(k, *a), torch.einsum(k, [*a])), *a) for k, a in EQUATIONS.items()},
    "einsum of lists": (lambda a, b: torch.einsum(a, [0, 1], b, [2, 1], [0, 2]), x, y),
    **{
        f"pad {mode}": (lambda x, mode=mode: (F.pad(x, (1, 2, 0, 1), mode), F.pad(x[0], (1, 2), mode=mode)), image)
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    "pad, cut": (lambda x: (F.pad(x, (-1, 2, 0, -1), value=3), F.pad(x, (0, 0)), F.pad(x > 0, (1, 0))), deep),
    "unfold": (lambda x: (F.unfold(x, (2, 3), padding=1, stride=(1, 2)), x.unfold(-1, 3, 2)), image),
    "fold": (lambda x: F.fold(x, (4, 5), (2, 3)), real(2, 12, 9)),
    "roll": (lambda x: (torch.roll(x, 1), torch.roll(x, (1, -2), (0, 2)), x.roll(shifts=2, dims=1)), deep),
    "meshgrid": (
        lambda a, b: (torch.meshgrid(a, b, indexing="ij"), torch.meshgrid([a, b], indexing="xy")),
        line,
        x[0, :3],
    ),
    **{
        f"interpolate {mode}": (
            lambda x, mode=mode: (F.interpolate(x, (7, 3), mode=mode), F.interpolate(x, scale_factor=1.7, mode=mode)),
            image,
        )
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
    },
    **{
        f"interpolate {mode}, corners and edges": (
            lambda x, mode=mode: (
                F.interpolate(x, scale_factor=(2, 1.5), mode=mode, align_corners=True),
                F.interpolate(x, size=(3, 2), mode=mode, antialias=True),
            ),
            image,
        )
        for mode in ("bilinear", "bicubic")
    },
    "interpolate, other ranks": (
        lambda x: (
            F.interpolate(x[0], scale_factor=2, mode="linear"),
            F.interpolate(x[None], scale_factor=2, mode="trilinear", recompute_scale_factor=True),
            F.interpolate(x, size=(x.shape[2] * 2, x.size(3) * 3)),
        ),
        image,
    ),
    "grid_sample": (
        lambda x, g: (
            F.grid_sample(x, g, align_corners=False),
            F.grid_sample(x, g, "nearest", "border", True),
            F.grid_sample(x, g, "bicubic", "reflection", False),
        ),
        *(image, real(2, 3, 3, 2)),
    ),
    "affine_grid": (lambda t: F.affine_grid(t, (2, 3, 4, 5), align_corners=False), real(2, 2, 3)),
    **{
        f"fft.{name}": (lambda x, name=name: getattr(torch.fft, name)(x, norm="ortho"), deep)
        for name in ("fft", "ifft", "rfft", "fft2", "fftn", "rfft2", "rfftn")
    },
    "fft, back": (lambda x: torch.fft.irfft(torch.fft.rfft(x, dim=1), n=x.shape[1], dim=1), deep),
    "fft, back by planes": (lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * 2, s=x.shape[-2:]), deep),
    "fft, shifts": (lambda x: torch.fft.fftshift(x, dim=(-1,)) * torch.fft.fftfreq(4, d=0.5), deep),
    "stft": (
        lambda x, w: torch.istft(torch.stft(x, 8, 4, window=w, return_complex=True), 8, 4, window=w, length=32),
        *(real(2, 32), torch.hann_window(8)),
    ),
    "weight_norm": (lambda v, g: torch._weight_norm(v, g, 0), x, real(3, 1)),
    "where": (
        lambda x, y: (
            torch.where(x > 0, x, y),
            torch.where(x > 0, x, 0.0),
            torch.where(x > 0, 1, 0),
            torch.where(x > 0, 1.0, y),
            x.where(x > 0, y),
        ),
        *(x, line),
    ),
    "where of ints": (lambda n: torch.where(n > 2, n, -1.5), ints),
    "cumsum": (lambda x: (x.cumsum(-1), torch.cumsum(x, dim=0), (x > 0).cumsum(1)), x),
    "sort": (lambda x: (x.sort(), torch.sort(x, 0, descending=True), x.argsort(-1), x.topk(2), x.topk(k=1)[1]), x),
    "extrema": (
        lambda x: (
            *(x.argmax(), x.argmin(0, keepdim=True), x.max(1), x.max(1, keepdim=True)[0]),
            *(x.min(dim=0).values, x.max(dim=1).indices, x.amax((0, 1)), x.aminmax(), x.max(), x.median(1)),
        ),
        x,
    ),
    "gather, scatter": (
        lambda x, j: (
            *(x.gather(1, j), torch.take_along_dim(x, j, 1), x.scatter(1, j, 0.5), x.scatter_add(1, j, x[:, :2])),
            *(x.index_add(1, j[0], x[:, :2], alpha=2), x.index_select(-1, j[0])),
        ),
        *(x, rows),
    ),
    "one_hot": (lambda j: (F.one_hot(j, 5), F.one_hot(j, num_classes=5).float()), rows),
    "embedding": (
        lambda j, w: (F.embedding(j, w, padding_idx=1), torch.embedding(w, j), F.embedding_bag(j, w, mode="sum")),
        *(rows, real(4, 3)),
    ),
    "similarity": (
        lambda x, y: (
            *(F.cosine_similarity(x, y, dim=1), torch.cosine_similarity(x, y, -1), F.normalize(x, dim=-1)),
            *(F.normalize(x, p=1, dim=0, eps=1e-3), F.pairwise_distance(x, y), torch.cdist(x, y)),
        ),
        *(x, y),
    ),
    "losses": (
        lambda x, y, t: (
            *(F.cross_entropy(x, t), F.cross_entropy(x, y.softmax(1), label_smoothing=0.1)),
            *(F.nll_loss(x.log_softmax(1), t, reduction="sum"), F.mse_loss(x, y), F.l1_loss(x, y, reduction="none")),
            *(F.smooth_l1_loss(x, y, beta=0.5), F.huber_loss(x, y), F.gaussian_nll_loss(x, y, y.abs())),
            *(F.binary_cross_entropy_with_logits(x, y.sigmoid()), F.binary_cross_entropy(x.sigmoid(), y.sigmoid())),
            *(F.kl_div(x.log_softmax(1), y.softmax(1), reduction="batchmean"), F.triplet_margin_loss(x, y, x + 1)),
            *(F.hinge_embedding_loss(x, y.sign()), F.margin_ranking_loss(x, y, y.sign()), F.multi_margin_loss(x, t)),
        ),
        *(x, y, target),
    ),
    "ctc_loss": (
        lambda x: F.ctc_loss(
            x.log_softmax(-1), torch.tensor([[1, 2], [2, 1]]), torch.tensor([6, 5]), torch.tensor([2, 1])
        ),
        real(6, 2, 4),
    ),
    "creation": (
        lambda x: (
            *(torch.zeros(2, 3), torch.ones((2,), dtype=torch.float64), torch.full((2,), 3), torch.eye(2, 3)),
            *(torch.full((2,), 3.0, dtype=torch.int64), torch.zeros_like(x), torch.ones_like(x, dtype=torch.bool)),
            *(torch.linspace(0, 1, 5), torch.logspace(0, 2, 3), torch.zeros(2, device=x.device, dtype=x.dtype)),
            *(x.new_zeros(2, 3), x.new_ones((2,)), x.new_full((2,), 3), x.new_tensor([1, 2]), torch.full_like(x, 2)),
        ),
        x,
    ),
    "literals": (
        lambda x: (
            *(torch.tensor([1, 2]), torch.tensor(3.5), torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([True, False])),
            *(torch.as_tensor([1.5]), torch.tensor(3, dtype=torch.float32), torch.tensor([1, 2], device=x.device)),
            *(torch.tensor(x.shape), torch.tensor([x.shape[0], 2.5]), x * torch.tensor(2.5).item()),
        ),
        x,
    ),
    "numpy": (
        lambda x: x * torch.from_numpy(np.array([1.0, 2, 4, 3], np.float32)) + torch.tensor(np.array([1, 2, 3, 4])),
        x,
    ),
    "arange": (
        lambda x: (
            *(torch.arange(5), torch.arange(1, 5), torch.arange(0, 5, 2), torch.arange(5.0), torch.arange(0, 1, 0.1)),
            *(torch.arange(5, dtype=torch.float32), torch.arange(start=1, end=4), torch.arange(end=4)),
            *(torch.arange(5, 0, -1), torch.arange(x.shape[0]), torch.arange(x.size(1), device=x.device)[:, None]),
            *(torch.arange(0, x.shape[1], 2).float() / 3, torch.arange(0.5, x.shape[1])),
        ),
        x,
    ),
    "masks": (
        lambda x: (
            *((x > 0) & (x < 1), (x > 0) | ~(x < -1), (x > 0) ^ (x > 1), (x > 0) * x, (x > 0).float() * 2),
            *((x > 0).sum(), (x > 0) + (x > 1), (x > 0) + 1, (x > 0) * 2.5, x * True, (x > 0).any(-1), (x > 0).all()),
            *(torch.logical_and(x > 0, x < 1), (x != 0).long().sum(1), x.masked_fill(x > 0, -1e9)),
            *(x.masked_fill(x > 0, float("-inf")).softmax(-1), torch.masked_fill(x, x > 0, x.sum())),
        ),
        x,
    ),
    "kinds of numbers": (
        lambda x, n, b: (
            *(x + n, n / 2, n / n, n // 2, n % 2, n**2, 2**n, n * 1.5, 1 / n, n + True, b + n, x / n, 2 - n, 1 - x),
            *(x // 1, x % 0.7, n.float() / 3, n.double() * x, n == 2.0, x > n, n.sum() / x, n**0.5, -n, n & 1, n << 1),
            *(torch.div(n, 2, rounding_mode="floor"), torch.div(x, 0.3, rounding_mode="trunc"), n | 2, n ^ 1, n >> 1),
        ),
        *(real(3), ints, torch.tensor([True, False, True])),
    ),
    "numbers without axes": (
        lambda x, n, f: (x * n, n * 2.5, x.int() + n, n / 3, x.half() * f, x.int() + f, x.double() + f, f / n),
        *(real(3), torch.tensor(2), torch.tensor(2.5)),
    ),
    "reductions": (
        lambda x: (
            *(x.sum((0, -1)), x.mean(1, True), x.std(), x.std(1), x.var(-1, unbiased=False), x.norm(), x.norm(dim=1)),
            *(
                x.var(dim=1, keepdim=True),
                x.norm(p=1, dim=(0, 1)),
                x.prod(1),
                x.logsumexp(1),
                x.sum(dtype=torch.float64),
            ),
            *(x.sum([]), torch.var_mean(x, 1), torch.linalg.norm(x, dim=1), torch.linalg.vector_norm(x, 2, (0, 1))),
        ),
        deep,
    ),
    "reductions of a number": (
        lambda x: (
            *(x.sum(0), x.mean(-1), x.max(), x.softmax(0), x.cumsum(0), x.sort(), x.argmax(0), x.squeeze()),
            *(x.flatten(), x.unsqueeze(-1), x.view(1), x.reshape(-1), x.expand(3), x.repeat(2)),
        ),
        torch.tensor(2.5),
    ),
    "reductions of ints": (
        lambda n: (
            *(n.sum(), n.sum(0), n.float().mean(), n.max(), n.prod(), n.cumsum(0), n.abs(), n.exp(), n.sigmoid()),
            *(n.clamp(1, 2), n.sign(), n.square(), n.floor(), n.pow(2), n.pow(2.0), n.amax(0)),
        ),
        torch.tensor([[1, -2, 3], [4, 5, 6]]),
    ),
    "clamp": (
        lambda x, y: (x.clamp(0), x.clamp(max=1), x.clamp(min=y), torch.clamp(x, -1, 1), x.clip(-0.5, 0.5)),
        x,
        y,
    ),
    "triangles": (
        lambda x: (
            x.tril(),
            x.triu(1),
            torch.triu(torch.full((3, 3), float("-inf")), diagonal=1),
            torch.ones(3, 3).tril(-1),
        ),
        x,
    ),
    "joins": (
        lambda x, n: (
            *(torch.cat([x, x.double()], 1), torch.stack([x, x], -1), torch.hstack([x, x]), torch.vstack((x, x))),
            *(torch.cat((x, n)), torch.concat([x, x], axis=1), x.split(2, -1), x.chunk(3, 1), x.unbind(1)),
            *(torch.split(x, [1, 3], dim=1), x.tensor_split((1, 3), 1), x.repeat(2, 1, 3), x.tile((2,))),
            *(x.repeat_interleave(2, 1), x.expand(5, -1, -1), x[None].expand(2, 3, 4)),
        ),
        *(x, torch.ones(3, 4, dtype=torch.int64)),
    ),
    "products": (
        lambda x: (
            *(torch.outer(x[0], x[1]), torch.kron(x, x), torch.tensordot(x, x, dims=([1], [1]))),
            *(torch.addmm(x @ x.t(), x, x.t(), beta=0.5, alpha=2), torch.addcmul(x, x, x, value=0.1)),
            *(torch.addcdiv(x, x, x.exp()), torch.lerp(x, x * 2, 0.3), torch.cross(x[:, :3], x[:, 1:], dim=1)),
        ),
        x,
    ),
    "orders": (
        lambda x: (
            *(x.flip(0), torch.flip(x, dims=(0, 1)), x.flip([-1]), torch.rot90(x), x.diagonal(), torch.diag(x[0])),
            *(torch.bucketize(x, torch.tensor([-1.0, 0, 1])), torch.searchsorted(torch.tensor([-1.0, 0, 1]), x)),
            *(x.is_floating_point(), x.dim(), x.numel()),
        ),
        x,
    ),
    "complex numbers": (
        lambda x: (
            torch.view_as_real(torch.view_as_complex(x) * 1j),
            torch.polar(x[..., 0].abs(), x[..., 1]).real,
            torch.complex(x[..., 0], x[..., 1]).abs(),
            torch.view_as_complex(x).conj().imag,
        ),
        real(3, 2),
    ),
    "special": (
        lambda x: (
            *(torch.special.expit(x), torch.special.xlogy(x, x.abs()), torch.lgamma(x.abs()), torch.special.i0e(x)),
            *(torch.special.entr(x.abs()), torch.sinc(x), torch.erfinv(x.tanh()), x.abs().polygamma(1)),
        ),
        x,
    ),
    "linalg": (
        lambda x: (
            *(torch.linalg.inv(x), torch.linalg.det(x), torch.linalg.solve(x, x.t()), torch.linalg.svdvals(x)),
            *(torch.linalg.cholesky(x @ x.t() + torch.eye(3)), torch.linalg.eigvalsh(x + x.t()), torch.inverse(x)),
            *(torch.linalg.matrix_norm(x), torch.linalg.matrix_power(x, 2), torch.linalg.slogdet(x).logabsdet),
        ),
        real(3, 3),
    ),
    "activations": (
        lambda x: (
            *(getattr(F, name)(x) for name in ACTIVATIONS),
            *(F.gelu(x, approximate="tanh"), F.softmax(x, dim=-1), F.log_softmax(x, 1), F.softmin(x, 0), F.glu(x, -1)),
            *(F.threshold(x, 0.1, 20), F.prelu(x, torch.tensor([0.2])), F.softmax(x, -1, dtype=torch.float64)),
        ),
        x,
    ),
    "pools": (
        lambda x: (
            *(F.max_pool2d(x, 2), F.max_pool2d(x, 3, 2, 1, return_indices=True), F.adaptive_avg_pool2d(x, 1)),
            *(F.avg_pool2d(x, 2, count_include_pad=False, padding=1), F.adaptive_avg_pool2d(x, (None, 2))),
            *(F.adaptive_max_pool2d(x, (2, 3)), torch.max_pool2d(x, 2, 2), torch.adaptive_avg_pool1d(x[0], 2)),
        ),
        image,
    ),
    "convolutions": (
        lambda x, w: (
            *(F.conv2d(x, w, stride=2, padding=1), torch.conv2d(x, w, None, 1, 1)),
            F.conv_transpose2d(x, w.transpose(0, 1), stride=2, output_padding=1, padding=1),
        ),
        *(image, real(4, 3, 3, 3)),
    ),
    "shuffles": (
        lambda x: (F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2), F.channel_shuffle(x, 2), torch.pixel_shuffle(x, 2)),
        real(2, 4, 4, 6),
    ),
    "dtypes": (
        lambda x, y: (
            *(x.to(y), x.to(y.dtype), x.to("cpu"), x.to(torch.device("cpu"), torch.float16), x.type(torch.int32)),
            *(x.cpu(), x.float(), x.bool(), x.to(dtype=torch.int64), x.contiguous(memory_format=torch.channels_last)),
            *(x.half().float(), x.int(), x.type_as(y)),
        ),
        *(image, real(1).double()),
    ),
    "autocast": (
        _autocast(
            lambda x, w: (
                *(x @ w, torch.softmax(x @ w, -1), F.linear(x, w.t()) + x[:, :3], F.layer_norm(x @ w, (3,))),
                *(torch.cat([x @ w, x[:, :3]]), F.cross_entropy(x @ w, torch.tensor([0, 1, 2])), (x @ w).float()),
            )
        ),
        *(x, real(4, 3)),
    ),
    "autocast, attention": (
        _autocast(lambda q: (attend(q, q, q), torch.einsum("bhid,bhjd->bhij", q, q), torch.bmm(q[0], q[0].mT))),
        _heads() / 4,
    ),
    "autocast, convolution": (_autocast(lambda x, w: F.relu(F.conv2d(x, w, padding=1))), image, real(4, 3, 3, 3)),
    "autocast, partly": (_partly_cast, x),
    "no_grad": (_without_gradient, x),
    "vmap": (
        lambda x, y: (
            torch.vmap(lambda a, b: (a * b).sum() + a.softmax(0))(x, y),
            torch.vmap(lambda a: F.layer_norm(F.linear(a, y), (3,)))(x),
        ),
        *(x, y),
    ),
    "vmap, attention": (lambda q: torch.vmap(lambda a: attend(a, a, a))(q), _heads()),
    "scripted": (_scripted, x, y),
    "checkpoint": (
        lambda x: (
            checkpoint(lambda a: torch.tanh(a) * 2, x, use_reentrant=False),
            checkpoint(lambda a: torch.tanh(a) * 2, x, use_reentrant=True),
        ),
        x,
    ),
}

DERIVED = {
    *(
        "attention",
        "attention, a mask",
        "layer_norm",
        "batch_norm, of the batch",
        "batch_norm, tracked",
        "where",
        "masks",
    ),
    *("einsum bhid,bhjd->bhij", "pad reflect", "interpolate bilinear", "gather, scatter", "embedding", "no_grad"),
    *("weight_norm", "clamp", "extrema", "sort", "vmap", "scripted", "checkpoint", "numbers without axes"),
}
"""Those whose gradients are compared, too: which takes longer than all the rest, and what they call has tests of it."""


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad", "ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    function, *arrays = CALLS[name]
    check(function, arrays, gradient=name in DERIVED)


def test_a_block_that_is_computed_again_for_its_gradient():
    """Reentrant, torch computes it without a gradient first; the source has the block and its gradient."""

    def forward(self, x):
        return self.last(checkpoint(lambda a: torch.tanh(self.block(a)), self.first(x), use_reentrant=True))

    module = net(forward, first=torch.nn.Linear(3, 4), block=torch.nn.Linear(4, 4), last=torch.nn.Linear(4, 2))
    x = real(5, 3)
    model, _ = proven(module, (x,), grad=False)  # which asks for a gradient in a way that torch refuses here
    module(x).square().sum().backward()
    gradients = nnx.grad(lambda model: jnp.square(model(jnp.asarray(x.numpy()))).sum())(model)
    for name, parameter in module.named_parameters():
        layer, _, key = name.partition(".")
        np.testing.assert_allclose(gradients[layer][key][...], parameter.grad, rtol=1e-5, atol=1e-6, err_msg=name)


class _Norm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(real(3))
        self.register_buffer("running_mean", real(3))
        self.register_buffer("running_var", real(3).abs())

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, None, self.training, 0.2)


class _Normed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = _Norm()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.ReLU())

    def forward(self, x):
        x = self.norm(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.layers(x)


@pytest.mark.parametrize("training", [True, False])
def test_norms_of_the_users_own_and_layers_under_autocast(training):
    module = _Normed().train(training)
    net = jaxnets.from_torch(module, (image,))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        equal(module(image), net(jnp.asarray(image.numpy())))
    held = jaxnets.state_dict(net)
    for name, x in module.state_dict().items():
        assert np.allclose(held[name], x.numpy(), atol=1e-6 if name.startswith("norm") else 1e-3), name


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return gradient


REFUSED = {
    "where": (lambda x: torch.where(x > 0), "numbers of arrays"),
    "nonzero": (lambda x: x.nonzero(), "numbers of arrays"),
    "unique": (lambda x: torch.unique(x), "numbers of arrays"),
    "repeat_interleave": (lambda x: torch.repeat_interleave(x, (x[:, 0] > 0).long(), 0), "numbers of arrays"),
    "one_hot": (lambda x: F.one_hot((x > 0).long()), "numbers of arrays"),
    "item": (lambda x: x * x.sum().item(), "keep it an array"),
    "equal": (lambda x: x if torch.equal(x, x + 1) else -x, "choose with torch.where"),
    "if": (lambda x: x if x.sum() > 0 else -x, "torch.where"),
    "embedding, norms": (lambda x: F.embedding(torch.tensor([0, 1]), x, max_norm=1.0), "functional.embedding"),
    "autograd.Function": (lambda x: _Square.apply(x) + 1, "_Square, which has a backward of its own"),
    "distances": (
        lambda x: F.triplet_margin_with_distance_loss(x, x + 1, x + 2, distance_function=torch.nn.PairwiseDistance()),
        "PairwiseDistance",
    ),
    "sparse": (lambda x: x.to_sparse(), "to_sparse"),
}


def test_greatest_numbers_keep_nan():
    """XLA's CPU backend loses it in `jnp.max` of 4,096 numbers or more, and in sums of `jnp.maximum`."""
    module = net(lambda self, x, y: (x.max(), y.min(), torch.maximum(x, y).sum(), torch.minimum(x, y).sum()))
    x = real(100, 50)
    x[7, 7] = torch.nan
    found = jax.jit(jaxnets.from_torch(module, (x, x + 1)).__call__)(x.numpy(), x.numpy() + 1)
    assert all(np.isnan(value) for value in found)


def test_gradients_of_what_is_broadcast_in_half_precision():
    """A sum of 20,000 numbers that is kept in bfloat16, as JAX's own is, stands still at 256."""
    module = net(lambda self, x: x * self.scale + self.shift, scale=Parameter(torch.ones(3)), shift=Parameter(real(1)))
    module = module.bfloat16()
    x = torch.rand(20_000, 3, generator=_random).bfloat16()
    module(x).float().sum().backward()
    graph, state = nnx.split(jaxnets.from_torch(module, (x,)))

    def total(state):
        return nnx.merge(graph, state)(jnp.asarray(x.float().numpy(), jnp.bfloat16)).astype(jnp.float32).sum()

    found = jax.jit(jax.grad(total))(state)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(found[name][...].astype(jnp.float32), parameter.grad.float(), rtol=0.02)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_place(name):
    function, said = REFUSED[name]
    with pytest.raises(ConversionError, match=said) as found:
        check(function, (x,))
    assert __file__ in str(found.value)
