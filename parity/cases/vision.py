"""grid_sample in every mode, inside and far outside, on lattices where borders and ties decide; affine_grid."""

from itertools import product

from parity.case import Case, normal, rounded, uniform

BOTH = (False, True)
PADDING = ("zeros", "border", "reflection")

PLANES = tuple(
    Case(
        "functional.grid_sample",
        (mode, padding, align),
        inputs=(normal(2, 3, 5, 4), uniform(2, 3, 7, 2, low=-1.7, high=1.9)),
    )
    for mode, padding, align in product(("bilinear", "nearest", "bicubic"), PADDING, BOTH)
)

VOLUMES = tuple(
    Case(
        "functional.grid_sample",
        (mode, padding, align),
        inputs=(normal(2, 2, 3, 5, 4), uniform(2, 2, 3, 4, 3, low=-1.7, high=1.9)),
    )
    for mode, padding, align in product(("bilinear", "nearest"), PADDING, BOTH)
)

LATTICE = tuple(
    Case(
        "functional.grid_sample",
        (mode, padding, align),
        inputs=(normal(1, 2, 5, 3), rounded(1, 9, 8, 2, mean=0.0)),
        note="points on borders, on elements and between them",
    )
    for mode, padding, align in product(("bilinear", "nearest", "bicubic"), PADDING, BOTH)
)

GRIDS = tuple(
    Case("functional.affine_grid", (size, align), inputs=(normal(2, len(size) - 2, len(size) - 1),))
    for size, align in product(((2, 3, 5, 4), (2, 1, 1, 4), (2, 3, 3, 5, 4), (2, 1, 2, 1, 1)), BOTH)
)

CASES = (
    *PLANES,
    *VOLUMES,
    *LATTICE,
    *GRIDS,
    Case("functional.grid_sample", inputs=(normal(1, 2, 4, 5), uniform(1, 3, 2, 2, low=-1)), note="defaults"),
    Case(
        "functional.grid_sample",
        ("bilinear", "reflection", False),
        inputs=(normal(1, 2, 4, 5), normal(1, 9, 8, 2, std=30.0)),
        note="reflected many times",
    ),
    Case("functional.grid_sample", ("bilinear", "border", True), inputs=(normal(1, 2, 1, 1), normal(1, 3, 4, 2))),
    Case("functional.grid_sample", ("bilinear", "reflection", True), inputs=(normal(1, 2, 1, 3), normal(1, 3, 4, 2))),
    Case("functional.grid_sample", ("bilinear", "reflection", False), inputs=(normal(1, 2, 1, 3), normal(1, 3, 4, 2))),
    Case("functional.grid_sample", ("bicubic", "zeros", False), inputs=(normal(0, 2, 4, 3), normal(0, 3, 4, 2))),
    Case("functional.grid_sample", ("nearest", "zeros", False), inputs=(normal(1, 0, 4, 3), normal(1, 3, 4, 2))),
)
