"""Runs a torch module on tensors without data, and writes down what it does: a `trace.Call`.

Two listeners see every operation: torch's function mode sees what the user's code calls (`F.interpolate(x, ...)`), the
dispatch mode below it sees the ATen operators that this becomes. What the first knows is written down as it was called;
whatever else happens (scripted functions, `vmap`, functions that are not known) is written down operator by operator.
"""
