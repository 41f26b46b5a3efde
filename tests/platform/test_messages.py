"""The exact words for the mistakes that people make most, and that each is found once."""

import textwrap

import pytest
from tests.platform.documents import problems

HEAD = "name: demo\npools:\n  - {name: gpu, gpu: A100-SXM-80GB, nodes: 4}\n"
MODEL = "models:\n  - name: llama\n    source: hf://meta-llama/Llama-3.1-8B-Instruct\n"


def told(text: str) -> str:
    return "\n".join(str(problem) for problem in problems(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            HEAD + "cluster:\n  version: 1.30\n" + MODEL,
            """\
            platform.yaml:5:12: cluster.version: has the wrong type
                found:  1.30
                wanted: a text
                fix:    write it in quotes: "1.30\"""",
            id="a version that YAML reads as a number",
        ),
        pytest.param(
            HEAD + MODEL + "    parallelism:\n      tensr: 4\n",
            """\
            platform.yaml:8:7: models[0].parallelism.tensr: "tensr" is no field of models[0].parallelism
                wanted: tensor, pipeline or data
                fix:    did you mean `tensor`?""",
            id="a misspelt field inside a union",
        ),
        pytest.param(
            HEAD + MODEL + "    parallelism: aut\n",
            """\
            platform.yaml:7:18: models[0].parallelism: is not one of the allowed values
                found:  "aut"
                wanted: auto, or an object with tensor, pipeline and data
                fix:    did you mean `auto`?""",
            id="a misspelt word of a union",
        ),
        pytest.param(
            HEAD + MODEL + "    engine: vlm\n",
            """\
            platform.yaml:7:13: models[0].engine: is not one of the allowed values
                found:  "vlm"
                wanted: vllm, sglang, tgi, triton, huggingface or custom, or an object with name, version, image, args, env and port
                fix:    did you mean `vllm`?""",
            id="a misspelt engine",
        ),
        pytest.param(
            HEAD + "models:\n  - name: llama\n",
            """\
            platform.yaml:5:5: models[0].source: `source` is missing
                wanted: Where the weights come from: hf://, s3://, gs://, https://, oci://, modelscope:// or pvc://CLAIM/PATH.
                fix:    add `source: hf://meta-llama/Meta-Llama-3-70B-Instruct`""",
            id="a missing field, without an echo about the list",
        ),
        pytest.param(
            HEAD + "models:\n  - name: llama\n    sorce: hf://a/b\n",
            """\
            platform.yaml:6:5: models[0].sorce: "sorce" is no field of models[0]
                wanted: name, source, architecture, tenant, tier, engine, pool, precision, quantization, kvCacheDtype, contextLength, parallelism, maxNumSeqs, gpuMemoryUtilization, replicas, slo, traffic, storage, serving, protocol, canary, lora, transformer, explainer, outlierDetector, autoscaling, drain or serviceAccount
                fix:    did you mean `source`?""",
            id="a misspelt field that is required is not missed as well",
        ),
        pytest.param(
            HEAD + MODEL + "    slo: {ttftP95: 2}\n",
            """\
            platform.yaml:7:20: models[0].slo.ttftP95: has the wrong type
                found:  2
                wanted: a duration such as 200ms, 2s, 15m, 4h or 1d
                fix:    name the unit: `2s` or `2ms`""",
            id="a duration without a unit",
        ),
        pytest.param(
            HEAD + MODEL + "    drain: 5 minutes\n",
            """\
            platform.yaml:7:12: models[0].drain: has the wrong form
                found:  "5 minutes"
                wanted: a duration such as 200ms, 2s, 15m, 4h or 1d
                fix:    write `5m`""",
            id="a duration in words",
        ),
        pytest.param(
            HEAD + MODEL + "    context_length: 8192\n",
            """\
            platform.yaml:7:5: models[0].context_length: "context_length" is no field of models[0]
                wanted: name, source, architecture, tenant, tier, engine, pool, precision, quantization, kvCacheDtype, contextLength, parallelism, maxNumSeqs, gpuMemoryUtilization, replicas, slo, traffic, storage, serving, protocol, canary, lora, transformer, explainer, outlierDetector, autoscaling, drain or serviceAccount
                fix:    write it as `contextLength`: fields are in camelCase""",
            id="snake_case",
        ),
        pytest.param(
            HEAD + MODEL + "autoscaling: {enabled: yes}\n",
            """\
            platform.yaml:7:24: autoscaling.enabled: has the wrong type
                found:  "yes"
                wanted: true or false
                fix:    write `true` (YAML 1.2 has no yes/no, on/off)""",
            id="yes for true",
        ),
        pytest.param(
            HEAD + MODEL + "    replicas: 0\n",
            """\
            platform.yaml:7:15: models[0].replicas: is too small
                found:  0
                wanted: at least 1""",
            id="zero replicas as a number",
        ),
        pytest.param(
            HEAD + "models:\n  - {name: Llama_3, source: meta-llama/Llama-3}\n",
            """\
            platform.yaml:5:12: models[0].name: has the wrong form
                found:  "Llama_3"
                wanted: lower-case letters, digits and '-', beginning with a letter and ending with a letter or a digit
                fix:    write `llama-3`
            platform.yaml:5:29: models[0].source: has the wrong form
                found:  "meta-llama/Llama-3"
                wanted: hf://, s3://, gs://, https://, oci:// or modelscope:// and a path, or pvc://CLAIM/PATH
                fix:    write `hf://meta-llama/Llama-3` for the Hugging Face hub""",
            id="a name in the wrong case and a source without scheme",
        ),
        pytest.param(
            HEAD + MODEL + "storage:\n  - {name: a, kind: nvmee}\n  - {kind: nfs, name: b, server: s}\n",
            """\
            platform.yaml:8:21: storage[0].kind: is not one of the allowed values
                found:  "nvmee"
                wanted: nfs, csi, nvme, object-store, oci or hub
                fix:    did you mean `nvme`?
            platform.yaml:9:5: storage[1].path: `path` is missing
                wanted: Exported path.
                fix:    add `path: /models`""",
            id="a misspelt kind, and a field that one kind needs",
        ),
        pytest.param(
            HEAD + MODEL + "cluster:\n",
            """\
            platform.yaml:7:1: cluster: has no value
                found:  nothing
                wanted: an object (FIELD: VALUE lines)
                fix:    give it a value, or delete the line""",
            id="a section without content",
        ),
        pytest.param(
            HEAD + MODEL + "    pool: a100\n",
            """\
            platform.yaml:7:11: models[0].pool: no pool has that name
                found:  "a100"
                wanted: gpu""",
            id="a pool that is not there",
        ),
        pytest.param(
            HEAD + MODEL + "    engine: {env: [{name: HF_TOKEN, value: hf_abcdefghijklmnop}]}\n",
            """\
            platform.yaml:7:44: models[0].engine.env[0].value: HF_TOKEN looks like a credential, and this file is no place for one
                wanted: `secret` with name and key of a Secret
                fix:    write `secret: {name: NAME, key: KEY}`; revoke the credential if it was committed""",
            id="a token in plain text, which is not repeated",
        ),
        pytest.param(
            "- a\n",
            """\
            platform.yaml:1:1: is not a platform file
                found:  a list of 1
                wanted: an object that begins with name, pools and models
                fix:    `stoker init` writes one""",
            id="another YAML file",
        ),
    ],
)
def test_a_common_mistake_is_told_in_these_words(text: str, expected: str) -> None:
    assert textwrap.dedent(expected) == told(text)


def test_problems_of_every_kind_come_at_once_and_in_the_order_of_the_file() -> None:
    text = (
        HEAD + "models:\n  - {name: a, name: b, source: x}\n  - {name: c, source: *s, tier: prod}\nkind: P\n"
    )

    found = problems(text)

    assert ["models[0].name", "models[0].source", "", "models[1].tier", "kind"] == [p.path for p in found]
    assert sorted(p.line for p in found) == [p.line for p in found]


def test_a_message_never_holds_more_than_eighty_characters_of_the_file() -> None:
    long = "x" * 5000
    text = HEAD + f"models:\n  - {{name: {long}, source: {long}, tier: {long}}}\n"

    assert all("x" * 80 not in str(problem) for problem in problems(text))
    assert 3 == len(problems(text))


def test_a_token_in_the_wrong_field_is_not_repeated() -> None:
    text = HEAD + MODEL + "storage: [{name: hub, kind: hub, credentials: hf_abcdefghijklmnop}]\n"

    assert "abcdefgh" not in told(text)


def test_terminal_escapes_and_bidirectional_controls_are_not_repeated() -> None:
    assert "\u202e" not in told(HEAD + MODEL + '    tier: "\u202eabc"\n')
    assert "\x1b" not in told(HEAD + MODEL + '    tier: "\\x1b[31m"\n')
