"""ResourceQuota: what it really counts."""

from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, remove
from stoker.audit.rule import rule
from stoker.audit.view.view import View
from stoker.audit.view.workloads import gpu_resource
from stoker.kube.snapshot import Item

_EVALUATOR: Final = "kubernetes 1.36 pkg/quota/v1/evaluator/core/pods.go:206"


def _quotas(view: View) -> tuple[Item, ...]:
    return view.of("ResourceQuota")


@rule(
    "gpu-quota-never-enforced",
    Area.TENANCY,
    Severity.ERROR,
    title="ResourceQuota limits GPUs under a name that is never counted",
    why=(
        "The API server takes any name with a slash, and counts an extended resource only as requests.NAME. The entry shows "
        "in the quota's status without a used value and never refuses a pod: the team can take every GPU of the cluster."
    ),
    fix="Name the resource requests.nvidia.com/gpu.",
    references=(_EVALUATOR, "kubernetes 1.36 pkg/apis/core/validation/validation.go:7528"),
    on=_quotas,
)
def _gpu_quota_never_enforced(quota: Item, view: View) -> Iterator[Hit]:
    hard = quota.section("spec", "hard")
    for name, amount in hard.items():
        resource = name.removeprefix("limits.")
        if not gpu_resource(resource) or name.startswith("requests."):
            continue
        wanted = f"requests.{resource}"
        ops = [remove(("spec", "hard", name))]
        if wanted not in hard:
            ops.append(add(("spec", "hard", wanted), amount))
        yield Hit(
            quota,
            ("spec", "hard", name),
            f"{name}: {amount} is never enforced"
            + (f"; only {wanted} is" if wanted in hard else ": this namespace has no GPU limit at all"),
            amount,
            Fix(f"Remove {name}" if wanted in hard else f"Name it {wanted}", tuple(ops)),
        )
