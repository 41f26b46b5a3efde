"""The names of the fault switches; the command line knows them without importing the lab."""

__all__ = ["KINDS"]

# Kind -> what it does, for help and errors.
KINDS: dict[str, str] = {
    "node": "TARGET node stops answering: NotReady, then its pods are evicted",
    "kv-cache": "TARGET pod's KV cache is full up to --value (0.95)",
    "xid": "TARGET pod's GPU reports XID --value (79) and its engine dies",
    "hang": "TARGET pod's engine answers nothing any more",
    "crash": "TARGET pod's engine exits with --value (1)",
    "slow": "TARGET pod's steps take --value (3) times as long",
    "errors": "TARGET pod's engine fails a --value (0.5) share of requests with 500",
    "garble": "TARGET pod's engine answers a --value (1) share of requests with something else",
    "storage": "weights take --value (10) times as long to load",
    "prometheus": "Prometheus neither scrapes nor answers",
    "receiver": "receivers of pages answer 503",
    "backlog": "TARGET queue, as kafka/TOPIC, answers and has --value (1) messages; no broker does otherwise",
    "api-429": "the API refuses a --value (0.2) share of requests: too many",
    "api-500": "the API fails a --value (0.2) share of requests",
    "api-timeout": "the API lets a --value (0.2) share of requests wait until their client gives up",
}
