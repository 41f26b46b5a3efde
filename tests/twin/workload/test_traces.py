"""Traces: real ones as published, bad ones with an error or a counted repair, and what stretching keeps."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.errors import InputError
from stoker.twin.workload import Traffic, assign, cut, fit, read_profile, read_trace, scale_rate, stretch


def write(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


HEADER = "arrival_s,input_tokens,output_tokens\n"


@pytest.mark.parametrize(
    ("name", "rows", "rate", "cv", "mean_input", "median_output"),
    [
        ("azure2023_code.csv", 8819, 2.57, 13.2, 2048, 13),
        ("azure2023_conv.csv", 19366, 5.53, 1.09, 1155, 129),
        ("mooncake_conversation.jsonl", 12031, 3.40, 3.03, 12035, 350),
        ("mooncake_synthetic.jsonl", 3993, 3.91, 1.0, 15325, 69),
    ],
)
def test_real_traces_have_their_published_shape(
    shared: Path, name: str, rows: int, rate: float, cv: float, mean_input: float, median_output: float
) -> None:
    trace = read_trace(shared / "traces" / name)
    model = fit(trace.traffic)
    assert (trace.rows, len(trace.traffic), trace.repairs) == (rows, rows, {})
    assert model.rate == pytest.approx(rate, rel=0.01)
    assert model.cv == pytest.approx(cv, rel=0.02)
    assert float(trace.traffic.input_tokens.mean()) == pytest.approx(mean_input, rel=0.001)
    assert float(np.median(trace.traffic.output_tokens)) == median_output


@pytest.mark.parametrize("name", ["azure2023_conv.csv", "azure2023_code.csv"])
def test_a_stretched_trace_keeps_rate_burstiness_and_lengths(shared: Path, name: str) -> None:
    model = fit(read_trace(shared / "traces" / name).traffic)
    long = stretch(model, 5 * 86_400.0, np.random.default_rng(1))
    again = fit(long)
    assert again.rate == pytest.approx(model.rate, rel=0.02)
    assert again.cv == pytest.approx(model.cv, rel=0.05)
    for share in (0.5, 0.95):
        for own, theirs in (
            (long.input_tokens, model.trace.input_tokens),
            (long.output_tokens, model.trace.output_tokens),
        ):
            assert np.quantile(own, share) == pytest.approx(np.quantile(theirs, share), rel=0.05)


def test_a_weekly_profile_is_quiet_at_night_and_at_the_weekend(shared: Path) -> None:
    model = fit(read_trace(shared / "traces" / "azure2023_conv.csv").traffic)
    week = stretch(model, 7 * 86_400.0, np.random.default_rng(1), profile=read_profile("weekly"))
    by_hour = np.histogram(week.arrival_s, bins=7 * 24, range=(0, 7 * 86_400.0))[0].reshape(7, 24)
    assert by_hour[0, 10] > 4 * by_hour[0, 4]
    assert by_hour[5].sum() < 0.7 * by_hour[1].sum()
    assert len(week) / week.duration_s == pytest.approx(model.rate, rel=0.001)


def test_stretched_prefixes_are_reused_as_often_as_in_the_trace(shared: Path) -> None:
    trace = read_trace(shared / "traces" / "mooncake_synthetic.jsonl").traffic
    long = stretch(fit(trace), 3 * trace.duration_s, np.random.default_rng(0))
    assert trace.prefix_ids is not None
    assert long.prefix_ids is not None

    def reused(ids: np.ndarray) -> float:
        return 1 - len(np.unique(ids)) / len(ids)

    assert reused(trace.prefix_ids) == pytest.approx(0.64, abs=0.01)
    assert reused(long.prefix_ids) == pytest.approx(0.64, abs=0.01)


def test_a_rate_table_is_a_profile_and_no_trace(shared: Path) -> None:
    table = shared / "traces" / "servegen_rates_10min.csv"
    with pytest.raises(InputError, match="table of rates"):
        read_trace(table)
    with pytest.raises(InputError, match="several services"):
        read_profile(str(table))
    assert read_profile(f"{table}:m-large").span_s == 600.0


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:17:0{i}.9799600,100,20"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens", "2024-05-10 00:00:0{i}.009930+00:00,100,20"),
        (
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
            "{i},GPT-4,100,20,120,API log",
        ),
        ("arrived_at,num_prefill_tokens,num_decode_tokens", "{i}.5,100,20"),
        ("timestamp,input_tokens,output_tokens,model,tenant", "2026-01-01T00:00:0{i}Z,100,20,m,t"),
        ("arrival_s,input_tokens,output_tokens", "{i},100,20"),
    ],
)
def test_every_format_is_recognised(tmp_path: Path, header: str, row: str) -> None:
    text = "\n".join([header, *(row.format(i=i) for i in range(5))])
    trace = read_trace(write(tmp_path, text))
    assert trace.traffic.arrival_s.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert trace.traffic.input_tokens.tolist() == [100] * 5
    assert trace.repairs == {}


def good(count: int = 200) -> list[str]:
    return [f"{i},100,20" for i in range(count)]


@pytest.mark.parametrize(
    ("name", "bad", "kind"),
    [
        ("a negative prompt", "7,-5,20", "no prompt"),
        ("no answer", "7,5,0", "no answer"),
        ("a hole", "7,,20", "not a number"),
        ("text", "7,many,20", "not a number"),
        ("no time", ",5,20", "no time"),
        ("absurdly long", "7,99999999999,20", "longer than any model"),
        ("infinite", "7,inf,20", "not a number"),
        ("cut off", "7,5", "not a number"),
    ],
)
def test_a_bad_row_among_many_is_left_out_and_counted(tmp_path: Path, name: str, bad: str, kind: str) -> None:
    rows = good()
    rows.insert(50, bad)
    trace = read_trace(write(tmp_path, HEADER + "\n".join(rows)))
    assert trace.repairs == {kind: 1}, name
    assert len(trace.traffic) == 200


def test_unordered_rows_are_sorted_and_counted_and_duplicates_stay(tmp_path: Path) -> None:
    rows = good()
    rows[10], rows[11] = rows[11], rows[10]
    rows.insert(100, rows[100])
    trace = read_trace(write(tmp_path, HEADER + "\n".join(rows)))
    assert trace.repairs == {"unordered": 1}
    assert np.all(np.diff(trace.traffic.arrival_s) >= 0)
    assert len(trace.traffic) == 201


def test_more_bad_rows_than_one_in_twenty_are_an_error_with_the_first_line(tmp_path: Path) -> None:
    rows = good(20) + ["x,y,z"] * 5
    with pytest.raises(InputError) as caught:
        read_trace(write(tmp_path, HEADER + "\n".join(rows)))
    assert caught.value.problems[0].line == 22
    assert "5 of 25 rows" in caught.value.problems[0].found


def test_failed_requests_of_burstgpt_are_no_fault_of_the_file(tmp_path: Path) -> None:
    rows = [f"{i},GPT-4,100,{0 if i % 3 else 20},0,API log" for i in range(90)]
    text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n" + "\n".join(rows)
    trace = read_trace(write(tmp_path, text))
    assert trace.repairs == {"no answer": 60}
    assert trace.traffic.models == ("GPT-4",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("a,b,c\n1,2,3\n", "not a trace"),
        (HEADER, "no rows"),
        ("\x00\x01\x02", "not a trace"),
        ('{"a": 1}\n', "no Mooncake trace"),
    ],
)
def test_what_is_no_trace_is_said_to_be_none(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_trace(write(tmp_path, content))


def test_a_folder_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(InputError, match="no trace"):
            read_trace(path)


def test_windows_line_ends_a_mark_and_gzip_change_nothing(tmp_path: Path) -> None:
    plain = HEADER + "\n".join(good())
    first = read_trace(write(tmp_path, plain)).traffic
    windows = tmp_path / "windows.csv"
    windows.write_bytes(b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode())
    packed = tmp_path / "trace.csv.gz"
    packed.write_bytes(gzip.compress(plain.encode()))
    for path in (windows, packed):
        assert read_trace(path).traffic.arrival_s.tolist() == first.arrival_s.tolist()
    packed.write_bytes(gzip.compress(plain.encode())[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(packed)


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {"arrival_s": [0.0, 1.5], "input_tokens": [10, 20], "output_tokens": [3, 4], "model": ["a", "b"]}
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    traffic = read_trace(tmp_path / "t.parquet").traffic
    assert traffic.models == ("a", "b")
    assert traffic.input_tokens.tolist() == [10, 20]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(InputError, match="no Parquet"):
        read_trace(tmp_path / "bad.parquet")


def some(count: int, seed: int) -> Traffic:
    rng = np.random.default_rng(seed)
    return Traffic(
        np.sort(rng.uniform(0, 100, count)),
        rng.integers(1, 50, count).astype(np.int32),
        rng.integers(1, 50, count).astype(np.int32),
        np.zeros(count, np.int16),
        np.zeros(count, np.int16),
        ("",),
        ("",),
        None,
        None,
        0,
        100.0,
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 4.0))
def test_changed_traffic_stays_sorted_and_repeats_with_its_seed(seed: int, factor: float) -> None:
    traffic = some(300, seed)
    one, two = (scale_rate(traffic, factor, np.random.default_rng(seed)) for _ in range(2))
    assert one.arrival_s.tobytes() == two.arrival_s.tobytes()
    assert np.all(np.diff(one.arrival_s) >= 0)
    assert len(one) == pytest.approx(300 * factor, abs=6 * (300 * factor) ** 0.5 + 1)


def test_assigned_requests_follow_the_shares_and_a_cut_keeps_the_first() -> None:
    traffic = some(10_000, 3)
    split = assign(traffic, {"a": 3.0, "b": 1.0}, np.random.default_rng(0))
    assert float((split.model == 0).mean()) == pytest.approx(0.75, abs=0.02)
    half = cut(split, 50.0)
    assert half.arrival_s.tolist() == traffic.arrival_s[traffic.arrival_s <= 50.0].tolist()
