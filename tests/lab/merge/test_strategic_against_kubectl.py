"""Strategic merge patches give what the real kubectl gives: it carries the API server's own code.

`kubectl patch --local` needs no server.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.lab.merge.strategic import strategic_merge
from stoker.lab.schema.builtin import definition
from stoker.lab.status import ApiError

DEPLOYMENT = definition("io.k8s.api.apps.v1.Deployment")
pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


def kubectl_answer(folder: Path, document: Any, patch: Any) -> Any:
    """The patched document, or the error's text."""
    file = folder / "object.json"
    file.write_text(json.dumps(document))
    done = subprocess.run(
        [
            "kubectl",
            "patch",
            "--local",
            "--type=strategic",
            "-f",
            str(file),
            "-p",
            json.dumps(patch),
            "-o",
            "json",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={"KUBECONFIG": str(folder / "none"), "PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(folder)},
    )
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()


def our_answer(document: Any, patch: Any) -> Any:
    before = json.dumps([document, patch])
    try:
        found: Any = strategic_merge(document, patch, DEPLOYMENT)
    except ApiError as error:
        found = f"error: {error.message}".strip()  # kubectl ends its line
    assert before == json.dumps([document, patch]), "the patch or the object was changed in place"
    return found


def deployment(spec: dict[str, Any], **template: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "d",
            "namespace": "n",
            "labels": {"a": "1", "b": "2"},
            "finalizers": ["x", "y", "z"],
        },
        "spec": {
            "replicas": 2,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            **spec,
            "template": {"metadata": {"labels": {"a": "1"}}, "spec": template},
        },
    }


CONTAINERS = [
    {
        "name": "a",
        "image": "1",
        "args": ["x", "y"],
        "env": [{"name": "P", "value": "1"}, {"name": "Q", "value": "2"}, {"name": "R", "value": "3"}],
        "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 90, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/w"}],
    },
    {"name": "b", "image": "2"},
    {"name": "c", "image": "3"},
]
POD = {
    "containers": CONTAINERS,
    "nodeSelector": {"k": "1"},
    "tolerations": [{"key": "t", "operator": "Exists"}],
    "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": "/x"}}],
    "imagePullSecrets": [{"name": "s"}],
    "affinity": {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    },
}


def pod(**patch: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": patch}}}


CASES: dict[str, dict[str, Any]] = {
    "an image": pod(containers=[{"name": "b", "image": "n"}]),
    "a new container before": pod(containers=[{"name": "z", "image": "n"}]),
    "two containers, one new, out of order": pod(
        containers=[{"name": "c", "image": "n"}, {"name": "z"}, {"name": "a"}]
    ),
    "a container deleted": pod(containers=[{"name": "b", "$patch": "delete"}]),
    "a container deleted that is not there": pod(containers=[{"name": "q", "$patch": "delete"}]),
    "containers replaced": pod(containers=[{"name": "q", "image": "n"}, {"$patch": "replace"}]),
    "containers set to null": pod(containers=None),
    "containers emptied": pod(containers=[]),
    "a null in an element": pod(containers=[{"name": "a", "image": None}]),
    "a null in a new element": pod(containers=[{"name": "z", "image": None, "env": None}]),
    "args replaced": pod(containers=[{"name": "a", "args": ["z"]}]),
    "env merged": pod(
        containers=[{"name": "a", "env": [{"name": "R", "value": "9"}, {"name": "S", "value": "4"}]}]
    ),
    "env value to valueFrom": pod(
        containers=[
            {
                "name": "a",
                "env": [{"name": "P", "value": None, "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
            }
        ]
    ),
    "env deleted and added": pod(
        containers=[{"name": "a", "env": [{"name": "P", "$patch": "delete"}, {"name": "S", "value": "4"}]}]
    ),
    "env in an order": pod(
        containers=[
            {
                "name": "a",
                "$setElementOrder/env": [{"name": "S"}, {"name": "R"}, {"name": "P"}],
                "env": [{"name": "S", "value": "4"}],
            }
        ]
    ),
    "env in an order with a deletion": pod(
        containers=[
            {
                "name": "a",
                "$setElementOrder/env": [{"name": "R"}, {"name": "S"}],
                "env": [{"name": "S", "value": "4"}, {"name": "P", "$patch": "delete"}],
            }
        ]
    ),
    "an order alone": pod(**{"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}),
    "an order of a list that is not there": pod(**{"$setElementOrder/initContainers": [{"name": "c"}]}),
    "an order that the patch contradicts": pod(
        **{
            "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
            "containers": [{"name": "b"}, {"name": "a"}],
        }
    ),
    "an order that is no list": pod(**{"$setElementOrder/containers": "a"}),
    "an order without a name": pod(**{"$setElementOrder": [{"name": "a"}]}),
    "ports merge by number": pod(
        containers=[{"name": "a", "ports": [{"containerPort": 90, "name": "m"}, {"containerPort": 70}]}]
    ),
    "mounts merge by path": pod(
        containers=[
            {
                "name": "a",
                "volumeMounts": [{"mountPath": "/w", "name": "u"}, {"mountPath": "/q", "name": "q"}],
            }
        ]
    ),
    "tolerations are replaced": pod(tolerations=[{"key": "u", "operator": "Exists"}]),
    "a volume changes its kind": pod(
        volumes=[{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]
    ),
    "retainKeys that misses a field": pod(
        volumes=[{"name": "v", "$retainKeys": ["name"], "hostPath": {"path": "/"}}]
    ),
    "retainKeys that is no list": pod(volumes=[{"name": "v", "$retainKeys": "name"}]),
    "the strategy changes": {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
    "a map is replaced": pod(nodeSelector={"$patch": "replace", "z": "1"}),
    "a map is deleted": pod(nodeSelector={"$patch": "delete"}),
    "a map with an unknown directive": pod(nodeSelector={"$patch": "merge"}),
    "a list with an unknown directive": pod(containers=[{"name": "a", "$patch": "nope"}]),
    "a list with the merge directive": pod(containers=[{"name": "a", "$patch": "merge"}]),
    "a null in a map": pod(nodeSelector={"k": None, "z": "2"}),
    "a map where there is none": pod(securityContext={"runAsUser": 1, "runAsGroup": None}),
    "a directive where there is nothing": pod(securityContext={"$patch": "delete"}),
    "labels": {"metadata": {"labels": {"a": None, "c": "3"}}},
    "labels set to null": {"metadata": {"labels": None}},
    "finalizers merge": {"metadata": {"finalizers": ["w", "y"]}},
    "finalizers taken out": {"metadata": {"$deleteFromPrimitiveList/finalizers": ["y", "q"]}},
    "finalizers taken out and added in an order": {
        "metadata": {
            "$deleteFromPrimitiveList/finalizers": ["x"],
            "$setElementOrder/finalizers": ["z", "w", "y"],
            "finalizers": ["w"],
        }
    },
    "a deletion without a name": {"metadata": {"$deleteFromPrimitiveList": ["y"]}},
    "a container without its key": pod(containers=[{"image": "n"}]),
    "a container of another type": pod(containers=["a"]),
    "lists in a list": pod(containers=[["a"]]),
    "a string instead of a list": pod(containers="a"),
    "an unknown scalar": {"spec": {"nope": 1}},
    "an unknown map": {"spec": {"nope": {"a": 1}}},
    "a scalar changes its type": {"spec": {"replicas": "three"}},
    "resources": pod(
        containers=[{"name": "a", "resources": {"limits": {"cpu": None, "nvidia.com/gpu": "1"}}}]
    ),
    "pull secrets": pod(imagePullSecrets=[{"name": "t"}, {"name": "s"}]),
    "affinity": pod(
        affinity={
            "nodeAffinity": None,
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z"}]},
        }
    ),
    "the top replaced": {
        "$patch": "replace",
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "d"},
    },
}


@pytest.mark.parametrize("patch", CASES.values(), ids=CASES)
def test_a_patch_gives_what_kubectl_gives(patch: dict[str, Any], tmp_path: Path) -> None:
    document = deployment({}, **POD)
    assert kubectl_answer(tmp_path, document, patch) == our_answer(document, patch)


NAMES = st.sampled_from("abcdef")
WORDS = st.sampled_from(["1", "2", "3"])


def unique(key: str, **others: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    keys = st.integers(1, 5) if key == "containerPort" else NAMES
    one = st.fixed_dictionaries({key: keys}, optional=others)
    return st.lists(one, max_size=4, unique_by=lambda item: item[key])


def changes(key: str, **others: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Elements of a patch: some delete, some null a field."""
    keys = st.integers(1, 5) if key == "containerPort" else NAMES
    plain = st.fixed_dictionaries(
        {key: keys}, optional={name: st.none() | one for name, one in others.items()}
    )
    deletion = st.builds(lambda name: {key: name, "$patch": "delete"}, keys)
    return st.lists(plain | deletion, max_size=4, unique_by=lambda item: item[key])


ENV = {"value": WORDS}
MOUNTS = {"mountPath": WORDS}
LIVE_CONTAINERS = unique(
    "name",
    image=WORDS,
    args=st.lists(WORDS, max_size=3),
    env=unique("name", **ENV),
    ports=unique("containerPort", name=WORDS),
    volumeMounts=unique("mountPath", name=WORDS),
)


@st.composite
def ordered_changes(
    draw: st.DrawFn, name: str, elements: st.SearchStrategy[list[dict[str, Any]]]
) -> dict[str, Any]:
    """A list of a patch, mostly with the order that kubectl apply sends along."""
    found = draw(elements)
    if draw(st.booleans()):
        return {name: found}
    kept = [one["name"] for one in found if "$patch" not in one]
    order = list(kept)
    for extra in draw(st.lists(NAMES, max_size=3, unique=True)):
        if extra not in order:
            order.insert(draw(st.integers(0, len(order))), extra)
    patch: dict[str, Any] = {f"$setElementOrder/{name}": [{"name": one} for one in order]}
    return patch | ({name: found} if found else {})


PATCH_CONTAINERS = changes(
    "name",
    image=WORDS,
    args=st.lists(WORDS, max_size=3),
    env=changes("name", **ENV),
    ports=changes("containerPort", name=WORDS),
    volumeMounts=changes("mountPath", name=WORDS),
)
LIVE = st.builds(
    deployment,
    st.fixed_dictionaries({}, optional={"paused": st.booleans()}),
    containers=LIVE_CONTAINERS,
    volumes=unique("name", emptyDir=st.just({})),
    tolerations=unique("key", operator=WORDS),
    nodeSelector=st.dictionaries(NAMES, WORDS, max_size=3),
)
PATCHES = st.builds(
    lambda containers, others, metadata: {
        "metadata": metadata,
        "spec": {"template": {"spec": {**containers, **others}}},
    },
    ordered_changes("containers", PATCH_CONTAINERS),
    st.fixed_dictionaries(
        {},
        optional={
            "volumes": changes("name", emptyDir=st.just({"medium": "Memory"})),
            "tolerations": st.none() | unique("key", operator=WORDS),
            "nodeSelector": st.dictionaries(NAMES, st.none() | WORDS, max_size=3),
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "finalizers": st.lists(NAMES, max_size=3),
            "$deleteFromPrimitiveList/finalizers": st.lists(st.sampled_from("xyz"), max_size=2),
            "labels": st.none() | st.dictionaries(NAMES, st.none() | WORDS, max_size=3),
        },
    ),
)


@given(document=LIVE, patch=PATCHES)
@settings(max_examples=60)
def test_any_patch_gives_what_kubectl_gives(
    document: dict[str, Any], patch: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert kubectl_answer(folder, document, patch) == our_answer(document, patch)


@pytest.mark.slow
@given(document=LIVE, patch=PATCHES)
@settings(max_examples=2000)
def test_many_patches_give_what_kubectl_gives(
    document: dict[str, Any], patch: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert kubectl_answer(folder, document, patch) == our_answer(document, patch)
