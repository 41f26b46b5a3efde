"""`stoker schema`: the JSON Schema of the platform file, for editors."""

from stoker.cli.output import print_json

__all__ = ["schema"]


def schema() -> None:
    """Print the JSON Schema of the platform file.

    Examples:

        stoker schema > platform.schema.json

        echo '# yaml-language-server: $schema=platform.schema.json' > platform.yaml
    """
    from stoker.platform.schema import json_schema

    print_json(json_schema())
