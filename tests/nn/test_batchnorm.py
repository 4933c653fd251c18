"""Batch normalisation: the printed numbers, statistics over steps, modes, dtypes, refusals."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
import jaxnets.functional as F
from jaxnets import nn

H = [[-0.7140, -0.0469, 1.1187, 2.0739], [-1.0575, -1.8866, -1.0009, -0.2695]]


def drawn(*shape, mean=0.0):
    return np.random.default_rng(sum(shape)).normal(mean, 1.0, shape)


def buffers(layer):
    return layer.running_mean[...], layer.running_var[...], layer.num_batches_tracked[...]


def test_the_printed_numbers():
    """Seed system E3: weight 4, bias 0; the outputs' biased variance is printed with four digits as well."""
    layer = nn.BatchNorm1d(4)
    layer.weight.set_value(jnp.full(4, 4.0))
    y = layer(jnp.array(H))
    expected = [[-3.9993, -4, -4, -4], [3.9993, 4, 4, 4]]
    np.testing.assert_allclose(np.abs(y), np.abs(expected), atol=1e-4)
    assert (np.sign(y) == np.sign(np.array(H) - np.mean(H, 0))).all()
    np.testing.assert_allclose(y.var(0), [15.9946, 15.9998, 15.9999, 15.9999], atol=2e-4)


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize(
    ("kind", "shape"), [("1d", (5, 3)), ("1d", (4, 3, 6)), ("2d", (2, 3, 5, 4)), ("3d", (2, 3, 4, 2, 3))]
)
def test_five_steps_then_evaluation(kind, shape, momentum):
    with jax.enable_x64(True):
        theirs = getattr(torch.nn, f"BatchNorm{kind}")(3, momentum=momentum).double()
        ours = getattr(nn, f"BatchNorm{kind}")(3, momentum=momentum, dtype=jnp.float64)
        step = nnx.jit(lambda layer, x: layer(x))
        for i in range(5):
            x = drawn(*shape, mean=i)
            np.testing.assert_allclose(step(ours, x), theirs(torch.tensor(x)).detach(), rtol=1e-12, atol=1e-12)
        for mine, yours in zip(buffers(ours), theirs.buffers(), strict=True):
            np.testing.assert_allclose(mine, yours, rtol=1e-12)
        ours.eval(), theirs.eval()
        before = copy.deepcopy(buffers(ours))
        np.testing.assert_allclose(step(ours, x), theirs(torch.tensor(x)).detach(), rtol=1e-12, atol=1e-12)
        assert all(map(np.array_equal, before, buffers(ours)))


def test_a_mean_of_a_million_loses_no_digits():
    """In float32 E[x²] - E[x]² would have no digits left."""
    x = drawn(64, 3)
    far = jnp.asarray(x.astype(np.float32) + 1e4)
    exact = np.asarray(far, np.float64)
    _, mean, var = F.batch_norm_with_statistics(far)
    np.testing.assert_allclose(var, exact.var(0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-7)
    normalised = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    np.testing.assert_allclose(F.batch_norm(far, None, None, training=True), normalised, atol=1e-5)


def test_constant_channels_have_no_variance():
    y, mean, var = F.batch_norm_with_statistics(jnp.full((7, 2), 1 / 3))
    assert (var >= 0).all()
    assert jnp.abs(y).max() < 1e-4
    np.testing.assert_allclose(mean, 1 / 3, rtol=1e-7)


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0)])
def test_no_values_count_as_a_batch_and_leave_the_averages(shape):
    layer = nn.BatchNorm1d(3)
    assert layer(jnp.ones(shape)).shape == shape
    mean, var, batches = buffers(layer)
    assert (mean.tolist(), var.tolist(), batches.item()) == ([0] * 3, [1] * 3, 1)
    gradient = jax.grad(lambda w: F.batch_norm(jnp.ones(shape), None, None, w, training=True).sum())(jnp.ones(3))
    assert gradient.tolist() == [0] * 3


def test_without_running_averages_evaluation_uses_the_batch():
    layer = nn.BatchNorm2d(3, track_running_stats=False)
    x = jnp.asarray(drawn(2, 3, 4, 5).astype(np.float32))
    trained = layer(x)
    layer.eval()
    assert np.array_equal(layer(x), trained)
    assert layer.running_mean is layer.running_var is layer.num_batches_tracked is None


def test_tracking_can_be_turned_off_later():
    layer = nn.BatchNorm1d(3)
    layer.track_running_stats = False
    layer(jnp.asarray(drawn(4, 3)))
    assert buffers(layer)[2] == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_inputs_beside_float32_parameters(dtype):
    x = drawn(6, 3, 5).astype(np.float32)
    theirs, ours = torch.nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    expected = theirs(torch.tensor(x).to(getattr(torch, dtype)))
    y = ours(jnp.asarray(x).astype(dtype))
    assert (str(y.dtype), ours.running_var.dtype) == (dtype, jnp.float32)
    tolerance = {"bfloat16": 1.6e-2, "float16": 1e-3}[dtype]
    np.testing.assert_allclose(y.astype(jnp.float32), expected.detach().float(), rtol=tolerance, atol=1e-5)
    np.testing.assert_allclose(ours.running_var[...], theirs.running_var, rtol=1e-6)


def test_attributes_and_state():
    layer = nn.BatchNorm2d(3, 1e-3, None, bias=False)
    assert (layer.num_features, layer.eps, layer.momentum, layer.affine) == (3, 1e-3, None, True)
    assert layer.bias is None
    state = jaxnets.state_dict(nn.BatchNorm2d(3))
    assert list(state) == list(torch.nn.BatchNorm2d(3).state_dict())
    assert state["num_batches_tracked"].dtype == np.int64
    assert isinstance(nn.BatchNorm2d(3).weight, nnx.Param)
    assert isinstance(nn.BatchNorm2d(3).running_var, nnx.BatchStat)


def test_gradients_do_not_flow_into_running_averages():
    layer = nn.BatchNorm1d(3)
    gradient = nnx.grad(lambda layer, x: (layer(x) ** 3).sum())(layer, jnp.asarray(drawn(4, 3).astype(np.float32)))
    assert sorted(map(str, gradient)) == ["bias", "weight"]
    assert buffers(layer)[2] == 1


def test_vmap_is_one_batch_for_each():
    x = jnp.asarray(drawn(2, 5, 3).astype(np.float32))

    def pool(x):
        return F.batch_norm(x, None, None, training=True)

    np.testing.assert_allclose(jax.vmap(pool)(x), np.stack([pool(x[0]), pool(x[1])]), atol=1e-6)


def test_sync_over_a_mapped_axis_is_one_batch():
    """Outputs, gradients and running averages are those of all parts together."""
    x = jnp.asarray(drawn(4, 2, 3, 5, mean=2.0).astype(np.float32))
    weights = jnp.asarray(drawn(4, 2, 3, 5).astype(np.float32))
    apart, whole = nn.SyncBatchNorm(3, process_group="parts"), nn.SyncBatchNorm(3)

    @nnx.vmap(in_axes=(nnx.StateAxes({...: None}), 0), axis_name="parts")
    def mapped(layer, x):
        return layer(x)

    np.testing.assert_allclose(mapped(apart, x).reshape(8, 3, 5), whole(x.reshape(8, 3, 5)), atol=1e-5)
    for mine, wanted in zip(buffers(apart), buffers(whole), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-6)

    def loss(x, name):
        y = jax.vmap(lambda x: F.batch_norm_with_statistics(x, axis_name=name)[0], axis_name="parts")(x)
        return (y * weights.reshape(y.shape)).sum()

    together = jax.grad(loss)(x.reshape(1, 8, 3, 5), None).reshape(x.shape)
    np.testing.assert_allclose(jax.grad(loss)(x, "parts"), together, atol=1e-5)
    apart.eval()
    assert jax.vmap(apart)(x).shape == x.shape, "no axis is needed in evaluation"


def test_sync_over_the_devices_of_shard_map():
    mesh = jax.make_mesh((1,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    layer, x = nn.SyncBatchNorm(3, track_running_stats=False, process_group="devices"), jnp.asarray(drawn(4, 3))
    spec = jax.P("devices")
    y = jax.shard_map(layer, mesh=mesh, in_specs=spec, out_specs=spec)(x)
    np.testing.assert_allclose(y, nn.BatchNorm1d(3)(x), atol=1e-6)


def test_conversion_keeps_variables_names_and_modes():
    shared = nn.BatchNorm1d(3, 1e-3, None)
    net = nn.Sequential(nn.Linear(3, 3, rngs=nnx.Rngs(0)), shared, nn.Sequential(nn.BatchNorm1d(3, bias=False), shared))
    net.eval()
    names = list(jaxnets.state_dict(net))
    assert nn.SyncBatchNorm.convert_sync_batchnorm(net, "devices") is net
    assert [type(layer) for layer in (net[1], net[2][0])] == [nn.SyncBatchNorm] * 2
    assert net[1] is net[2][1]
    assert net[1].weight is shared.weight
    assert (net[1].eps, net[1].momentum, net[1].process_group, net[1].use_running_average) == (
        1e-3,
        None,
        "devices",
        True,
    )
    assert list(jaxnets.state_dict(net)) == names
    assert type(nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(3))) is nn.SyncBatchNorm


def test_no_batch_and_no_channels():
    """What torch's operator database calls it with."""
    assert F.batch_norm(jnp.zeros(0), jnp.zeros(0), jnp.zeros(0), training=True).shape == (0,)


ones = jnp.ones


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.BatchNorm1d(3)(ones((1, 3))),
            ValueError,
            r"input: expected more than 1 value per channel .* \(1, 3\)",
        ),
        (
            lambda: nn.BatchNorm1d(3)(ones(3)),
            ValueError,
            r"input: expected 2 axes \(N, C\) or 3 axes \(N, C, L\), got 1",
        ),
        (lambda: nn.BatchNorm2d(3)(ones((2, 3, 4))), ValueError, r"input: expected 4 axes \(N, C, H, W\), got 3 axes"),
        (lambda: nn.BatchNorm3d(3)(ones((2, 3, 4, 5))), ValueError, r"input: expected 5 axes \(N, C, D, H, W\)"),
        (
            lambda: nn.BatchNorm1d(3)(ones((2, 4))),
            ValueError,
            r"input: expected num_features=3 channels on axis 1, got",
        ),
        (lambda: nn.BatchNorm1d(3)(ones((2, 3), int)), TypeError, "input: expected a floating dtype, got int"),
        (
            lambda: nn.BatchNorm1d(3, dtype=jnp.bfloat16)(ones((2, 3))),
            TypeError,
            "input is float32 but weight is bfloat16",
        ),
        (lambda: nn.BatchNorm1d(3, eps=0.0)(ones((2, 3))), ValueError, "eps: expected a positive number, got 0.0"),
        (lambda: nn.SyncBatchNorm(3)(ones(3)), ValueError, r"input: expected at least 2 axes \(N, C, \*\)"),
        (lambda: nn.SyncBatchNorm(0)(ones((2, 0))), ValueError, "input: expected at least 1 channel on axis 1"),
        (lambda: nn.SyncBatchNorm(3, process_group=4), TypeError, "process_group: expected the name of a mapped axis"),
        (
            lambda: nn.SyncBatchNorm.convert_sync_batchnorm(3),
            TypeError,
            "module: expected a flax.nnx.Module, got int",
        ),
        (lambda: nn.BatchNorm1d(-1), ValueError, "num_features: expected an int of at least 0, got -1"),
        (lambda: nn.BatchNorm1d(2.0), TypeError, "num_features: expected an int, got 2.0"),
        (
            lambda: F.batch_norm(ones((2, 3)), None, None),
            ValueError,
            "running_mean, running_var: expected arrays in evaluation",
        ),
        (lambda: F.batch_norm(ones((2, 3)), ones(3), None), ValueError, "expected both or neither, got one of them"),
        (
            lambda: F.batch_norm(ones((2, 3)), ones(2), ones(3)),
            ValueError,
            r"running_mean: expected shape \(3,\), one entry",
        ),
        (lambda: F.batch_norm(ones(3), ones(3), ones(3)), ValueError, r"input: expected at least 2 axes"),
        (
            lambda: F.batch_norm(ones((2, 3)), ones(3), ones(3), eps=-1.0),
            ValueError,
            "eps: expected a non-negative number, got -1.0",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
