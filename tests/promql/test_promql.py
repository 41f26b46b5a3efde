"""PromQL read by a parser."""

import pytest

from stoker.errors import StokerError
from stoker.promql import metric_names, parse


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", {"up"}),
        ("sum by (le) (rate(a_bucket[5m]))", {"a_bucket"}),
        ('histogram_quantile(0.95, sum by (le) (rate(vllm:x_bucket{le="1"}[5m])))', {"vllm:x_bucket"}),
        ("(a or vector(0)) / b > 0.5 and on (pod) c == 1", {"a", "b", "c"}),
        ("max_over_time(rate(a[5m])[1h:5m])", {"a"}),
        ("-a", {"a"}),
        ("topk(3, a)", {"a"}),
    ],
)
def test_metric_names_are_found_at_any_depth(expression: str, names: set[str]) -> None:
    assert names == metric_names(expression)


@pytest.mark.parametrize("expression", ["", "sum(", "rate(a)", "a{", "nofunction(a)"])
def test_what_is_no_promql_is_refused(expression: str) -> None:
    with pytest.raises(StokerError):
        parse(expression)
