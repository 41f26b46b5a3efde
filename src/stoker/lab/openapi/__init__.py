"""OpenAPI: what `kubectl explain` reads and by which clients validate, out of the schemas that the server itself uses."""

from stoker.lab.openapi.custom import CustomKind
from stoker.lab.openapi.documents import OpenApi, etag

__all__ = ["CustomKind", "OpenApi", "etag"]
