"""The HTTP side of an emulated engine: OpenAI's routes, vLLM's own, KServe's Open Inference Protocol, and ``/metrics``."""

import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from stoker.lab.serving import tokens
from stoker.lab.serving.answers import Job, Plan
from stoker.lab.serving.clock import Clock
from stoker.lab.serving.engine import Engine
from stoker.lab.serving.exposition import CONTENT_TYPE
from stoker.lab.serving.http import Exchange
from stoker.lab.serving.http_stats import HttpStats
from stoker.lab.serving.launch import Launch
from stoker.lab.serving.metrics import ServerFacts, server_page
from stoker.lab.serving.protocol import Ask, BadRequest, body_of, encode, error_body, limits, parse
from stoker.lab.serving.request import Request

__all__ = ["Api", "Lot"]

_DEAD: Final = "EngineCore encountered an issue. See stack trace (above) for the root cause."
# KServe's huggingfaceserver has OpenAI's routes below /openai; vLLM has them at the root.
_PREFIXES: Final = ("/openai", "")


class Lot:
    """Picks a share of what comes, evenly: a half is every second one."""

    def __init__(self) -> None:
        self.share = 0.0
        self._sum = 0.0

    def drawn(self) -> bool:
        self._sum += self.share
        if self._sum < 1.0:
            return False
        self._sum -= 1.0
        return True


class Api:
    """Answers the requests of one engine.

    Args:
        launch: what was started.
        engine: it, ready.
        clock: the lab's.
        facts: for the page of metrics.
        log: takes a line of the access log.
    """

    def __init__(
        self, launch: Launch, engine: Engine, clock: Clock, facts: ServerFacts, log: Callable[[str], None]
    ) -> None:
        self.engine, self.launch = engine, launch
        self.http = HttpStats()
        self.is_dead = False
        self.fails, self.garbles = Lot(), Lot()  # faults
        self._clock, self._facts, self._log = clock, facts, log
        self._jobs: dict[Job, None] = {}
        self._adapters = dict(launch.adapters)
        self._created = int(time.time())
        self._routes: dict[str, tuple[str, Callable[[Exchange], None]]] = {
            "/health": ("GET", self._health),
            "/ping": ("GET POST", self._health),
            "/load": (
                "GET",
                lambda exchange: exchange.respond(200, encode({"server_load": len(self._jobs)})),
            ),
            "/version": ("GET", lambda exchange: exchange.respond(200, encode({"version": launch.version}))),
            "/metrics": ("GET", self._metrics),
            "/tokenize": ("POST", self._tokenize),
            "/detokenize": ("POST", self._detokenize),
            "/v1/models": ("GET", self._models),
            "/v1/chat/completions": ("POST", lambda exchange: self._complete(exchange, is_chat=True)),
            "/v1/completions": ("POST", lambda exchange: self._complete(exchange, is_chat=False)),
        }

    @property
    def in_flight(self) -> int:
        return len(self._jobs)

    def handle(self, exchange: Exchange) -> None:
        """Answer a request."""
        path = exchange.path.rstrip("/") or "/"
        came = self._clock.now()
        handler = self._handler(path)
        exchange.on_end = lambda: self._note(exchange, handler, came)
        try:
            self._answer(exchange, path)
        except BadRequest as error:
            exchange.respond(error.status, error_body(error, self.launch.version))

    def _handler(self, path: str) -> str:
        if path in self._routes:
            return path
        if path.startswith("/openai/v1/") and path.removeprefix("/openai") in self._routes:
            return path
        return "/v2/models/{model_name}" if path.startswith("/v2/models/") else "none"

    def _answer(self, exchange: Exchange, path: str) -> None:
        if self.launch.api_key and path.startswith(("/v1", "/openai/v1")) and not self._is_allowed(exchange):
            exchange.respond(401, encode({"error": "Unauthorized"}))
            return
        if path == "/v2" or path.startswith("/v2/"):
            self._inference(exchange, path)
            return
        for prefix in _PREFIXES:
            if path.startswith(prefix + "/v1/" if prefix else "/"):
                methods, route = self._routes.get(path.removeprefix(prefix), ("", None))
                if route is None:
                    raise BadRequest("Not Found", status=404, kind="Not Found")
                if exchange.method not in methods.split() and not (
                    exchange.method == "HEAD" and "GET" in methods
                ):
                    raise BadRequest("Method Not Allowed", status=405, kind="Method Not Allowed")
                route(exchange)
                return

    def _is_allowed(self, exchange: Exchange) -> bool:
        scheme, _, token = exchange.header("authorization").partition(" ")
        return scheme.lower() == "bearer" and token == self.launch.api_key

    def _note(self, exchange: Exchange, handler: str, came: float) -> None:
        self.http.note(
            exchange.method,
            handler,
            exchange.status,
            received=len(exchange.body),
            sent=exchange.sent,
            seconds=self._clock.now() - came,
        )
        if exchange.method == "POST" or exchange.status >= 400:
            self._log(
                f'{exchange.client}:0 - "{exchange.method} {exchange.target} HTTP/1.1" {exchange.status}'
            )

    # --- vLLM's own ---

    def _health(self, exchange: Exchange) -> None:
        exchange.respond(503 if self.is_dead else 200)

    def _metrics(self, exchange: Exchange) -> None:
        engine = self.engine
        page = server_page(
            self._facts,
            engine.stats,
            self.http,
            usage=engine.usage,
            adapters=engine.adapters(),
            now=self._clock.now(),
        )
        exchange.respond(200, page, CONTENT_TYPE)

    def _models(self, exchange: Exchange) -> None:
        longest = self.engine.spec.max_model_len
        base = self.launch.names[0]
        cards = [self._card(name, self.launch.root, None, longest) for name in self.launch.names]
        cards += [self._card(name, path, base, None) for name, path in self._adapters.items()]
        exchange.respond(200, encode({"object": "list", "data": cards}))

    def _card(self, name: str, root: str, parent: str | None, longest: int | None) -> dict[str, Any]:
        permission = {
            "id": f"modelperm-{uuid.uuid5(uuid.NAMESPACE_DNS, name).hex}", "object": "model_permission", "created": self._created,
            "allow_create_engine": False, "allow_sampling": True, "allow_logprobs": True, "allow_search_indices": False,
            "allow_view": True, "allow_fine_tuning": False, "organization": "*", "group": None, "is_blocking": False,
        }  # fmt: skip
        return {"id": name, "object": "model", "created": self._created, "owned_by": "vllm", "root": root, "parent": parent,
                "max_model_len": longest, "permission": [permission]}  # fmt: skip

    def _tokenize(self, exchange: Exchange) -> None:
        body = body_of(exchange.body, exchange.header("content-type"))
        self._known(body.get("model"))
        messages = body.get("messages")
        prompt = body.get("prompt")
        if isinstance(messages, list):
            prompt = tokens.chat_text([each for each in messages if isinstance(each, dict)])
        if not isinstance(prompt, str):
            raise BadRequest(
                "1 validation error:\n  Field required: prompt", kind="Bad Request", param="body.prompt"
            )
        ids = tokens.tokenize(prompt)
        strings = [tokens.detokenize([each]) for each in ids] if body.get("return_token_strs") else None
        longest = self.engine.spec.max_model_len
        exchange.respond(
            200, encode({"count": len(ids), "max_model_len": longest, "tokens": ids, "token_strs": strings})
        )

    def _detokenize(self, exchange: Exchange) -> None:
        body = body_of(exchange.body, exchange.header("content-type"))
        self._known(body.get("model"))
        ids = body.get("tokens")
        if not isinstance(ids, list) or not all(type(each) is int and each >= 0 for each in ids):
            raise BadRequest(
                "1 validation error:\n  Field required: tokens", kind="Bad Request", param="body.tokens"
            )
        exchange.respond(200, encode({"prompt": tokens.detokenize(ids)}))

    # --- completions ---

    def _known(self, model: object) -> str:
        """The model that a request means, and "" or its adapter's name."""
        if not model or model in self.launch.names:
            return ""
        if isinstance(model, str) and model in self._adapters:
            return model
        raise BadRequest(
            f"The model `{model}` does not exist.", status=404, kind="NotFoundError", param="model"
        )

    def _complete(self, exchange: Exchange, *, is_chat: bool) -> None:
        body = body_of(exchange.body, exchange.header("content-type"))
        ask = parse(body, is_chat=is_chat)
        adapter = self._known(ask.model)
        if self.fails.drawn():
            self.engine.stats.ended_by["error"] += 1
            raise BadRequest(_DEAD, status=500, kind="InternalServerError")
        name = exchange.header("x-request-id") or uuid.uuid4().hex
        identifier = f"chatcmpl-{name}" if is_chat else f"cmpl-{name}"
        plans = [self.plan(ask, prompt) for prompt in ask.prompts]
        job = Job(
            exchange,
            identifier,
            ask.model or self.launch.names[0],
            plans,
            is_chat=is_chat,
            streams=ask.streams,
            with_usage=ask.with_usage,
            with_running_usage=ask.with_running_usage,
            finished=_whole,
        )
        self.run(job, ask, adapter)

    def plan(self, ask: Ask, prompt: tokens.Prompt) -> Plan:
        """How the answer to a prompt will be.

        Raises:
            BadRequest: it does not fit.
        """
        length = tokens.count(prompt) if isinstance(prompt, str) else len(prompt)
        room = limits(ask, length, self.engine.spec.max_model_len, self.launch.version)
        seed = tokens.seed_of(prompt.encode() if isinstance(prompt, str) else repr(prompt).encode(), ask.seed)
        if self.garbles.drawn():
            seed += 1
        made = room if ask.ignores_eos else max(min(tokens.natural_length(seed), room), min(ask.least, room))
        words = tokens.answer_words(seed, made)
        finish, reason, end = "length" if made == room else "stop", None, 4 * made
        if ask.stop:
            text = b"".join(words)
            places = [(at, stop) for stop in ask.stop if (at := text.find(stop.encode())) >= 4 * ask.least]
            if places:
                end, reason = min(places)
                words, finish = words[: -(-(end + len(reason)) // 4)], "stop"
        return Plan(words, end, finish, reason, length)

    def run(self, job: Job, ask: Ask, adapter: str = "") -> None:
        """Give a job's requests to the engine, after what HTTP and the tokeniser take."""
        now = self._clock.now()
        size = self.engine.spec.block_tokens
        for answer, prompt in zip(job.answers, ask.prompts, strict=True):
            plan = job.plans[answer.index]
            hashes: list[int] | None = None
            if self.launch.has_prefix_cache:
                hashes = (
                    tokens.blocks_of_text(prompt, size)
                    if isinstance(prompt, str)
                    else tokens.blocks_of_ids(prompt, size)
                )
                if adapter:
                    hashes = [hash((adapter, each)) for each in hashes]
            job.requests.append(Request(
                plan.prompt, len(plan.words), now, answer, asked=ask.most, hashes=hashes, adapter=adapter, ends_as=plan.finish,
            ))  # fmt: skip
        self._jobs[job] = None
        exchange = job.exchange
        note = exchange.on_end
        exchange.on_end = lambda: self._done(job, note)
        exchange.on_gone = lambda: self._gone(job)
        cost = self.engine.spec.cost
        outside = cost.arrival_s + cost.arrival_token_s * sum(plan.prompt for plan in job.plans)
        self._clock.at(now + outside, lambda: self._submit(job))

    def _done(self, job: Job, note: Callable[[], None] | None) -> None:
        self._jobs.pop(job, None)
        if note is not None:
            note()

    def _submit(self, job: Job) -> None:
        if self.is_dead:
            self._fail(job)
            return
        for request in job.requests:
            if request.state == "new":
                self.engine.submit(request)

    def _gone(self, job: Job) -> None:
        self._jobs.pop(job, None)
        for request in job.requests:
            self.engine.abort(request)

    def _fail(self, job: Job) -> None:
        error = BadRequest(_DEAD, status=500, kind="InternalServerError")
        job.fail(error_body(error, self.launch.version))

    def die(self) -> None:
        """The engine is gone: whoever waits is told."""
        self.is_dead = True
        jobs = list(self._jobs)
        self.engine.stop()
        for job in jobs:
            self._fail(job)

    # --- Open Inference Protocol ---

    def _inference(self, exchange: Exchange, path: str) -> None:
        """Routes of V2 (kserve.github.io, open inference protocol), as KServe's servers have them."""
        name, _, action = (
            path.removeprefix("/v2/models/").partition("/")
            if path.startswith("/v2/models/")
            else ("", "", "")
        )
        fixed: dict[str, Any] = {
            "/v2": {"name": self.launch.engine, "version": self.launch.version, "extensions": []},
            "/v2/health/live": {"live": not self.is_dead},
            "/v2/health/ready": {"ready": not self.is_dead},
            "/v2/models": {"models": list(self.launch.names)},
        }
        if path in fixed:
            exchange.respond(200, encode(fixed[path]))
            return
        if name not in self.launch.names and name not in self._adapters:
            exchange.respond(404, encode({"error": f"Model with name {name} does not exist."}))
        elif not action and exchange.method == "GET":
            exchange.respond(
                200, encode({"name": name, "versions": [], "platform": "", "inputs": [], "outputs": []})
            )
        elif action == "ready":
            exchange.respond(200, encode({"name": name, "ready": not self.is_dead}))
        elif action == "infer" and exchange.method == "POST":
            self._infer(exchange, name)
        else:
            exchange.respond(404, encode({"error": "Not Found"}))

    def _infer(self, exchange: Exchange, name: str) -> None:
        body = body_of(exchange.body, exchange.header("content-type") or "application/json")
        texts = [
            str(each)
            for given in body.get("inputs") or []
            if isinstance(given, dict) and given.get("datatype") == "BYTES"
            for each in given.get("data") or []
        ]
        if not texts:
            exchange.respond(400, encode({"error": "an input of datatype BYTES with the prompts is needed"}))
            return
        parameters = body.get("parameters") if isinstance(body.get("parameters"), dict) else {}
        wanted = {
            "prompt": texts,
            **{
                key: value for key, value in (parameters or {}).items() if key in {"max_tokens", "ignore_eos"}
            },
        }
        ask = parse(wanted, is_chat=False)
        identifier = str(body.get("id") or uuid.uuid4())
        plans = [self.plan(ask, prompt) for prompt in ask.prompts]
        job = Job(exchange, identifier, name, plans, is_chat=False, streams=False, with_usage=False, with_running_usage=False,
                  finished=_tensors)  # fmt: skip
        self.run(job, ask, name if name in self._adapters else "")


def _whole(job: Job) -> None:
    body = {
        **job.frame(),
        "object": "chat.completion" if job.is_chat else "text_completion",
        "choices": [answer.choice for answer in job.answers],
        "service_tier": None,
        "system_fingerprint": None,
        "usage": job.usage(),
        "prompt_logprobs": None,
        "kv_transfer_params": None,
    }
    job.exchange.respond(200, encode(body))


def _tensors(job: Job) -> None:
    texts = [answer.text for answer in job.answers]
    output = {"name": "output-0", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    job.exchange.respond(200, encode({"model_name": job.model, "id": job.identifier, "outputs": [output]}))
