"""Writes the source of a module from traces: bodies of methods, classes, the file."""
