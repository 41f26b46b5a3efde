"""Bearer tokens: the lab's own, and those of service accounts, which are signed by a key that lives in the store."""

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt

from stoker.lab.api.call import User
from stoker.lab.status import ApiError, unauthorized
from stoker.lab.store import Key, Store

__all__ = ["ANONYMOUS", "Tokens"]

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
_ISSUER = "https://kubernetes.default.svc.cluster.local"
_KEY = "service-account-key"


class Tokens:
    """Who a token says that somebody is.

    Args:
        store: where the signing key and the service accounts are.
        known: tokens that stand for users.
    """

    def __init__(self, store: Store, known: Mapping[str, User]) -> None:
        self._store = store
        self._known = dict(known)
        key = store.fact(_KEY)
        if key is None:
            key = secrets.token_hex(32)
            store.set_fact(_KEY, key)
        self._key: str = key

    def user(self, authorization: str, now: datetime) -> User:
        """The user of an ``Authorization`` header; nobody in particular where it is empty.

        Raises:
            ApiError: 401, for a token that nobody issued or that is over.
        """
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthorized()
        token = token.strip()
        for known, user in self._known.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return user
        return self._service_account(token, now)

    def _service_account(self, token: str, now: datetime) -> User:
        try:
            claims = jwt.decode(
                token, self._key, algorithms=["HS256"], issuer=_ISSUER,
                options={"verify_exp": False, "verify_aud": False, "verify_iat": False, "verify_nbf": False},
            )  # fmt: skip
            bound = claims["kubernetes.io"]
            namespace, name = bound["namespace"], bound["serviceaccount"]["name"]
            uid = bound["serviceaccount"]["uid"]
        except (jwt.InvalidTokenError, KeyError, TypeError) as error:
            raise unauthorized() from error
        if claims["exp"] < now.timestamp():
            raise unauthorized()
        record = self._store.get(Key("serviceaccounts", namespace, name))
        if record is None or record.object()["metadata"]["uid"] != uid:
            raise unauthorized()
        return _account_user(namespace, name, uid)

    def issue(
        self, account: dict[str, Any], seconds: int, audiences: list[str], now: datetime
    ) -> tuple[str, datetime]:
        """A token for a service account, and when it ends.

        Raises:
            ApiError: never for a stored account; kept so that a caller needs one kind of error.
        """
        metadata = account["metadata"]
        end = now + timedelta(seconds=seconds)
        claims = {
            "iss": _ISSUER,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
            "aud": audiences or [_ISSUER],
            "iat": int(now.timestamp()),
            "exp": int(end.timestamp()),
            "kubernetes.io": {
                "namespace": metadata["namespace"],
                "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
            },
        }
        return jwt.encode(claims, self._key, algorithm="HS256"), end


def _account_user(namespace: str, name: str, uid: str) -> User:
    return User(
        f"system:serviceaccount:{namespace}:{name}",
        ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"),
        uid,
    )


def impersonated(headers: Mapping[str, str], user: User) -> User | None:
    """The user that ``Impersonate-`` headers ask for; None where they ask for nobody."""
    name = headers.get("impersonate-user")
    if not name:
        if any(key.startswith("impersonate-") for key in headers):
            raise ApiError(
                400,
                "BadRequest",
                "requested [{UserInfo  system:authenticated  []}] without impersonating a user",
            )
        return None
    groups = tuple(part.strip() for part in headers.get("impersonate-group", "").split(",") if part.strip())
    if name.startswith("system:serviceaccount:") and not groups:
        namespace = name.split(":")[2]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    extra = ("system:unauthenticated",) if name == "system:anonymous" else ("system:authenticated",)
    del user
    return User(
        name, (*groups, *(one for one in extra if one not in groups)), headers.get("impersonate-uid", "")
    )
