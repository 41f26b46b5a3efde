"""`stoker simulate --compare`: several platforms under the same traffic, with intervals over seeds."""

from typing import TYPE_CHECKING, Any

from stoker.cli.output import Output, out, print_json, table
from stoker.cli.platform_file import read_platform
from stoker.cli.progress import progress_bar

if TYPE_CHECKING:
    from stoker.twin.scenario import Scenario

__all__ = ["compare_files"]


def compare_files(
    files: list[str], scenario: "Scenario", *, seed: int, seeds: int, neighbours: bool, output: Output
) -> None:
    """Run every platform with every seed, and print means with intervals and paired differences to the first file."""
    from stoker.report.simulation.comparison import comparison_document, comparison_rows
    from stoker.twin.comparison import compare
    from stoker.twin.scenario import run_scenario
    from stoker.upgrades import compile_platform

    platforms = []
    for file in files:
        platform = read_platform(file)
        platforms.append((file, platform, [item.object for item in compile_platform(platform)]))
    results: list[list[Any]] = []
    total = len(platforms) * seeds
    with progress_bar("simulating", float(total)) as tell:
        for file, platform, objects in platforms:
            own = []
            for number in range(seeds):
                own.append(
                    run_scenario(
                        platform, objects, scenario, seed=seed + number, neighbours=neighbours, label=file
                    ).result.total
                )
                tell(float(len(results) * seeds + number + 1))
            results.append(own)
    comparison = compare(files, results)
    if output is Output.JSON:
        print_json(
            comparison_document(comparison)
            | {
                "provenance": {
                    "measured_on": "twin",
                    "trace": scenario.trace.name,
                    "trace_sha256": scenario.trace.sha256,
                    "seeds": list(range(seed, seed + seeds)),
                }
            }
        )
        return
    table(["", *files], comparison_rows(comparison))
    out().print(
        f"mean of {seeds} seeds and 95 % interval; after the first file also the paired difference to it. "
        f"Measured on the twin: {scenario.trace.name}, seeds {seed} to {seed + seeds - 1}"
    )
