"""`torch.*` and `Tensor.*`, function for function: what torch models use between their layers.

Names, argument order, argument names and defaults are torch's, less `out`, `device`, `layout`, `pin_memory`,
`memory_format` and `generator`; functions that draw take `key`. Dtypes promote as in torch, 0-d arrays and numbers of
Python included. What `torch.nn.functional` holds is in `jaxnets.functional`; ATen's own names are in `aten`.
"""

from jaxnets.ops import fft, linalg, special
from jaxnets.ops.aten import *
from jaxnets.ops.aten_backward import *
from jaxnets.ops.aten_images import *
from jaxnets.ops.binary import *
from jaxnets.ops.comparison import *
from jaxnets.ops.complexes import *
from jaxnets.ops.conversion import *
from jaxnets.ops.copies import *
from jaxnets.ops.creation import *
from jaxnets.ops.extrema import *
from jaxnets.ops.indexing import *
from jaxnets.ops.joining import *
from jaxnets.ops.matrices import *
from jaxnets.ops.products import *
from jaxnets.ops.random import *
from jaxnets.ops.reduction import *
from jaxnets.ops.scan import *
from jaxnets.ops.scattering import *
from jaxnets.ops.shape import *
from jaxnets.ops.signal import *
from jaxnets.ops.sorting import *
from jaxnets.ops.unary import *

igamma = special.gammainc
igammac = special.gammaincc
