"""Strict validation of plain objects, as an API server of a given minor would do it. Pure but for reading schema files.

Needs the extra ``stoker[validate]``: official OpenAPI schemas (kubernetes-validate), jsonschema-rs, and a CEL evaluator.
"""
