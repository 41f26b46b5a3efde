"""Clients that change objects, and clients that read them: random, but with an eye on what is there."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import msgspec
from tests.lab.soak.forms import FORMS, HOLD, Form, body_of, content_type, query_of, selector_query
from tests.lab.soak.history import Change, Expired, Key, Outcome, Page, Path, Read, Selector, Version
from tests.lab.soak.lab import Lab, LostError, UnsentError
from tests.lab.soak.recorder import Recorder

__all__ = ["SELECTORS", "Client"]

Object = dict[str, Any]

_METHODS = {"create": "POST", "put": "PUT", "delete": "DELETE"}
_POLICIES = (None, None, "Background", "Foreground", "Orphan")
SELECTORS = (
    Selector(),
    Selector("tier", "=", "a"),
    Selector("tier", "!=", "a"),
    Selector("tier", "absent"),
    Selector(name="n1"),
)


class Client:
    """One of many. Its name is that of the manager of what it writes."""

    def __init__(self, lab: Lab, recorder: Recorder, rng: random.Random, name: str) -> None:
        self._lab = lab
        self._recorder = recorder
        self._rng = rng
        self._name = name
        self._old: dict[Key, tuple[Object, Version]] = {}

    # --- writing --------------------------------------------------------------------------------------------------

    async def write_for(self, stop: asyncio.Event) -> None:
        """Write until told to stop."""
        while not stop.is_set():
            await self._lab.is_up.wait()
            form = self._form()
            key = Key(
                form.resource, self._rng.choice(self._recorder.namespaces), self._rng.choice(form.names)
            )
            dice = self._rng.random()
            if dice < 0.004:
                await self._empty(form, key.namespace)
            elif dice < 0.03:
                await self._duel(form, key)
            else:
                await self._any(form, key)
            if self._rng.random() < 0.3:
                await asyncio.sleep(self._rng.random() * 0.02)

    def _form(self) -> Form:
        return FORMS[self._rng.choices(("configmaps", "marks", "pods", "podtemplates"), (45, 25, 10, 20))[0]]

    async def _any(self, form: Form, key: Key) -> None:
        change, base = self._wish(form, key)
        await self.write(form, key, change, base)

    async def _duel(self, form: Form, key: Key) -> None:
        """Two writers with one resourceVersion."""
        seen = self._recorder.seen.get(key)
        if seen is not None:
            both = [self._put(form, seen) for _ in range(2)]
            await asyncio.gather(*(self.write(form, key, change, seen[0]) for change in both))

    async def write(self, form: Form, key: Key, change: Change, base: Object | None = None) -> None:
        """Send a change and record what comes of it."""
        owners = []
        if change.verb == "create":
            owners = self._references(key.namespace, change.owners)
        body = body_of(form, key.name, change, owners, base)
        method = _METHODS.get(change.verb, "PATCH")
        path = form.path(key.namespace, "" if method == "POST" else key.name)
        invoked = self._recorder.next()
        try:
            status, text = await self._lab.send(method, path, query_of(change), body, content_type(change))
        except UnsentError:
            outcome = Outcome("unsent")
            await asyncio.sleep(0.02)
        except LostError:
            outcome = Outcome("lost")
        else:
            outcome = self._recorder.outcome(key, change, status, text)
            if outcome.reason == "NotFound":
                self._recorder.seen.pop(key, None)
        self._recorder.write(key, change, invoked, outcome)

    def _references(self, namespace: str, uids: frozenset[str]) -> list[Object]:
        found = []
        for key, (_, version) in self._recorder.seen.items():
            if key.namespace == namespace and version.state.uid in uids:
                form = FORMS[key.resource]
                found.append(
                    {"apiVersion": form.version, "kind": form.kind, "name": key.name, "uid": version.state.uid,
                     "blockOwnerDeletion": self._rng.random() < 0.5}
                )  # fmt: skip
        return found

    # --- what to ask for ------------------------------------------------------------------------------------------

    def _wish(self, form: Form, key: Key) -> tuple[Change, Object | None]:
        rng = self._rng
        seen = self._recorder.seen.get(key)
        if rng.random() < 0.1:
            # What this client saw last, however old that is.
            seen = self._old.get(key, seen)
        if seen is None:
            return (self._create(form, key) if rng.random() < 0.9 else self._patch(form, None)), None
        self._old[key] = seen
        version = seen[1]
        if version.state.is_going and rng.random() < 0.4:
            return self._release(form, version), None
        dice = rng.random()
        if dice < 0.05:
            return self._create(form, key), None
        if dice < 0.17:
            return self._delete(form, version), None
        if dice < 0.4 and "put" in form.verbs:
            return self._put(form, seen), seen[0]
        return self._patch(form, version), None

    def _token(self) -> dict[Path, str]:
        """Cells that nobody else writes the same."""
        number = str(self._recorder.next())
        return {("cell", "op"): number, ("cell", f"k{self._rng.randrange(4)}"): number}

    def _label(self) -> dict[Path, str]:
        return {("label", "tier"): self._rng.choice("abc")} if self._rng.random() < 0.4 else {}

    def _create(self, form: Form, key: Key) -> Change:
        rng = self._rng
        fields = {("label", "soak"): "1", **self._token(), **self._label()}
        if "apply" in form.verbs and rng.random() < 0.15:
            return Change("apply", f"{self._name}-apply", fields, is_forced=True)
        owners: set[str] = set()
        if rng.random() < 0.4:
            others = [
                version.state.uid
                for other, (_, version) in self._recorder.seen.items()
                if other.namespace == key.namespace and other.resource in {"configmaps", "marks"}
            ]
            owners = {rng.choice(others) for _ in range(rng.randint(1, 2))} if others else set()
        finalizers = frozenset([HOLD]) if rng.random() < 0.2 else frozenset()
        return Change("create", self._name, fields, finalizers=finalizers, owners=frozenset(owners))

    def _delete(self, form: Form, version: Version) -> Change:
        rng = self._rng
        is_locked = rng.random() < 0.15
        return Change(
            "delete",
            grace=rng.choice((None, 0, 5, 20)) if form.resource == "pods" else None,
            policy=rng.choice(_POLICIES),
            revision=version.revision if is_locked else None,
            uid=version.state.uid if is_locked or rng.random() < 0.2 else None,
        )

    def _put(self, form: Form, seen: tuple[Object, Version]) -> Change:
        version = seen[1]
        is_free = form.is_free and self._rng.random() < 0.3
        fields = {**version.state.fields, **self._token(), **self._label()}
        if self._rng.random() < 0.2:
            fields.pop(("cell", "k1"), None)
        return Change(
            "put", self._name, fields, finalizers=version.state.finalizers, owners=version.state.owners,
            revision=None if is_free else version.revision, uid=version.state.uid, is_dry=self._rng.random() < 0.04,
        )  # fmt: skip

    def _patch(self, form: Form, version: Version | None) -> Change:
        rng = self._rng
        verb = rng.choice([verb for verb in form.verbs if verb != "put"])
        fields = {**self._token(), **self._label()}
        drop = (
            frozenset([("cell", "k3")])
            if rng.random() < 0.3 and ("cell", "k3") not in fields
            else frozenset()
        )
        is_dry = rng.random() < 0.04
        if verb == "apply":
            return self._apply()
        change = Change("merge", self._name, fields, drop=drop, is_dry=is_dry)
        if verb == "json":
            expects = None
            if version is not None and rng.random() < 0.4:
                path = ("cell", "op")
                expects = (path, version.state.fields.get(path, ""))
            return replace(change, verb="json", expects=expects)
        if version is not None and rng.random() < 0.2:
            change = replace(change, revision=version.revision)
        if verb == "strategic":
            hold = frozenset([HOLD])
            add = hold if rng.random() < 0.1 else frozenset()
            take = hold if not add and rng.random() < 0.2 else frozenset()
            return replace(change, verb="strategic", add_finalizers=add, drop_finalizers=take)
        return change

    def _apply(self) -> Change:
        """One of two managers; without force, it names a cell of its own, and sometimes another's."""
        rng = self._rng
        manager = f"apply-{rng.choice('xy')}"
        number = str(self._recorder.next())
        soak: dict[Path, str] = {("label", "soak"): "1"}
        if rng.random() < 0.5:
            return Change("apply", manager, {**soak, **self._token(), **self._label()}, is_forced=True)
        fields: dict[Path, str] = {**soak, ("cell", f"by-{manager}"): number}
        if rng.random() < 0.3:
            fields["cell", f"k{rng.randrange(4)}"] = number
        return Change("apply", manager, fields)

    def _release(self, form: Form, version: Version) -> Change:
        """Let an object go that waits for a finalizer of ours."""
        left = version.state.finalizers - {HOLD}
        fields = self._token()
        if form.resource != "podtemplates" and self._rng.random() < 0.5:
            return Change("merge", self._name, fields, finalizers=left, revision=version.revision)
        if "strategic" in form.verbs:
            return Change("strategic", self._name, fields, drop_finalizers=frozenset([HOLD]))
        return Change("json", self._name, fields, finalizers=left, expects=self._expects(version))

    @staticmethod
    def _expects(version: Version) -> tuple[Path, str] | None:
        value = version.state.fields.get(("cell", "op"))
        return None if value is None else (("cell", "op"), value)

    async def release_all(self) -> None:
        """Let everything go that is held."""
        for key, (_, version) in list(self._recorder.seen.items()):
            if HOLD in version.state.finalizers and key.namespace in self._recorder.namespaces:
                await self.write(FORMS[key.resource], key, self._release(FORMS[key.resource], version))

    async def _empty(self, form: Form, namespace: str) -> None:
        """Delete a collection: as many deletions as it has objects."""
        selector = Selector("tier", "=", "b")
        invoked = self._recorder.next()
        change = Change("delete")
        try:
            status, text = await self._lab.send(
                "DELETE",
                form.path(namespace),
                selector_query(selector),
                {"kind": "DeleteOptions", "apiVersion": "v1"},
            )
        except UnsentError:
            return
        except LostError:
            for name in form.names:
                key = Key(form.resource, namespace, name)
                self._recorder.write(key, change, invoked, Outcome("lost"))
            return
        assert status == 200, text
        for item in msgspec.json.decode(text)["items"]:
            version = self._recorder.version(form, item)
            outcome = Outcome("done", uid=version.state.uid)
            self._recorder.write(version.key, change, invoked, outcome)

    # --- reading --------------------------------------------------------------------------------------------------

    async def read_for(self, stop: asyncio.Event) -> None:
        """Read until told to stop."""
        while not stop.is_set():
            await self._lab.is_up.wait()
            form = FORMS[self._rng.choice(list(FORMS))]
            namespace = self._rng.choice(self._recorder.namespaces)
            try:
                if self._rng.random() < 0.6:
                    await self._get(form, Key(form.resource, namespace, self._rng.choice(form.names)))
                else:
                    await self.list(
                        form,
                        self._rng.choice((namespace, namespace, "")),
                        self._rng.choice(SELECTORS),
                        limit=self._rng.choice((0, 0, 2, 5)),
                        exact=self._past() if self._rng.random() < 0.1 else None,
                    )
            except (LostError, UnsentError):
                await asyncio.sleep(0.02)
            await asyncio.sleep(self._rng.random() * 0.03)

    def _past(self) -> int | None:
        """A revision that was the newest not long ago."""
        pages = self._recorder.pages[-40:]
        return self._rng.choice(pages).revision if pages else None

    async def _get(self, form: Form, key: Key) -> None:
        invoked = self._recorder.next()
        status, text = await self._lab.send("GET", form.path(key.namespace, key.name), {})
        assert status in {200, 404}, (status, text)
        version = self._recorder.version(form, msgspec.json.decode(text)) if status == 200 else None
        self._recorder.reads.append(Read(key, invoked, self._recorder.next(), version))

    async def list(
        self, form: Form, namespace: str, selector: Selector, *, limit: int = 0, exact: int | None = None,
        is_last: bool = False,
    ) -> Page | None:  # fmt: skip
        """A whole list, page by page; the last page, or None where one was too old."""
        query = selector_query(selector)
        if limit:
            query["limit"] = str(limit)
        if exact is not None:
            query |= {"resourceVersion": str(exact), "resourceVersionMatch": "Exact"}
        after: tuple[str, str] | None = None
        revision = exact or 0
        while True:
            invoked = self._recorder.next()
            status, text = await self._lab.send("GET", form.path(namespace), query)
            answer = msgspec.json.decode(text)
            if status == 410:
                self._recorder.expired.append(Expired("list", revision, invoked, self._recorder.next()))
                return None
            assert status == 200, (query, status, text)
            metadata = answer["metadata"]
            items = tuple(self._recorder.version(form, item) for item in answer["items"])
            revision = int(metadata["resourceVersion"])
            page = Page(
                form.resource, namespace, selector, invoked, self._recorder.next(), revision, items,
                is_newest=exact is None and after is None, limit=limit, after=after, more="continue" in metadata,
                remaining=metadata.get("remainingItemCount"), is_last=is_last,
            )  # fmt: skip
            self._recorder.pages.append(page)
            if not page.more:
                return page
            query = {key: value for key, value in query.items() if not key.startswith("resourceVersion")}
            query["continue"] = metadata["continue"]
            after = items[-1].key[1:]
            await asyncio.sleep(self._rng.random() * 0.02)
