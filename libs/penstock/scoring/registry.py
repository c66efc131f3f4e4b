"""Where model versions are kept: bucket, object store, their keys, and the notification that one was activated."""

from __future__ import annotations

REGISTRY = "registry"  # the bucket of keys: versions and which of them are active
MODELS = "models"  # the object store of packages
NOTIFICATION = "models"  # ctl.models: look at the registry now


def active_key(name: str) -> str:
    """The key in REGISTRY that says which version of a model scores."""
    return f"active.{name}"


def version_key(name: str, version: int) -> str:
    """The key in REGISTRY that describes one version."""
    return f"version.{name}.{version}"


def object_name(name: str, version: int) -> str:
    """The object in MODELS that holds the package of one version."""
    return f"{name}_v{version}"
