"""Images, environment variables, alert receivers: what must be pinned and what must stay secret."""

import re
from collections.abc import Iterator
from typing import Final

from stoker.platform.check.finding import Finding
from stoker.platform.document import Platform
from stoker.platform.models import EnvVar, Model, PipelineStep
from stoker.platform.observability import ReceiverType
from stoker.platform.positions import Path, looks_like_token, shown

__all__ = ["images", "receivers", "variables"]

_SECRET_NAME: Final = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS)(_|$)", re.IGNORECASE
)
# A path, a number or a switch is no secret whatever the variable is called (AWS_WEB_IDENTITY_TOKEN_FILE, MAX_TOKEN).
_HARMLESS: Final = re.compile(r"^(/.*|\d*\.?\d*|true|false|none|auto)$", re.IGNORECASE)


def _containers(platform: Platform) -> Iterator[tuple[Path, str | None, tuple[EnvVar, ...], tuple[str, ...]]]:
    for index, model in enumerate(platform.models):
        at: Path = ("models", index)
        yield (*at, "engine"), model.engine.image, model.engine.env, model.engine.args
        if model.canary is not None and model.canary.args:
            yield (*at, "canary"), None, (), model.canary.args
        for key, step in _steps(model):
            if step is not None:
                yield (*at, key), step.image, step.env, step.args


def _steps(model: Model) -> tuple[tuple[str, PipelineStep | None], ...]:
    return (
        ("transformer", model.transformer),
        ("explainer", model.explainer),
        ("outlierDetector", model.outlier_detector),
    )


def images(platform: Platform) -> Iterator[Finding]:
    """Images without a fixed tag change under a running platform, and with them flags and metric names."""
    for at, image, _, _ in _containers(platform):
        if image is None or "@sha256:" in image:
            continue
        _, colon, tag = image.rpartition("/")[2].partition(":")
        if not colon or tag == "latest":
            yield Finding(
                (*at, "image"),
                "the image has no tag" if not colon else "the tag latest changes under a running platform",
                found=shown(image[:70]),
                wanted="a release's tag, or a digest",
                fix=f"write `{image.removesuffix(':latest')[:60]}:VERSION`",
            )


def variables(platform: Platform) -> Iterator[Finding]:
    """Environment variables: one value each, and no secrets in the file."""
    for at, _, env, args in _containers(platform):
        seen: set[str] = set()
        for number, variable in enumerate(env):
            yield from _variable((*at, "env", number), variable, seen)
            seen.add(variable.name)
        for number, argument in enumerate(args):
            if looks_like_token(argument):
                yield Finding(
                    (*at, "args", number),
                    "the argument looks like a credential, and this file is no place for one",
                    wanted="a variable with `secret`",
                    fix="revoke it if it was committed; pass it by `env` with `secret`",
                )


def _variable(at: Path, variable: EnvVar, seen: set[str]) -> Iterator[Finding]:
    if variable.name in seen:
        yield Finding(
            (*at, "name"),
            "the variable is given twice",
            found=shown(variable.name[:70]),
            fix="delete one of them",
        )
    if (variable.value is None) == (variable.secret is None):
        both = variable.value is not None
        yield Finding(
            at,
            f"variable {variable.name[:60]} has {'both value and secret' if both else 'neither value nor secret'}",
            wanted="exactly one of value and secret",
        )
    value = variable.value
    if value and (
        looks_like_token(value) or (_SECRET_NAME.search(variable.name) and not _HARMLESS.match(value))
    ):
        yield Finding(
            (*at, "value"),
            f"{variable.name[:60]} looks like a credential, and this file is no place for one",
            wanted="`secret` with name and key of a Secret",
            fix="write `secret: {name: NAME, key: KEY}`; revoke the credential if it was committed",
        )


def receivers(platform: Platform) -> Iterator[Finding]:
    """Only Slack has channels; the others would ignore one."""
    for index, receiver in enumerate(platform.observability.receivers):
        if receiver.channel is not None and receiver.type is not ReceiverType.SLACK:
            yield Finding(
                ("observability", "receivers", index, "channel"),
                f"{receiver.type.value} has no channels",
                found=shown(receiver.channel),
                wanted="channel with type slack only",
                fix="delete it",
            )
