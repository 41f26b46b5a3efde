"""How fast the HPA that KEDA makes may move.

Source: kubernetes autoscaling/v2 HPAScalingRules (stabilizationWindowSeconds 0-3600, periodSeconds 1-1800) and
pkg/controller/podautoscaler/horizontal.go.
"""

from typing import Final

from stoker.sizing.resolved import ResolvedModel
from stoker.upgrades.objects import Object

__all__ = ["hpa_behavior"]

_LONGEST_WINDOW: Final = 3600
_LONGEST_PERIOD: Final = 1800
_SCALE_DOWN_PERIOD: Final = 300
_FIRST_STEP: Final = 3


def hpa_behavior(model: ResolvedModel) -> Object:
    """Up at once, at most doubling within one load time; down one replica in five minutes.

    A replica asked for within the last load time serves nothing yet, so the load it will take is still counted on the
    others: without a bound every evaluation would ask again. The pods policy lets the first step reach three more replicas
    where GPUs are there for them: from one to four at once, as the guide's gate of week 3 wants it. Down is slow because a scaled-in pod aborts what its drain time does not cover, and
    because the next replica costs a load.
    """
    headroom = max(1, model.max_replicas - max(1, model.min_replicas))
    period = min(_LONGEST_PERIOD, max(60, model.startup_seconds))
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": period},
                {"type": "Pods", "value": min(_FIRST_STEP, headroom), "periodSeconds": period},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": min(_LONGEST_WINDOW, model.scaling.scale_down_seconds),
            "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": _SCALE_DOWN_PERIOD}],
        },
    }
