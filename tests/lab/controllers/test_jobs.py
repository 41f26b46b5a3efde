"""Jobs: how often pods run, when a Job ends, and how."""

from typing import Any

import pytest
from tests.lab.controllers.world import Object, World

from stoker.lab.controllers.job_rules import intervals, numbers

KIND = "batch/v1/Job"


def _job(name: str = "j", restart: str = "Never", **spec: Any) -> Object:
    template = {"spec": {"restartPolicy": restart, "containers": [{"name": "c", "image": "x"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": template, **spec},
    }


def _open(world: World) -> list[Object]:
    return [
        pod
        for pod in world.all("Pod")
        if pod["status"]["phase"] in {"Pending", "Running"} and not pod["metadata"].get("deletionTimestamp")
    ]


def _end(world: World, pod: Object, phase: str = "Succeeded", code: int = 0) -> None:
    world.run_pod(pod, phase=phase, ready=False)
    name = pod["metadata"]["name"]
    at = world.cluster.now()

    def change(obj: Object) -> None:
        state = {"terminated": {"exitCode": code, "finishedAt": at, "startedAt": at}}
        obj["status"]["containerStatuses"] = [
            {"name": "c", "state": state, "ready": False, "restartCount": 0, "image": "x", "imageID": ""}
        ]

    world.change("Pod", name, change, part="status")


def _conditions(world: World, name: str = "j") -> list[tuple[str, str, str]]:
    conditions = world.fetch(KIND, name)["status"].get("conditions") or ()
    return [(one["type"], one["status"], one.get("reason", "")) for one in conditions]


def test_a_job_runs_its_pod_once(world: World) -> None:
    world.create(_job())
    (pod,) = world.all("Pod")
    assert ["batch.kubernetes.io/job-tracking"] == pod["metadata"]["finalizers"]
    assert "j" == pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
    _end(world, pod)
    status = world.fetch(KIND, "j")["status"]
    assert (1, {}, 0, 0) == (
        status["succeeded"],
        status["uncountedTerminatedPods"],
        status["ready"],
        status["terminating"],
    )
    assert status["completionTime"] == status["startTime"]
    assert [
        ("SuccessCriteriaMet", "True", "CompletionsReached"),
        ("Complete", "True", "CompletionsReached"),
    ] == _conditions(world)
    assert "finalizers" not in world.all("Pod")[0]["metadata"]
    assert ["Job completed"] == world.events("Completed")


def test_parallelism_and_completions_bound_what_runs(world: World) -> None:
    world.create(_job(parallelism=2, completions=5))
    counts = []
    while _open(world):
        counts.append(len(_open(world)))
        _end(world, _open(world)[0])
    assert [2, 2, 2, 2, 1] == counts
    assert 5 == world.fetch(KIND, "j")["status"]["succeeded"]


def test_a_failed_pod_is_tried_again_after_a_pause_and_then_no_more(world: World) -> None:
    world.create(_job(backoffLimit=1))
    _end(world, _open(world)[0], "Failed", 1)
    assert [] == _open(world)
    world.wait(11)
    assert 1 == len(_open(world))
    _end(world, _open(world)[0], "Failed", 1)
    world.wait(30)
    assert [
        ("FailureTarget", "True", "BackoffLimitExceeded"),
        ("Failed", "True", "BackoffLimitExceeded"),
    ] == _conditions(world)
    assert 2 == world.fetch(KIND, "j")["status"]["failed"]
    assert ["Job has reached the specified backoff limit"] == world.events("BackoffLimitExceeded")


def test_a_job_that_takes_too_long_fails_and_its_pods_go(world: World) -> None:
    world.create(_job(activeDeadlineSeconds=60))
    world.wait(59)
    assert 1 == len(_open(world))
    world.wait(2)
    assert [] == world.all("Pod")
    assert ("Failed", "True", "DeadlineExceeded") == _conditions(world)[-1]


def test_indexes_are_each_done_once(world: World) -> None:
    world.create(_job(completionMode="Indexed", completions=4, parallelism=4))
    pods = {
        pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]: pod
        for pod in _open(world)
    }
    assert ["0", "1", "2", "3"] == sorted(pods)
    assert "j-2" == pods["2"]["spec"]["hostname"]
    assert pods["2"]["metadata"]["name"].startswith("j-2-")
    variables = [one["name"] for one in pods["2"]["spec"]["containers"][0]["env"]]
    assert ["JOB_COMPLETION_INDEX"] == variables
    for index in ("0", "1", "3"):
        _end(world, pods[index])
    assert "0,1,3" == world.fetch(KIND, "j")["status"]["completedIndexes"]
    _end(world, pods["2"])
    assert "0-3" == world.fetch(KIND, "j")["status"]["completedIndexes"]
    assert ("Complete", "True", "CompletionsReached") == _conditions(world)[-1]


def test_an_index_that_failed_too_often_does_not_fail_the_others(world: World) -> None:
    world.create(_job(completionMode="Indexed", completions=2, parallelism=2, backoffLimitPerIndex=0))
    pods = {
        pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]: pod
        for pod in _open(world)
    }
    _end(world, pods["0"], "Failed", 1)
    assert "0" == world.fetch(KIND, "j")["status"]["failedIndexes"]
    assert 1 == len(_open(world))
    _end(world, pods["1"])
    assert ("Failed", "True", "FailedIndexes") == _conditions(world)[-1]


def test_a_suspended_job_has_no_pods_until_it_is_resumed(world: World) -> None:
    world.create(_job(suspend=True))
    assert [] == world.all("Pod")
    assert [("Suspended", "True", "JobSuspended")] == _conditions(world)
    assert "startTime" not in world.fetch(KIND, "j")["status"]
    world.change(KIND, "j", lambda job: job["spec"].update(suspend=False))
    assert 1 == len(_open(world))
    assert [("Suspended", "False", "JobResumed")] == _conditions(world)


def test_a_finished_job_goes_when_its_time_is_up(world: World) -> None:
    world.create(_job(ttlSecondsAfterFinished=100))
    _end(world, _open(world)[0])
    world.wait(99)
    assert world.get(KIND, "j") is not None
    world.wait(2)
    assert world.get(KIND, "j") is None
    assert [] == world.all("Pod")


def test_an_exit_code_can_fail_the_job_at_once(world: World) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    world.create(_job(podFailurePolicy={"rules": [rule]}))
    pod = _open(world)[0]
    _end(world, pod, "Failed", 42)
    assert ("Failed", "True", "PodFailurePolicy") == _conditions(world)[-1]
    message = world.fetch(KIND, "j")["status"]["conditions"][-1]["message"]
    name = pod["metadata"]["name"]
    assert (
        f"Container c for pod default/{name} failed with exit code 42 matching FailJob rule at index 0"
        == message
    )


def test_a_failure_can_be_ignored(world: World) -> None:
    rule = {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]}}
    world.create(_job(backoffLimit=0, podFailurePolicy={"rules": [rule]}))
    _end(world, _open(world)[0], "Failed", 42)
    world.wait(11)
    assert 1 == len(_open(world))
    assert [] == _conditions(world)


def test_less_parallelism_takes_pods_away_without_counting_them(world: World) -> None:
    world.create(_job(parallelism=3, completions=3))
    world.change(KIND, "j", lambda job: job["spec"].update(parallelism=1))
    assert 1 == len(_open(world))
    assert 0 == world.fetch(KIND, "j")["status"].get("failed", 0)


def test_pods_of_a_deleted_job_go_too(world: World) -> None:
    world.create(_job())
    world.delete(KIND, "j", propagationPolicy="Background")
    assert [] == world.all("Pod")


@pytest.mark.parametrize(
    ("indexes", "text"), [((), ""), ((1,), "1"), ((1, 2), "1,2"), ((0, 1, 2, 5, 7, 8), "0-2,5,7,8")]
)
def test_indexes_are_written_as_intervals(indexes: tuple[int, ...], text: str) -> None:
    assert text == intervals(indexes)
    assert set(indexes) == numbers(text, 100)
