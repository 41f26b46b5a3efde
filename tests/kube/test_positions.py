"""Lines of fields: of the key, of the deepest parent that is there, of the object."""

import pytest

from stoker.kube.edit import Change, edit_text
from stoker.kube.patch import Op
from stoker.kube.paths import Path
from stoker.kube.positions import Positions
from stoker.kube.read import read_text

TEXT = """# a comment
apiVersion: v1
kind: Pod
metadata: {name: first}
---
apiVersion: v1
kind: Pod
metadata:
  name: second
spec:
  nodeName: a
  containers:
  - name: x
  -
    name: y
    args:
    - one
    - two
  nodeName: b
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param(("spec",), 10, id="a key"),
        pytest.param(("spec", "containers", 0), 13, id="an item"),
        pytest.param(("spec", "containers", 1, "args", 1), 18, id="an item below an item"),
        pytest.param(("spec", "volumes", 0, "name"), 10, id="the parent of what is not there"),
        pytest.param(("spec", "containers", 5), 12, id="the list that is too short"),
        pytest.param(("spec", "containers", "x"), 12, id="the list that has no keys"),
        pytest.param(("metadata", "name", "x"), 9, id="the scalar that has nothing below"),
        pytest.param((), 6, id="the object"),
        pytest.param(("spec", "nodeName"), 19, id="of a key that stands twice, the one whose value counts"),
    ],
)
def test_a_path_leads_to_its_line(path: Path, line: int) -> None:
    snapshot = read_text(TEXT.encode(), "f.yaml")

    assert line == Positions({"f.yaml": TEXT.encode()}).line(snapshot.items[1], path)


def test_a_patch_changes_the_line_that_is_told() -> None:
    """Reports and patches find a field by the same descent."""
    item = read_text(TEXT.encode(), "f.yaml").items[1]
    line = Positions({"f.yaml": TEXT.encode()}).line(item, ("spec", "nodeName"))
    after = edit_text(TEXT, [Change(item.source, (Op("replace", ("spec", "nodeName"), "c"),))])
    lines = zip(TEXT.splitlines(), after.splitlines(), strict=True)

    assert [line] == [number for number, (old, new) in enumerate(lines, 1) if old != new]
