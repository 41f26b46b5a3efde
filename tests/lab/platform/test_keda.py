"""ScaledObjects: what KEDA makes of them, says of them and refuses."""

from typing import Any

from tests.lab.controllers.world import workload
from tests.lab.platform.world import Platform

from stoker.lab.platform.signals import Answer

Object = dict[str, Any]

SO = "keda.sh/v1alpha1/ScaledObject"
HPA = "autoscaling/v2/HorizontalPodAutoscaler"
QUERY = "sum(gateway_queue)"
IRRELEVANT_COOLDOWN = (
    "CooldownPeriod is configured but is not relevant. CooldownPeriod is only relevant when minReplicaCount = 0 or "
    "idleReplicaCount = 0"
)


def scaled(name: str = "llm", target: str = "d", **spec: Any) -> Object:
    annotations = spec.pop("annotations", {})
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {
            "scaleTargetRef": {"name": target},
            "triggers": [
                {
                    "type": "prometheus",
                    "metadata": {"serverAddress": "http://p:9090", "query": QUERY, "threshold": "3"},
                }
            ],
            **spec,
        },
    }


def replicas(platform: Platform) -> int:
    return int(platform.fetch("apps/v1/Deployment", "d")["spec"]["replicas"])


def test_an_hpa_is_made_with_keda_s_names_labels_and_owner(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    platform.create(scaled(minReplicaCount=2, maxReplicaCount=6))
    hpa = platform.fetch(HPA, "keda-hpa-llm")
    assert hpa["spec"]["metrics"] == [
        {
            "type": "External",
            "external": {
                "metric": {
                    "name": "s0-prometheus",
                    "selector": {"matchLabels": {"scaledobject.keda.sh/name": "llm"}},
                },
                "target": {"type": "AverageValue", "averageValue": "3"},
            },
        }
    ]
    assert hpa["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (2, 6)
    assert hpa["metadata"]["labels"] == {
        "app.kubernetes.io/name": "keda-hpa-llm",
        "app.kubernetes.io/version": "2.20.2",
        "app.kubernetes.io/part-of": "llm",
        "app.kubernetes.io/managed-by": "keda-operator",
        "scaledobject.keda.sh/name": "llm",
    }
    assert [one["kind"] for one in hpa["metadata"]["ownerReferences"]] == ["ScaledObject"]


def test_the_status_says_what_is_scaled_and_how_it_goes(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    platform.told.queries[QUERY] = Answer(7.0)
    platform.create(scaled())
    status = platform.status(SO, "llm")
    assert status["scaleTargetKind"] == "apps/v1.Deployment"
    assert status["originalReplicaCount"] == 2
    assert status["hpaName"] == "keda-hpa-llm"
    assert status["externalMetricNames"] == ["s0-prometheus"]
    assert status["triggersTypes"] == "prometheus"
    assert status["triggersActivity"] == {"s0-prometheus": {"isActive": True}}
    assert platform.conditions(SO, "llm") | {"HPAActive": None} == {
        "Ready": ("True", "ScaledObjectReady"),
        "Active": ("True", "ScalerActive"),
        "Fallback": ("False", "NoFallbackFound"),
        "Paused": ("False", ""),
        "HPAActive": None,
    }
    assert platform.fetch(SO, "llm")["metadata"]["finalizers"] == ["finalizer.keda.sh"]


def test_an_idle_target_goes_to_zero_after_its_cooldown_and_wakes_on_the_first_request(
    platform: Platform,
) -> None:
    platform.create(workload("Deployment"))
    platform.told.queries[QUERY] = Answer(5.0)
    platform.create(scaled(cooldownPeriod=120, pollingInterval=30))
    platform.told.queries[QUERY] = Answer(0.0)
    platform.wait(31)
    assert platform.conditions(SO, "llm")["Active"] == ("False", "ScalerCooldown")
    assert replicas(platform) > 0
    for _ in range(4):
        platform.wait(31)
    assert replicas(platform) == 0
    assert platform.events("KEDAScaleTargetDeactivated") == [
        "Deactivated apps/v1.Deployment default/d from 2 to 0"
    ]
    platform.told.queries[QUERY] = Answer(1.0)
    platform.wait(31)
    assert replicas(platform) == 1
    assert platform.events("KEDAScaleTargetActivated") == [
        "Scaled apps/v1.Deployment default/d from 0 to 1, triggered by s0-prometheus"
    ]


def test_the_hpa_reads_the_trigger_through_keda_and_scales(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    platform.run_pods()
    platform.told.queries[QUERY] = Answer(12.0)
    platform.create(scaled(minReplicaCount=1, maxReplicaCount=10))
    platform.wait(16)
    assert replicas(platform) == 4


def test_an_empty_query_is_zero_by_default_and_an_error_where_nulls_count(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    made = scaled()
    made["spec"]["triggers"][0]["metadata"]["ignoreNullValues"] = "false"
    platform.create(made)
    assert platform.conditions(SO, "llm")["Ready"] == ("False", "TriggerError")
    assert platform.events("KEDAScalerFailed")[0] == (
        "prometheus metrics 'prometheus' target may be lost, the result is empty"
    )
    assert replicas(platform) == 2


def test_failures_in_a_row_bring_the_fallback(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    platform.told.queries[QUERY] = Answer(error="connection refused")
    platform.create(scaled(minReplicaCount=1, fallback={"failureThreshold": 2, "replicas": 5}))
    for _ in range(4):
        platform.wait(31)
    assert platform.conditions(SO, "llm")["Fallback"] == ("True", "FallbackExists")
    assert platform.status(SO, "llm")["health"]["s0-prometheus"]["status"] == "Failing"
    assert replicas(platform) == 5


def test_a_pause_takes_the_hpa_away_and_its_end_brings_it_back(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    platform.create(scaled(minReplicaCount=1))

    def pause(obj: Object) -> None:
        obj["metadata"]["annotations"] = {"autoscaling.keda.sh/paused-replicas": "4"}

    platform.change(SO, "llm", pause)
    assert platform.get(HPA, "keda-hpa-llm") is None
    assert replicas(platform) == 4
    assert platform.status(SO, "llm")["pausedReplicaCount"] == 4
    assert platform.conditions(SO, "llm")["Paused"] == ("True", "ScaledObjectPaused")

    def resume(obj: Object) -> None:
        obj["metadata"].pop("annotations")

    platform.change(SO, "llm", resume)
    assert platform.get(HPA, "keda-hpa-llm") is not None
    assert platform.conditions(SO, "llm")["Paused"] == ("False", "ScaledObjectUnpaused")
    assert "pausedReplicaCount" not in platform.status(SO, "llm")


def test_a_target_that_is_not_there_is_told_and_waited_for(platform: Platform) -> None:
    platform.create(scaled())
    found = platform.status(SO, "llm")["conditions"][0]
    assert (found["status"], found["reason"], found["message"]) == (
        "False",
        "ScaledObjectCheckFailed",
        'ScaledObject doesn\'t have correct scaleTargetRef specification: deployments.apps "d" not found',
    )
    platform.create(workload("Deployment"))
    platform.wait(6)
    assert platform.conditions(SO, "llm")["Ready"] == ("True", "ScaledObjectReady")


def test_a_deleted_scaled_object_can_give_the_target_its_count_back(platform: Platform) -> None:
    platform.create(workload("Deployment", replicas=3))
    platform.create(scaled(advanced={"restoreToOriginalReplicaCount": True}))
    platform.change("apps/v1/Deployment", "d", lambda obj: obj["spec"].update(replicas=7))
    platform.delete(SO, "llm")
    assert platform.get(SO, "llm") is None
    assert platform.get(HPA, "keda-hpa-llm") is None
    assert replicas(platform) == 3


def test_a_second_scaled_object_on_one_target_is_refused(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    platform.create(scaled())
    assert platform.refusal(lambda: platform.create(scaled("other"))) == (
        "admission webhook \"vscaledobject.kb.io\" denied the request: the workload 'd' of type "
        "'apps/v1.Deployment' is already managed by the ScaledObject 'llm'"
    )


def test_a_target_that_an_hpa_scales_already_is_refused(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    platform.create(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "own"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                "maxReplicas": 3,
            },
        }
    )
    assert platform.refusal(lambda: platform.create(scaled())) == (
        "admission webhook \"vscaledobject.kb.io\" denied the request: the workload 'd' of type "
        "'apps/v1.Deployment' is already managed by the hpa 'own'"
    )


def test_cpu_alone_never_goes_to_zero_and_needs_a_request(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    triggers = [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "80"}}]
    assert platform.refusal(lambda: platform.create(scaled(triggers=triggers, minReplicaCount=1))) == (
        'admission webhook "vscaledobject.kb.io" denied the request: the scaledobject has a cpu trigger but the '
        "container c doesn't have the cpu request defined"
    )


def test_no_triggers_are_the_schema_s_business(platform: Platform) -> None:
    platform.create(workload("Deployment"))
    assert platform.refusal(lambda: platform.create(scaled(triggers=[]))) == (
        'ScaledObject.keda.sh "llm" is invalid: spec.triggers: Invalid value: 0: spec.triggers in body should have at '
        "least 1 items"
    )


def test_a_cooldown_that_never_counts_is_warned_of(platform: Platform) -> None:
    from stoker.lab.api.call import User
    from stoker.lab.api.cluster import Review
    from stoker.lab.platform.keda_admission import plugin

    kind = platform.local.kind("keda.sh/v1alpha1", "ScaledObject")
    made = scaled(minReplicaCount=1, cooldownPeriod=60)
    review = Review(
        platform.cluster, kind, "CREATE", "default", "llm", "", made, None, User("admin"), is_dry_run=False
    )
    check = plugin().validate
    assert check is not None
    check(review)
    assert review.warnings == [IRRELEVANT_COOLDOWN]


def test_office_hours_open_in_their_own_time_zone(platform: Platform) -> None:
    platform.create(workload("Deployment", replicas=0))
    cron = {
        "type": "cron",
        "metadata": {
            "timezone": "Europe/Berlin",
            "start": "0 13 * * 1",
            "end": "0 18 * * 1",
            "desiredReplicas": "3",
        },
    }
    # It is Monday noon in UTC, one o'clock in Berlin.
    platform.create(scaled(triggers=[cron]))
    platform.wait(60)
    assert platform.status(SO, "llm")["externalMetricNames"] == ["s0-cron-Europe-Berlin-013xx1-018xx1"]
    assert replicas(platform) > 0


def test_a_held_request_wakes_a_target_without_waiting_for_the_next_poll(platform: Platform) -> None:
    platform.create(workload("Deployment", replicas=0))
    platform.create(
        {
            "apiVersion": "http.keda.sh/v1beta1",
            "kind": "InterceptorRoute",
            "metadata": {"name": "llm"},
            "spec": {
                "target": {"service": "d", "port": 80},
                "scalingMetric": {"concurrency": {"targetValue": 20}},
            },
        }
    )
    trigger = {"type": "external-push", "metadata": {"scalerAddress": "s:9090", "interceptorRoute": "llm"}}
    platform.create(scaled(triggers=[trigger]))
    metric = platform.fetch(HPA, "keda-hpa-llm")["spec"]["metrics"][0]["external"]
    assert (metric["metric"]["name"], metric["target"]["averageValue"]) == ("s0-http_llm_concurrency", "20")
    assert platform.conditions("http.keda.sh/v1beta1/InterceptorRoute", "llm") == {
        "Ready": ("True", "Reconciled")
    }
    platform.told.open["http.keda.sh/default/llm"] = 1.0
    platform.wait(1)
    assert replicas(platform) == 1
