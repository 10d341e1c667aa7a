"""What these long tests share with the short ones of the real cluster."""

from tests.e2e.conftest import drawings, images, kube, kubectl, registry, store

__all__ = ["drawings", "images", "kube", "kubectl", "registry", "store"]
