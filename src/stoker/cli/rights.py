"""Every command that touches a cluster, with its rights: the one table that `stoker rbac` prints from."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from stoker.apply import rights as apply_rights
from stoker.canary.rights import canary_role
from stoker.kube.live import read_role
from stoker.kube.refs import Object
from stoker.rollout import rights as rollout_rights

__all__ = ["Entry", "commands"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A command.

    Attributes:
        verbs: on what it applies, or reads; for people.
        why: what they are for.
        roles: its roles for kinds as ``Deployment.apps``, or for every kind where there are none.
    """

    verbs: str
    why: str
    roles: Callable[[Collection[str]], list[Object]]


def commands() -> dict[str, Entry]:
    """By name, as typed."""
    found = {
        name: Entry(", ".join(one.objects), one.why, partial(apply_rights.rights, name))
        for name, one in apply_rights.COMMANDS.items()
    }
    for name, command in rollout_rights.COMMANDS.items():
        verbs = ", ".join(command.objects) or "none"
        found[name] = Entry(verbs, command.why, partial(rollout_rights.rollout_rights, name))
    found["audit"] = Entry("get, list", "reads only", lambda _: [read_role()])
    found["canary"] = Entry("get, patch", "shifts traffic, keeps its record", lambda _: [canary_role()])
    return found
