"""The suite's own behaviour: what `compare` sees, says and leaves alone."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxnets
import parity
from jaxnets import nn


class TorchNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 4)
        self.second = torch.nn.Linear(4, 5)
        self.third = torch.nn.Linear(5, 2)
        self.norm = torch.nn.BatchNorm1d(2)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x, scale=1.0):
        return self.drop(self.norm(self.third(torch.tanh(self.second(self.first(x))))) * scale)


class JaxNet(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.first = nn.Linear(3, 4, rngs=rngs)
        self.second = nn.Linear(4, 5, rngs=rngs)
        self.third = nn.Linear(5, 2, rngs=rngs)
        self.norm = nn.BatchNorm1d(2)
        self.drop = nn.Dropout(0.5, rngs=rngs)

    def __call__(self, x, scale=1.0):
        return self.drop(self.norm(self.third(jnp.tanh(self.second(self.first(x))))) * scale)


@pytest.fixture
def nets():
    torch.manual_seed(0)
    theirs, ours = TorchNet(), JaxNet(rngs=nnx.Rngs(0))
    jaxnets.load_state_dict(ours, theirs.state_dict())
    return theirs, ours, torch.randn(6, 3)


@pytest.mark.parametrize("options", [{}, {"jit": True}, {"train": True}, {"train": True, "jit": True}])
def test_equal_modules_agree(nets, options):
    theirs, ours, x = nets
    report = parity.compare(theirs, ours, (x,), {"scale": 2.0}, **options)
    assert report.ok, report
    assert report.first_divergence is None
    assert report.held == (("drop",) if options.get("train") else ())
    found = {row.property for row in report.rows}
    assert found == {"state", "forward", "parameter gradient", "input gradient", "buffers"}
    parity.assert_parity(theirs, ours, (x,), {"scale": 2.0}, **options)


def test_every_array_has_a_row_by_its_name(nets):
    theirs, ours, x = nets
    report = parity.compare(theirs, ours, (x,))
    names = {p: [row.name for row in report.rows if row.property == p] for p in ("state", "parameter gradient")}
    assert names["state"] == list(theirs.state_dict())
    assert names["parameter gradient"] == [name for name, _ in theirs.named_parameters()]
    assert [row.name for row in report.rows if row.property == "input gradient"] == ["args[0]"]


def test_float64_needs_no_setting(nets):
    theirs, ours, x = nets
    theirs.double()
    with jax.enable_x64(True):
        jaxnets.load_state_dict(ours, theirs.state_dict())
    report = parity.compare(theirs, ours, (x.double(),), train=True)
    assert report.ok, report
    assert {row.dtype for row in report.rows if row.property == "forward"} == {"float64"}


def test_float32_parameters_beside_float64_say_what_to_do(nets):
    theirs, ours, x = nets
    report = parity.compare(theirs.double(), ours, (x.double(),))
    assert not report.ok
    assert "dtype float32, expected torch's float64; load the state and call under jax.enable_x64(True)" in str(report)


def test_a_wrong_weight_is_found_in_its_layer(nets):
    theirs, ours, x = nets
    ours.third.weight[...] = ours.third.weight[...].at[1, 2].add(0.5)
    report = parity.compare(theirs, ours, (x,))
    assert report.first_divergence == "third"
    assert [row.name for row in report.failures if row.property == "state"] == ["third.weight"]
    with pytest.raises(AssertionError, match=r"state of third\.weight: 1 of 10 elements differ \(10\.0%\)"):
        parity.assert_parity(theirs, ours, (x,))
    with pytest.raises(AssertionError, match=r"at index \(1, 2\).*was torch's state loaded into the module"):
        parity.assert_parity(theirs, ours, (x,))
    with pytest.raises(AssertionError, match="first layer that diverges: third"):
        parity.assert_parity(theirs, ours, (x,))


def test_arithmetic_between_layers_is_the_parents(nets):
    theirs, _, x = nets

    class Wrong(JaxNet):
        def __call__(self, x, scale=1.0):
            return self.drop(self.norm(self.third(jnp.sin(self.second(self.first(x))))) * scale)

    wrong = Wrong(rngs=nnx.Rngs(0))
    jaxnets.load_state_dict(wrong, theirs.state_dict())
    assert parity.compare(theirs, wrong, (x,)).first_divergence == "TorchNet"
    assert parity.compare(torch.nn.Sequential(theirs), nn.Sequential(wrong), (x,)).first_divergence == "0"


def test_a_missing_gradient_is_flagged(nets):
    theirs, _, x = nets

    class Stopped(JaxNet):
        def __call__(self, x, scale=1.0):
            return self.drop(self.norm(self.third(jnp.tanh(self.second(jax.lax.stop_gradient(self.first(x)))))))

    stopped = Stopped(rngs=nnx.Rngs(0))
    jaxnets.load_state_dict(stopped, theirs.state_dict())
    report = parity.compare(theirs, stopped, (x,))
    failed = {(row.property, row.name) for row in report.failures}
    assert failed == {
        ("parameter gradient", "first.weight"),
        ("parameter gradient", "first.bias"),
        ("input gradient", "args[0]"),
    }
    assert parity.compare(theirs, stopped, (x,), grad=False).ok


def test_a_variable_that_is_no_parameter_is_flagged(nets):
    theirs, ours, x = nets
    ours.first.bias = nnx.BatchStat(ours.first.bias[...])
    report = parity.compare(theirs, ours, (x,))
    assert "no gradient here, one in torch: is it an nnx.Param that the output depends on?" in report.summary()


def test_missing_and_foreign_state_is_named(nets):
    _, _, x = nets
    ours = nn.Linear(3, 2, bias=False, rngs=nnx.Rngs(0))
    report = parity.compare(torch.nn.Linear(3, 2), ours, (x,))
    assert "state of bias: in torch, missing here" in report.message()
    ours = nn.Linear(3, 2, rngs=nnx.Rngs(0))
    report = parity.compare(torch.nn.Linear(3, 2, bias=False), ours, (x,))
    assert "state of bias: here, not in torch" in report.message()
    report = parity.compare(torch.nn.Linear(3, 4), ours, (x,))
    assert "state of weight: shape (2, 3), expected torch's (4, 3)" in report.message()


def test_another_form_of_the_output_is_said():
    report = parity.compare(lambda x: (x, [x, None]), lambda x: (x, (x, None)), (torch.ones(2),))
    assert not report.ok
    assert "the output is (array, (array, None)), expected torch's (array, [array, None])" in report.summary()


@pytest.mark.parametrize(
    ("ours", "text"),
    [
        (lambda x: x[:1], r"shape \(1,\), expected torch's \(2,\)"),
        (lambda x: x.astype(jnp.float16), "dtype float16, expected torch's float32"),
        (lambda x: x.missing, "call of function: AttributeError"),
    ],
)
def test_other_shapes_dtypes_and_exceptions_are_rows(ours, text):
    report = parity.compare(lambda x: x, ours, (torch.ones(2),))
    assert re.search(text, report.message())
    with pytest.raises(AssertionError, match=text):
        parity.assert_parity(lambda x: x, ours, (torch.ones(2),))


SPECIAL = (np.nan, np.inf, -np.inf, 1.0)


@pytest.mark.parametrize("a", SPECIAL)
@pytest.mark.parametrize("b", SPECIAL)
def test_nan_and_infinity_agree_with_themselves_only(a, b):
    report = parity.compare(lambda x: x + a, lambda x: x + b, (torch.zeros(3),), grad=False)
    assert report.ok == (a == b or (np.isnan(a) and np.isnan(b)))


def test_functions_get_input_gradients_only():
    report = parity.compare(torch.sin, jnp.sin, (torch.randn(4),))
    assert [row.property for row in report.rows] == ["forward", "input gradient"]
    assert parity.compare(torch.sin, jnp.cos, (torch.randn(4),)).ok is False


def test_inputs_may_be_nested_and_of_any_library():
    def theirs(pairs, *, scale):
        return {"sum": pairs[0][0] + pairs[1]["x"] * scale, "n": [scale]}

    inputs = ([(torch.ones(2), None), {"x": np.full(2, 3.0, np.float32)}],)
    report = parity.compare(theirs, theirs, inputs, {"scale": 2})
    assert report.ok, report
    assert [row.name for row in report.rows] == ["output['sum']", "args[0][0][0]", "args[0][1]['x']"]
    assert parity.compare(theirs, theirs, jax.tree.map(jnp.asarray, inputs), {"scale": 2}).ok


def test_complex_gradients_follow_torchs_convention():
    x = torch.randn(5, dtype=torch.complex64)
    assert parity.compare(lambda x: x * x.conj() * (2 + 1j) + x**2, lambda x: x * x.conj() * (2 + 1j) + x**2, (x,)).ok


def test_what_torch_cannot_differentiate_is_noted():
    def theirs(x, i):
        return torch.nn.functional.nll_loss(x, i)

    def ours(x, i):
        return -jnp.take_along_axis(x, i[:, None], 1).mean()

    assert parity.compare(theirs, ours, (torch.randn(3, 4), torch.tensor([1, 0, 3]))).ok


@pytest.mark.parametrize("train", [False, True])
def test_nothing_is_changed(nets, train):
    theirs, ours, x = nets
    theirs.train()
    theirs.third.eval()
    ours.train()
    before = {n: v.clone() for n, v in theirs.state_dict().items()}, jax.tree.map(jnp.copy, nnx.state(ours))
    keep, draws, graph = x.clone(), torch.random.get_rng_state(), nnx.graphdef(ours)
    parity.compare(theirs, ours, (x,), train=train)
    ours.norm.weight[...] += 1  # so that something diverges, and layers are recorded
    assert not parity.compare(theirs, ours, (x,), train=train).ok
    ours.norm.weight[...] -= 1
    assert theirs.training
    assert not theirs.third.training
    assert all(torch.equal(before[0][n], v) for n, v in theirs.state_dict().items())
    assert all(p.grad is None for p in theirs.parameters())
    assert not any(layer._forward_hooks for layer in theirs.modules())
    after = jax.tree.leaves(nnx.state(ours))
    for a, b in zip(jax.tree.leaves(before[1]), after, strict=True):
        assert (a == b).all()
    assert nnx.graphdef(ours) == graph
    assert type(ours) is JaxNet
    assert torch.equal(x, keep)
    assert torch.equal(draws, torch.random.get_rng_state())


def test_a_layer_that_overwrites_its_input_is_recorded_in_time():
    x = torch.randn(4, 3)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(inplace=True), torch.nn.Linear(3, 2))
    ours = nn.Sequential(nn.Linear(3, 3, rngs=nnx.Rngs(0)), nn.ReLU(), nn.Linear(3, 2, rngs=nnx.Rngs(1)))
    jaxnets.load_state_dict(ours, theirs.state_dict())
    assert parity.compare(theirs, ours, (x,)).ok
    parity.assert_parity(torch.nn.ReLU(inplace=True), nn.ReLU(), (x,))
    ours[2].bias[...] += 1
    assert parity.compare(theirs, ours, (x,)).first_divergence == "2"


def test_packed_sequences_go_in_and_come_out():
    theirs, ours = torch.nn.GRU(3, 4, bidirectional=True), nn.GRU(3, 4, bidirectional=True, rngs=nnx.Rngs(0))
    jaxnets.load_state_dict(ours, theirs.state_dict())
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.randn(5, 3, 3), [2, 5, 1], enforce_sorted=False)
    report = parity.compare(theirs, ours, (packed,), jit=True)
    assert report.ok, report
    names = [row.name for row in report.rows if row.property == "forward"]
    assert names == [f"output[0].{name}" for name in packed._fields] + ["output[1]"]


def test_a_tolerance_of_ones_own_holds_for_every_row(nets):
    theirs, ours, x = nets
    ours.third.weight[...] += 1e-4
    assert not parity.compare(theirs, ours, (x,)).ok
    failures = parity.compare(theirs, ours, (x,), tolerance=parity.Tolerance(0.1, 0.1)).failures
    assert {row.property for row in failures} == {"state"}  # parameters are copies: no tolerance makes them equal


def test_a_report_can_be_read_by_people_and_programs(nets):
    theirs, ours, x = nets
    ours.first.bias[...] = ours.first.bias[...].at[0].set(jnp.nan)
    report = parity.compare(theirs, ours, (x,))
    lines = str(report).splitlines()
    assert lines[0].split() == ["property", "name", "shape", "dtype", "abs.", "diff.", "rel.", "diff.", "allowed"]
    assert sum(line.endswith("DIFFERS") for line in lines) == len(report.failures)
    assert report.summary().startswith("TorchNet: ")
    content = json.loads(report.to_json())
    assert content["ok"] is False
    assert content["first_divergence"] == "first"
    assert len(content["rows"]) == len(report.rows)


@pytest.mark.parametrize(
    ("theirs", "ours", "text"),
    [
        (nn.ReLU(), torch.nn.ReLU(), "torch_module: expected a torch.nn.Module or a function of tensors, got ReLU"),
        (torch.nn.ReLU(), torch.nn.ReLU(), "jax_module: expected a flax.nnx.Module or a function of arrays, got ReLU"),
        (torch.nn.ReLU(), 3, "jax_module: expected a flax.nnx.Module or a function of arrays, got int"),
    ],
)
def test_modules_in_the_wrong_place_are_refused(theirs, ours, text):
    with pytest.raises(TypeError, match=text):
        parity.compare(theirs, ours, (torch.ones(1),))
