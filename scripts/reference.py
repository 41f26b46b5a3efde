"""Write the reference pages of the documentation from the code, so that they cannot drift from it.

Run by `make docs`; docs/reference/ is generated and not committed.
"""

from pathlib import Path

from stoker.audit.example import example
from stoker.audit.registry import rules
from stoker.catalog.gpus import gpus
from stoker.catalog.models import models
from stoker.platform.explain import explain, fields

OUT = Path(__file__).resolve().parent.parent / "docs" / "reference"


def platform_page() -> str:
    lines = ["# Platform file", "", "Every field, as `stoker explain FIELD` prints it.", ""]
    for path in fields():
        lines += [f"## {path}", "", "```text", str(explain(path)), "```", ""]
    return "\n".join(lines)


def catalog_page() -> str:
    lines = [
        "# Catalogue",
        "",
        "Sources and dates stand beside each figure in `src/stoker/catalog/data/`.",
        "",
        "## GPUs",
        "",
    ]
    lines += [
        "| GPU | usable memory | bandwidth | dense BF16 | interconnect |",
        "| --- | --- | --- | --- | --- |",
    ]
    for gpu in gpus().values():
        bf16 = gpu.tflops.get("bf16")
        lines.append(
            f"| {gpu.name} | {gpu.memory_gib:.2f} GiB | {gpu.bandwidth_gb_s:.0f} GB/s "
            f"| {f'{bf16:.0f} TFLOPS' if bf16 else 'none'} | {gpu.interconnect.kind} |"
        )
    lines += [
        "",
        "## Models",
        "",
        "| model | parameters | attention | context | as published |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {model.name} | {model.parameters / 1e9:.1f} B | {model.attention.value} | {model.max_context} | {model.dtype} |"
        for model in models().values()
    ]
    return "\n".join(lines) + "\n"


def rules_page() -> str:
    lines = [
        "# Rules of the audit",
        "",
        f"{len(rules())} rules, as `stoker rules show RULE` prints them.",
        "",
    ]
    area = None
    for rule in rules():
        if rule.area is not area:
            area = rule.area
            lines += [f"## {area.value}", ""]
        shown = example(rule)
        lines += [
            f"### {rule.id}",
            "",
            f"**{rule.severity.value}**: {rule.title}.",
            "",
            f"{rule.why} {rule.fix}",
            "",
            f"Source: {'; '.join(rule.references)}",
            "",
            *(
                "Bad:",
                "",
                "```yaml",
                shown.bad.rstrip(),
                "```",
                "",
                "Good:",
                "",
                "```yaml",
                shown.good.rstrip(),
                "```",
                "",
            ),
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "platform.md").write_text(platform_page(), encoding="utf-8")
    (OUT / "rules.md").write_text(rules_page(), encoding="utf-8")
    (OUT / "catalog.md").write_text(catalog_page(), encoding="utf-8")
