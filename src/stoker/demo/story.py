"""The acts of the demo, in their order; each leaves its evidence in the folder."""

import json
import platform as machine
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

from stoker.demo.stage import Stage, packaged, packaged_text
from stoker.demo.traffic import RUSH, Users, figures
from stoker.errors import ExitCode, StokerError
from stoker.kube.lab import lab_services
from stoker.kube.prometheus import Prometheus
from stoker.kube.refs import Object, Ref
from stoker.load import Phase
from stoker.platform.load import loads
from stoker.report.rollout.evidence import Window
from stoker.report.rollout.measuring import take
from stoker.rollout.endpoints import find_model
from stoker.rollout.evidence import Verdict, moment
from stoker.sizing.resolve import resolve

__all__ = ["Story", "play"]

_OLD: Final = "ml"
_MODEL: Final = "llama3-70b"
_VERDICTS: Final = (0, int(ExitCode.FINDINGS), int(ExitCode.INCONCLUSIVE))
_READY: Final = 3600.0
_WEEKS: Final = {
    "week-1": "Week 1: foundation. Scheduling and tenancy; nothing that runs is disturbed",
    "week-2": "Week 2: serving. The models, their weights staged on the nodes, behind one gateway",
    "week-3": "Week 3: autoscaling on what matters, the queue; what it asks is scraped first",
    "week-4": "Week 4: observability, until somebody is paged",
}


@dataclass
class Story:
    """What was seen so far."""

    stage: Stage
    windows: dict[str, Window] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.platform = resolve(loads(packaged_text("platform.yaml")))

    def act(self, title: str) -> None:
        self.stage.say("act", title)

    def tell(self, words: str) -> None:
        self.stage.say("line", words)

    def now(self) -> datetime:
        return self.stage.cluster.clock.now()

    # --- the cluster as it is found -----------------------------------------------------------------------------------

    def open(self) -> None:
        """The lab, with a cluster full of mistakes on it."""
        stage = self.stage
        self.act("A cluster like many: 32 A100, LLM servers deployed like any microservice")
        stage.platform.write_text(packaged_text("platform.yaml"), encoding="utf-8")
        stage.run(
            "lab", "up", "--state", stage.state, "--nodes", "4x8xA100-80GB", "--nodes", "3xcpu", "--speed",
            f"{stage.speed:g}", shown=lambda line: "ready" in line,
        )  # fmt: skip
        stage.create(packaged("charts.yaml"))
        node = stage.cluster.objects("v1", "Node", labels="nvidia.com/gpu.present=true")[0]["metadata"][
            "name"
        ]
        stage.cluster.patch(
            Ref("v1", "Node", "", node),
            {"metadata": {"labels": {"accelerator": "nvidia-a100"}}},
            manager="kubectl-label",
        )
        there = {one["metadata"]["name"] for one in stage.cluster.objects("v1", "Namespace")}
        stage.create(
            [
                obj
                for obj in packaged("vanilla")
                if obj["kind"] != "Namespace" or obj["metadata"]["name"] not in there
            ]
        )
        self.tell(
            "a 70B model scaled by CPU, a training job and forgotten notebooks beside it, a quota that nobody enforces,"
        )
        self.tell("alerts that cannot fire; a second server that does not fit its GPU")
        stage.until("the model's first pod", lambda: self._serving("app=chat"), within=_READY)

    def _serving(self, labels: str) -> bool:
        """Whether a pod of theirs answers; without a probe, Running says nothing."""
        pods = self.stage.cluster.objects("v1", "Pod", _OLD, labels=labels)
        return any("answering on" in self.stage.cluster.logs(_OLD, pod["metadata"]["name"], tail=20)
                   for pod in pods if (pod.get("status") or {}).get("phase") == "Running")  # fmt: skip

    def before(self) -> None:
        """Real requests, and what they got."""
        self.act("Users: quiet, a rush, quiet")
        service = self.stage.cluster.get(Ref("v1", "Service", _OLD, "chat"))
        address = (service or {})["spec"]["clusterIP"]
        self._traffic("before", f"http://{address}", {})

    def _traffic(self, phase: str, url: str, headers: dict[str, str]) -> None:
        start = self.now()
        users = Users(
            url, _MODEL, RUSH, speed=self.stage.speed, seed=self.stage.seed, headers=headers
        ).start()
        seen = figures(users.end())
        self.windows[phase] = Window(start, self.now())
        self.evidence.setdefault("traffic", {})[phase] = seen
        spread = seen["e2e_seconds"]
        self.tell(
            f"{seen['requests']} requests, {seen['answered']} answered; a whole answer took "
            f"{_seconds(spread['p50'])} in the median, {_seconds(spread['p95'])} at P95 [{self.stage.cluster.measured_on}]"
        )

    # --- audit and plan -----------------------------------------------------------------------------------------------

    def audit(self, when: str) -> None:
        """The audit, on the live cluster; the whole text stays in the folder."""
        self.act("What will fail in production" if when == "before" else "The audit again")
        keep = f"audit-{when}.json"
        done = self.stage.run(
            "audit", "--output", "json", "--fail-on", "never", keep=keep, shown=lambda _: False
        )
        found = done.json()
        self.evidence[f"audit_{when}"] = found
        counts: dict[str, int] = {}
        for one in found["findings"]:
            counts[one["severity"]] = counts.get(one["severity"], 0) + 1
        words = (
            ", ".join(f"{count} {severity}s" for severity, count in sorted(counts.items())) or "no finding"
        )
        self.tell(f"{found.get('objects', '?')} objects: {words}; all of it in {keep}")
        worst = [one for one in found["findings"] if one["severity"] == "error"]
        for one in worst[:6]:
            self.tell(f"  {one['rule']}: {one['message']}")

    def plan(self) -> None:
        """What would change, before anything does."""
        self.act("The plan, against the live cluster")
        self.stage.run(
            "plan", self.stage.platform, keep="plan.txt", ok=(0, 1),
            shown=lambda line: not line.startswith(("wave", " ")) and "─" not in line,
        )  # fmt: skip

    # --- four weeks ---------------------------------------------------------------------------------------------------

    def secrets(self) -> None:
        """What only people have: a token for the hub, and keys of who is paged."""
        spaces = {"ai-production": "huggingface", "ai-staging": "huggingface", "stoker-system": "huggingface"}
        there = {one["metadata"]["name"] for one in self.stage.cluster.objects("v1", "Namespace")}
        for space, name in spaces.items():
            if space not in there:
                self.stage.create([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}])
            self.stage.create([_secret(space, name, "token")])
        self.stage.create([_secret("monitoring", "alerting", "pagerduty-routing-key", "opsgenie-api-key")])
        self.tell("you made three Secrets: Stoker references them and never reads one")

    def week(self, name: str) -> None:
        """One phase, with all of its gates."""
        self.act(_WEEKS[name])
        done = self.stage.run(
            "rollout", "run", self.stage.platform, "--through", name, "--set-nodes", "--seed", self.stage.seed, "--timeout", "2h",
            "--output", "json", ok=_VERDICTS, keep=f"{name}.json", shown=lambda _: False,
        )  # fmt: skip
        phases = done.json()["rollout"]["phases"] if done.text else []
        if not any(
            phase["name"] == name and phase["status"] in {"gating", "passed", "failed"} for phase in phases
        ):
            raise StokerError(f"{name} was not applied", fix=f"look into {self.stage.folder}/demo.log")

    def clear_neighbours(self) -> None:
        """Teams make room, by themselves: nothing of theirs is ended by a command of ours."""
        self.tell(
            "the training team ends its job at a checkpoint, the notebooks are closed: three of four had been forgotten"
        )
        cluster = self.stage.cluster
        for ref in (
            Ref("batch/v1", "Job", _OLD, "finetune"),
            Ref("apps/v1", "Deployment", _OLD, "notebooks"),
        ):
            cluster.delete(ref)
        self.stage.until(
            "their pods to end",
            lambda: not self._holding("job=finetune") and not self._holding("app=notebooks"),
            within=_READY,
        )

    def _holding(self, labels: str) -> list[Object]:
        return self.stage.cluster.objects("v1", "Pod", _OLD, labels=labels)

    def move_neighbours(self) -> None:
        """Teams move into their tenants."""
        self.tell("the training team queues its job in its tenant, and the notebook in use moves to its own")
        self.stage.create(packaged("tenants"))

    def retire_old(self) -> None:
        """The old servers go once the new ones have passed."""
        self.tell("users go to the new gateway; the team deletes its old servers")
        cluster = self.stage.cluster
        for kind in (
            ("keda.sh/v1alpha1", "ScaledObject"),
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
            ("apps/v1", "Deployment"),
        ):
            for obj in cluster.objects(*kind, _OLD):
                cluster.delete(Ref(*kind, _OLD, obj["metadata"]["name"]))
        for ref in (
            Ref("v1", "ResourceQuota", _OLD, "gpus"), Ref("v1", "LimitRange", "experiments", "gpus"), Ref("v1", "Namespace", "", "experiments"),
            Ref("v1", "Namespace", "", _OLD), Ref("scheduling.k8s.io/v1", "PriorityClass", "", "production"),
            Ref("monitoring.coreos.com/v1", "PrometheusRule", "monitoring", "llm"),
        ):  # fmt: skip
            cluster.delete(ref)

    # --- after --------------------------------------------------------------------------------------------------------

    def canary(self) -> None:
        """A new version, with users on it."""
        self.act("A canary: the same weights with larger batches, a little traffic first")
        endpoint = find_model(self.stage.cluster, self.platform, self.platform.models[_MODEL], {})
        users = Users(
            endpoint.url, _MODEL, (Phase(7200.0, 0.4),), speed=self.stage.speed, seed=self.stage.seed + 1,
            headers=dict(endpoint.headers),
        ).start()  # fmt: skip
        try:
            # Two steps, and margins for a machine that carries the cluster, its users and the measuring on two cores.
            done = self.stage.run(
                "canary", "start", _MODEL, "--file", self.stage.platform, "--steps", "10,50,100", "--pairs", "40",
                "--margin", "ttft=0.5", "--margin", "tpot=0.5", "--margin", "errors=0.05", "--output", "json",
                ok=_VERDICTS, keep="canary.json", shown=lambda _: False,
            )  # fmt: skip
        finally:
            seen = figures(users.stop())
        self.evidence["canary"] = {**done.json(), "traffic": seen}
        self.tell(
            f"{done.json().get('phase')}: {done.json().get('reason')}; {seen['requests']} user requests meanwhile, {seen['answered']} answered"
        )

    def after(self) -> None:
        """The same requests, to what stands now."""
        self.act("The same users, the same rush")
        endpoint = find_model(self.stage.cluster, self.platform, self.platform.models[_MODEL], {})
        self._traffic("after", endpoint.url, dict(endpoint.headers))

    def incident(self) -> None:
        """A node dies under load."""
        self.act("An incident: a GPU node dies while users are on it")
        cluster = self.stage.cluster
        endpoint = find_model(cluster, self.platform, self.platform.models[_MODEL], {})
        labels = f"serving.kserve.io/inferenceservice={_MODEL}"
        pods = [pod for pod in cluster.objects("v1", "Pod", "ai-production", labels=labels) if _ready(pod)]
        node = pods[0]["spec"]["nodeName"]
        users = Users(
            endpoint.url, _MODEL, (Phase(900.0, 0.4),), speed=self.stage.speed, seed=self.stage.seed + 2, headers=dict(endpoint.headers)
        ).start()  # fmt: skip
        injected = self.now()
        self.stage.run("lab", "fault", "node", node, "--for", "20m", "--state", self.stage.state)
        wanted = len(pods)

        def back() -> bool:
            found = cluster.objects("v1", "Pod", "ai-production", labels=labels)
            standing = [pod for pod in found if _ready(pod) and pod["spec"].get("nodeName") != node]
            return len(standing) >= wanted

        self.stage.until("the replicas on other nodes", back, within=_READY)
        recovered = self.now()
        self.stage.run("lab", "fault", "node", node, "--off", "--state", self.stage.state)
        seen = figures(users.end())
        self.evidence["incident_traffic"] = {
            "what": f"node {node} stopped answering", "injected": moment(injected), "recovered": moment(recovered),
            "seconds_to_recover": (recovered - injected).total_seconds(), **seen,
        }  # fmt: skip
        self.tell(
            f"all {wanted} replicas stand on other nodes after {(recovered - injected).total_seconds():.0f} s; "
            f"{seen['requests']} requests, {seen['answered']} answered [{cluster.measured_on}]"
        )

    def close(self) -> dict[str, Any]:
        """Everything that was seen, and the report."""
        self.act("The report")
        status = self.stage.run(
            "rollout", "status", "--output", "json", ok=_VERDICTS, keep="rollout.json", shown=lambda _: False
        ).json()
        prometheus = lab_services(self.stage.cluster).get("prometheus")
        if prometheus is None:
            raise StokerError(
                "the lab runs without Prometheus", fix="apt install prometheus prometheus-alertmanager"
            )
        taken = take(Prometheus(prometheus), self.windows, measured_on=self.stage.cluster.measured_on)
        document = {
            "gates": _newest(status["gates"]),
            "canary": None,
            "audit_before": None,
            "audit_after": None,
            **self.evidence,
            "rollout": status["rollout"],
            **taken.as_json(),
            "incident": _incident(status["gates"], self.stage.cluster.measured_on),
            "provenance": {
                "stoker": version("stoker"), "seed": self.stage.seed, "speed": self.stage.speed,
                "measured_on": self.stage.cluster.measured_on, "python": machine.python_version(), "machine": machine.machine(),
                "trace": "Poisson arrivals of `stoker load`, seeded",
            },
        }  # fmt: skip
        path = self.stage.folder / "evidence.json"
        path.write_text(
            json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )
        self.stage.run("report", path, "--html", self.stage.folder / "report.html", keep="report.txt")
        return document


def _seconds(value: float | None) -> str:
    return "no data" if value is None else f"{value:.1f} s"


def _secret(space: str, name: str, *keys: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": space},
        "stringData": dict.fromkeys(keys, "of-the-demo"),
    }


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return not pod["metadata"].get("deletionTimestamp") and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def _newest(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last measurement of each gate, in the order of the first ones; all of them stay in rollout.json."""
    newest = {result["id"]: result for result in results}
    return list(newest.values())


def _incident(results: list[dict[str, Any]], source: str) -> dict[str, Any] | None:
    """The synthetic saturation of week 4, by what its gates saw."""
    newest = {result["id"]: result for result in results}
    page, end = newest.get("week-4/page-arrives"), newest.get("week-4/page-resolves")
    if page is None:
        return None
    found: dict[str, Any] = {
        "what": "a KV cache filled on purpose (gate week-4/page-arrives)",
        "receiver": str(page["measured"].get("receiver") or ""),
        "source": source,
        "injected": _seen(page, "the KV cache is being filled"),
        "saturated": _seen(page, "above 90 %"),
        "fired": _seen(page, "the alert fires"),
        "paged": _seen(page, "a page was received"),
    }
    over = None if end is None else _seen(end, "the KV cache is below 90 % again")
    seconds = None if end is None else end["measured"].get("seconds_to_resolved")
    if over is not None and seconds is not None:
        found["resolved"] = over + seconds
    return {key: value for key, value in found.items() if value is not None}


def _seen(result: dict[str, Any], what: str) -> float | None:
    """When a gate first saw it, in seconds since the epoch: the moment itself where it knows that, else that of its note."""
    for one in result["evidence"]:
        if one["what"] == what:
            data = one.get("data") or {}
            at = data.get("at", data.get("last_sample_above"))
            return datetime.fromisoformat(one["at"]).timestamp() if at is None else float(at)
    return None


def play(stage: Stage) -> bool:
    """The whole of it; True where every gate has passed."""
    story = Story(stage)
    steps: list[Callable[[], None]] = [
        story.open,
        story.before,
        lambda: story.audit("before"),
        story.plan,
        story.secrets,
        story.clear_neighbours,
        lambda: story.week("week-1"),
        story.move_neighbours,
        lambda: story.week("week-2"),
        story.retire_old,
        lambda: story.week("week-3"),
        lambda: story.week("week-4"),
        story.canary,
        story.after,
        story.incident,
        lambda: story.audit("after"),
    ]
    for step in steps:
        step()
    document = story.close()
    verdicts = [gate["verdict"] for gate in document["gates"]]
    short = [gate["id"] for gate in document["gates"] if gate["verdict"] != Verdict.PASSED]
    story.tell(
        f"{len(verdicts) - len(short)} of {len(verdicts)} gates passed"
        + (f"; not passed: {', '.join(short)}" if short else "")
    )
    return bool(verdicts) and not short
