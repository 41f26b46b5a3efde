"""`validate_object` against the CRDs of ../shared/crds, for the tests of every package."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stoker.schemas import core_schemas, crd_schemas, validate

CRDS = Path(__file__).resolve().parents[3] / "shared" / "crds"
# The newest of each project; ../shared also holds old ones to compare with.
FOLDERS = (
    "gateway-api",
    "gateway-api-inference-extension",
    "keda",
    "knative-serving",
    "kserve",
    "kueue",
    "prometheus-operator",
)


@cache
def kinds() -> crd_schemas.Kinds:
    return crd_schemas.load_kinds(CRDS / folder for folder in FOLDERS if (CRDS / folder).is_dir())


def validate_object(obj: dict[str, Any], minor: str, *, namespace: dict[str, Any] | None = None) -> list[str]:
    """Everything that a server of ``minor`` with those CRDs would refuse or warn about.

    Skips the test where the kind is a custom one and ../shared is absent.
    """
    api_version, kind = str(obj.get("apiVersion")), str(obj.get("kind"))
    if not CRDS.is_dir() and not core_schemas.is_core(api_version) and (api_version, kind) not in kinds():
        pytest.skip(f"../shared/crds is absent: no schema of {kind}")
    return validate.validate_object(obj, minor, kinds(), namespace=namespace)
