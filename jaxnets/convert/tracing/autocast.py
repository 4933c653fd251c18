"""`torch.autocast` as casts that are written down."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert.trace import Op
from jaxnets.convert.tracing.aliasing import shares_memory
from jaxnets.convert.tracing.objects import map_objects, object_tensors
from jaxnets.convert.tracing.user_code import line

if TYPE_CHECKING:
    from jaxnets.convert.tracing.recorder import Recorder

__all__ = ["Casts", "is_autocast"]


def is_autocast() -> bool:
    return torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")


class Casts:
    """Finds out what autocast casts, by running a function while somebody listens."""

    def __init__(self, recorder: "Recorder"):
        self._recorder = recorder
        self._heard: list[tuple[torch.Tensor, torch.dtype]] | None = None

    def heard(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """An operator runs."""
        if self._heard is not None and name == "aten._to_copy":
            self._heard.append((args[0], kwargs.get("dtype", args[0].dtype)))

    def written(self, func: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """Arguments in the dtypes in which autocast has a function compute; None where it casts inside of it, too."""
        recorder = self._recorder
        with recorder.hiding():
            given = {id(x): x for x in object_tensors((args, kwargs))}
            self._heard = []
            func(*args, **kwargs)
            casts, self._heard = self._heard, None
        wanted: dict[int, torch.dtype] = {}
        for x, dtype in casts:  # a view is cast in its stead
            sources = [x] if given.get(id(x)) is x else [y for y in given.values() if shares_memory(x, y)]
            if not sources or any(wanted.setdefault(id(y), dtype) != dtype for y in sources):
                return None

        def cast(x: Any) -> Any:
            if not isinstance(x, torch.Tensor) or id(x) not in wanted:
                return x
            with recorder.hiding():
                op = Op("to", (recorder.tree(x), wanted[id(x)]), {}, None, torch.is_grad_enabled(), line())
                output = x.to(wanted[id(x)])
                recorder.scope.body.append(op)
                op.output = recorder.outputs(output, op, ())
            return output

        return map_objects(cast, args), map_objects(cast, kwargs)
