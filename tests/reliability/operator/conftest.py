"""What these long proofs share with the short ones of tests/integration."""

from tests.integration.conftest import control_plane, pytest_terminal_summary

__all__ = ["control_plane", "pytest_terminal_summary"]
