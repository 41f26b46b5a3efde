"""Query parameters of writes that concern ownership, and the name a writer goes by.

Upstream: k8s.io/apimachinery pkg/apis/meta/v1/validation/validation.go; apiserver pkg/endpoints/handlers/create.go.
"""

from collections.abc import Sequence

from stoker.lab.status import Cause, forbidden_field, invalid_value, required, too_long, unsupported

__all__ = ["manager_name", "patch_option_causes", "write_option_causes"]

_LONGEST_MANAGER = 128
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


def manager_name(field_manager: str, user_agent: str) -> str:
    """The fieldManager parameter, or what the user agent begins with: ``kubectl/v1.32 (…)`` is ``kubectl``."""
    if field_manager:
        return field_manager
    found = ""
    for one in user_agent.partition("/")[0]:
        if not one.isprintable():
            continue
        if len((found + one).encode()) > _LONGEST_MANAGER:
            break
        found += one
    return found


def patch_option_causes(
    *, is_apply: bool, force: bool | None, field_manager: str, dry_run: Sequence[str], field_validation: str
) -> list[Cause]:
    """What is wrong with a patch's parameters: causes of an ``Invalid`` of ``PatchOptions`` in ``meta.k8s.io``."""
    causes: list[Cause] = []
    if is_apply and not field_manager:
        causes.append(required("fieldManager", "is required for apply patch"))
    if not is_apply and force is not None:
        causes.append(forbidden_field("force", "may not be specified for non-apply patch"))
    return causes + write_option_causes(field_manager, dry_run, field_validation)


def write_option_causes(field_manager: str, dry_run: Sequence[str], field_validation: str) -> list[Cause]:
    """What is wrong with the parameters of a create or an update (``CreateOptions``, ``UpdateOptions``)."""
    causes: list[Cause] = []
    if len(field_manager.encode()) > _LONGEST_MANAGER:
        causes.append(too_long("fieldManager", _LONGEST_MANAGER))
    place = 0
    for one in field_manager:
        if not one.isprintable():
            causes.append(
                invalid_value(
                    "fieldManager", field_manager, f"invalid character U+{ord(one):04X} (at position {place})"
                )
            )
        place += len(one.encode())
    if any(one != "All" for one in dry_run):
        causes.append(unsupported("dryRun", list(dry_run), ["All"]))
    if field_validation not in _VALIDATIONS:
        causes.append(unsupported("fieldValidation", field_validation, _VALIDATIONS))
    return causes
