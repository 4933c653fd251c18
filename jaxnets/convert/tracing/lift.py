"""Values that pass between modules by other ways than arguments and results, such as a cache: they become both."""

from collections.abc import Iterator

from jaxnets.convert.trace import Call, Op, Value, tree_values

__all__ = ["lift"]


def lift(root: Call) -> None:
    """Gives each call the values that it uses as arguments, and lets it return those that others use."""
    calls = [c for c in (root, *root.calls()) if not c.leaf]
    extra: dict[Call, list[Value]] = {}
    for call in calls:
        for value in dict.fromkeys(_used(call)):
            _connect(call, value, root, extra)
    for call, values in extra.items():
        call.returned = (call.returned, *values)
        call.output = (call.output, *values)


def _used(call: Call) -> Iterator[Value]:
    for item in call.body:
        inputs = (item.args, item.kwargs) if isinstance(item, Op) or item.leaf else item.arguments
        yield from tree_values(inputs)
    yield from tree_values(call.returned)


def _connect(call: Call, value: Value, root: Call, extra: dict[Call, list[Value]]) -> None:
    """Brings a value from where it is made to where it is used."""
    made_in = value.scope or root
    if made_in is call or value.path is not None or (value.scope is None and value.data is not None):
        return
    above = list(_chain(made_in))
    user: Call | None = call
    while user is not None and user not in above:
        if value in tree_values(user.arguments):
            return
        user.arguments[_name(value, user)] = value
        user = user.parent
    for maker in above:
        if maker is user:
            break
        if value not in extra.setdefault(maker, []):
            extra[maker].append(value)


def _chain(call: Call | None) -> Iterator[Call]:
    while call is not None:
        yield call
        call = call.parent


def _name(value: Value, call: Call) -> str:
    known = next((names[0] for names in value.names.values() if names), "value")
    name, k = known, 2
    while name in call.arguments:
        name, k = f"{known}_{k}", k + 1
    return name
