"""What these long tests share with the short ones of the server."""

from tests.workloads.server.conftest import model_file

__all__ = ["model_file"]
