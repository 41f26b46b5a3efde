"""An engine's flags and environment as fields of a model; what Stoker computes by itself is left to it."""

import re
from collections.abc import Mapping
from typing import Any, Final

from stoker.adopt.ledger import Ledger
from stoker.adopt.names import is_secret, managed
from stoker.audit.view.command import Flag
from stoker.audit.view.serving import Server, stored_format
from stoker.catalog.engines import FlagState, default_version, flag_status
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item
from stoker.platform.positions import looks_like_token

__all__ = ["arguments", "environment", "settings"]

_MODEL: Final = (
    "--model",
    "--model-path",
    "--model-id",
    "--model-dir",
    "--model-name",
    "--model-repository",
    "--served-model-name",
)
# Fields of the model, or what Stoker's compiler works out: never repeated as arguments.
_COMPUTED: Final = frozenset((
    *_MODEL, "--port", "--host", "--hostname", "--tensor-parallel-size", "-tp", "--tp", "--tp-size", "--num-shard",
    "--pipeline-parallel-size", "-pp", "--pp", "--pp-size", "--data-parallel-size", "-dp", "--dp", "--dp-size", "--max-model-len",
    "--context-length", "--max-total-tokens", "--max-input-tokens", "--max-input-length", "--gpu-memory-utilization",
    "--mem-fraction-static", "--max-num-seqs", "--max-running-requests", "--quantization", "-q", "--quantize", "--dtype",
    "--kv-cache-dtype", "--distributed-executor-backend", "--nnodes", "--node-rank", "--master-addr", "--master-port", "--headless",
    "--dist-init-addr", "--enable-lora", "--max-loras", "--max-lora-rank", "--lora-modules", "--lora-paths",
    "--max-loras-per-batch", "--shutdown-timeout", "--http-port", "--metrics-port", "--exit-timeout-secs",
    "--max-concurrent-requests", "--backend", "--num-nodes", "--sharded", "--revision", "--enable-metrics", "--api-server-count",
    "--data-parallel-size-local", "--data-parallel-address", "--data-parallel-rpc-port", "--data-parallel-start-rank",
))  # fmt: skip
_ENVIRONMENT: Final = re.compile(
    r"^(DO_NOT_TRACK|HF_HUB_DISABLE_TELEMETRY|HF_HUB_OFFLINE|HF_HOME|HF_TOKEN|HUGGING_FACE_HUB_TOKEN|HUGGINGFACE_HUB_CACHE|HOME|USER|"
    r"XDG_CACHE_HOME|TORCHINDUCTOR_CACHE_DIR|TRITON_CACHE_DIR|VLLM_NO_USAGE_STATS|VLLM_CACHE_ROOT|VLLM_CONFIG_ROOT|HF_HUB_CACHE|"
    r"MODEL_ID|HF_MODEL_ID|MODEL_NAME|MODEL|AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|AWS_REGION|"
    r"AWS_DEFAULT_REGION|AWS_ENDPOINT_URL|S3_ENDPOINT|TRANSFORMERS_CACHE|HUGGINGFACE_OFFLOAD)$"
)
_VARIABLE: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
_SECRET_NAME: Final = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_SECRET_KEY: Final = re.compile(r"^[-._a-zA-Z0-9]{1,253}$")
_CONTEXT: Final = ("--max-model-len", "--context-length", "--max-total-tokens")
_SHARE: Final = ("--gpu-memory-utilization", "--mem-fraction-static")
_QUANTIZATION: Final = ("--quantization", "-q", "--quantize")
_DTYPES: Final = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32"}
_QUANTISED: Final = frozenset(("fp8", "int8", "awq", "gptq", "mxfp4", "nvfp4"))


def settings(server: Server, ledger: Ledger) -> dict[str, Any]:
    """Model fields that the command line says: context length, widths, batch, memory share."""
    found: dict[str, Any] = {}
    context = server.number(*_CONTEXT)
    if context is not None and 16 <= context <= 10_000_000:
        found["contextLength"] = int(context)
    elif server.flag(*_CONTEXT):
        _tell(server, ledger, _CONTEXT, "is no length in tokens here")
    found |= _widths(server, ledger)
    seqs = server.number("--max-num-seqs", "--max-running-requests")
    if seqs is not None and 1 <= seqs <= 8192:
        found["maxNumSeqs"] = int(seqs)
    share = server.number(*_SHARE)
    if share is not None and 0.1 <= share <= 0.98:
        found["gpuMemoryUtilization"] = share
    elif share is not None:
        _tell(server, ledger, _SHARE, f"{share:g} is outside 0.1 to 0.98: the engine's default is taken")
    drain = server.number("--shutdown-timeout")
    grace = server.workload.pod.get("terminationGracePeriodSeconds")
    if drain is not None and 1 <= drain <= 86_400:
        found["drain"] = int(drain)
    elif isinstance(grace, int) and 30 < grace <= 86_400:  # 30 is Kubernetes' default: nobody chose it
        # Stoker gives a pod half a minute beyond the drain: for the gateway to look away, and to exit.
        found["drain"] = max(1, grace - 30) if managed(server.item) else grace
    return found


def _widths(server: Server, ledger: Ledger) -> dict[str, Any]:
    found: dict[str, Any] = {}
    dtype = server.flag("--dtype")
    if dtype and dtype.value in _DTYPES:
        found["precision"] = _DTYPES[dtype.value]
    stored = stored_format(server)
    if stored in _QUANTISED and not (server.architecture and server.architecture.dtype == stored):
        found["quantization"] = stored
    elif stored == "nf4":
        _tell(
            server,
            ledger,
            _QUANTIZATION,
            "4-bit bitsandbytes weights are not sized: the model is taken as published",
        )
    elif server.quantization and not stored:
        _tell(
            server, ledger, _QUANTIZATION, f"{server.quantization[:40]} is none that the platform file knows"
        )
    kv = server.flag("--kv-cache-dtype")
    if kv and kv.value.startswith("fp8"):
        found["kvCacheDtype"] = "fp8"
    return found


def _tell(server: Server, ledger: Ledger, names: tuple[str, ...], message: str) -> None:
    flag = server.flag(*names)
    ledger.note(server.item, flag.path if flag else server.container.path, message)


def arguments(server: Server, version: str | None, ledger: Ledger) -> list[str]:
    """Flags that stay as they are, in order; what the release no longer takes and what looks like a credential is left out."""
    kept: list[str] = []
    release = version or default_version(server.engine)
    for flag in server.command.flags:
        if flag.name in _COMPUTED:
            continue
        reason = _refusal(server, flag, release)
        if reason:
            ledger.note(server.item, flag.path, f"{flag.name} is not carried over: {reason}")
            continue
        kept.append(flag.name)
        kept += flag.values
    if len(kept) > 64:
        ledger.note(
            server.item,
            (*server.container.path, "args"),
            "only the first 64 words of its further flags are carried over",
        )
        kept = kept[:64]
    return _joined(kept)


def _joined(words: list[str]) -> list[str]:
    """``--flag value`` as one argument where the value is one plain word."""
    joined: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        following = words[index + 1 : index + 3]
        one = (
            bool(following)
            and not following[0].startswith("-")
            and (len(following) < 2 or following[1].startswith("--"))
        )
        if word.startswith("--") and one:
            joined.append(f"{word}={following[0]}")
            index += 2
        else:
            joined.append(word)
            index += 1
    return joined


def _refusal(server: Server, flag: Flag, version: str) -> str:
    text = " ".join(flag.values)
    if "key" in flag.name and re.search(r"api-key|hf-token|token$|password|secret", flag.name):
        return "it holds a credential; put it into a Secret and pass it by engine.env"
    if looks_like_token(text) or (
        is_secret(flag.name.strip("-"), text) and "token" in flag.name and not flag.number()
    ):
        return "it looks like a credential; put it into a Secret and pass it by engine.env"
    if "$" in text:
        return "its value is a variable of the shell or the container"
    if len(text) > 4096:
        return "its value is too long"
    if server.engine != "custom":
        state = flag_status(server.engine, version, flag.name)
        if state.state is FlagState.REMOVED:
            instead = f"; {state.replacement} replaces it" if state.replacement else ""
            return f"{server.engine} {version} no longer has it{instead}"
        if state.state is FlagState.FUTURE:
            return f"{server.engine} {version} does not have it yet"
    return ""


def environment(item: Item, spec: Mapping[str, Any], path: Path, ledger: Ledger) -> list[dict[str, Any]]:
    """Variables that stay: plain ones that are no credentials, and keys of Secrets by their names."""
    kept: dict[str, dict[str, Any]] = {}
    for index, entry in enumerate(spec.get("env") or []):
        name = str(entry.get("name") or "")
        where: Path = (*path, "env", index)
        source = entry.get("valueFrom") or {}
        value = entry.get("value")
        if isinstance(value, str) and value and is_secret(name, value):
            ledger.note(
                item,
                where,
                f"{name} holds a plain credential, which is not repeated here: revoke it and put it into a Secret",
            )
            continue
        if _ENVIRONMENT.match(name):
            continue
        reason = _variable(name, value, source)
        if reason:
            ledger.note(item, where, f"{name or 'a variable'} is not carried over: {reason}")
        elif isinstance(value, str):
            kept[name] = {"name": name, "value": value}
        elif secret_key(source):
            kept[name] = {"name": name, "secret": secret_key(source)}
    for index, _ in enumerate(spec.get("envFrom") or []):
        ledger.note(
            item,
            (*path, "envFrom", index),
            "the platform file takes variables one by one, none from a whole ConfigMap or Secret",
        )
    return list(kept.values())[:64]


def _variable(name: str, value: object, source: Mapping[str, Any]) -> str:
    if not _VARIABLE.match(name):
        return "its name is none that the platform file takes"
    if isinstance(value, str):
        if "$(" in value:
            return "its value refers to another variable"
        return "its value is too long" if len(value) > 4096 else "" if value else "it is empty"
    if source.get("secretKeyRef"):
        return "" if secret_key(source) else "its Secret and key cannot be named here"
    return "only plain values and keys of Secrets are, no ConfigMap keys and fields of the pod"


def secret_key(source: Mapping[str, Any]) -> dict[str, str] | None:
    """``{name, key}`` of a Secret that a variable refers to."""
    reference = source.get("secretKeyRef") or {}
    name, key = str(reference.get("name") or ""), str(reference.get("key") or "")
    if _SECRET_NAME.match(name) and _SECRET_KEY.match(key) and "$" not in name:
        return {"name": name, "key": key}
    return None
