"""Every field explains itself, and every default says why it is what it is."""

import pytest

from stoker.errors import InputError
from stoker.platform.explain import explain, fields

# Defaults that need no reason: nothing in a list, the two constants of the document.
EVIDENT = {"none", "empty", '""', "the defaults of its fields"}
CONSTANT = {"apiVersion", "kind"}


@pytest.mark.parametrize("path", list(fields()))
def test_every_field_says_what_it_is_and_why_its_default_is_right(path: str) -> None:
    about = explain(path)

    assert about.what
    assert about.type
    assert about.required or about.default in EVIDENT or path in CONSTANT or about.why, (
        "a default without why"
    )


def test_a_leaf_is_explained_in_full() -> None:
    assert (
        "models.tier\n"
        "    production (always warm) or batch (may scale to zero).\n\n"
        "type:    one of the allowed values\n"
        "allowed: production, batch\n"
        "default: production\n"
        "why:     Users wait in front of most models."
    ) == str(explain("models[0].tier"))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("models.autoscaling.scaleDownAfter", "duration, such as 200ms, 2s, 15m, 4h or 1d"),
        ("pools.memory", "Kubernetes quantity, such as 512Gi, 64, 500m or 1.5T"),
        ("pools[0].nodes", "whole number, from 1 to 10000"),
        ("models.engine", "name of an engine, or object"),
        ("models.replicas", "whole number, or object"),
        ("storage.nfs.server", "text"),
        ("storage[2].server", "text"),
        ("tenants.quota.gpus", "whole number or object of names, each with a whole number"),
    ],
)
def test_types_are_said_in_plain_words(path: str, kind: str) -> None:
    assert kind == explain(path).type


def test_a_section_lists_its_fields_and_the_document_its_sections() -> None:
    assert ["mode", "replicas", "migProfiles"] == [child.name for child in explain("pools.sharing").children]
    assert {"name", "pools", "models"} == {child.name for child in explain("").children if child.required}
    assert "object-store" in {child.name for child in explain("storage").children}


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("models.autoscaling.scaleDown", "did you mean `models.autoscaling.scaleDownAfter`?"),
        ("modles.tier", "did you mean `models`?"),
        ("contextLength", "did you mean `models.contextLength`?"),
        ("models.name.x", ""),
        ("x" * 10_000, ""),
        ("[[[", ""),
        ("\x00.\x1b", ""),
    ],
)
def test_an_unknown_path_names_the_nearest(path: str, fix: str) -> None:
    if path == "[[[":
        assert "" == explain(path).path
        return
    with pytest.raises(InputError) as refused:
        explain(path)

    assert fix in refused.value.problems[0].fix
    assert refused.value.problems[0].message
