"""Whether a module that has changed its attributes does the same in every call."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from jaxnets.convert.trace import Call, Value, tree_values
from jaxnets.convert.tracing.batches import holds
from jaxnets.convert.tracing.objects import object_leaves

if TYPE_CHECKING:
    from jaxnets.convert.tracing.recorder import Recorder

__all__ = ["attributes", "changed", "repeats"]


def attributes(module: torch.nn.Module) -> dict[str, Any]:
    """What modules hold besides their layers, parameters, buffers and other arrays: containers as they are now."""
    found: dict[str, Any] = {}
    usual = {name for name in vars(torch.nn.Module()) if name.startswith("_")}
    for path, part in module.named_modules():
        for name, x in vars(part).items():
            if name in usual:
                continue
            held = tuple(x) if isinstance(x, list) else tuple(x.items()) if isinstance(x, dict) else x
            found[f"{path}.{name}" if path else name] = held
    return found


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The attributes that forward has changed, but for arrays, which are state."""
    names = [*before, *(n for n in after if n not in before)]
    pairs = ((n, before.get(n), after.get(n)) for n in names)
    return [n for n, a, b in pairs if not isinstance(a, torch.Tensor) and not _is_same(a, b)]


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_is_same, a, b))
    return a is b or (isinstance(a, bool | int | float | str) and type(a) is type(b) and a == b)


def repeats(first: "Recorder", again: "Recorder", inputs: Any, size: int) -> bool:
    """Whether a second call did what the first one did, or used what that has kept of constants alone."""
    kept = [x for x in again.aliases.strangers() if all(x is not y for y in object_leaves(inputs))]
    if kept:
        values = [first.aliases.known(x) for x in kept]
        return all(x is not None and not _depends(first.modules.root, x) for x in values)
    return holds(first.modules.root, again.modules.root, (size, size))


def _depends(root: Call, value: Value) -> bool:
    """Whether a value depends on what the module was called with."""
    made: dict[Value, Any] = {}
    for call in (root, *root.calls()):
        for item in call.body:
            if isinstance(item, Call) and not item.leaf:
                outputs = zip(tree_values(item.output), tree_values(item.returned), strict=False)
                made |= {outer: [inner] for outer, inner in outputs}
            else:
                made |= {x: list(tree_values((item.args, item.kwargs))) for x in tree_values(item.output)}
    open_, seen = [value], set()
    while open_:
        x = open_.pop()
        if x not in seen and x not in made and x.path is None and x.data is None:
            return True
        open_ += made.get(x, []) if x not in seen else []
        seen.add(x)
    return False
