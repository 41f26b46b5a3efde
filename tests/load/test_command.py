"""`stoker load` as a user runs it."""

import json
import signal
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.cli.conftest import STOKER, Run
from tests.cli.conftest import stoker as stoker  # noqa: PLC0414 - a fixture
from typer.testing import CliRunner

from stoker.cli.load_options import phases_of
from stoker.cli.main import app
from stoker.errors import InputError
from stoker.load import Phase


def test_help_has_examples(stoker: Run) -> None:
    page = stoker("load", "--help")
    assert page.returncode == 0
    assert "stoker load" in page.stdout.split("Examples", 1)[1]


def test_the_figures_are_a_table_for_people(stoker: Run, server: str) -> None:
    done = stoker(
        "load",
        server,
        "--model",
        "m",
        "--rate",
        "20",
        "--for",
        "1s",
        "--output-tokens",
        "5",
        "--slo",
        "errors<1%",
    )
    assert done.returncode == 0, done.stderr
    assert "20 of 20 requests answered in full" in done.stdout
    for word in (
        "TTFT",
        "TPOT",
        "E2E",
        "sent late",
        "answered by m 20",
        "errors<1% kept: 0.00% over 20 requests",
        "seed 0",
    ):
        assert word in done.stdout
    assert done.stderr == ""


def test_the_figures_are_one_document_for_scripts_and_a_line_for_each_request(
    stoker: Run, server: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(
        "arrival_s,input_tokens,output_tokens,model,tenant\n0,10,5,m,a\n2,20,6,429,b\n3,30,7,m,a\n"
    )
    done = stoker(
        "load",
        server,
        "--trace",
        str(trace),
        "--pace",
        "10",
        "--output",
        "json",
        "--results",
        "requests.jsonl",
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["outcomes"] == {"ok": 2, "http 429": 1}
    assert {name: part["ok"] for name, part in document["models"].items()} == {"m": 2, "429": 0}
    assert document["tenants"]["a"]["ttft_s"]["count"] == 2
    assert document["provenance"]["measured_on"] == f"requests to {server}"
    rows = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    assert [row["at_s"] for row in rows] == [0.0, 0.2, 0.3]
    assert [row["outcome"] for row in rows] == ["ok", "http 429", "ok"]


@pytest.mark.parametrize(
    ("slo", "code", "words"),
    [
        ("ttft_p95<1m", 0, "kept"),
        ("ttft_p50<1ms", 1, "missed"),
        ("tpot_p95<1m", 5, "inconclusive"),
    ],
)
def test_the_exit_code_says_whether_promises_were_kept(
    stoker: Run, server: str, slo: str, code: int, words: str
) -> None:
    done = stoker(
        "load", server, "--model", "m", "--rate", "10", "--for", "1s", "--output-tokens", "1", "--slo", slo
    )
    assert (done.returncode, words in done.stdout) == (code, True), done.stdout + done.stderr


def test_where_nobody_listens_nothing_is_sent(stoker: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = stoker("load", f"http://127.0.0.1:{port}", "--model", "m", "--rate", "5", "--for", "1h")
    assert done.returncode == 3
    assert "nothing answers" in done.stderr


def test_where_nothing_answers_the_figures_are_told_and_the_code_is_3(stoker: Run, server: str) -> None:
    done = stoker("load", server, "--model", "hang", "--rate", "10", "--for", "1s", "--timeout", "0.5s")
    assert done.returncode == 3
    assert "timeout 10" in done.stdout


def test_where_no_request_succeeds_the_code_is_not_0(stoker: Run, server: str) -> None:
    done = stoker("load", server, "--model", "500", "--rate", "10", "--for", "1s")
    assert done.returncode == 1
    assert "http 500: said nothing" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rate", "5", "--for", "1s"), "--model: no model"),
        (("--model", "m"), "--rate, --trace: nothing to send"),
        (("--model", "m", "--rate", "5"), "--for: no duration"),
        (("--model", "m", "--rate", "5", "--for", "1s", "--scale", "2"), "--scale: goes with --trace"),
        (
            ("--model", "m", "--trace", "none.csv", "--prompt-tokens", "5"),
            "--prompt-tokens: the trace says it",
        ),
        (("--model", "m", "--trace", "none.csv"), "none.csv: no trace"),
        (("--model", "m", "--rate", "5", "--for", "1s", "--slo", "ttft<2s"), 'fix:    --slo "ttft_p'),
        (("--model", "m", "--rate", "5", "--for", "1s", "--api", "grpc"), "chat, completions, infer"),
        (("--model", "m", "--rate", "5", "--for", "1s", "--header", "nothing"), "--header: no header"),
        (
            ("--model", "m", "--rate", "5", "--for", "1s", "--key-env", "NO_SUCH_KEY"),
            "--key-env: the environment",
        ),
        (
            ("--model", "m", "--rate", "5", "--for", "1s", "--results", "no/such/file"),
            "--results: cannot be written",
        ),
    ],
)
def test_mistakes_are_named_with_what_to_write_instead(arguments: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(app, ["load", "http://127.0.0.1:1", *arguments])
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(stoker: Run) -> None:
    given = ("--header", "Authorization: Bearer s3cret", "--header", "api-key: s3cret")
    done = stoker("load", "http://u:s3cret@127.0.0.1:1", "--model", "m", "--rate", "5", "--for", "1s", *given)
    assert done.returncode == 2
    assert done.stderr.count("seen by everybody") == 3
    assert "s3cret" not in done.stdout + done.stderr


def test_an_interrupted_run_tells_what_it_measured() -> None:
    answered = threading.Semaphore(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b'{"model": "m", "choices": [{"text": "x", "finish_reason": "stop"}]}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            answered.release()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{served.server_address[1]}"
        command = [
            str(STOKER),
            "load",
            url,
            "--model",
            "m",
            "--rate",
            "20",
            "--for",
            "1h",
            "--output",
            "json",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            for _ in range(3):
                assert answered.acquire(timeout=60)
            process.send_signal(signal.SIGINT)
            try:
                printed, complained = process.communicate(timeout=60)
            finally:
                process.kill()
        served.shutdown()
    assert process.returncode == 130, complained
    document = json.loads(printed)
    assert document["cancelled"]
    assert document["ok"] >= 2  # the third may have been cut off
    assert "Traceback" not in complained


@pytest.mark.parametrize(
    ("rate", "lasting", "expected"),
    [
        ("5", "2m", [Phase(120.0, 5.0)]),
        (".5..10", "90s", [Phase(90.0, 0.5, 10.0)]),
        ("2:1m, 2..20:5m ,2:30s", None, [Phase(60.0, 2.0), Phase(300.0, 2.0, 20.0), Phase(30.0, 2.0)]),
    ],
)
def test_rates_are_read(rate: str, lasting: str | None, expected: list[Phase]) -> None:
    assert phases_of(rate, lasting) == expected


@pytest.mark.parametrize("rate", ["", "x", "5x", "-5", "5..", "1..2..3", "5:1m,6", "5:1m", "5:0s", "5,6"])
def test_rates_that_are_none_are_refused(rate: str) -> None:
    with pytest.raises(InputError):
        phases_of(rate, "1m")
