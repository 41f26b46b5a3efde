"""GuideLLM, as anybody installs it, against a pod that is served: its report agrees with the engine's own page.

0.3.1 is the last release that needs no torch. Its venv is made out of the package index and thrown away; without an index the
test is skipped.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from kubernetes import client
from tests.lab.running.conftest import stoker
from tests.lab.running.python_client import api_of, until

pytestmark = pytest.mark.slow

_TOOL = ("guidellm==0.3.1", "transformers==5.17.0", "datasets==5.0.1")
_UNREACHABLE = re.compile(
    r"Failed to fetch|error sending request|dns error|ConnectionError|NewConnectionError"
)
_SPEED, _REQUESTS, _ANSWER = 4, 40, 64
_POD: dict[str, Any] = {
    "metadata": {"name": "served"},
    "spec": {
        "containers": [
            {
                "name": "engine",
                "image": "vllm/vllm-openai:v0.33.0",
                "args": [
                    "meta-llama/Llama-3.1-8B-Instruct", "--served-model-name=llama", "--max-model-len=16384",
                    "--port=8000", "--no-enable-prefix-caching",
                ],
                "ports": [{"containerPort": 8000}],
                "resources": {"limits": {"nvidia.com/gpu": "1", "memory": "32Gi"}},
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 2},
            }
        ]
    },
}  # fmt: skip
# The tool wants a tokenizer even where the server counts: bytes are tokens enough.
_TOKENIZER = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
made = Tokenizer(models.BPE())
made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
made.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
made.train_from_iterator(["a"], trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=["<s>", "</s>"]))
PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>").save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a venv with the tool."""
    folder = tmp_path_factory.mktemp("guidellm") / "venv"
    uv = Path(sys.executable).parents[2] / ".tools" / "bin" / "uv"
    found = str(uv) if uv.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("uv is not there to make a venv")
    subprocess.run([found, "venv", "--quiet", "--python", sys.executable, folder], check=True, timeout=120)
    done = subprocess.run(
        [found, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *_TOOL],
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    if done.returncode != 0 and _UNREACHABLE.search(done.stderr):
        pytest.skip(f"no package index: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a pod serves."""
    state = tmp_path_factory.mktemp("lab")
    stoker("lab", "up", "--state", state, "--nodes", "1x8xA100-80GB", "--no-metrics", "--speed", _SPEED)
    try:
        with api_of(state) as api:
            core = client.CoreV1Api(api)
            core.create_namespaced_pod("default", _POD)

            def address() -> str:
                status = core.read_namespaced_pod("served", "default").status
                ready = any(one.type == "Ready" and one.status == "True" for one in status.conditions or ())
                return str(status.pod_ip) if ready else ""

            found = until(address, 300)
            assert found, core.read_namespaced_pod("served", "default").status
        yield f"http://{found}:8000"
    finally:
        stoker("lab", "down", "--state", state)


def _page(engine: str) -> dict[str, float]:
    """Sums over the labels of each family of the engine's page."""
    found: dict[str, float] = {}
    for line in httpx2.get(f"{engine}/metrics", trust_env=False).text.splitlines():
        if not line.startswith("#"):
            name = re.split(r"[{ ]", line, maxsplit=1)[0]
            found[name] = found.get(name, 0.0) + float(line.rpartition(" ")[2])
    return found


def test_its_report_agrees_with_the_engines_own_page(tool: Path, engine: str, tmp_path: Path) -> None:
    subprocess.run([tool / "python", "-c", _TOKENIZER, tmp_path / "tokenizer"], check=True, timeout=120)
    lines = [
        {"prompt": f"{number:04d} " + "word " * 6000, "output_tokens_count": _ANSWER} for number in range(60)
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    columns = {"prompt_column": "prompt", "output_tokens_count_column": "output_tokens_count"}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path), "NO_PROXY": "*"}

    done = subprocess.run(
        [
            tool / "guidellm", "benchmark", "run", "--target", engine, "--rate-type", "concurrent", "--rate", "4",
            "--max-requests", str(_REQUESTS), "--data", tmp_path / "data.jsonl", "--data-args", json.dumps(columns),
            "--processor", tmp_path / "tokenizer", "--output-path", tmp_path / "report.json", "--disable-progress",
        ],
        capture_output=True, text=True, check=False, env=environment, timeout=600,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    benchmark = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["benchmarks"][0]
    page = _page(engine)
    totals = benchmark["request_totals"]
    assert {"successful": _REQUESTS, "errored": 0, "incomplete": 0, "total": _REQUESTS} == totals
    # The tool asks for single tokens first, to see whether there is a server.
    greetings = page["vllm:request_success_total"] - _REQUESTS
    assert 1 <= greetings <= 10
    told = {name: benchmark["metrics"][name]["successful"] for name in (
        "output_token_count", "prompt_token_count", "time_to_first_token_ms")}  # fmt: skip
    assert _REQUESTS * _ANSWER == told["output_token_count"]["total_sum"]
    assert told["output_token_count"]["total_sum"] + greetings == page["vllm:generation_tokens_total"]
    extra = page["vllm:prompt_tokens_total"] - told["prompt_token_count"]["total_sum"]
    assert greetings <= extra <= 20 * greetings
    # In the lab's time; the client sees a little more than the engine, never less, and nowhere near the factor of the speed.
    seen = told["time_to_first_token_ms"]["mean"] / 1000 * _SPEED
    own = page["vllm:time_to_first_token_seconds_sum"] / _REQUESTS
    assert 0.9 * own < seen < 2 * own, (own, seen)
