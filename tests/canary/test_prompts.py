"""Prompt sets, mistakes with their lines, and judges that are asked, blind, once."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from stoker.canary.prompts import DEFAULT, Prompt, PromptSet, read_prompts
from stoker.canary.scoring import Scorer, cosine
from stoker.errors import InputError

YAML = """
judge: {command: [JUDGE]}
embeddings: {url: "http://embedder:8000", model: bge}
prompts:
  - {prompt: "What is 17 + 4?", expect: {regex: "\\\\b21\\\\b"}}
  - {prompt: "Say yes.", expect: {exact: "Yes"}}
  - prompt: "What does the fox do?"
    expect: {embedding: {reference: "The fox jumps.", least: 0.8}}
  - messages: [{role: system, content: "Be brief."}, {role: user, content: "Explain DNS."}]
    maxTokens: 128
    expect: {judge: "Correct."}
  - {prompt: "Whatever."}
"""


def _file(folder: Path, text: str, name: str = "prompts.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_set_is_read_from_yaml_and_from_json_lines(tmp_path: Path) -> None:
    whole = read_prompts(_file(tmp_path, YAML))
    lines = [
        json.dumps(
            {"judge": {"command": ["JUDGE"]}, "embeddings": {"url": "http://embedder:8000", "model": "bge"}}
        )
    ]
    lines += [one.model_dump_json(by_alias=True, exclude_none=True) for one in whole.prompts]

    again = read_prompts(_file(tmp_path, "\n".join(lines), "prompts.jsonl"))

    assert whole == again
    assert 128 == whole.prompts[3].max_tokens
    assert ["system", "user"] == [one["role"] for one in whole.prompts[3].conversation]
    assert whole.has_quality
    assert not DEFAULT.has_quality


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("prompts:\n  - {prompt: a}\n  - {promt: b}\n", 3, "Extra inputs", id="a misspelt field"),
        pytest.param("prompts:\n  - {prompt: a, expect: {}}\n", 2, "want one of", id="nothing expected"),
        pytest.param(
            "prompts:\n  - {prompt: a, expect: {regex: '('}}\n", 2, "no regular expression", id="a pattern"
        ),
        pytest.param(
            "prompts:\n  - prompt: a\n    messages: []\n", 3, "at least 1", id="an empty conversation"
        ),
        pytest.param("prompts:\n  - {prompt: a, expect: {judge: good}}\n", 1, "wants a judge", id="no judge"),
        pytest.param(
            "judge: {command: [x], url: 'http://y', model: z}\nprompts: [{prompt: a}]\n",
            1,
            "either",
            id="two",
        ),
        pytest.param("prompts: []\n", 1, "at least 1", id="no prompts"),
        pytest.param("prompts: [\n", 2, "", id="no YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(InputError) as refused:
        read_prompts(_file(tmp_path, text))

    assert line == refused.value.problems[0].line
    assert words in str(refused.value)


def test_a_mistake_in_json_lines_is_told_with_its_line(tmp_path: Path) -> None:
    text = '{"prompt": "a"}\n\n{"prompt": 3}\nno json\n'

    with pytest.raises(InputError) as refused:
        read_prompts(_file(tmp_path, text, "prompts.jsonl"))

    assert [4, 3] == [one.line for one in refused.value.problems] or [3, 4] == [
        one.line for one in refused.value.problems
    ]


def test_a_set_is_known_again_by_what_it_says_and_another_is_not(tmp_path: Path) -> None:
    texts = {"a": '{"prompt": "Hi"}', "b": '{"prompt": "Hi"}\n', "c": '{"prompt": "Hi", "maxTokens": 8}'}
    for name, text in texts.items():
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    same, again, other = (read_prompts(tmp_path / f"{name}.jsonl").digest for name in texts)

    assert (same == again, same == other) == (True, False)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(tmp_path / "none.yaml")


# --- scoring ----------------------------------------------------------------------------------------------------------


def _scorer(prompts: PromptSet, answer: Callable[[httpx2.Request], httpx2.Response] | None = None) -> Scorer:
    transport = httpx2.MockTransport(answer or (lambda _: httpx2.Response(404)))
    return Scorer(prompts, httpx2.Client(transport=transport))


def _set(expect: dict[str, object], **more: object) -> PromptSet:
    return PromptSet.model_validate_json(json.dumps({"prompts": [{"prompt": "q", "expect": expect}], **more}))


@pytest.mark.parametrize(
    ("expect", "answer", "passes"),
    [
        ({"exact": "Yes"}, " Yes\n", True),
        ({"exact": "Yes"}, "Yes.", False),
        ({"regex": r"\b21\b"}, "It is 21.", True),
        ({"regex": r"\b21\b"}, "It is 210.", False),
    ],
)
def test_answers_are_compared_exactly_or_by_pattern(
    expect: dict[str, object],
    answer: str,
    passes: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert passes is _scorer(_set(expect)).passes(0, answer)


def test_nothing_expected_is_neither_right_nor_wrong() -> None:
    assert _scorer(PromptSet(prompts=[Prompt(prompt="q")])).passes(0, "anything") is None


def test_meaning_is_compared_by_the_angle_of_embeddings() -> None:
    vectors = {"reference": [1.0, 0.0], "near": [0.9, 0.1], "far": [0.0, 1.0]}

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked = json.loads(request.content)
        assert ("/v1/embeddings", "bge") == (request.url.path, asked["model"])
        return httpx2.Response(200, json={"data": [{"embedding": vectors[asked["input"]]}]})

    prompts = _set(
        {"embedding": {"reference": "reference", "least": 0.9}},
        embeddings={"url": "http://e", "model": "bge"},
    )
    scorer = _scorer(prompts, answer)

    assert [True, False] == [scorer.passes(0, "near"), scorer.passes(0, "far")]
    assert 0.0 == cosine([0.0], [1.0])


def test_a_program_judges_blind_and_only_once_for_the_same_answer(tmp_path: Path) -> None:
    judge = _file(
        tmp_path,
        "import json, sys\nasked = json.load(sys.stdin)\nopen(sys.argv[1], 'a').write(json.dumps(asked) + '\\n')\n"
        "print('PASS' if 'good' in asked['answer'] else 'FAIL')\n",
        "judge.py",
    )
    log = tmp_path / "log"
    scorer = _scorer(_set({"judge": "fair"}, judge={"command": [sys.executable, str(judge), str(log)]}))

    assert [True, True, False] == [scorer.passes(0, one) for one in ("good", "good", "bad")]
    asked = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [
        {"prompt": "q", "answer": "good", "rubric": "fair"},
        {"prompt": "q", "answer": "bad", "rubric": "fair"},
    ] == asked


@pytest.mark.parametrize(
    ("said", "passes"), [("PASS", True), ("It would PASS, but no: FAIL", False), ("I cannot say", None)]
)
def test_a_model_judges_by_its_last_word(said: str, passes: bool | None) -> None:  # noqa: FBT001
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert "fair" in json.loads(request.content)["messages"][0]["content"]
        return httpx2.Response(200, json={"choices": [{"message": {"content": said}}]})

    scorer = _scorer(_set({"judge": "fair"}, judge={"url": "http://j", "model": "m"}), answer)

    assert passes is scorer.passes(0, "an answer")
    assert (passes is None) == bool(scorer.trouble)


@pytest.mark.parametrize(
    "judge", [{"command": ["/nonexistent"]}, {"command": ["false"]}, {"url": "http://j", "model": "m"}]
)
def test_a_judge_that_does_not_answer_is_no_data_and_no_failure(judge: dict[str, object]) -> None:
    scorer = _scorer(_set({"judge": "fair"}, judge=judge))

    assert scorer.passes(0, "an answer") is None
    assert "could not be judged" in scorer.trouble
