"""The document at ``/version``: the release that the lab speaks.

Upstream: staging/src/k8s.io/apimachinery/pkg/version/types.go.
"""

import platform

__all__ = ["GIT_VERSION", "version_document"]

GIT_VERSION = "v1.36.2"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def version_document(git_version: str = GIT_VERSION) -> dict[str, str]:
    """What `kubectl version` prints as the server's; commit and build say that no release of Kubernetes was built."""
    major, minor = git_version.removeprefix("v").split(".")[:2]
    machine = platform.machine()
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": git_version,
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.26",
        "compiler": "gc",
        "platform": f"linux/{_MACHINES.get(machine, machine)}",
    }
