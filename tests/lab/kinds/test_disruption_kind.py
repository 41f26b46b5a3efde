"""Evictions: which budget answers, and in what words."""

from typing import Any

import pytest

from stoker.lab.kinds.disruption import Admission, admit_eviction, check_eviction
from stoker.lab.kinds.registry import status_causes, strategy
from stoker.lab.status import ApiError

Object = dict[str, Any]
NOW = "2026-01-01T00:00:00Z"


def _pod(*, ready: bool = True, phase: str = "Running") -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": "p", "labels": {"app": "a"}},
        "status": {"phase": phase, "conditions": conditions},
    }


def _budget(name: str = "b", **status: Any) -> Object:
    counts = {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    return {
        "metadata": {"name": name, "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "minAvailable": 1},
        "status": {"observedGeneration": 1, **counts, **status},
    }


def _refusal(pod: Object, *budgets: Object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        admit_eviction(pod, budgets, NOW)
    return caught.value


def test_a_pod_that_no_budget_covers_goes() -> None:
    other = _budget()
    other["spec"]["selector"]["matchLabels"] = {"app": "b"}
    assert Admission() == admit_eviction(_pod(), [other], NOW)


def test_a_budget_with_nothing_left_says_how_many_it_needs() -> None:
    error = _refusal(_pod(), _budget())
    assert 429 == error.code
    assert {} == error.headers
    message = "The disruption budget b needs 1 healthy pods and has 1 currently"
    assert {"causes": [{"reason": "DisruptionBudget", "message": message}]} == error.details


def test_a_budget_that_was_not_looked_at_yet_asks_to_come_again() -> None:
    error = _refusal(_pod(), _budget(observedGeneration=0))
    assert {"Retry-After": "10"} == error.headers
    assert "The disruption budget b is still being processed by the server." in str(error.details)


def test_an_admitted_eviction_takes_one_disruption_and_names_the_pod() -> None:
    admission = admit_eviction(_pod(), [_budget(disruptionsAllowed=1, currentHealthy=2)], NOW)
    assert admission.budget is not None
    status = admission.budget["status"]
    assert (0, {"p": NOW}) == (status["disruptionsAllowed"], status["disruptedPods"])
    assert ["InsufficientPods"] == [one["reason"] for one in status["conditions"]]


def test_two_budgets_on_one_pod_are_an_error() -> None:
    error = _refusal(_pod(), _budget(), _budget("c"))
    text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    assert (500, text) == (error.code, error.message)


def test_an_unready_pod_of_a_healthy_application_goes_without_a_disruption() -> None:
    assert Admission(pins_version=True) == admit_eviction(_pod(ready=False), [_budget()], NOW)
    pending = admit_eviction(_pod(ready=False, phase="Pending"), [_budget(currentHealthy=0)], NOW)
    assert Admission(pins_version=True) == pending


def test_the_request_must_name_the_pod_of_the_path() -> None:
    with pytest.raises(ApiError, match="name in URL does not match name in Eviction object"):
        check_eviction("p", {"metadata": {"name": "q"}})


def test_a_percentage_above_all_is_refused() -> None:
    budget = _budget()
    budget["metadata"]["namespace"] = "ns"
    budget["spec"]["minAvailable"] = "101%"
    causes = strategy("policy", "PodDisruptionBudget").validate(budget)
    expected = 'spec.minAvailable: Invalid value: "101%": must not be greater than 100%'
    assert [expected] == [str(cause) for cause in causes]


def test_a_status_with_a_negative_count_is_refused() -> None:
    budget = _budget(disruptionsAllowed=-1)
    budget["metadata"]["resourceVersion"] = "1"
    causes = status_causes("policy", "PodDisruptionBudget")(budget, budget)
    expected = "status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0"
    assert [expected] == [str(cause) for cause in causes]
