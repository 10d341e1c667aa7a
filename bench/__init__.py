"""Benchmarks: each module is one command that prints what it measured, beside what it is measured against.
They must not be imported by anything, and no test asserts their times."""
