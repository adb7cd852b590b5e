"""Container images of the development cluster, built on this machine from the very Containerfiles a release uses."""

from tools.devcluster.images.build import BuildFailed, ImageArchive, ensure_all

__all__ = ["BuildFailed", "ImageArchive", "ensure_all"]
