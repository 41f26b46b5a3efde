"""CronJobs and their schedules."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.lab.controllers.world import Object, World

from stoker.lab.controllers.schedules import parse_schedule

KIND = "batch/v1/CronJob"


def _cron(schedule: str = "*/5 * * * *", **spec: Any) -> Object:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "default"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": template}}, **spec},
    }


def _finish(world: World) -> None:
    for pod in world.all("Pod"):
        if pod["status"]["phase"] == "Pending":
            world.run_pod(pod, phase="Succeeded", ready=False)
    world.settle()


def test_a_job_starts_when_it_is_due_and_is_named_after_the_minute(world: World) -> None:
    world.create(_cron())
    world.wait(299)
    assert [] == world.all("batch/v1/Job")
    world.wait(2)
    due = datetime(2026, 1, 5, 12, 5, tzinfo=UTC)
    (job,) = world.all("batch/v1/Job")
    assert f"c-{int(due.timestamp()) // 60}" == job["metadata"]["name"]
    annotations = job["metadata"]["annotations"]
    assert "2026-01-05T12:05:00Z" == annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    status = world.fetch(KIND, "c")["status"]
    assert "2026-01-05T12:05:00Z" == status["lastScheduleTime"]
    assert [job["metadata"]["name"]] == [one["name"] for one in status["active"]]
    assert f"Created job {job['metadata']['name']}" in world.events("SuccessfulCreate")


def test_a_finished_job_leaves_the_list_and_is_remembered(world: World) -> None:
    world.create(_cron())
    world.wait(301)
    _finish(world)
    status = world.fetch(KIND, "c")["status"]
    assert "active" not in status
    assert "2026-01-05T12:05:01Z" == status["lastSuccessfulTime"]


@pytest.mark.parametrize(("policy", "expected"), [("Allow", 2), ("Forbid", 1), ("Replace", 1)])
def test_the_policy_decides_what_happens_to_a_job_that_still_runs(
    world: World, policy: str, expected: int
) -> None:
    world.create(_cron(concurrencyPolicy=policy))
    world.wait(301)
    first = world.names("batch/v1/Job")
    world.wait(300)
    assert expected == len(world.all("batch/v1/Job"))
    assert (policy != "Replace") == (first[0] in world.names("batch/v1/Job"))


def test_history_is_kept_up_to_its_limit(world: World) -> None:
    world.create(_cron(successfulJobsHistoryLimit=2))
    for _ in range(4):
        world.wait(300)
        _finish(world)
    world.wait(1)
    assert 2 == len(world.all("batch/v1/Job"))


def test_a_suspended_cron_job_starts_nothing(world: World) -> None:
    world.create(_cron(suspend=True))
    world.wait(1000)
    assert [] == world.all("batch/v1/Job")


def test_a_time_that_was_missed_by_more_than_the_deadline_is_let_go(world: World) -> None:
    world.create(_cron("0 * * * *", startingDeadlineSeconds=60))
    world.wait(3600 + 120)
    assert [] == world.all("batch/v1/Job")


def test_a_time_zone_is_where_the_clock_hangs(world: World) -> None:
    world.create(_cron("30 14 * * *", timeZone="Europe/Berlin"))
    world.wait(3600 + 1800 + 1)
    assert ["2026-01-05T14:30:00+01:00"] == [
        job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
        for job in world.all("batch/v1/Job")
    ]


def _next(text: str, after: str, zone: str | None = None) -> str:
    found = parse_schedule(text, zone).next(datetime.fromisoformat(after))
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") if found else ""


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        # robfig/cron spec_test.go TestNext, in UTC.
        ("0/15 * * * *", "2012-07-09T14:45:00Z", "2012-07-09T15:00"),
        ("20-35/15 * * * *", "2012-07-09T15:45:00Z", "2012-07-09T16:20"),
        ("0 0 9 apr-oct ?", "2012-07-09T23:35:00Z", "2012-08-09T00:00"),
        ("0 0 * feb mon", "2012-07-09T23:35:00Z", "2013-02-04T00:00"),
        ("0 0 29 2 ?", "2012-07-09T23:35:00Z", "2016-02-29T00:00"),
        ("0 0 31 2 ?", "2012-07-09T23:35:00Z", ""),
        # Either day will do where both are restricted.
        ("0 0 13 * 5", "2026-01-05T00:00:00Z", "2026-01-09T00:00"),
        ("0 0 */1 * 1", "2026-01-05T00:00:00Z", "2026-01-12T00:00"),
        ("@hourly", "2026-01-05T00:10:00Z", "2026-01-05T01:00"),
        ("@every 90s", "2026-01-05T00:00:00Z", "2026-01-05T00:01"),
    ],
)
def test_the_next_time_is_upstreams(text: str, after: str, expected: str) -> None:
    assert expected == _next(text, after)


def test_a_time_that_does_not_exist_is_left_out() -> None:
    assert "2012-03-12T06:30" == _next("30 2 * * *", "2012-03-11T05:00:00Z", "America/New_York")


def test_a_time_that_exists_twice_comes_twice() -> None:
    first = "2012-11-04T05:30"
    assert first == _next("30 1 * * *", "2012-11-04T04:00:00Z", "America/New_York")
    assert "2012-11-04T06:30" == _next("30 1 * * *", f"{first}:00Z", "America/New_York")


@pytest.mark.parametrize(
    "text", ["* * * *", "60 * * * *", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "@never"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_schedule(text)
