"""`python -m parity`."""

from parity.cli import app

app(prog_name="python -m parity")
