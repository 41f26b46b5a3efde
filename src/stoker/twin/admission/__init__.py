"""What the API server does with a pod between request and store: defaults, priority, limit ranges, quotas."""

from stoker.twin.admission.tenancy import Tenancy

__all__ = ["Tenancy"]
