"""What these long tests share with the short ones of the pipeline."""

from tests.workloads.pipeline.conftest import _own_settings, prepared, workspace

__all__ = ["_own_settings", "prepared", "workspace"]
