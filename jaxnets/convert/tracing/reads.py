"""What code is told when it asks an array for its numbers or its sizes."""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from jaxnets.convert.errors import Refusal, UnknownError
from jaxnets.convert.sizes import BATCH, Axis, Size, has_batch, plain
from jaxnets.convert.tracing.objects import object_tensors
from jaxnets.convert.tracing.user_code import line

if TYPE_CHECKING:
    from jaxnets.convert.tracing.recorder import Recorder

__all__ = ["COMPARISONS", "MADE_UP", "NUMBERS", "SIZES", "Reads"]

SIZES = {"shape", "size", "numel", "nelement", "__len__"}
"""How code asks for sizes."""

NUMBERS = {
    "item",
    "tolist",
    "__bool__",
    "__int__",
    "__float__",
    "__index__",
    "__complex__",
    "is_nonzero",
    "numpy",
    "__array__",
}
"""How code asks for numbers."""

COMPARISONS = {"__contains__", "allclose", "equal"}
"""Comparisons of arrays whose outcome is Python's."""

MADE_UP = {"item": 1, "__bool__": False, "__int__": 1, "__float__": 1.0, "__index__": 1, "is_nonzero": False}
"""What stands for numbers that are not there."""


class Reads:
    """The numbers and sizes that code has asked for.

    Args:
        recorder: knows values, and takes refusals.
        batch: the size of the batch that `BATCH` stands for.
    """

    def __init__(self, recorder: "Recorder", batch: int | None):
        self._recorder, self._batch = recorder, batch
        self._places: dict[str, str] = {}  # buffers of which code has read numbers, and where
        self._over = False
        self.decides = False
        """Whether code has decided something by sizes."""

    def end(self) -> None:
        """From here on sizes are looked at to write source."""
        self._over = True

    # -- numbers -----------------------------------------------------------------------------------------------------

    def numbers(self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Numbers out of a tensor: those of constants, and of buffers of integers, are known."""
        tensor, recorder = args[0], self._recorder
        if isinstance(tensor, FakeTensor) and tensor.constant is not None:  # `torch.tensor(2).item()`
            return recorder.unheard(func, (tensor.constant, *args[1:]), kwargs)
        return self._known(name, [tensor], func, args, kwargs)

    def comparison(self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Whether arrays are equal, or hold a number: known of those of which numbers are."""
        return self._known(name, object_tensors((args, kwargs)), func, args, kwargs)

    def _known(
        self, name: str, tensors: Sequence[torch.Tensor], func: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """What code is told that asks for numbers of these tensors."""
        recorder = self._recorder
        if any(isinstance(x, FakeTensor | torch.nn.Parameter) for x in tensors):
            return self.made_up(name)
        if any(recorder.path(x) and x.is_floating_point() for x in tensors):
            return self.made_up(name)
        with recorder.hiding():
            for x in tensors:
                self._look(x)
        return recorder.unheard(func, args, kwargs)

    def made_up(self, name: str) -> Any:
        """Notes that the code asks for numbers; another one stands for them, so that the rest can be looked at."""
        recorder, place = self._recorder, line()
        if name in ("__bool__", "is_nonzero", *COMPARISONS):
            what, remedy = "a decision by the numbers of an array", "choose with torch.where, or decide outside of it"
        else:
            what, remedy = (
                f"{name.strip('_').replace('array', 'numpy')}() of an array",
                "keep it an array, or pass the number as an argument",
            )
        again = any(x.place == str(place) for x in recorder.refusals)
        recorder.refuse(what, remedy, place)
        if again or name not in MADE_UP:  # as in a loop that ends when the numbers say so
            raise UnknownError(what)
        return MADE_UP[name]

    def _look(self, tensor: torch.Tensor) -> None:
        """A number of a buffer becomes part of what is written: then forward may not change it."""
        value = self._recorder.aliases.value(tensor)
        path = self._recorder.path(tensor)
        if path is not None:
            self._places[path] = str(line() or "")
            if value.scope is not None:
                self.refuse_change(path)

    def refuse_change(self, path: str | None) -> None:
        """Called when a buffer is written to: refuses where code has read numbers of it."""
        if path in self._places:
            what = f"a number that is read of the buffer {path!r}, which forward changes,"
            remedy = "keep it an array, or count outside of the module"
            scope = self._recorder.scope.path
            self._recorder.refusals.append(Refusal(what, scope, self._places[path], remedy))

    # -- sizes -------------------------------------------------------------------------------------------------------

    def sizes(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], found: Any) -> Any:
        """Sizes that know where they come from."""
        tensor = args[0]
        with self._recorder.hiding():
            value = self._recorder.aliases.value(tensor)
        axes = [Size(n, Axis(value, i), self._decided) for i, n in enumerate(tensor.shape)]
        if isinstance(found, torch.Size):
            return torch.Size(axes)
        if name == "size":
            return axes[args[1] if len(args) > 1 else next(iter(kwargs.values()))]
        return functools.reduce(operator.mul, axes, 1) if name in ("numel", "nelement") else found

    def _decided(self, compare: Any = None, *operands: Any) -> None:
        """Code decides by sizes: what it does holds for these, and for every batch only if it does for this one."""
        if self._over:
            return
        given = list(map(plain, operands))
        real = [x // BATCH * self._batch if self._batch and has_batch(x) else x for x in given]
        if given == real:
            self.decides = True
        elif compare(*given) != compare(*real):
            raise UnknownError("what the code does depends on the size of the batch")
