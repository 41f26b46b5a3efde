"""What the API server serves, told to its clients: groups, versions, resources, release."""

from stoker.lab.discovery.aggregated import (
    AGGREGATED,
    aggregated_core,
    aggregated_groups,
    etag,
    wants_aggregated,
)
from stoker.lab.discovery.legacy import api_versions, group, group_list, resource_list
from stoker.lab.discovery.order import group_versions, is_builtin, storage_version_hash, version_key
from stoker.lab.discovery.version import version_document

__all__ = [
    "AGGREGATED",
    "aggregated_core",
    "aggregated_groups",
    "api_versions",
    "etag",
    "group",
    "group_list",
    "group_versions",
    "is_builtin",
    "resource_list",
    "storage_version_hash",
    "version_document",
    "version_key",
    "wants_aggregated",
]
