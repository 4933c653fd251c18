"""Chains of layers of which some lack a layer or two, laid over each other: which of the longest chain's each has."""

from collections.abc import Sequence
from itertools import combinations, groupby
from typing import Any

from jaxnets.convert.writing.nodes import Children, is_equal, parts

__all__ = ["aligned"]

Columns = list[list[Any]]

LONGEST, RUN, COMMON = 8, 2, 2
"""Layers of a chain, and of one kind in a row, at most; layers that all have, at least. Others are given whole."""


def aligned(nodes: Sequence[Any]) -> Columns | None:
    """For each layer of the longest chain what each chain has in its place, None where it has none.

    None where the nodes are no such chains, have too little in common, or differ in how often they repeat one layer.
    """
    if not all(isinstance(x, Children) and x.kind == "Sequential" and _is_numbered(x) for x in nodes):
        return None
    chains = [[layer for _, layer in x.items] for x in nodes]
    longest = max(chains, key=len)
    kinds = [_kind(x) for x in longest]
    if len(longest) > LONGEST or None in kinds or len({*kinds}) == 1 or _longest_run(kinds) > RUN:
        return None
    places = [_places(chain, longest, kinds) for chain in chains]
    columns = [[None] * len(nodes) for _ in longest]
    for i, (chain, place) in enumerate(zip(chains, places, strict=True)):
        if place is None:
            return None
        for layer, k in zip(chain, place, strict=True):
            columns[k][i] = layer
    lacking = sum(None in column for column in columns)
    return columns if 0 < lacking <= len(longest) - COMMON else None


def _is_numbered(node: Children) -> bool:
    return [name for name, _ in node.items] == [str(i) for i in range(len(node.items))]


def _kind(node: Any) -> tuple[Any, ...] | None:
    """What two layers have in common that can stand in one place."""
    found = parts(node)
    return None if found is None else found.kind[:2]


def _longest_run(kinds: Sequence[Any]) -> int:
    return max(len(list(run)) for _, run in groupby(kinds))


def _places(chain: Sequence[Any], longest: Sequence[Any], kinds: Sequence[Any]) -> tuple[int, ...] | None:
    """Where in the longest chain the layers of another stand: those that are the most alike, the last of equal ones."""
    wanted = [_kind(x) for x in chain]
    possible = [p for p in combinations(range(len(longest)), len(chain)) if [kinds[k] for k in p] == wanted]
    likeness = {p: sum(_alike(x, longest[k]) for x, k in zip(chain, p, strict=True)) for p in possible}
    return max(possible, key=lambda p: (likeness[p], p), default=None)


def _alike(a: Any, b: Any) -> int:
    """How many arguments of two layers are equal, and how many pairs of arguments are equal in both."""
    ours, theirs = parts(a), parts(b)
    if ours is None or theirs is None or ours.kind != theirs.kind:
        return 0
    both = list(zip(ours.values, theirs.values, strict=True))
    paired = sum(type(x) is int and is_equal(x, z) and is_equal(y, w) for (x, y), (z, w) in combinations(both, 2))
    return paired + sum(is_equal(x, y) for x, y in both)
