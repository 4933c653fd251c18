"""Training and evaluation in one body: where they differ, the source chooses by the mode, or has a branch for each."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from flax import nnx
from proof import proven
from small import net, normal
from torch import nn

from jaxnets.convert import ConversionError, from_torch, to_source
from parity import assert_parity

pytestmark = pytest.mark.usefixtures("seed", "promotion")


Pair = collections.namedtuple("Pair", ["first", "second"])


# -- what is done ----------------------------------------------------------------------------------------------------


def test_early_returns_and_auxiliary_outputs_in_training():
    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)), inplace=True)
        aux = self.aux(F.adaptive_avg_pool2d(x, 1).flatten(1)) if self.training else None
        x = self.fc(x.mean((2, 3)))
        if self.training:
            return Pair(x, aux)
        return x

    parts = {"conv": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4), "aux": nn.Linear(4, 2), "fc": nn.Linear(4, 2)}
    proven(net(forward, **parts), normal(2, 3, 6, 7), others=[normal(3, 3, 6, 7)])


def test_another_number_of_calls_in_training():
    def forward(self, x):
        for _ in range(3 if self.training else 1):
            x = self.norm(self.linear(x)).tanh()
        return x

    proven(net(forward, linear=nn.Linear(3, 3), norm=nn.BatchNorm1d(3)), normal(4, 3), others=[normal(5, 3)])


def test_functional_dropout():
    module = net(lambda self, x: F.dropout(self.linear(x), 0.5, self.training), linear=nn.Linear(3, 64))
    model, source = proven(module, normal(2, 3), train=False)
    assert "F.dropout(self.linear(x), training=not self.deterministic, key=self.rngs())" in source
    model.train()
    dropped = np.asarray(nnx.jit(lambda model, x: model(x))(model, jnp.ones((2, 3)))) == 0
    assert 0.3 < dropped.mean() < 0.7
    always = from_torch(
        net(lambda self, x: F.dropout(self.linear(x), training=True), linear=nn.Linear(3, 64)), normal(2, 3)
    )
    always.eval()
    assert (np.asarray(always(jnp.ones((2, 3)))) == 0).any()


def test_each_layer_keeps_its_mode():
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    module.train()
    module[1].eval()
    model = from_torch(module, normal(2, 3))
    assert model[1].use_running_average
    assert not model[2].deterministic


def test_a_module_that_is_called_more_often_in_training():
    """Its calls in another module are those of both modes, and what they do there depends on the mode."""
    inner = net(lambda self, x: F.dropout(x, 0.5, self.training))
    often = net(lambda self, x: self.inner(self.inner(x) if self.training else x), inner=inner)
    once = net(lambda self, x: self.inner(x), inner=inner)
    model, _ = proven(net(lambda self, x: self.b(self.a(x)), a=often, b=once), normal(2, 3), train=False)
    model.train()
    assert (np.asarray(model(jnp.ones((8, 16)))) == 0).any()


def test_a_branch_by_the_mode_has_nothing_of_the_other_mode():
    def forward(self, x):
        x = self.linear(F.dropout(x, self.p, self.training))
        if self.training:
            return x * 2, x.new_zeros(3)
        return x * 2

    _, source = proven(net(forward, linear=nn.Linear(3, 3), p=0.0), normal(2, 3))
    assert "not self.deterministic" not in source


def count(self, x):
    self.n = self.n + 1
    return x * self.n


def test_a_value_before_a_write_is_not_the_one_behind_it():
    def forward(self, x):
        before = self.inner.n
        y = self.inner(x)
        return y * (before if self.training else self.inner.n)

    proven(net(forward, inner=net(count, n=nn.Buffer(torch.ones(3)))), normal(2, 3), grad=False)


def test_a_write_in_one_mode():
    inner = net(lambda self, x: count(self, x) if self.training else x * self.n, n=nn.Buffer(torch.ones(3)))
    _, source = proven(net(lambda self, x: self.inner(x) * self.inner.n, inner=inner), normal(2, 3), grad=False)
    assert "return self.inner(x) * self.inner.n[...]" in source


def test_gradients_are_recorded_in_one_mode():
    def forward(self, x):
        with torch.set_grad_enabled(self.training):
            x = self.a(x)
        return self.b(x)

    module = net(forward, a=nn.Linear(3, 3), b=nn.Linear(3, 3))
    _, source = proven(module, normal(2, 3), grad=False)
    assert source.count("stop_gradient") == 1
    assert_parity(module, from_torch(module, normal(2, 3)), (normal(2, 3),), train=True)


# -- arguments -------------------------------------------------------------------------------------------------------


def pick(self, training, evaluation):
    return training if self.training else evaluation


def sets(self, x):
    x = x * 1
    x[pick(self, 0, 1)] = pick(self, 0.5, 2)
    return x


ARGUMENTS = {
    "dtype": (lambda self, x: x.to(pick(self, torch.float16, torch.float32)), "x.astype(jnp.float16)"),
    "type of Python": (lambda self, x: (x * 9).to(pick(self, int, bool)), "astype(bool)"),
    "dtype of a sum": (lambda self, x: x.sum(0, dtype=pick(self, torch.float16, None)), "ops.sum("),
    "dtype of what is made": (
        lambda self, x: x + torch.ones(3, dtype=pick(self, torch.float64, torch.int32)),
        "jnp.ones((3,), jnp.int32)",
    ),
    "dtypes of two arrays": (lambda self, x: pick(self, x.half(), x) * 2, "x.astype(jnp.float16) * 2"),
    "dtype for a module": (lambda self, x: self.inner(x, pick(self, torch.float16, torch.float32)), "self.inner(x)"),
    "number": (lambda self, x: x * pick(self, 0.5, 2.0), "ops.mul(x, 2.0 if self.deterministic else 0.5)"),
    "complex number": (lambda self, x: x * pick(self, 1j, 2j), "if self.deterministic else complex(0.0, 1.0)"),
    "zero": (lambda self, x: torch.copysign(x, pick(self, -0.0, 0.0)), "0.0 if self.deterministic else -0.0"),
    "word": (lambda self, x: x.div(0.3, rounding_mode=pick(self, "trunc", "floor")), '"floor" if self.deterministic'),
    "axis": (lambda self, x: x.softmax(pick(self, 0, 1)), "1 if self.deterministic else 0"),
    "axes": (lambda self, x: x.flip(pick(self, 0, 1)), "ops.flip(x, 1 if self.deterministic else 0)"),
    "order": (lambda self, x: x[None].permute(0, pick(self, 2, 1), pick(self, 1, 2)), "transpose(0, 2, 1)"),
    "shape": (lambda self, x: x.reshape(pick(self, (3, 2), (6, 1))).flatten(1), "if self.deterministic:"),
    "index": (lambda self, x: x[pick(self, 0, 1), None], "if self.deterministic:"),
    "index beside an array": (lambda self, x: x[None][pick(self, 0, -1), :, torch.tensor([2, 0])], "x[None]"),
    "write": (sets, "if self.deterministic:"),
    "array of numpy": (lambda self, x: x + torch.tensor(pick(self, np.arange(3.0), np.ones(3))), "jnp.ones"),
    "device": (lambda self, x: x.to(pick(self, torch.device("cpu", 0), torch.device("cpu"))), "return x"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_that_depends_on_the_mode(name):
    forward, text = ARGUMENTS[name]
    x = normal(2, 3)
    module = net(forward, inner=net(lambda self, x, dtype: x.to(dtype)))
    source, model = to_source(module, x), from_torch(module, x)
    assert text in source
    for train in (False, True):
        module.train(train)
        model.train() if train else model.eval()
        wanted = module(x.clone())
        found = np.asarray(model(jnp.asarray(x.numpy())))
        assert found.dtype == jax.dtypes.canonicalize_dtype(str(wanted.dtype).removeprefix("torch."))
        np.testing.assert_allclose(found, wanted.numpy(), 1e-3)
        np.testing.assert_array_equal(np.signbit(found.real), np.signbit(wanted.real.numpy()))


def test_what_cannot_be_said_of_one_mode_is_refused():
    module = net(lambda self, x: x.to(pick(self, torch.complex32, torch.complex64)))
    with pytest.raises(ConversionError, match=r"to in the root module, .*:\d+ in <lambda>: torch\.complex32 .*; use"):
        to_source(module, normal(2, 3))
