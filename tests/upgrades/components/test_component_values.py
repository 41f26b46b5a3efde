"""Helm values: only keys the pinned charts have, and the settings that break platforms when they are wrong."""

from itertools import product
from typing import Any

import pytest
import yaml

from stoker.catalog.components import component, dcgm_counters
from stoker.platform.cluster import SharingMode
from stoker.upgrades.components import ComponentContext, ComponentPlan, PoolSharing, values

# Key paths compared on 2026-11-24 with values.yaml of each chart at the version named. Not in values.yaml but read by
# the charts' templates: dcgmExporter.config.*, customMetrics, podDisruptionBudget.<part>.maxUnavailable of KEDA.
# alertmanagerConfigMatcherStrategy is passed on whole; `type` is the Alertmanager CRD's.
ALLOWED: dict[tuple[str, str], set[str]] = {
    ("amd-gpu", "0.21.0"): {
        "labeller.enabled",
        "tolerations",
    },
    ("cert-manager", "v1.21.1"): {
        "crds.enabled",
        "crds.keep",
        "prometheus.servicemonitor.enabled",
        "prometheus.servicemonitor.labels",
        "webhook.replicaCount",
    },
    ("dcgm-exporter", "4.8.2"): {
        "customMetrics",
        "kubernetesDRA.enabled",
        "serviceMonitor.additionalLabels",
        "serviceMonitor.enabled",
        "serviceMonitor.honorLabels",
        "tolerations",
    },
    ("envoy-gateway", "v1.9.0"): {
        "crds.enabled",
        "deployment.replicas",
    },
    ("gateway-api-crds", "v1.9.0"): {
        "crds.envoyGateway.enabled",
        "crds.gatewayAPI.channel",
        "crds.gatewayAPI.enabled",
    },
    ("gpu-operator", "v26.7.0"): {
        "clusterPolicy.deployCR",
        "daemonsets.tolerations",
        "dcgmExporter.config.create",
        "dcgmExporter.config.data",
        "dcgmExporter.config.name",
        "dcgmExporter.enabled",
        "dcgmExporter.serviceMonitor.additionalLabels",
        "dcgmExporter.serviceMonitor.enabled",
        "dcgmExporter.serviceMonitor.honorLabels",
        "devicePlugin.config.create",
        "devicePlugin.config.data",
        "devicePlugin.config.default",
        "devicePlugin.config.name",
        "gpuCluster.deployCR",
        "mig.strategy",
        "migManager.config.create",
        "migManager.config.data",
        "migManager.config.name",
        "node-feature-discovery.worker.tolerations",
    },
    ("keda", "2.20.2"): {
        "operator.replicaCount",
        "podDisruptionBudget.metricServer.maxUnavailable",
        "podDisruptionBudget.operator.maxUnavailable",
        "podDisruptionBudget.webhooks.maxUnavailable",
        "prometheus.metricServer.enabled",
        "prometheus.metricServer.serviceMonitor.additionalLabels",
        "prometheus.metricServer.serviceMonitor.enabled",
        "prometheus.operator.enabled",
        "prometheus.operator.serviceMonitor.additionalLabels",
        "prometheus.operator.serviceMonitor.enabled",
        "prometheus.webhooks.enabled",
        "prometheus.webhooks.serviceMonitor.additionalLabels",
        "prometheus.webhooks.serviceMonitor.enabled",
        "resources",
        "webhooks.replicaCount",
    },
    ("keda-http-add-on", "0.15.0"): {
        "interceptor.pdb.enabled",
        "interceptor.pdb.maxUnavailable",
        "interceptor.replicas.min",
    },
    ("kserve", "v0.20.0"): {
        "kserve.controller.deploymentMode",
        "kserve.controller.gateway.disableIstioVirtualHost",
        "kserve.controller.gateway.domain",
        "kserve.controller.gateway.ingressGateway.className",
        "kserve.controller.gateway.ingressGateway.createGateway",
        "kserve.controller.gateway.ingressGateway.enableGatewayApi",
        "kserve.controller.gateway.ingressGateway.kserveGateway",
    },
    ("kserve-llmisvc", "v0.20.0"): {
        "kserve.controller.deploymentMode",
        "kserve.controller.gateway.domain",
        "kserve.controller.gateway.ingressGateway.className",
        "kserve.controller.gateway.ingressGateway.enableGatewayApi",
        "kserve.controller.gateway.ingressGateway.kserveGateway",
        "kserve.createSharedResources",
        "kserve.llmisvc.createGIECRDs",
    },
    ("kserve-localmodel", "v0.20.0"): {
        "kserve.createSharedResources",
        "kserve.localmodel.agent.tolerations",
        "kserve.localmodel.enabled",
    },
    ("kserve-runtime-configs", "v0.20.0"): {
        "kserve.llmisvcConfigs.enabled",
        "kserve.servingruntime.enabled",
    },
    ("kube-prometheus-stack", "88.5.3"): {
        "alertmanager.alertmanagerSpec.alertmanagerConfigMatcherStrategy.type",
        "grafana.sidecar.dashboards.enabled",
        "grafana.sidecar.dashboards.searchNamespace",
        "grafana.sidecar.dashboards.folderAnnotation",
        "grafana.sidecar.dashboards.provider.foldersFromFilesStructure",
        "prometheus.prometheusSpec.podMonitorSelectorNilUsesHelmValues",
        "prometheus.prometheusSpec.probeSelectorNilUsesHelmValues",
        "prometheus.prometheusSpec.ruleSelectorNilUsesHelmValues",
        "prometheus.prometheusSpec.scrapeConfigSelectorNilUsesHelmValues",
        "prometheus.prometheusSpec.serviceMonitorSelectorNilUsesHelmValues",
    },
    ("kueue", "0.19.2"): {
        "controllerManager.podDisruptionBudget.enabled",
        "controllerManager.podDisruptionBudget.minAvailable",
        "controllerManager.replicas",
        "enablePrometheus",
    },
    ("leader-worker-set", "0.8.0"): {
        "enablePrometheus",
        "replicaCount",
    },
    ("nvidia-device-plugin", "0.20.0"): {
        "config.default",
        "config.map",
        "gfd.enabled",
        "nfd.worker.tolerations",
        "tolerations",
    },
}
OPEN = {"additionalLabels", "labels", "data", "map", "resources", "tolerations"}  # keys below are the user's
GPU_TAINT = ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},)
SHARING = (
    PoolSharing("sliced", SharingMode.TIME_SLICING, 4),
    PoolSharing("mps", SharingMode.MPS, 2),
    PoolSharing("mig", SharingMode.MIG, 1, (("3g.40gb", 2),)),
)


def _context(**changes: Any) -> ComponentContext:
    base = {
        "sharing": SHARING,
        "tolerations": GPU_TAINT,
        "monitor_labels": {"release": "p"},
        "dcgm_counters": dcgm_counters(),
    }
    return ComponentContext(**{**base, **changes})


def _leaves(value: Any, path: tuple[str, ...] = ()) -> set[str]:
    if isinstance(value, dict) and value and not (path and path[-1] in OPEN):
        return set().union(*(_leaves(item, (*path, key)) for key, item in value.items()))
    return {".".join(path)}


@pytest.mark.parametrize(("name", "version"), sorted(ALLOWED))
def test_values_use_only_keys_of_the_pinned_chart(name: str, version: str) -> None:
    assert version in {item.version for item in component(name).versions}
    for dra, kserve, operator in product((False, True), repeat=3):
        context = _context(dra=dra, kserve_controller=kserve, prometheus_operator=operator)
        assert set() == _leaves(values(name, context)) - ALLOWED[name, version]


def test_a_component_without_a_builder_keeps_the_charts_defaults() -> None:
    assert {} == values("kserve-crd", _context())


@pytest.mark.parametrize("name", ["nvidia-device-plugin", "gpu-operator"])
def test_each_pool_has_the_device_plugin_section_its_label_names(name: str) -> None:
    found = values(name, _context())
    sections = found["config"]["map"] if "config" in found else found["devicePlugin"]["config"]["data"]
    parsed = {key: yaml.safe_load(text) for key, text in sections.items()}
    assert {"default", "sliced", "mps", "mig"} == set(parsed)
    assert "sharing" not in parsed["default"]
    slicing = parsed["sliced"]["sharing"]["timeSlicing"]
    assert [{"name": "nvidia.com/gpu", "replicas": 4}] == slicing["resources"]
    assert slicing["renameByDefault"]
    assert 2 == parsed["mps"]["sharing"]["mps"]["resources"][0]["replicas"]
    assert "mixed" == parsed["mig"]["flags"]["migStrategy"]


def test_the_mig_manager_lays_out_each_mig_pool_under_its_name() -> None:
    text = values("gpu-operator", _context())["migManager"]["config"]["data"]["config.yaml"]
    layout = yaml.safe_load(text)["mig-configs"]["mig"]
    assert [{"devices": "all", "mig-enabled": True, "mig-devices": {"3g.40gb": 2}}] == layout


def test_whole_gpus_need_no_device_plugin_configuration() -> None:
    assert "config" not in values("nvidia-device-plugin", _context(sharing=()))


def test_pool_taints_are_tolerated_by_every_gpu_daemonset() -> None:
    found = values("gpu-operator", _context())
    assert list(GPU_TAINT) == found["daemonsets"]["tolerations"]
    assert list(GPU_TAINT) == found["node-feature-discovery"]["worker"]["tolerations"]
    assert [{"operator": "Exists"}] == values("dcgm-exporter", _context())["tolerations"]


def test_dcgm_keeps_the_labels_of_the_pod_and_adds_sm_activity() -> None:
    found = values("dcgm-exporter", _context())
    assert found["serviceMonitor"]["honorLabels"]
    assert "DCGM_FI_PROF_SM_ACTIVE, gauge, " in found["customMetrics"]


def test_without_the_prometheus_operator_no_monitor_is_made() -> None:
    found = values("dcgm-exporter", _context(prometheus_operator=False))
    assert {"enabled": False} == found["serviceMonitor"]


def test_dra_and_the_device_plugin_stack_exclude_each_other() -> None:
    found = values("gpu-operator", _context(dra=True))
    assert (False, True) == (found["clusterPolicy"]["deployCR"], found["gpuCluster"]["deployCR"])


def test_kserve_serves_standard_deployments_through_the_gateway() -> None:
    controller = values("kserve", _context(gateway_class="envoy"))["kserve"]["controller"]
    assert "Standard" == controller["deploymentMode"]
    assert controller["gateway"]["ingressGateway"]["enableGatewayApi"]


def test_one_chart_owns_what_the_kserve_charts_share() -> None:
    owns = [
        values("kserve-llmisvc", _context(kserve_controller=kserve))["kserve"]["createSharedResources"]
        for kserve in (True, False)
    ]
    assert [False, True] == owns


def test_prometheus_selects_monitors_it_did_not_install() -> None:
    spec = values("kube-prometheus-stack", _context())["prometheus"]["prometheusSpec"]
    assert {False} == set(spec.values())


def test_install_commands_name_the_exact_version() -> None:
    oci = ComponentPlan("a", "oci://r/c", "chart", "1.2.3", "ns", "rel", "why", {}, "", ())
    web = ComponentPlan("a", "https://r", "chart", "1.2.3", "ns", "rel", "why", {}, "", ())
    assert ("oci://r/c/chart", "--version", "1.2.3") == oci.install_command("f")[4:7]
    assert ("chart", "--repo", "https://r", "--version", "1.2.3") == web.install_command("f")[4:9]
