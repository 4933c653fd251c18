"""A pickle machine that can build plain containers and what its caller's table names, and nothing else.

Python's own unpickler imports whatever a file names, and its C core believes the sizes that the file states. This
one looks names up in a table, calls nothing but the table's functions, takes no byte that is not there, and keeps
its memory in proportion to the pickle. It knows protocols 2 to 5, which is what torch.save has ever written.
"""

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxnets.checkpoint.errors import CheckpointError, brief

MAX_INTEGER_BYTES = 1024  # more digits than Python agrees to print
MAX_NAME_BYTES = 1024
MAX_KEY_PARTS = 64


@dataclass(frozen=True, eq=False)
class Global:
    """A name that a pickle may use: what it stands for, and what calling it does."""

    name: str
    call: Callable[..., Any] | None = None


@dataclass(frozen=True, eq=False)
class Unholdable:
    """Stands in a loaded tree for what numpy cannot hold, until the error can name all the places."""

    what: str


class Machine:
    """Runs one pickle that begins at `position` of `data`; afterwards `position` is the byte behind its end."""

    def __init__(
        self,
        data: Any,
        names: Mapping[str, Any],
        refuse: Callable[[str], str],
        persistent: Callable[[Any], Any],
        position: int = 0,
    ):
        self.data = data
        self.names = names
        self.refuse = refuse
        self.persistent = persistent
        self.position = self.start = position
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0
        self.stopped = False

    def run(self) -> Any:
        while not self.stopped:
            begin = self.position
            code = self.take(1)[0]
            if code not in OPCODES:
                raise CheckpointError(
                    f"damaged pickle at byte {begin}: {bytes([code])!r} is no instruction of protocols 2 to 5"
                )
            name, read, act = OPCODES[code]
            try:
                act(self, read(self))
            except CheckpointError as error:
                raise CheckpointError(f"pickle instruction {name} at byte {begin}: {error}") from error.__cause__
            except (IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
                # What a missing operand, an unknown memo slot or a wrong argument list comes to.
                raise CheckpointError(f"damaged pickle: {name} at byte {begin} does not fit what is there") from error
        if len(self.stack) != 1 or self.marks:
            raise CheckpointError(f"damaged pickle: {len(self.stack)} values are left at its end, expected one")
        return self.stack.pop()

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise CheckpointError(
                f"the pickle ends too early: {count} bytes wanted at byte {self.position} of {len(self.data)}"
            )
        taken = bytes(self.data[self.position : end])
        self.position = end
        return taken

    def line(self) -> str:
        end = self.data.find(b"\n", self.position, self.position + MAX_NAME_BYTES)
        if end < 0:
            raise CheckpointError(f"the name at byte {self.position} has no end")
        taken = bytes(self.data[self.position : end])
        self.position = end + 1
        return taken.decode()

    def look_up(self, module: str, name: str) -> Any:
        full = f"{MODULES_BEFORE.get(module, module)}.{name}"
        if full not in self.names:
            raise CheckpointError(self.refuse(full))
        return self.names[full]

    def call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global) or function.call is None:
            raise CheckpointError(f"{getattr(function, 'name', brief(function))} cannot be called; nothing was run")
        if type(arguments) is not tuple:
            raise CheckpointError(f"{function.name} is called with {brief(arguments)}, expected a tuple")
        # Memoised arguments make copies cheap to ask for: a kilobyte could order gigabytes.
        self.copied += sum(len(a) for a in arguments if type(a) in SIZED)
        if self.copied > 65536 + 16 * (self.position - self.start):
            raise CheckpointError(f"{function.name} is called to copy far more than the pickle holds")
        return function.call(*arguments)

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def top(self, *kinds: type) -> Any:
        if type(self.stack[-1]) not in kinds:
            raise CheckpointError(f"expected {kinds[0].__name__} on the stack, got {brief(self.stack[-1])}")
        return self.stack[-1]


SIZED = (str, bytes, bytearray, list, tuple, dict, set, OrderedDict, Counter)

# Python 2's names, which protocol 2 goes on using, and a module that torch has renamed.
MODULES_BEFORE = {"__builtin__": "builtins", "torch.tensor": "torch._tensor"}


def hashable(key: Any) -> Any:
    """`key` if it may be a key of a dict: plain, and small enough that hashing it ends."""
    left, waiting = MAX_KEY_PARTS, [key]
    while waiting:
        part = waiting.pop()
        left -= 1
        if type(part) is tuple and len(part) <= left:
            waiting.extend(part)
        elif left < 0 or (type(part) not in KEY_TYPES and not isinstance(part, np.dtype)):
            raise CheckpointError(f"{brief(part)} in a key; expected text, numbers or a short tuple of them")
    return key


KEY_TYPES = (str, bytes, int, float, complex, bool, type(None))


def build_ordered(items: Any = ()) -> OrderedDict:
    return OrderedDict((hashable(key), value) for key, value in (items.items() if type(items) is dict else items))


def build_counter(items: Any = ()) -> Counter:
    return Counter(dict(build_ordered(items)))


def build_set(items: Any = ()) -> set:
    return {hashable(item) for item in items}


def build_bytes(text: Any = "", encoding: str = "latin1") -> bytes:
    if type(text) is bytes:
        return text
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise CheckpointError(f"bytes are built of {brief(text)} as {brief(encoding)}, expected text as latin1")
    return text.encode("latin1")


def build_complex(real: float, imag: float) -> complex:
    if not {type(real), type(imag)} <= {int, float}:
        raise CheckpointError(f"a complex number of {brief(real)} and {brief(imag)}")
    return complex(real, imag)


#: The names of plain Python that a pickle may use.
PLAIN_NAMES = {
    function.name: function
    for function in (
        Global("collections.OrderedDict", build_ordered),
        Global("collections.Counter", build_counter),
        Global("builtins.set", build_set),
        Global("builtins.frozenset", lambda items=(): frozenset(build_set(items))),
        Global("builtins.complex", build_complex),
        Global("builtins.bytes", build_bytes),
        Global("builtins.bytearray", lambda *text: bytearray(build_bytes(*text))),
        Global("_codecs.encode", build_bytes),
    )
}


# ----------------------------------------------------------------------------------------------- reading operands


def nothing(machine: Machine) -> None:
    return None


def number(form: str) -> Callable[[Machine], Any]:
    layout = struct.Struct(form)
    return lambda machine: layout.unpack(machine.take(layout.size))[0]


def counted(form: str) -> Callable[[Machine], bytes]:
    size = number(form)
    return lambda machine: machine.take(_not_negative(size(machine)))


def _not_negative(size: int) -> int:
    if size < 0:
        raise CheckpointError(f"a size of {size} bytes")
    return size


def two_lines(machine: Machine) -> tuple[str, str]:
    return machine.line(), machine.line()


# ------------------------------------------------------------------------------------------------------- actions


def push(convert: Callable[[Any], Any]) -> Callable[[Machine, Any], None]:
    return lambda machine, operand: machine.stack.append(convert(operand))


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def integer(raw: bytes) -> int:
    if len(raw) > MAX_INTEGER_BYTES:
        raise CheckpointError(f"an integer of {len(raw)} bytes, at most {MAX_INTEGER_BYTES} are read")
    return int.from_bytes(raw, "little", signed=True)


def protocol(machine: Machine, version: int) -> None:
    if not 2 <= version <= 5:
        raise CheckpointError(f"pickle protocol {version}, expected 2 to 5")


def stop(machine: Machine, _: None) -> None:
    machine.stopped = True


def mark(machine: Machine, _: None) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def pop(machine: Machine, _: None) -> None:
    machine.stack.pop()


def duplicate(machine: Machine, _: None) -> None:
    machine.stack.append(machine.stack[-1])


def remember(machine: Machine, slot: int) -> None:
    machine.memo[slot] = machine.stack[-1]


def recall(machine: Machine, slot: int) -> None:
    machine.stack.append(machine.memo[slot])


def short_tuple(length: int) -> Callable[[Machine, None], None]:
    def act(machine: Machine, _: None) -> None:
        items = machine.stack[-length:]
        if len(items) < length:
            raise IndexError
        machine.stack[-length:] = [tuple(items)]

    return act


def marked(build: Callable[[list], Any]) -> Callable[[Machine, None], None]:
    def act(machine: Machine, _: None) -> None:
        items = machine.pop_mark()
        machine.stack.append(build(items))

    return act


def append(machine: Machine, _: None) -> None:
    item = machine.stack.pop()
    machine.top(list).append(item)


def appends(machine: Machine, _: None) -> None:
    items = machine.pop_mark()
    machine.top(list).extend(items)


def add_items(machine: Machine, _: None) -> None:
    items = machine.pop_mark()
    machine.top(set).update(map(hashable, items))


def set_item(machine: Machine, _: None) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.top(dict, OrderedDict, Counter)[hashable(key)] = value


def set_items(machine: Machine, _: None) -> None:
    items = machine.pop_mark()
    target = machine.top(dict, OrderedDict, Counter)
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[hashable(key)] = value


def push_global(machine: Machine, names: tuple[str, str]) -> None:
    machine.stack.append(machine.look_up(*names))


def push_stack_global(machine: Machine, _: None) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise CheckpointError(f"a name made of {brief(module)} and {brief(name)}")
    machine.stack.append(machine.look_up(module, name))


def reduce(machine: Machine, _: None) -> None:
    arguments = machine.stack.pop()
    machine.stack[-1] = machine.call(machine.stack[-1], arguments)


def build(machine: Machine, _: None) -> None:
    """Attributes of an object: torch's `_metadata` of a state_dict is kept, no other target is known."""
    state = machine.stack.pop()
    target = machine.top(OrderedDict)
    if type(state) is not dict:
        raise CheckpointError(f"attributes given as {brief(state)}, expected a dict")
    if isinstance(state.get("_metadata"), dict):
        target._metadata = state["_metadata"]


def persistent_id(machine: Machine, _: None) -> None:
    machine.stack.append(machine.persistent(machine.stack.pop()))


def instance(machine: Machine, names: tuple[str, str]) -> None:
    machine.look_up(*names)
    refused(machine, None)


def refused(machine: Machine, _: None) -> None:
    raise CheckpointError("builds objects or names in a way that torch.save never does; refused, nothing was run")


#: code: name, how the operand is read, what is done with it.
OPCODES: dict[int, tuple[str, Callable[[Machine], Any], Callable[[Machine, Any], None]]] = {
    code[0]: (name, read, act)
    for code, name, read, act in (
        (b"\x80", "PROTO", number("B"), protocol),
        (b"\x95", "FRAME", number("<Q"), lambda machine, size: None),
        (b".", "STOP", nothing, stop),
        (b"(", "MARK", nothing, mark),
        (b"0", "POP", nothing, pop),
        (b"1", "POP_MARK", nothing, lambda machine, _: machine.pop_mark() and None),
        (b"2", "DUP", nothing, duplicate),
        (b"q", "BINPUT", number("B"), remember),
        (b"r", "LONG_BINPUT", number("<I"), remember),
        (b"\x94", "MEMOIZE", lambda machine: len(machine.memo), remember),
        (b"h", "BINGET", number("B"), recall),
        (b"j", "LONG_BINGET", number("<I"), recall),
        (b"N", "NONE", nothing, push(lambda _: None)),
        (b"\x88", "NEWTRUE", nothing, push(lambda _: True)),
        (b"\x89", "NEWFALSE", nothing, push(lambda _: False)),
        (b"K", "BININT1", number("B"), push(int)),
        (b"M", "BININT2", number("<H"), push(int)),
        (b"J", "BININT", number("<i"), push(int)),
        (b"\x8a", "LONG1", counted("B"), push(integer)),
        (b"\x8b", "LONG4", counted("<i"), push(integer)),
        (b"G", "BINFLOAT", number(">d"), push(float)),
        (b"X", "BINUNICODE", counted("<I"), push(text)),
        (b"\x8c", "SHORT_BINUNICODE", counted("B"), push(text)),
        (b"\x8d", "BINUNICODE8", counted("<Q"), push(text)),
        (b"U", "SHORT_BINSTRING", counted("B"), push(text)),
        (b"T", "BINSTRING", counted("<i"), push(text)),
        (b"C", "SHORT_BINBYTES", counted("B"), push(bytes)),
        (b"B", "BINBYTES", counted("<I"), push(bytes)),
        (b"\x8e", "BINBYTES8", counted("<Q"), push(bytes)),
        (b"\x96", "BYTEARRAY8", counted("<Q"), push(bytearray)),
        (b")", "EMPTY_TUPLE", nothing, push(lambda _: ())),
        (b"]", "EMPTY_LIST", nothing, push(lambda _: [])),
        (b"}", "EMPTY_DICT", nothing, push(lambda _: {})),
        (b"\x8f", "EMPTY_SET", nothing, push(lambda _: set())),
        (b"\x85", "TUPLE1", nothing, short_tuple(1)),
        (b"\x86", "TUPLE2", nothing, short_tuple(2)),
        (b"\x87", "TUPLE3", nothing, short_tuple(3)),
        (b"t", "TUPLE", nothing, marked(tuple)),
        (b"\x91", "FROZENSET", nothing, marked(lambda items: frozenset(build_set(items)))),
        (b"a", "APPEND", nothing, append),
        (b"e", "APPENDS", nothing, appends),
        (b"\x90", "ADDITEMS", nothing, add_items),
        (b"s", "SETITEM", nothing, set_item),
        (b"u", "SETITEMS", nothing, set_items),
        (b"c", "GLOBAL", two_lines, push_global),
        (b"\x93", "STACK_GLOBAL", nothing, push_stack_global),
        (b"i", "INST", two_lines, instance),
        (b"R", "REDUCE", nothing, reduce),
        (b"\x81", "NEWOBJ", nothing, reduce),
        (b"b", "BUILD", nothing, build),
        (b"Q", "BINPERSID", nothing, persistent_id),
        (b"o", "OBJ", nothing, refused),
        (b"\x92", "NEWOBJ_EX", nothing, refused),
        (b"\x82", "EXT1", nothing, refused),
        (b"\x83", "EXT2", nothing, refused),
        (b"\x84", "EXT4", nothing, refused),
        (b"\x97", "NEXT_BUFFER", nothing, refused),
        (b"\x98", "READONLY_BUFFER", nothing, refused),
    )
}
