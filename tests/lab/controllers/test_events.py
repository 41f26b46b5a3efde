"""Events: counted, gathered, limited."""

from tests.lab.controllers.world import Object, World

from stoker.lab.controllers.events import record


def _about(world: World) -> Object:
    return world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})


def test_an_event_names_what_it_is_about_and_who_speaks(world: World) -> None:
    obj = _about(world)
    record(world.local, obj, "Normal", "Made", "made it", "maker")
    (event,) = world.all("Event")
    metadata = event.pop("metadata")
    assert metadata["name"].startswith("c.")
    assert {
        "kind": "Event",
        "apiVersion": "v1",
        "involvedObject": {
            "kind": "ConfigMap",
            "namespace": "default",
            "name": "c",
            "uid": obj["metadata"]["uid"],
            "apiVersion": "v1",
            "resourceVersion": obj["metadata"]["resourceVersion"],
        },
        "reason": "Made",
        "message": "made it",
        "source": {"component": "maker"},
        "firstTimestamp": "2026-01-05T12:00:00Z",
        "lastTimestamp": "2026-01-05T12:00:00Z",
        "count": 1,
        "type": "Normal",
        "eventTime": None,
        "reportingComponent": "maker",
        "reportingInstance": "",
    } == {"eventTime": None, "reportingInstance": "", **event}


def test_the_same_event_is_counted(world: World) -> None:
    obj = _about(world)
    for _ in range(3):
        record(world.local, obj, "Normal", "Made", "made it", "maker")
        world.wait(5)
    (event,) = world.all("Event")
    assert (3, "2026-01-05T12:00:00Z", "2026-01-05T12:00:10Z") == (
        event["count"],
        event["firstTimestamp"],
        event["lastTimestamp"],
    )


def test_events_that_are_alike_are_gathered_from_the_tenth_on(world: World) -> None:
    obj = _about(world)
    for number in range(12):
        record(world.local, obj, "Normal", "Made", f"made {number}", "maker")
    messages = {event["message"]: event["count"] for event in world.all("Event")}
    assert 10 == len(messages)
    assert 3 == messages["(combined from similar events): made 11"]


def test_one_object_has_no_more_than_a_burst_of_events(world: World) -> None:
    obj = _about(world)
    for number in range(40):
        record(world.local, obj, "Normal", f"Made{number}", "made it", "maker")
    assert 25 == len(world.all("Event"))
