"""`stoker simulate --compare`: several platforms under the same traffic, with intervals over seeds."""

from typing import TYPE_CHECKING

from stoker.cli.memory import enough_memory
from stoker.cli.output import Output, out, print_json, table
from stoker.cli.platform_file import print_notes, read_platform
from stoker.cli.progress import progress_bar

if TYPE_CHECKING:
    from stoker.twin.fleet.results import Figures
    from stoker.twin.scenario import Scenario

__all__ = ["compare_files"]


def compare_files(
    files: list[str], scenario: "Scenario", *, seed: int, seeds: int, neighbours: bool, output: Output
) -> None:
    """Run every platform with every seed, and print means with intervals and paired differences to the first file."""
    from stoker.report.simulation.comparison import comparison_document, comparison_rows
    from stoker.report.simulation.document import trace_provenance
    from stoker.twin.comparison import compare
    from stoker.twin.scenario import run_scenario
    from stoker.upgrades import compile_platform

    platforms = []
    for file in files:
        platform = read_platform(file)
        print_notes(platform.notes)
        platforms.append((file, platform, [item.object for item in compile_platform(platform)]))
    results: list[list[Figures]] = []
    calibration: dict[str, dict[str, str]] = {}
    how = ""
    total = len(platforms) * seeds
    with enough_memory(), progress_bar("simulating", float(total)) as tell:
        for file, platform, objects in platforms:
            own = []
            for number in range(seeds):
                outcome = run_scenario(
                    platform, objects, scenario, seed=seed + number, neighbours=neighbours, label=file
                )
                own.append(outcome.result.total)
                tell(float(len(results) * seeds + number + 1))
            results.append(own)
            calibration[file], how = outcome.calibration, how or outcome.how
    comparison = compare(files, results)
    if output is Output.JSON:
        print_json(
            comparison_document(comparison)
            | {
                "provenance": {
                    **trace_provenance(scenario.trace),
                    "traffic": how,
                    "seeds": list(range(seed, seed + seeds)),
                    "calibration": calibration,
                }
            }
        )
        return
    table(["", *files], comparison_rows(comparison))
    out().print(
        f"mean of {seeds} seeds and 95 % interval; after the first file also the paired difference to it. "
        f"Measured on the twin: {scenario.trace.name} ({how}), seeds {seed} to {seed + seeds - 1}",
        markup=False,
    )
