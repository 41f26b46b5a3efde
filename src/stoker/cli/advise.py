"""`stoker advise`: the usual questions, answered from the user's own numbers."""

from stoker.cli.output import Output, OutputOption, out, print_json
from stoker.cli.platform_file import FileArgument, read_platform

__all__ = ["advise"]


def advise(file: FileArgument, output: OutputOption = Output.TEXT) -> None:
    """Answer the questions every team asks: cluster, engine, storage, KServe, multi-GPU layout.

    Examples:

        stoker advise platform.yaml

        stoker advise platform.yaml --output json | jq '.answers[] | select(.subject == "llama3-70b")'
    """
    from dataclasses import asdict

    from stoker.sizing.advice import advise as answers_for

    answers = answers_for(read_platform(file))
    if output is Output.JSON:
        print_json({"answers": [asdict(answer) for answer in answers]})
        return
    console = out()
    for answer in answers:
        subject = f" ({answer.subject})" if answer.subject else ""
        console.print(f"{answer.question}{subject}", style="bold", markup=False)
        console.print(f"  {answer.answer}", markup=False)
        for reason in answer.because:
            console.print(f"  - {reason}", markup=False, style="dim")
        console.print()
