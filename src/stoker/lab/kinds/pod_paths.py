"""Rules of paths inside volumes: pkg/apis/core/validation/validation.go (validateLocalDescendingPath and its kin)."""

from stoker.lab.status import Cause, invalid_value

__all__ = ["descending_path", "no_backsteps", "non_reserved_path"]


def no_backsteps(target: str, path: str) -> list[Cause]:
    if ".." in target and ".." in target.split("/"):
        return [invalid_value(path, target, "must not contain '..'")]
    return []


def descending_path(target: str, path: str) -> list[Cause]:
    found = [invalid_value(path, target, "must be a relative path")] if target.startswith("/") else []
    return found + no_backsteps(target, path)


def non_reserved_path(target: str, path: str) -> list[Cause]:
    found = descending_path(target, path)
    if target.startswith("..") and not target.startswith("../"):
        found.append(invalid_value(path, target, "must not start with '..'"))
    return found
