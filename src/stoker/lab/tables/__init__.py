"""Objects as ``meta.k8s.io/v1`` Tables: what `kubectl get` prints."""

from stoker.lab.tables.custom import CustomColumns, custom_columns
from stoker.lab.tables.duration import age, human_duration
from stoker.lab.tables.table import check_include_object, list_metadata, partial, partial_list, table

__all__ = [
    "CustomColumns",
    "age",
    "check_include_object",
    "custom_columns",
    "human_duration",
    "list_metadata",
    "partial",
    "partial_list",
    "table",
]
