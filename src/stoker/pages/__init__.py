"""Pages: what Alertmanager sends to PagerDuty, Opsgenie, Slack, webhooks and by mail, and a server that catches it.

`formats` reads a delivery and is pure; `catcher` listens, for the lab, for `stoker catch` and for tests.
"""

from stoker.pages.catcher import Catcher, Notification
from stoker.pages.formats import Kind, Page, read_delivery, read_mail

__all__ = ["Catcher", "Kind", "Notification", "Page", "read_delivery", "read_mail"]
