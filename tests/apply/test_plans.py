"""Risks, money, what the user allows, the record and its undoing, as pure values."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.apply.objects import bodies, config, owned
from tests.conftest import REPOSITORY

from stoker.apply.asked import Allowed, parse_takes
from stoker.apply.back import run_to_undo
from stoker.apply.changes import Action, Change, RiskKind
from stoker.apply.compare import HIDDEN, FieldChange, differences
from stoker.apply.fields import ABSENT, Manager
from stoker.apply.inventory import (
    Entry,
    Origin,
    Run,
    Touched,
    created_by,
    decode_entry,
    decode_touched,
    encode_entry,
    encode_touched,
    origins,
)
from stoker.apply.missing import missing_kind
from stoker.apply.risks import immutable_fields, money, risks
from stoker.apply.store import _MOST_BYTES, _pieces
from stoker.apply.undo import Spared, UndoKind, changed_by_others, undo_entry, undo_touched
from stoker.errors import InputError
from stoker.kube.api_errors import Cause, InvalidError
from stoker.kube.refs import Ref, ref_of
from stoker.platform.load import load_document
from stoker.sizing.resolve import resolve
from stoker.upgrades import compile_platform
from stoker.upgrades.objects import Upgrade, Wave

WEB = Ref("apps/v1", "Deployment", "n", "web")


def change(action: Action, ref: Ref = WEB, *fields: FieldChange) -> Change:
    return Change(ref, action, Wave.WORKLOADS, Upgrade.SERVING, fields=fields)


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (change(Action.CREATE), []),
        (change(Action.DELETE), [RiskKind.DESTRUCTIVE]),
        (change(Action.REPLACE), [RiskKind.DISRUPTIVE]),
        (change(Action.REPLACE, Ref("v1", "PersistentVolumeClaim", "n", "c")), [RiskKind.DISRUPTIVE, RiskKind.DESTRUCTIVE]),
        (change(Action.UPDATE, WEB, FieldChange(("f:spec", "f:template", "f:spec", "f:x"), 1, 2)), [RiskKind.DISRUPTIVE]),
        (change(Action.UPDATE, WEB, FieldChange(("f:spec", "f:replicas"), 3, 2)), [RiskKind.DISRUPTIVE]),
        (change(Action.UPDATE, WEB, FieldChange(("f:spec", "f:replicas"), 2, 3)), []),
        (change(Action.UPDATE, WEB, FieldChange(("f:metadata", "f:labels", "f:a"), ABSENT, "b")), []),
        (change(Action.UPDATE, Ref("serving.kserve.io/v1beta1", "InferenceService", "n", "m"),
                FieldChange(("f:spec", "f:predictor", "f:model", "f:args"), ["a"], ["b"])), [RiskKind.DISRUPTIVE]),
        (change(Action.UPDATE, Ref("serving.kserve.io/v1beta1", "InferenceService", "n", "m"),
                FieldChange(("f:spec", "f:predictor", "f:canaryTrafficPercent"), 5, 25)), []),
        (change(Action.UPDATE, Ref("v1", "ConfigMap", "n", "c"), FieldChange(("f:data", "f:a"), "1", "2")), []),
    ],
)  # fmt: skip
def test_what_a_change_risks(found: Change, kinds: list[RiskKind]) -> None:
    assert kinds == [risk.kind for risk in risks(found)]


def test_a_refusal_is_one_to_replace_only_where_every_cause_is_a_field_that_cannot_change() -> None:
    def error(*messages: str) -> InvalidError:
        causes = tuple(Cause("FieldValueInvalid", "spec.x", message) for message in messages)
        return InvalidError(422, "Invalid", "no", what="PATCH", causes=causes)

    assert ("spec.x",) == immutable_fields(error("Invalid value: 9: field is immutable"))
    assert ("spec.x",) == immutable_fields(error("Forbidden: may not be changed in an update."))
    assert () == immutable_fields(error("field is immutable", "must be greater than 0"))
    assert () == immutable_fields(error("must be greater than 0"))


def test_money_is_gpus_of_the_smallest_number_of_replicas_by_the_pools_price() -> None:
    platform = resolve(load_document(REPOSITORY / "examples" / "guide.yaml", file="guide.yaml").platform)
    items = compile_platform(platform)
    made = [Change(ref_of(i.object), Action.CREATE, i.wave, i.upgrade, wanted=i.object) for i in items]
    stand = [
        Change(
            ref_of(i.object), Action.NONE, i.wave, i.upgrade, wanted=i.object, live=i.object, after=i.object
        )
        for i in items
    ]
    gone = [Change(ref_of(i.object), Action.DELETE, i.wave, i.upgrade, live=i.object) for i in items]

    # 2 replicas of 4 GPUs, a canary of 4, a batch tier at zero; 0.95 $/GPU-hour in the file.
    assert {"a100": 12.0} == money(made, platform).gpus
    assert pytest.approx(12 * 0.95 * 730) == money(made, platform).usd_per_month
    assert ({}, 0.0) == (money(stand, platform).gpus, money(stand, platform).usd_per_month)
    assert {"a100": -12.0} == money(gone, platform).gpus


def test_a_take_covers_its_field_and_what_is_below_and_nothing_beside_it() -> None:
    allowed = Allowed(
        parse_takes(["Deployment/n/web:.spec.replicas", "Deployment/n/web:.spec.template"]), ("Job/*/copy-*",)
    )

    assert allowed.may_take(WEB, ".spec.replicas")
    assert allowed.may_take(WEB, '.spec.template.spec.containers[name="x"].image')
    assert not allowed.may_take(WEB, ".spec.replicasets")
    assert not allowed.may_take(Ref("apps/v1", "Deployment", "m", "web"), ".spec.replicas")
    assert allowed.may_replace(Ref("batch/v1", "Job", "n", "copy-llama"))
    assert not allowed.may_replace(WEB)
    with pytest.raises(InputError, match="names no field"):
        parse_takes(["Deployment/n/web", ":.spec"])


def test_a_missing_kind_names_its_component_and_an_unknown_one_none() -> None:
    assert "keda is not installed" in missing_kind(Ref("keda.sh/v1alpha1", "ScaledObject", "n", "s"))[0]
    assert "kubectl api-resources" in missing_kind(Ref("example.com/v1", "Thing", "n", "t"))[1]


@given(bodies, bodies)
def test_origins_are_what_stood_there_before_and_stay_so_when_applied_again(
    before: dict[str, Any], ours: dict[str, Any]
) -> None:
    live = owned(config(before), them=("Update", before))
    after = owned(config({**before, **ours}), them=("Update", before), stoker=("Apply", ours))

    first = origins(live, after, "stoker")
    again = origins(after, after, "stoker", first)

    assert first == again
    assert all(origin.owners in ((), (Manager("them", "Update"),)) for origin in first)


@given(bodies, bodies)
def test_the_record_comes_back_from_json_as_it_was(before: dict[str, Any], ours: dict[str, Any]) -> None:
    live = owned(config(before), them=("Update", before))
    found = origins(live, owned(config(ours), stoker=("Apply", ours)), "stoker")
    entry = Entry(
        ref_of(live),
        "p",
        Upgrade.SERVING,
        Wave.POLICY,
        created=False,
        uid="u",
        pending=True,
        origins=found,
        original=live,
    )
    touched = Touched(entry.ref, "update", Wave.POLICY, live, found, entry)

    assert entry == decode_entry(encode_entry(entry))
    assert touched == decode_touched(encode_touched(touched))


@settings(max_examples=20)
@given(st.integers(0, 40), st.integers(1, 200_000))
def test_a_backup_is_split_into_pieces_that_fit(count: int, size: int) -> None:
    import gzip
    import json
    import random

    rng = random.Random(size)  # noqa: S311  # text that does not compress
    items = [{"n": n, "text": rng.randbytes(min(size, 2_000_000 // (count + 1))).hex()} for n in range(count)]

    pieces = list(_pieces(items))

    assert items == [item for piece in pieces for item in json.loads(gzip.decompress(piece))]
    assert all(len(piece) <= _MOST_BYTES or len(json.loads(gzip.decompress(piece))) == 1 for piece in pieces)


def made(obj: dict[str, Any], uid: str = "u") -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "uid": uid}}


def entry_of(obj: dict[str, Any], **more: Any) -> Entry:
    return Entry(ref_of(obj), "p", Upgrade.SERVING, Wave.POLICY, **{"created": True, "uid": "u", **more})


def test_only_what_we_created_and_nobody_changed_is_deleted() -> None:
    body = {"data": {"a": "1"}}
    ours = made(owned(config(body), stoker=("Apply", body)))
    edited = made(
        owned(
            config({"data": {"a": "1", "b": "2"}}),
            stoker=("Apply", body),
            kubectl_edit=("Update", {"data": {"b": "2"}}),
        )
    )
    scaled = made(
        owned(
            config(body), stoker=("Apply", body), keda_operator=("Update", {"metadata": {"finalizers": []}})
        )
    )

    assert UndoKind.DELETE == undo_entry(entry_of(ours), ours, Spared()).kind
    assert UndoKind.LEAVE == undo_entry(entry_of(ours), made(ours, "other"), Spared()).kind
    assert UndoKind.LEAVE == undo_entry(entry_of(ours, unsure=True), ours, Spared()).kind
    assert ("kubectl-edit: .data.b",) == changed_by_others(edited)
    assert UndoKind.LEAVE == undo_entry(entry_of(ours), edited, Spared()).kind
    assert UndoKind.DELETE == undo_entry(entry_of(ours), edited, Spared(changed=True)).kind
    assert UndoKind.DELETE == undo_entry(entry_of(ours), scaled, Spared()).kind
    assert UndoKind.NOTHING == undo_entry(entry_of(ours), None, Spared()).kind


@pytest.mark.parametrize(
    ("kind", "api_version", "spared"),
    [
        ("PersistentVolumeClaim", "v1", Spared(claims=True)),
        ("CustomResourceDefinition", "apiextensions.k8s.io/v1", Spared(definitions=True)),
        ("Namespace", "v1", Spared(namespaces=True, foreign={"t": ["ConfigMap guest"]})),
    ],
)
def test_what_holds_data_of_others_is_deleted_only_where_that_was_said(
    kind: str, api_version: str, spared: Spared
) -> None:
    obj = made({"apiVersion": api_version, "kind": kind, "metadata": {"name": "t"}})

    assert UndoKind.LEAVE == undo_entry(entry_of(obj), obj, Spared(foreign={"t": ["ConfigMap guest"]})).kind
    assert UndoKind.DELETE == undo_entry(entry_of(obj), obj, spared).kind


def test_a_field_goes_back_only_where_it_still_has_the_value_that_we_wrote() -> None:
    live = owned(
        config({"data": {"a": "ours", "b": "theirs now"}}), stoker=("Apply", {"data": {"a": "ours"}})
    )
    found = undo_entry(
        entry_of(live, created=False, origins=(
            Origin(("f:data", "f:a"), "old", "ours", (Manager("them", "Update"),)),
            Origin(("f:data", "f:b"), "old", "ours", ()),
        )),
        live, Spared(),
    )  # fmt: skip

    assert (UndoKind.RESTORE, (".data.b",)) == (found.kind, found.left)
    assert [("f:data", "f:a")] == [origin.path for origin in found.origins]


def test_an_object_was_created_by_us_only_if_nobody_else_was_there_as_early() -> None:
    def obj(*entries: tuple[str, str, str]) -> dict[str, Any]:
        fields = [{"manager": m, "operation": o, "time": t, "fieldsV1": {}} for m, o, t in entries]
        return {"metadata": {"creationTimestamp": "2026-01-01T00:00:01Z", "managedFields": fields}}

    at, later = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"
    assert created_by(obj(("stoker", "Apply", at)), "stoker", controllers=())
    assert created_by(
        obj(("stoker", "Apply", at), ("kubectl-edit", "Update", later)), "stoker", controllers=()
    )
    assert created_by(
        obj(("stoker", "Apply", at), ("manager", "Update", at)), "stoker", controllers={"manager"}
    )
    assert not created_by(
        obj(("stoker", "Apply", later), ("kubectl-create", "Update", at)), "stoker", controllers=()
    )
    assert not created_by(obj(("kubectl-create", "Update", at)), "stoker", controllers=())


def test_rollback_without_a_number_takes_the_newest_run_that_is_not_undone() -> None:
    def run(number: int, undoes: int = 0) -> Run:
        return Run(number, "rollback" if undoes else "apply", "p", "me", "now", undoes=undoes)

    assert 3 == run_to_undo([run(1), run(2), run(3)], None).number
    assert 1 == run_to_undo([run(1), run(2), run(3), run(4, undoes=2)], None).number
    assert 5 == run_to_undo([run(1), run(2), run(3, undoes=2), run(5)], None).number
    assert 2 == run_to_undo([run(1), run(2)], 2).number
    for runs, number in (([], None), ([run(1), run(2, undoes=1)], None), ([run(1)], 7)):
        with pytest.raises(InputError):
            run_to_undo(runs, number)


def test_a_new_object_is_one_difference() -> None:
    assert [(".", ABSENT)] == [
        (c.field or ".", c.before) for c in differences(None, config({"spec": {"a": 1}}))
    ]
    assert Path(REPOSITORY).is_dir()


def test_a_secret_whose_values_were_not_recorded_is_left_as_it_is() -> None:
    secret = made({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "data": {"a": "bmV3"}})
    origin = Origin(("f:data", "f:a"), HIDDEN, HIDDEN, (Manager("them", "Update"),))
    changed = entry_of(secret, created=False, origins=(origin,))

    assert UndoKind.LEAVE == undo_entry(changed, secret, Spared()).kind
    assert UndoKind.DELETE == undo_entry(entry_of(secret), secret, Spared()).kind
    touched = Touched(changed.ref, "update", Wave.POLICY, secret, (origin,), None)
    for live in (secret, None):
        assert UndoKind.LEAVE == undo_touched(touched, live, changed, Spared()).kind
