"""The case database: immutable data, one module for each family of layers, every case under a name that stays."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from parity.case import Case, identify

FAMILIES: Mapping[str, tuple[Case, ...]] = MappingProxyType(
    {
        module.name: importlib.import_module(f"{__name__}.{module.name}").CASES
        for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
    }
)
"""The cases of each family, families by name."""

CASES: Mapping[str, Case] = MappingProxyType(identify(FAMILIES))
"""Every case by its name, such as `conv/Conv2d(4, 6, 3, groups=2)[normal(2,4,9,7)]`."""
