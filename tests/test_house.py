"""The architecture's arrows, and what importing jaxnets needs and costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# room: what it may import, besides the standard library and its own room
ARROWS = {
    "jaxnets/check.py": {"jax"},
    "jaxnets/arrays.py": {"numpy", "ml_dtypes"},
    "jaxnets/checkpoint": {"numpy", "ml_dtypes", "jaxnets.arrays"},
    "jaxnets/placement.py": {"jax", "numpy", "jaxnets.checkpoint"},
    "jaxnets/random.py": {"jax", "numpy", "flax", "jaxnets.check", "jaxnets.nn"},
    "jaxnets/state.py": {"jax", "numpy", "flax", "jaxnets.arrays"},
    "jaxnets/lowering": {"jax", "numpy"},
    "jaxnets/functional": {"jax", "numpy", "jaxnets.check", "jaxnets.lowering"},
    "jaxnets/nn": {"jax", "numpy", "flax", "jaxnets.check", "jaxnets.functional"},
    "jaxnets/ops": {"jax", "numpy", "jaxnets.check", "jaxnets.functional", "jaxnets.lowering"},
    "jaxnets/optim": {
        "jax",
        "numpy",
        "flax",
        "optax",
        "jaxnets.arrays",
        "jaxnets.check",
        "jaxnets.nn",
        "jaxnets.state",
    },
    "jaxnets/convert": {
        "jax",
        "flax",
        "numpy",
        "torch",
        "rich",
        "jaxnets.arrays",
        "jaxnets.checkpoint",
        "jaxnets.functional",
        "jaxnets.nn",
        "jaxnets.ops",
        "jaxnets.state",
    },
    "jaxnets/__init__.py": {"jaxnets"},
    "jaxnets/cli.py": {"numpy", "rich", "typer", "jaxnets"},
    # `parity` uses what any user may: the door and the public rooms
    "parity": {
        "jax",
        "flax",
        "numpy",
        "ml_dtypes",
        "torch",
        "rich",
        "typer",
        "jaxnets",
        "jaxnets.nn",
        "jaxnets.functional",
        "jaxnets.ops",
        "jaxnets.optim",
        "matplotlib",
        "optax",
    },
}


def imports(path: Path) -> set[str]:
    """Full dotted names of every module that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            inside = (ROOT / node.module.replace(".", "/")).is_dir()
            names |= {f"{node.module}.{alias.name}" if inside else node.module for alias in node.names}
    return names


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


@pytest.mark.parametrize("room", ARROWS)
def test_arrows(room):
    files = [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))
    assert files
    allowed = {*ARROWS[room], *sys.stdlib_module_names}
    if not room.endswith(".py"):
        allowed.add(room.replace("/", "."))
    for file in files:
        wrong = {name for name in imports(file) if not any(within(name, room) for room in allowed)}
        assert not wrong, f"{file.relative_to(ROOT)} imports {sorted(wrong)}"


def test_every_room_has_an_arrow():
    rooms = {str(p.relative_to(ROOT)) for p in (ROOT / "jaxnets").iterdir() if p.suffix == ".py" or p.is_dir()}
    assert {room for room in rooms if "__pycache__" not in room} == set(ARROWS) - {"parity"}


def test_nothing_in_jaxnets_imports_parity():
    assert not [p for p in (ROOT / "jaxnets").rglob("*.py") if any(within(n, "parity") for n in imports(p))]


@pytest.mark.parametrize("room", ["nn", "functional", "ops"])
def test_every_file_with_public_names_is_in_the_reference(room):
    page = (ROOT / "docs" / "reference" / f"{room}.md").read_text().splitlines()
    public = {f"jaxnets.{room}.{p.stem}" for p in (ROOT / "jaxnets" / room).glob("*.py") if "__all__" in p.read_text()}
    missing = {name for name in public - {f"jaxnets.{room}.__init__"} if f"::: {name}" not in page}
    assert not missing


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_import_needs_no_torch():
    run("import sys; sys.modules['torch'] = None; import jaxnets, jaxnets.nn, jaxnets.functional; jaxnets.load")
    assert (
        run("import sys, jaxnets; print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'parity'}))")
        == "[]\n"
    )


def test_import_costs_little_more_than_flax():
    """At most 1.2 times `import flax.nnx`, counted in modules loaded, and nearly all of the rest our own.

    Seconds are too noisy for a test; `python -m benchmarks.import_time` measures those.
    """
    names = "import sys; import {}; print(*sys.modules)"
    flax, ours = (set(run(names.format(name)).split()) for name in ("flax.nnx", "jaxnets"))
    assert len(ours) <= 1.2 * len(flax)
    foreign = {name for name in ours - flax if name.partition(".")[0] != "jaxnets"}
    assert len(foreign) <= 5, f"jaxnets pulls in what it does not need at import: {sorted(foreign)}"
