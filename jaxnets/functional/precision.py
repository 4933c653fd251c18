"""The precision in which a formula is computed, where it is not that of its input."""

from jaxnets.lowering.precision import HALF as HALF
from jaxnets.lowering.precision import spread as spread
from jaxnets.lowering.precision import wide as wide
