"""Recurrent layers and packed sequences while a module is looked at: no operators of torch's, so they stand in here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.utils import rnn

__all__ = ["intercepted", "recurrent"]

Handler = Callable[[str, Callable[..., Any], dict[str, Any]], Any]
_handlers: list[Handler] = []


@contextmanager
def intercepted(handler: Handler) -> Iterator[None]:
    """`pack_padded_sequence` and `pad_packed_sequence` go to the handler, by whatever name the user's code holds them.

    Their code is exchanged, not their names: a module that imported one of them has the function itself.
    """
    originals = {f: (f.__code__, f.__defaults__) for f in (rnn.pack_padded_sequence, rnn.pad_packed_sequence)}
    _handlers.append(handler)
    rnn.pack_padded_sequence.__code__, rnn.pack_padded_sequence.__defaults__ = _pack_call.__code__, (False, True)
    rnn.pad_packed_sequence.__code__, rnn.pad_packed_sequence.__defaults__ = _pad_call.__code__, (False, 0.0, None)
    try:
        yield
    finally:
        _handlers.pop()
        for function, (code, defaults) in originals.items():
            function.__code__, function.__defaults__ = code, defaults


def _pack_call(input, lengths, batch_first=False, enforce_sorted=True):
    from jaxnets.convert.tracing.packing import handle

    return handle("pack_padded_sequence", locals())


def _pad_call(sequence, batch_first=False, padding_value=0.0, total_length=None):
    from jaxnets.convert.tracing.packing import handle

    return handle("pad_packed_sequence", locals())


def handle(name: str, arguments: dict[str, Any]) -> Any:
    """Gives an intercepted call to the handler, with a stand-in that works on tensors without data."""
    arguments = {key: x for key, x in arguments.items() if key != "handle"}
    stand_ins: dict[str, Callable[..., Any]] = {"pack_padded_sequence": _pack, "pad_packed_sequence": _pad}
    return _handlers[-1](name, stand_ins[name], arguments)


def _pack(
    input: torch.Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> rnn.PackedSequence:
    """Of the right ranks and sizes, with room for every step: how many there are is not known."""
    batch, steps = (input.shape[0], input.shape[1]) if batch_first else (input.shape[1], input.shape[0])
    data = input.new_empty((batch * steps, *input.shape[2:]))
    sizes = torch.empty(steps, dtype=torch.int64)
    if enforce_sorted:
        packed = rnn.PackedSequence(data, sizes)
    else:
        order = torch.empty(batch, dtype=torch.int64)
        packed = rnn.PackedSequence(data, sizes, order, torch.empty(batch, dtype=torch.int64))
    _BATCH[id(packed.data)] = packed.data, batch
    return packed


def _pad(
    sequence: rnn.PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    batch, steps = batch_of(sequence), total_length or sequence.batch_sizes.shape[0]
    shape = (batch, steps) if batch_first else (steps, batch)
    return sequence.data.new_empty((*shape, *sequence.data.shape[1:])), torch.empty(batch, dtype=torch.int64)


_BATCH: dict[int, tuple[torch.Tensor, Any]] = {}


def batch_of(sequence: rnn.PackedSequence) -> Any:
    """The number of sequences: torch would look at the first batch size."""
    if id(sequence.data) in _BATCH:
        return _BATCH[id(sequence.data)][1]
    if sequence.sorted_indices is not None:
        return sequence.sorted_indices.shape[0]
    rows, steps = sequence.data.shape[0], sequence.batch_sizes.shape[0]
    return rows // steps


def recurrent(module: torch.nn.RNNBase, input: Any, hx: Any = None) -> tuple[Any, Any]:
    """The shapes of a recurrent layer's output and last states: torch would go through all steps."""
    directions = 2 if module.bidirectional else 1
    width = module.proj_size or module.hidden_size
    if isinstance(input, torch.Tensor):
        steps = input if input.ndim == 3 else input.unsqueeze(int(module.batch_first))
        module.check_input(steps, None)
        lead = () if input.ndim == 2 else (steps.shape[int(not module.batch_first)],)
        states: Any = input.new_empty((module.num_layers * directions, *lead, width))
        if isinstance(module, torch.nn.LSTM):
            states = states, input.new_empty((module.num_layers * directions, *lead, module.hidden_size))
        return input.new_empty((*input.shape[:-1], directions * width)), states
    batch = batch_of(input)
    data = input.data.new_empty((input.data.shape[0], directions * width))
    _BATCH[id(data)] = data, batch
    last: Any = input.data.new_empty((module.num_layers * directions, batch, width))
    if isinstance(module, torch.nn.LSTM):
        last = last, input.data.new_empty((module.num_layers * directions, batch, module.hidden_size))
    return rnn.PackedSequence(data, *tuple(input)[1:]), last
