"""Refusals in the words that an API server passes on from a validating webhook (apiserver pkg/admission/plugin/webhook/errors)."""

from collections.abc import Callable

from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.schema.structural import validate_custom
from stoker.lab.status import ApiError

__all__ = ["denied", "plugin_of"]


def denied(webhook: str, why: str) -> ApiError:
    """What controller-runtime's validators answer: 403, and the server says who said so."""
    return ApiError(403, "Forbidden", f'admission webhook "{webhook}" denied the request: {why}')


def plugin_of(
    name: str,
    *,
    mutate: dict[str, Callable[[Review], None]] | None = None,
    validate: dict[str, Callable[[Review], None]] | None = None,
) -> Plugin:
    """An admission plugin out of functions for resources, by their qualified names; only whole objects are shown to them."""

    def dispatch(table: dict[str, Callable[[Review], None]]) -> Callable[[Review], None]:
        def run(review: Review) -> None:
            check = table.get(review.kind.shelf)
            if check is None or review.subresource or review.operation not in {"CREATE", "UPDATE"}:
                return
            if review.kind.is_custom:
                # A webhook that cannot decode an object refuses it; here the schema does, in a moment.
                if validate_custom(review.obj, review.kind.node, review.old):
                    return
                review.obj.setdefault(
                    "spec", {}
                )  # a struct of the webhook's Go types, there whether given or not
            check(review)

        return run

    return Plugin(
        name,
        dispatch(mutate) if mutate else None,
        dispatch(validate) if validate else None,
    )
