"""Sequences of different lengths: `torch.nn.utils.rnn`.

A packed sequence holds the steps that exist, one time step behind the other, the longest sequence first: for `abc` and
`x` the rows `axbc` and the batch sizes `2, 1, 1`. Its rows are found by index arithmetic on the batch sizes, so that
what was compiled for one set of lengths takes every other of the same shapes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import check

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


Ints = np.ndarray | jax.Array
"""Lengths, sizes, indices: on the host when their values are known, else traced."""

FIELDS = ("data", "batch_sizes", "sorted_indices", "unsorted_indices")


@jax.tree_util.register_pytree_with_keys_class
class PackedSequence:
    """Sequences of different lengths without padding; what recurrent layers take in place of a padded array.

    Made by `pack_padded_sequence` or `pack_sequence`; by hand from its arrays, or from the pair `(data, batch_sizes)`.
    It unpacks as torch's does: `data, batch_sizes, sorted_indices, unsorted_indices = packed`. It is a pytree: it goes
    through `jax.jit`, `jax.grad` and `jax.vmap`.

    Args:
        data: the rows, `(sum of the lengths, *)`; rows behind these are ignored.
        batch_sizes: `(T,)`, how many sequences have a step t: ints that never grow.
        sorted_indices: `(N,)`, which sequence of the batch is the n-th longest; None when they came sorted.
        unsorted_indices: the inverse of `sorted_indices`; made from it when not given.

    Attributes:
        batch_size: N, the number of sequences; not traced, since shapes depend on it.

    Raises:
        TypeError: `data` is no array.
        ValueError: sizes do not fit each other.

    Differences from torch: an array of another dtype comes from `packed.astype(dtype)`; sizes are checked here.

    >>> packed = pack_padded_sequence(jnp.array([[1, 2, 0], [3, 0, 0], [4, 5, 6]]), [2, 1, 3], True, False)
    >>> print(packed.data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
    [4 1 3 5 2 6] [3 2 1] [2 0 1] [1 2 0]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html
    """

    data: jax.Array
    batch_sizes: jax.Array
    sorted_indices: jax.Array | None
    unsorted_indices: jax.Array | None
    batch_size: int

    def __init__(self, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None):
        if batch_sizes is None:
            if not (isinstance(data, tuple | list) and len(data) == 2):
                raise TypeError(
                    "batch_sizes: expected an array of ints, or the pair (data, batch_sizes) as data, got None"
                )
            data, batch_sizes = data
        self.data = check.array("data", data)
        self.batch_sizes = _array(_ints("batch_sizes", batch_sizes))
        self.sorted_indices = None if sorted_indices is None else _array(_ints("sorted_indices", sorted_indices))
        if unsorted_indices is None:
            self.unsorted_indices = invert_permutation(self.sorted_indices)
        else:
            self.unsorted_indices = _array(_ints("unsorted_indices", unsorted_indices))
        self.batch_size = self._check()

    def _check(self) -> int:
        """Refuses sizes that contradict each other; returns the batch size."""
        indices = {"sorted_indices": self.sorted_indices, "unsorted_indices": self.unsorted_indices}
        sizes = _known(self.batch_sizes)
        if isinstance(sizes, jax.core.Tracer):
            known = [len(i) for i in indices.values() if i is not None]
            if not known:
                raise ValueError(
                    "batch_sizes: expected values that are known while tracing, since the first is the batch size; "
                    "make the PackedSequence outside of jax.jit and pass it in, or use pack_padded_sequence inside"
                )
            batch_size = known[0]
        else:
            if not len(sizes) or sizes[0] < 1 or sizes[-1] < 0 or (np.diff(sizes) > 0).any():
                raise ValueError(f"batch_sizes: expected ints that start above 0 and never grow, got {sizes.tolist()}")
            if not self.data.ndim or len(self.data) < sizes.sum():
                raise ValueError(
                    f"data: expected {sizes.sum()} rows, the sum of batch_sizes, got shape {self.data.shape}"
                )
            batch_size = int(sizes[0])
        for name, i in indices.items():
            if i is not None and len(i) != batch_size:
                raise ValueError(f"{name}: expected one for each of {batch_size} sequences, got {len(i)}")
        return batch_size

    def replace(self, data: jax.Array) -> "PackedSequence":
        """The same sequences with other rows, e.g. `packed.replace(embedding(packed.data))`."""
        return self.tree_unflatten(self.batch_size, (data, *tuple(self)[1:]))

    def astype(self, dtype: Any) -> "PackedSequence":
        """The same sequences with rows of another dtype: torch's `packed.to(dtype)`."""
        return self.replace(self.data.astype(dtype))

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, name) for name in FIELDS)

    def __getitem__(self, index: int) -> Any:
        return tuple(self)[index]

    def __len__(self) -> int:
        return len(FIELDS)

    def __repr__(self) -> str:
        return f"PackedSequence({', '.join(f'{name}={getattr(self, name)!r}' for name in FIELDS)})"

    def tree_flatten_with_keys(self) -> tuple[Any, int]:
        return tuple(zip(map(jax.tree_util.GetAttrKey, FIELDS), self, strict=True)), self.batch_size

    @classmethod
    def tree_unflatten(cls, batch_size: int, leaves: Iterable[Any]) -> "PackedSequence":
        packed = object.__new__(cls)  # leaves may be anything here, so nothing is checked
        packed.data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices = leaves
        packed.batch_size = batch_size
        return packed


def pack_padded_sequence(
    input: jax.Array, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs an array of padded sequences.

    Args:
        input: the sequences, with any number of axes behind time and batch.
        lengths: `(N,)` numbers of steps, in [1, T].
        batch_first: whether `input` is `(N, T, *)` in place of `(T, N, *)`.
        enforce_sorted: whether the sequences come sorted, the longest first; otherwise they are sorted here.

    Shape:
        `(T, N, *)` to rows `(sum of the lengths, *)`.

    Raises:
        ValueError: a length is not in [1, T], there are not N of them, they are not sorted where they should be;
            there is nothing to pack.

    Differences from torch: lengths beyond T are refused, where torch reads past the end, and so are fewer than N of
    them. Sequences of equal length keep their order; so do torch's up to 16, above that its order is the machine's.
    Where `lengths` are traced (an argument of a `jax.jit`) their values cannot be checked, and shapes cannot depend on
    them: there are `T * N` rows, those that exist first as in torch, zeros behind them, and T batch sizes, of which
    the last may be 0.

    >>> pack_padded_sequence(jnp.array([[1, 4, 6], [2, 5, 0], [3, 0, 0]]), [3, 2, 1]).data
    Array([1, 4, 6, 2, 5, 3], dtype=int32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html
    """
    input = check.array("input", input)
    if input.ndim < 2 or not input.size:
        raise ValueError(f"input: expected {'(N, T, *)' if batch_first else '(T, N, *)'}, not empty, got {input.shape}")
    padded = jnp.swapaxes(input, 0, 1) if check.flag("batch_first", batch_first) else input
    steps, batch_size = padded.shape[:2]
    lengths = _ints("lengths", lengths, truncate=True)
    if len(lengths) != batch_size:
        raise ValueError(f"lengths: expected one for each of {batch_size} sequences, got {len(lengths)}")
    rows = steps * batch_size
    if not isinstance(lengths, jax.core.Tracer):
        if lengths.min() < 1 or lengths.max() > steps:
            raise ValueError(f"lengths: expected ints in [1, {steps}], the steps of the input, got {lengths.tolist()}")
        if check.flag("enforce_sorted", enforce_sorted) and (np.diff(lengths) > 0).any():
            raise ValueError(
                f"lengths: expected the longest first, got {lengths.tolist()}; "
                "sort the sequences, or pass enforce_sorted=False"
            )
        steps, rows = int(lengths.max()), int(lengths.sum())
    xp = _namespace(lengths)
    order = None if enforce_sorted else xp.argsort(-lengths, stable=True)
    batch_sizes = (lengths[None] > xp.arange(steps)[:, None]).sum(1)
    data = _pick_rows(padded, batch_sizes, order, rows)
    indices = None if order is None else _array(order), None if order is None else _array(xp.argsort(order))
    return PackedSequence.tree_unflatten(batch_size, (data, _array(batch_sizes), *indices))


def repack(padded: jax.Array, packed: PackedSequence) -> PackedSequence:
    """The sequences of `packed` with the rows of `padded`, `(T, N, *)`: undoes `pad_packed_sequence`."""
    sizes = _known(packed.batch_sizes)
    rows = len(packed.data) if isinstance(sizes, jax.core.Tracer) else int(sizes.sum())
    if packed.unsorted_indices is None:
        return packed.replace(_pick_rows(padded, sizes, None, rows))
    place = _known(packed.unsorted_indices)
    return packed.replace(_pick_rows(padded, sizes, _namespace(place).argsort(place), rows))


def _pick_rows(padded: jax.Array, batch_sizes: Ints, order: Ints | None, rows: int) -> jax.Array:
    """`padded[t, order[n]]` for all n < batch_sizes[t], step by step; zeros behind these."""
    xp = _namespace(batch_sizes)
    ends, row = xp.cumsum(batch_sizes), xp.arange(rows)
    time = xp.searchsorted(ends, row, side="right")
    place = row - xp.take(ends - batch_sizes, time, mode="clip")
    place = place if order is None else _namespace(order, place).take(order, place, mode="clip")
    return _pick(padded, (time, place), time < len(batch_sizes), 0)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Undoes `pack_padded_sequence`: the padded sequences, in their original order, and their lengths.

    Args:
        sequence: packed sequences.
        batch_first: whether the result is `(N, T, *)` in place of `(T, N, *)`.
        padding_value: the value of the steps that a sequence does not have.
        total_length: T; the greatest length when not given.

    Shape:
        rows `(sum of the lengths, *)` to `(T, N, *)` and `(N,)`.

    Raises:
        TypeError: `sequence` is not packed.
        ValueError: `total_length` is less than the greatest length.

    Differences from torch: none.

    >>> padded, lengths = pad_packed_sequence(PackedSequence(jnp.array([1, 4, 2, 5, 3]), jnp.array([2, 2, 1])), True)
    >>> print(padded, lengths)
    [[1 2 3]
     [4 5 0]] [3 2]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_packed_sequence.html
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"sequence: expected a PackedSequence, got {type(sequence).__name__}")
    data, sizes, _, place = sequence
    sizes, place = _known(sizes), np.arange(sequence.batch_size) if place is None else _known(place)
    total_length = len(sizes) if total_length is None else check.integer("total_length", total_length)
    if total_length < len(sizes):
        raise ValueError(f"total_length: expected at least {len(sizes)}, the greatest length, got {total_length}")
    xp = _namespace(sizes)
    sizes = xp.pad(sizes, (0, total_length - len(sizes)))
    exists = place[None] < sizes[:, None]
    rows = (xp.cumsum(sizes) - sizes)[:, None] + place[None]
    padded = _pick(data, (rows,), exists, check.scalar("padding_value", padding_value))
    return jnp.swapaxes(padded, 0, 1) if check.flag("batch_first", batch_first) else padded, _array(exists.sum(0))


def pad_sequence(
    sequences: Iterable[jax.Array],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> jax.Array:
    """Stacks sequences of different lengths.

    Args:
        sequences: arrays `(length, *)`, equal in all axes but the first.
        batch_first: whether the result is `(N, T, *)` in place of `(T, N, *)`.
        padding_value: the value of the steps that a sequence does not have.
        padding_side: "right" to put them behind a sequence, "left" to put them before it.

    Shape:
        N of `(length, *)` to `(T, N, *)`, T being the greatest length.

    Raises:
        TypeError: `sequences` are no arrays.
        ValueError: there are none, or their shapes differ in more than the first axis.

    Differences from torch: none. As in torch the dtype is that of the first sequence.

    >>> pad_sequence([jnp.array([1, 2, 3]), jnp.array([4])], batch_first=True, padding_value=-1)
    Array([[ 1,  2,  3],
           [ 4, -1, -1]], dtype=int32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_sequence.html
    """
    check.choice("padding_side", padding_side, ("right", "left"))
    arrays = _arrays(sequences)
    lengths = np.array([len(x) for x in arrays])
    steps = lengths.max()
    shift = steps - lengths if padding_side == "left" else np.zeros_like(lengths)
    time = np.arange(steps)[:, None] - shift[None]
    rows = np.cumsum(lengths) - lengths + time
    # One gather from all sequences in a row: as many operations for a thousand sequences as for two.
    data = jnp.concatenate([x.astype(arrays[0].dtype) for x in arrays])
    padded = _pick(data, (rows,), (time >= 0) & (time < lengths), check.scalar("padding_value", padding_value))
    return jnp.swapaxes(padded, 0, 1) if check.flag("batch_first", batch_first) else padded


def pack_sequence(sequences: Sequence[jax.Array], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences of different lengths.

    Args:
        sequences: arrays `(length, *)` of at least one step, equal in all axes but the first.
        enforce_sorted: whether the longest comes first; otherwise they are sorted here.

    Raises:
        TypeError: `sequences` are no arrays.
        ValueError: there are none, one is empty, shapes differ in more than the first axis, or the order is wrong.

    Differences from torch: none.

    >>> pack_sequence([jnp.array([1, 2, 3]), jnp.array([4, 5]), jnp.array([6])]).data
    Array([1, 4, 6, 2, 5, 3], dtype=int32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_sequence.html
    """
    arrays = _arrays(sequences)
    return pack_padded_sequence(pad_sequence(arrays), [len(x) for x in arrays], enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: jax.Array, lengths: Any, batch_first: bool = False) -> list[jax.Array]:
    """Undoes `pad_sequence`: the sequences, each of its own length.

    Args:
        padded_sequences: `(T, N, *)`.
        lengths: `(N,)` numbers of steps.
        batch_first: whether the array is `(N, T, *)` in place of `(T, N, *)`.

    Raises:
        ValueError: there are not N lengths, or they are traced, and shapes cannot depend on them.

    Differences from torch: `padded_sequences` is left as it is; `lengths` may be a list.

    >>> unpad_sequence(jnp.array([[1, 2, 3], [4, 0, 0]]), [3, 1], batch_first=True)
    [Array([1, 2, 3], dtype=int32), Array([4], dtype=int32)]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.unpad_sequence.html
    """
    padded = check.array("padded_sequences", padded_sequences)
    if padded.ndim < 2:
        raise ValueError(f"padded_sequences: expected 2 axes or more, time and batch, got shape {padded.shape}")
    padded = padded if check.flag("batch_first", batch_first) else jnp.swapaxes(padded, 0, 1)
    lengths = _ints("lengths", lengths, truncate=True)
    if isinstance(lengths, jax.core.Tracer):
        raise ValueError(
            "lengths: expected values that are known while tracing, since they are the shapes of the result; "
            "unpad outside of jax.jit"
        )
    if len(lengths) != len(padded):
        raise ValueError(f"lengths: expected one for each of {len(padded)} sequences, got {len(lengths)}")
    return [x[: max(length, 0)] for x, length in zip(padded, lengths.tolist(), strict=True)]


def unpack_sequence(packed_sequences: PackedSequence) -> list[jax.Array]:
    """Undoes `pack_sequence`: the sequences, each of its own length, in their original order.

    Args:
        packed_sequences: packed sequences.

    Raises:
        TypeError: the argument is not packed.
        ValueError: its batch sizes are traced, and shapes cannot depend on them.

    Differences from torch: none.

    >>> unpack_sequence(PackedSequence(jnp.array([1, 4, 6, 2, 5, 3]), jnp.array([3, 2, 1])))
    [Array([1, 2, 3], dtype=int32), Array([4, 5], dtype=int32), Array([6], dtype=int32)]

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.unpack_sequence.html
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def invert_permutation(permutation: jax.Array | None) -> jax.Array | None:
    """The permutation that undoes another; None of None.

    Args:
        permutation: `(N,)`, each of 0 to N - 1 once.

    Raises:
        ValueError: that is no permutation.

    Differences from torch: an index that comes twice is refused as well.

    >>> invert_permutation(jnp.array([2, 0, 1]))
    Array([1, 2, 0], dtype=int32)

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.invert_permutation.html
    """
    if permutation is None:
        return None
    order = _ints("permutation", permutation)
    if not isinstance(order, jax.core.Tracer) and (np.sort(order) != np.arange(len(order))).any():
        raise ValueError(f"permutation: expected each of 0 to {len(order) - 1} once, got {order.tolist()}")
    return _array(_namespace(order).argsort(order))


def _arrays(sequences: Iterable[jax.Array]) -> list[jax.Array]:
    """The sequences as arrays that can be stacked when padded."""
    if not isinstance(sequences, Iterable) or getattr(sequences, "ndim", 1) == 0:
        raise TypeError(f"sequences: expected a list of arrays, got {type(sequences).__name__}")
    arrays = [check.array(f"sequences[{i}]", x) for i, x in enumerate(sequences)]
    if not arrays:
        raise ValueError("sequences: expected at least one array, got none")
    for i, x in enumerate(arrays):
        if not x.ndim or x.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"sequences[{i}]: expected the axes {arrays[0].shape[1:]} of the first sequence behind its length, "
                f"got shape {x.shape}"
            )
    return arrays


def _known(values: Any) -> Ints:
    """On the host, where shapes and refusals may depend on them; what is traced has no values and stays."""
    return values if isinstance(values, jax.core.Tracer) else np.asarray(values)


def _ints(name: str, values: Any, *, truncate: bool = False) -> Ints:
    """`values` as ints along one axis."""
    try:
        values = _known(values)
    except (TypeError, ValueError, RuntimeError) as error:  # whatever the owner of `__array__` raises
        raise TypeError(f"{name}: expected an array of ints, got {type(values).__name__}: {error}") from None
    if values.ndim != 1 or not (truncate or not values.size or jnp.issubdtype(values.dtype, jnp.integer)):
        raise ValueError(f"{name}: expected a list or array of ints with 1 axis, got {values.dtype}{values.shape}")
    return values.astype(int)


def _namespace(*ints: Ints) -> Any:
    """numpy for known values: index arithmetic on new lengths then compiles nothing."""
    return jnp if any(isinstance(i, jax.core.Tracer) for i in ints) else np


def _array(ints: Ints) -> jax.Array:
    """As a jax array that is known inside of a trace, too, if its values are."""
    with jax.ensure_compile_time_eval():
        return jnp.asarray(ints, int)


@jax.jit
def _pick(rows: jax.Array, index: tuple[Ints, ...], exists: Ints, otherwise: Any) -> jax.Array:
    """`rows[index]` where it exists, else a number, cast to the dtype of the rows."""
    picked = rows.at[index].get(mode="clip")
    exists = jnp.reshape(exists, exists.shape + (1,) * (picked.ndim - exists.ndim))
    return jnp.where(exists, picked, jnp.asarray(otherwise, rows.dtype))
