"""Every case by its name: ours, then torch's own."""

from collections.abc import Mapping
from types import MappingProxyType

from parity.case import Case
from parity.cases import CASES
from parity.samples import SAMPLES, Sample

DATABASE: Mapping[str, Case | Sample] = MappingProxyType({**CASES, **SAMPLES})
