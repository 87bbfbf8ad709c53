"""Says what is wrong with a manifest of Kubernetes itself: by its own schemas, to which no member may be unknown."""

import kubernetes_validate

#: Which Kubernetes. All that it had for a year is in the ones before it as well.
VERSION = "1.34"


def faults(manifest: dict) -> list[str]:
    """The first fault of a manifest with its place; none: that Kubernetes takes it."""
    try:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"`{manifest['apiVersion']} {manifest['kind']}`: Kubernetes {VERSION} has no such resource"]
    return []
