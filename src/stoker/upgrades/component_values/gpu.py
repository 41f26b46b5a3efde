"""Values of the charts that run on GPU nodes: GPU Operator, device plugins, DCGM exporter."""

from typing import Any, Final

import yaml

from stoker.platform.cluster import SharingMode
from stoker.upgrades.component_values.context import ComponentContext, PoolSharing

__all__ = ["amd_gpu", "counters_csv", "dcgm_exporter", "gpu_operator", "nvidia_device_plugin"]

Values = dict[str, Any]

_DEFAULT: Final = "default"  # section for nodes without the label nvidia.com/device-plugin.config
_CONFIG_MAP: Final = "stoker-device-plugin"
_MIG_MAP: Final = "stoker-mig"
_COUNTERS_MAP: Final = "stoker-dcgm-counters"


def _text(value: Values) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, default_flow_style=False))


def _plugin_config(pool: PoolSharing | None) -> Values:
    """One section of the device plugin's configuration (k8s-device-plugin v0.20.0 README, api/config/v1)."""
    mode = pool.mode if pool else SharingMode.NONE
    # `mixed` names each slice by its profile (nvidia.com/mig-3g.40gb), which is what pods and quotas ask for.
    config: Values = {
        "version": "v1",
        "flags": {"migStrategy": "mixed" if mode is SharingMode.MIG else "none"},
    }
    if pool and mode in {SharingMode.TIME_SLICING, SharingMode.MPS}:
        sharing: Values = {
            "renameByDefault": True,
            "resources": [{"name": "nvidia.com/gpu", "replicas": pool.replicas}],
        }
        if mode is SharingMode.TIME_SLICING:
            # More than one share gives a pod no more compute, so a request for two is a mistake.
            config["sharing"] = {"timeSlicing": {**sharing, "failRequestsGreaterThanOne": True}}
        else:
            config["sharing"] = {"mps": sharing}
    return config


def _sections(context: ComponentContext) -> dict[str, str]:
    sections = {_DEFAULT: _text(_plugin_config(None))}
    return sections | {pool.pool: _text(_plugin_config(pool)) for pool in context.sharing}


def _mig_config(context: ComponentContext) -> str:
    """The MIG manager's layouts, named by pool: the nodes carry ``nvidia.com/mig.config=<pool>``."""
    layouts: Values = {"all-disabled": [{"devices": "all", "mig-enabled": False}]}
    for pool in context.sharing:
        if pool.mode is SharingMode.MIG:
            devices = dict(pool.mig_profiles)
            layouts[pool.pool] = [{"devices": "all", "mig-enabled": True, "mig-devices": devices}]
    return _text({"version": "v1", "mig-configs": layouts})


def counters_csv(context: ComponentContext) -> str:
    """The exporter's counters file. It replaces the default list, so it names every counter we read."""
    return "".join(f"{counter.line}\n" for counter in context.dcgm_counters)


def _service_monitor(context: ComponentContext) -> Values:
    monitor: Values = {"enabled": context.prometheus_operator}
    if context.prometheus_operator:
        # Without it Prometheus renames the exporter's pod and namespace to exported_pod and exported_namespace.
        monitor |= {"honorLabels": True, "additionalLabels": dict(context.monitor_labels)}
    return monitor


def gpu_operator(context: ComponentContext) -> Values:
    """gpu-operator v26.7.0."""
    tolerations = [dict(item) for item in context.tolerations]
    exporter: Values = {"enabled": True, "serviceMonitor": _service_monitor(context)}
    if context.dcgm_counters:
        exporter["config"] = {"name": _COUNTERS_MAP, "create": True, "data": counters_csv(context)}
    has_mig = any(pool.mode is SharingMode.MIG for pool in context.sharing)
    values: Values = {
        "daemonsets": {"tolerations": tolerations},
        "node-feature-discovery": {"worker": {"tolerations": tolerations}},
        "mig": {"strategy": "mixed" if has_mig else "none"},
        "dcgmExporter": exporter,
    }
    if context.dra:
        # The two objects exclude each other (values.yaml); GPUCluster brings the DRA driver.
        values["clusterPolicy"] = {"deployCR": False}
        values["gpuCluster"] = {"deployCR": True}
    if context.sharing:
        values["devicePlugin"] = {
            "config": {"create": True, "name": _CONFIG_MAP, "default": _DEFAULT, "data": _sections(context)}
        }
    if has_mig:
        values["migManager"] = {
            "config": {"create": True, "name": _MIG_MAP, "data": {"config.yaml": _mig_config(context)}}
        }
    return values


def nvidia_device_plugin(context: ComponentContext) -> Values:
    """nvidia-device-plugin 0.20.0, with GFD and the node-feature-discovery that both need."""
    tolerations = [dict(item) for item in context.tolerations]
    values: Values = {
        "gfd": {"enabled": True},
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}, *tolerations],
        "nfd": {"worker": {"tolerations": tolerations}},
    }
    if context.sharing:
        values["config"] = {"map": _sections(context), "default": _DEFAULT}
    return values


def dcgm_exporter(context: ComponentContext) -> Values:
    """dcgm-exporter 4.8.2. The chart's own tolerations name the control plane only."""
    values: Values = {
        "tolerations": [{"operator": "Exists"}],
        "serviceMonitor": _service_monitor(context),
    }
    if context.dcgm_counters:
        values["customMetrics"] = counters_csv(context)
    if context.dra:
        values["kubernetesDRA"] = {"enabled": True}
    return values


def amd_gpu(context: ComponentContext) -> Values:
    """amd-gpu 0.21.0: the chart tolerates no GPU taint and leaves its labeller off."""
    tolerations = [dict(item) for item in context.tolerations]
    return {
        "labeller": {"enabled": True},
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}, *tolerations],
    }
