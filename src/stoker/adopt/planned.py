"""Models of the document to be, while they are made."""

from dataclasses import dataclass, field
from typing import Any, Final

from stoker.adopt.ledger import Ledger
from stoker.adopt.pools import PlannedPool, Pools
from stoker.adopt.tenants import Namespaces
from stoker.adopt.weights import Weights
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.kube.snapshot import Item
from stoker.platform.models import Model

__all__ = ["MODEL_FIELDS", "PlannedModel", "Work"]

MODEL_FIELDS: Final = tuple(info.alias or name for name, info in Model.model_fields.items())


@dataclass
class PlannedModel:
    """A model of the document to be, with the server it comes from.

    Attributes:
        weak: fields that were filled in; they give way first where the model does not fit.
        items: further objects that are part of it, such as its canary's.
        pool: its pool, None where sizing chooses.
    """

    entry: dict[str, Any]
    server: Server
    pool: PlannedPool | None
    namespace: str
    weak: set[str] = field(default_factory=set)
    items: list[Item] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.entry["name"])


@dataclass
class Work:
    view: View
    pools: Pools
    namespaces: Namespaces
    weights: Weights
    ledger: Ledger
    made: list[PlannedModel] = field(default_factory=list)
    by_item: dict[tuple[str, str, str], PlannedModel] = field(default_factory=dict)
