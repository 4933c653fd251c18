"""Indexing, writes in place, and writes through views: a module's outputs after them are torch's."""

import pytest
import torch
import torch.nn.functional as F

from jaxnets.convert import ConversionError
from tests.convert.calls import check

_random = torch.Generator().manual_seed(0)


def real(*shape):
    return torch.randn(shape, generator=_random)


x, square, wide = real(2, 3, 4), real(3, 4), real(2, 6)
pair = torch.tensor([0, 2])
places = torch.tensor([[[0, 1, 2, 0]], [[2, 1, 0, 0]]])

VIEWS = {  # a view of an array: what is written into it is written into the array
    "x[:, 0]": (x, lambda y: y[:, 0]),
    "x[0][1][2:]": (x, lambda y: y[0][1][2:]),
    "x[:, ::2]": (x, lambda y: y[:, ::2]),
    "x[..., -2:]": (x, lambda y: y[..., -2:]),
    "x[None, 0]": (x, lambda y: y[None, 0]),
    "view(-1)[3:]": (x, lambda y: y.view(-1)[3:]),
    "view of sizes": (x, lambda y: y.view(y.size(0), -1)[1]),
    "reshape": (x, lambda y: y.reshape(6, 4)[0]),
    "view_as": (x, lambda y: y.view_as(real(6, 4))[0]),
    "flatten": (x, lambda y: y.flatten(1)[:, 2]),
    "unflatten": (x, lambda y: y.unflatten(2, (2, 2))[..., 0]),
    "squeeze": (real(3, 1, 4), lambda y: y.squeeze(1)[0]),
    "unsqueeze": (square, lambda y: y.unsqueeze(1)[0]),
    "t": (square, lambda y: y.t()),
    "T": (square, lambda y: y.T[0]),
    "H": (square, lambda y: y.H[0]),
    "mT": (x, lambda y: y.mT[0]),
    "transpose": (x, lambda y: y.transpose(0, -1)[0]),
    "swapaxes": (x, lambda y: y.swapaxes(0, 2)[0]),
    "permute": (x, lambda y: y.permute(2, 0, 1)[1]),
    "movedim": (x, lambda y: y.movedim(0, -1)[1]),
    "select": (x, lambda y: y.select(1, -1)),
    "narrow": (x, lambda y: y.narrow(-1, 1, 2)),
    "narrow by name": (x, lambda y: y.narrow(start=1, dim=2, length=2)),
    "chunk": (real(2, 5, 3), lambda y: y.chunk(2, 1)[1]),
    "split": (x, lambda y: y.split(2, -1)[1]),
    "split of sizes": (x, lambda y: y.split([1, 2, 1], 2)[1]),
    "tensor_split": (real(2, 3, 7), lambda y: y.tensor_split(3, 2)[1]),
    "hsplit": (x, lambda y: y.hsplit(3)[1]),
    "unbind": (x, lambda y: y.unbind(1)[-1]),
    "iteration": (x, lambda y: list(y)[1]),
    "diagonal": (square, lambda y: y.diagonal()),
    "diagonal of axes": (real(3, 2, 4), lambda y: y.diagonal(1, 0, 2)),
    "detach": (x, lambda y: y.detach()),
    "data": (x, lambda y: y.data),
    "contiguous": (x, lambda y: y.contiguous()[1]),
    "no view": (square, lambda y: y.t().reshape(-1)[2:]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_write_through_a_view(name):
    array, view = VIEWS[name]

    def written(array):
        y = array * 1
        part = view(y)
        part.mul_(2)
        part += 1
        return y, part

    check(written, (array,))
    check(written, (array,), dynamic=True)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_what_is_written_to_later(name):
    array, view = VIEWS[name]

    def written(array):
        y = array * 1
        part = view(y)
        y.mul_(2)
        return part + 1, y

    check(written, (array,))


def _all_at_once(y):
    first, second = y.chunk(2, -1)
    first.add_(second)
    second.copy_(first)
    for k, row in enumerate(y):
        row[0] = k
    return y


INDICES = {
    "int": 1,
    "negative": -1,
    "slice": slice(1, None),
    "step": (slice(None), slice(None, None, 2)),
    "none": (None, 0),
    "ellipsis": (..., 1),
    "all": slice(None),
    "empty": (),
    "ints": (0, slice(None), 2),
    "list": [0, 1, 1],
    "lists": ([0, 1], [2, 0]),
    "list of an axis": (slice(None), [0, -1]),
    "beside": (slice(None), 1, [1, 2]),
    "apart": (0, slice(None), [1, 2]),  # numpy puts the list's axis first, torch does not
    "apart behind": ([0, 1], slice(None), 1),
    "lists apart": ([1, 0], slice(None), [1, 3]),
    "bools": [True, False],
    "bools of an axis": (slice(None), [True, False, True]),
}


@pytest.mark.parametrize("name", INDICES)
def test_getitem(name):
    check(lambda y: y[INDICES[name]], (x,), gradient=True)


@pytest.mark.parametrize("name", INDICES)
def test_setitem(name):
    index, shape = INDICES[name], x[INDICES[name]].shape

    def written(array, values, number):
        a, b, c, d = (array * 1 for _ in range(4))
        a[index] = 7.0
        b[index] = number
        if index not in ([0, 1, 1], ([0, 1], [2, 0])):
            c[index] = values
            d[index] = values[None, None]
        return a, b, c, d

    check(written, (x, real(*shape), torch.tensor(3.0)))


def _set(index, value):
    def written(y, *arrays):
        y = y * 1
        y[index(y, *arrays)] = value(y, *arrays)
        return y

    return written


INDEXED = {
    "array": (lambda y, j: y[j], x, torch.tensor([1, 0, -1])),
    "array of an axis": (lambda y, j: y[:, j], x, torch.tensor([[1, 0], [-1, 2]])),
    "short ints": (lambda y, j: y[j], x, torch.tensor([1, 0], dtype=torch.int32)),
    "number": (lambda y, j: y[:, j], x, torch.tensor(1)),
    "number apart": (lambda y, j, k: y[j, :, k], x, torch.tensor(1), pair),
    "mask": (_set(lambda y: y > 0, lambda y: 5.0), x),
    "mask, array": (_set(lambda y: y > 0, lambda y: y.sum()), x),
    "rows": (_set(lambda y: y[:, :, 0] > 0, lambda y: 5.0), x),
    "rows, row": (_set(lambda y, z: y[:, :, 0] > 0, lambda y, z: z), x, real(4)),
    "rows, row of one": (_set(lambda y, z: y[:, :, 0] > 0, lambda y, z: z), x, real(1, 4)),
    "rows, rows": (_set(lambda y, m, z: m, lambda y, m, z: z), x, torch.eye(2, 3) > 0, real(2, 4)),
    "middle": (_set(lambda y, m: (slice(None), m), lambda y, m: 2.0), x, torch.eye(3)[1] > 0),
    "last": (_set(lambda y, m: (..., m), lambda y, m: 2.0), x, torch.eye(4)[1] > 0),
    "array set": (_set(lambda y, j: (slice(None), j), lambda y, j: 2.0), x, pair),
    "float into ints": (_set(lambda y: 0, lambda y: 2.7), torch.tensor([1, 2, 3])),
    "array into ints": (_set(lambda y, z: 0, lambda y, z: z), torch.tensor([1, 2, 3]), torch.tensor(2.7)),
    "several": (_all_at_once, x * 1),
}


@pytest.mark.parametrize("name", INDEXED)
def test_indexing_by_arrays(name):
    function, *arrays = INDEXED[name]
    copied = (lambda y: function(y * 1)) if name == "several" else function
    check(copied, arrays)


IN_PLACE = {
    "add_": [(2,), (torch.tensor(2),), (real(4),)],
    "addcmul_": [(real(2, 3, 4), real(4))],
    "clamp_": [(-0.5, 0.5)],
    "copy_": [(real(4),)],
    "cumsum_": [(1,)],
    "div_": [(2.0,)],
    "eq_": [(0.0,)],
    "fill_": [(2.0,)],
    "floor_divide_": [(0.7,)],
    "fmod_": [(0.7,)],
    "index_add_": [(1, pair, real(2, 2, 4))],
    "index_copy_": [(1, pair, real(2, 2, 4))],
    "index_fill_": [(1, pair, 3.0)],
    "index_put_": [((torch.tensor([0, 1]), pair), real(2, 4)), ((pair * 0, pair * 0), real(2, 4), True)],
    "lerp_": [(real(2, 3, 4), 0.3)],
    "logical_not_": [()],
    "masked_fill_": [(square > 0, 7.0)],
    "masked_scatter_": [(torch.tensor([[True], [False], [True]]), real(24))],
    "mul_": [(3.0,)],
    "pow_": [(2,)],
    "put_": [(torch.tensor([0, 5]), real(2))],
    "relu_": [()],
    "remainder_": [(0.7,)],
    "renorm_": [(2, 0, 1.0)],
    "scatter_": [(1, places, 3.0)],
    "scatter_add_": [(1, places, real(2, 1, 4))],
    "scatter_reduce_": [(1, places, real(2, 1, 4), "amax")],
    "squeeze_": [()],
    "sub_": [(2,)],
    "swapdims_": [(0, 1)],
    "transpose_": [(0, 1)],
    "tril_": [()],
    "unsqueeze_": [(1,)],
    "zero_": [()],
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_methods_that_write(name):
    def written(array, *args):
        y = array * 1
        result = getattr(y, name)(*args)
        return y, result * 2

    for args in IN_PLACE[name]:
        check(written, (x, *args))


def _assignments(y, z):
    y = y.clone()
    y += z
    y *= 2
    y -= 1
    y /= 3
    y **= 2
    return y


def _assignments_of_ints(n):
    n = n.clone()
    n += 1
    n *= 2
    n //= 3
    n %= 5
    n &= 3
    n |= 2
    n ^= 1
    n <<= 1
    return n


def _out(y):
    rows = torch.zeros(4, 3, 4)
    torch.mul(y, 2, out=rows[1:3])
    return rows, torch.add(y, y, out=torch.empty(2, 3, 4)), torch.add(y, y.double(), out=torch.empty(2, 3, 4))


def _inplace(y):
    y = y * 1
    F.relu(y, inplace=True)
    F.leaky_relu(y, 0.2, True)
    F.hardtanh_(y[:, 0], -0.5, 0.5)
    return y


def _input(y):
    y.add_(1)
    return y * 2


OTHERS = {
    "assignments": (_assignments, x, real(4)),
    "assignments of ints": (_assignments_of_ints, torch.tensor([1, 5, 9])),
    "out": (_out, x),
    "inplace": (_inplace, x),
    "the input": (_input, x),
    "fill_diagonal_": (lambda y: (y * 1).fill_diagonal_(9.0), square),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_writes(name):
    function, *arrays = OTHERS[name]
    check(function, arrays)


def _data(y):
    z = y * 1
    z.data = y
    return z


def _broadcast(y):
    y = y * 1
    views = torch.broadcast_tensors(y, y[0])
    y.mul_(2)
    return views


REFUSED = {
    "a mask gives a size": (lambda y: y[y > 0], x, "numbers of arrays"),
    "overlapping": (lambda y: (y * 1).unfold(1, 2, 2)[:, 0].mul_(2), wide, "a view made by unfold"),
    "strides": (lambda y: (y * 1).as_strided((2, 2), (4, 1)).mul_(2), wide, "a view made by as_strided"),
    "bits": (lambda y: (y * 1).view(torch.int32).mul_(1), wide, "a view made by view"),
    "parts of complex numbers": (lambda y: (y * 1j).real.mul_(2), x, "a view made by real"),
    "several inputs": (_broadcast, x, "a view made by broadcast_tensors"),
    "several outputs": (
        lambda y: torch.max(y, 0, out=(torch.empty(4), torch.empty(4).long())),
        square,
        "several outputs",
    ),
    "data": (_data, x, r"attribute, data.__set__"),
    "a bool": (lambda y: y[True], x, "__getitem__"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_place(name):
    function, array, said = REFUSED[name]
    with pytest.raises(ConversionError, match=said) as found:
        check(function, (array,))
    assert __file__ in str(found.value)
