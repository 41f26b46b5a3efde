"""Where objects live: a durable table of the newest state, and a window of history for watches and paged lists."""

from stoker.lab.store.store import Change, Key, Record, Store, Subscription, TooOldError

__all__ = ["Change", "Key", "Record", "Store", "Subscription", "TooOldError"]
