"""Find a cluster: kubeconfig, context, credentials. Nothing is asked of the server yet."""

from pathlib import Path
from typing import Final

import httpx2
from lightkube.config.client_adapter import Client, ConnectionParams
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError

from stoker.errors import StokerError

__all__ = ["open_client", "read_config"]

_TIMEOUT: Final = httpx2.Timeout(30.0, connect=5.0)


def read_config(context: str | None, kubeconfig: str | None) -> SingleConfig:
    """The server and the user that a context names.

    Args:
        context: the current one where None.
        kubeconfig: file; ``KUBECONFIG`` or ``~/.kube/config``, or the pod's service account, where None.

    Raises:
        StokerError: the file is missing or broken, or has no such context.
    """
    try:
        if kubeconfig and not Path(kubeconfig).is_file():
            raise StokerError(f"{kubeconfig} is no file", fix="name a kubeconfig, or set KUBECONFIG")
        config = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_env()
        found = config.get(context)
    except (ConfigError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        fix = "`kubectl config get-contexts` lists the contexts; `stoker lab up` gives a cluster where there is none"
        raise StokerError(f"no cluster: {str(error)[:200]}", fix=fix) from error
    if found is None or found.user is None:
        raise StokerError(
            f"the kubeconfig has no context {context or '(current)'}",
            fix="`kubectl config get-contexts` lists them",
        )
    return found


def open_client(config: SingleConfig, transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """An HTTP client that trusts the server and carries the user's credentials; ``transport`` is for tests.

    Raises:
        StokerError: a certificate or a credential cannot be used.
    """
    try:
        return Client(config, ConnectionParams(timeout=_TIMEOUT, transport=transport))
    except (ConfigError, OSError) as error:
        raise StokerError(
            f"the kubeconfig cannot be used: {error}", fix="check its user and certificates"
        ) from error
