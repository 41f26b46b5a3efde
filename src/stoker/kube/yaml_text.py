"""YAML as kubectl reads it (sigs.k8s.io/yaml): YAML 1.1 but for dates, which stay text."""

from typing import Any, Final

import yaml

__all__ = ["Loader"]

_BASE: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_BASE):  # type: ignore[misc,valid-type]  # libyaml's parser where PyYAML was built with it
    """A plain ``=`` is a string, not YAML 1.1's value tag; a date is the text it was written as."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own form
        first: [(tag, expression) for tag, expression in entries if tag != "tag:yaml.org,2002:timestamp"]
        for first, entries in _BASE.yaml_implicit_resolvers.items()
    }


def _plain_equals(loader: Any, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


Loader.add_constructor("tag:yaml.org,2002:value", _plain_equals)
