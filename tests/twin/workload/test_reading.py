"""Reading a trace: both ways of reading CSV agree, any bytes end in a trace or an error, and what is found is told."""

import gzip
import hashlib
import json
import math
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.errors import InputError, StokerError
from stoker.twin.workload import Trace, read_trace
from stoker.twin.workload.trace import chunks, columns
from stoker.twin.workload.trace.fields import Fields, dates, numbers, split

HEADER = "arrival_s,input_tokens,output_tokens\n"


def write(folder: Path, content: str | bytes, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def good(count: int = 200) -> list[str]:
    return [f"{i},100,20" for i in range(count)]


def fields(texts: list[str]) -> Fields:
    found = split("".join(f"{text}\n" for text in texts).encode(), 1)
    assert found is not None
    return found[0]


def same(one: Trace, two: Trace) -> bool:
    columns = ("arrival_s", "input_tokens", "output_tokens", "model", "tenant")
    return one.repairs == two.repairs and all(
        getattr(one.traffic, name).tolist() == getattr(two.traffic, name).tolist() for name in columns
    )


@given(st.lists(st.decimals(0, 10**12, places=5).map(str) | st.integers(0, 10**15).map(str), min_size=1))
def test_plain_numbers_are_read_as_python_reads_them(texts: list[str]) -> None:
    found = numbers(fields(texts))
    assert found is not None
    assert found.tolist() == pytest.approx([float(text) for text in texts], rel=1e-15)


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "1.2.3", ".", "nan", "inf", "0x10", "1_0", "1 ", "９", "1" * 30]
)
def test_numbers_that_are_not_plain_are_left_to_the_careful_reader(text: str) -> None:
    assert numbers(fields(["1", text, "2"])) is None


@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001 - the zone is put on below
            st.sampled_from(["", "Z", "+00:00", "-07:00", "+05:30"]),
            st.sampled_from([" ", "T"]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_dates_are_read_as_python_reads_them(rows: list[tuple[datetime, str, str]]) -> None:
    texts = [time.isoformat(sep) + zone for time, zone, sep in rows]
    hours = {"": 0.0, "Z": 0.0, "+00:00": 0.0, "-07:00": -7.0, "+05:30": 5.5}
    wanted = [
        (
            time.replace(tzinfo=timezone(timedelta(hours=hours[zone]))) - datetime(2020, 1, 1, tzinfo=UTC)
        ).total_seconds()
        for time, zone, _ in rows
    ]
    assert dates(fields(texts)).tolist() == pytest.approx(wanted, abs=2e-7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-02-30 00:00:00",
        "2023-02-29 00:00:00",
        "2024-13-01 00:00:00",
        "2024-01-01",
        "2024-01-01 24:00:00",
        "2024-01-01 00:61:00",
        "2024-01-01 00:00:00+0000",
        "2024-01-01 00:00:00.5 UTC",
        "2024-01-01x00:00:00",
        "24-01-01 00:00:00",
        "1700000000",
        "9" * 60,
    ],
)
def test_what_is_no_date_has_no_time(text: str) -> None:
    found = dates(fields(["2024-02-29 23:59:60.25", text]))
    assert math.isfinite(found[0])
    assert math.isnan(found[1])


def test_seven_decimals_are_kept() -> None:
    found = dates(fields(["2023-11-16 18:17:03.9799600", "2023-11-16 18:17:03.9799601"]))
    assert found[1] - found[0] == pytest.approx(1e-7, rel=0.2)


@pytest.mark.parametrize("header", ["arrival_s", "timestamp"])
def test_quoted_and_plain_files_read_the_same(tmp_path: Path, header: str) -> None:
    def text(quote: str) -> str:
        lines = [f"{header},input_tokens,output_tokens,model,tenant,note"]
        for i in range(300):
            time = f"2026-01-01 00:{i // 60:02}:{i % 60:02}.5" if header == "timestamp" else f"{i}.5"
            model = f"{quote}model {(7 * i) % 5}{quote}"
            lines.append(f"{time},{i % 7},{i % 50 + 1},{model},{quote}équipe-{i % 3}{quote},x")
        return "\n".join(lines)

    plain = read_trace(write(tmp_path, text("")), most_repaired=0.5)
    quoted = read_trace(write(tmp_path, text('"'), "quoted.csv"), most_repaired=0.5)
    assert plain.repairs == {"no prompt": 43}
    assert plain.traffic.models == quoted.traffic.models == tuple(f"model {i}" for i in (0, 2, 4, 1, 3))
    assert plain.traffic.tenants == quoted.traffic.tenants == ("équipe-0", "équipe-1", "équipe-2")
    assert same(plain, quoted)


def test_names_are_numbered_as_they_come_whichever_way_a_row_is_read(tmp_path: Path) -> None:
    rows = [f"{i},5,5,{name}" for i, name in enumerate(["zeta", "alpha", "zeta", "mid"])]
    header = "arrival_s,input_tokens,output_tokens,model"
    plain = read_trace(write(tmp_path, "\n".join([header, *rows])))
    quoted = read_trace(write(tmp_path, "\n".join([header, *rows]).replace("mid", '"mid"')))
    assert plain.traffic.models == quoted.traffic.models == ("zeta", "alpha", "mid")
    assert plain.traffic.model.tolist() == quoted.traffic.model.tolist() == [0, 1, 0, 2]


def test_pieces_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEADER + "\r\n".join(good(50)) + "\r\n\r\n" + "\r".join(f"{i},7,8" for i in range(50, 60))
    path = write(tmp_path, text)
    whole = read_trace(path)
    assert len(whole.traffic) == 60
    for size in (1, 2, 3, 7, 40):
        monkeypatch.setattr(chunks, "_CHUNK", size)
        assert same(read_trace(path), whole)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", HEADER.encode(), b'{"timestamp":0,"input_length":1,"output_length":1}\n']),
)
def test_any_bytes_end_in_a_trace_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, before: bytes
) -> None:
    path = write(tmp_path_factory.mktemp("junk"), before + junk)
    with suppress(StokerError):
        trace = read_trace(path, most_repaired=1.0)
        left_out = sum(count for kind, count in trace.repairs.items() if kind != "unordered")
        assert len(trace.traffic) + left_out == trace.rows


@given(st.data())
def test_a_damaged_file_keeps_every_row_that_was_not_damaged(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = good(40)
    broken = data.draw(st.sets(st.integers(0, 39), max_size=20))
    for place in broken:
        rows[place] = data.draw(
            st.sampled_from(
                ["", "x", ",,", "1,2", "1,2,3,4", "nan,1,1", "5,-1,2", "5,1.5,2", '5,"1,2', "5,1,99999999"]
            )
        )
    trace = read_trace(write(tmp_path_factory.mktemp("t"), HEADER + "\n".join(rows)), most_repaired=1.0)
    kept = [float(i) for i in range(40) if i not in broken]
    assert trace.traffic.arrival_s.tolist() == [time - kept[0] for time in kept]
    assert trace.rows == len([row for row in rows if row])


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ("7,5.5,20", "not a whole number"),
        ("7,5,20,9", "not a number"),
        ("7,'5',20", "not a number"),
        ("7,1e3,-2", "no answer"),
        ("nan,5,5", "no time"),
        ('7,"5,20', "no time"),
    ],
)
def test_each_fault_has_its_name(tmp_path: Path, bad: str, kind: str) -> None:
    trace = read_trace(write(tmp_path, HEADER + "\n".join([*good(), bad])))
    assert trace.repairs == {kind: 1}


def test_a_last_line_cut_off_is_one_repair_and_no_more(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path, HEADER + "\n".join(good(5)) + "\n5,1"))
    assert (trace.rows, trace.repairs, len(trace.traffic)) == (6, {"not a number": 1}, 5)


def test_a_refused_file_shows_the_first_row_of_each_fault(tmp_path: Path) -> None:
    rows = [*good(20), "20,many,5", "21,5,0", "22,more,5"]
    with pytest.raises(InputError) as caught:
        read_trace(write(tmp_path, HEADER + "\n".join(rows)))
    told = [(problem.line, problem.found) for problem in caught.value.problems]
    assert told == [
        (22, "3 of 23 rows: 2 x not a number, 1 x no answer"),
        (22, "20,many,5"),
        (23, "21,5,0"),
    ]
    assert all(problem.file and problem.wanted for problem in caught.value.problems)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEADER + "0,1,1\n\n\n1,1,1\n2,1,1\n3,1,1\nx,1,1\ny,1,1\n"
    for end in ("\n", "\r\n", "\r"):
        path = write(tmp_path, text.replace("\n", end))
        for size in (*range(1, 45), 1 << 20):
            monkeypatch.setattr(chunks, "_CHUNK", size)
            with pytest.raises(InputError) as caught:
                read_trace(path)
            assert [problem.line for problem in caught.value.problems] == [8, 8]
            assert caught.value.problems[1].found == "x,1,1"


def test_the_rate_of_a_trace_is_its_requests_over_its_duration(tmp_path: Path) -> None:
    traffic = read_trace(write(tmp_path, HEADER + "\n".join(good(10)))).traffic
    assert (len(traffic), traffic.arrival_s[-1], traffic.duration_s) == (10, 9.0, 10.0)


def test_nothing_may_be_repaired_where_none_is_allowed(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "\n".join([*good(), "x,1,1"]))
    assert read_trace(path).repairs == {"no time": 1}
    with pytest.raises(InputError, match="1 of 201 rows"):
        read_trace(path, most_repaired=0.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfea\x00,\x00", "UTF-16"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"\x28\xb5\x2f\xfdrest", "Zstandard"),
        (HEADER.encode() + b"1,2,3\n\x00\x01", "binary"),
        (b"\n\n", "empty"),
        (b"arrival,input_tokens,output_tokens\n1,2,3\n", "rename arrival to arrival_s"),
        (b"arrival_s,input_tokens\n1,2\n", "name the columns arrival_s"),
        (b"arrival_s;input_tokens;output_tokens\n1;2;3\n", "commas instead of semicolons"),
        (b"arrival_s\tinput_tokens\toutput_tokens\n1\t2\t3\n", "commas instead of tabs"),
        (b"arrival_s,input_tokens,output_tokens,input_tokens\n1,2,3,4\n", "column input_tokens comes twice"),
        (b"x" * 200_000 + b"\n1,2,3\n", "not a trace that is known"),
        (b"\x1b[2J,\x07\n1,2\n", "found:  \N{REPLACEMENT CHARACTER}.2J,\N{REPLACEMENT CHARACTER}"),
        (b"timestamp,input_tokens\n1,2\n", "also output_tokens, as in own"),
        (b"{\n", "no JSON"),
        (b"\x1f\x8bno gzip", "cannot be read"),
        (HEADER.encode() + b"0,1,1\n1000000000,1,1\n", "too far apart"),
    ],
)
def test_every_error_says_what_was_found(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_trace(write(tmp_path, content))


def test_a_name_that_is_too_long_is_an_error() -> None:
    with pytest.raises(InputError, match="File name too long"):
        read_trace(Path("a" * 5000))


def test_more_rows_than_memory_is_meant_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_MOST_ROWS", 1000)
    packed = gzip.compress((HEADER + "1,100,20\n" * 100_000).encode())
    with pytest.raises(InputError, match="the trace is too long"):
        read_trace(write(tmp_path, packed))


def test_the_first_bytes_count_and_not_the_name(tmp_path: Path) -> None:
    plain = HEADER + "\n".join(good())
    packed = write(tmp_path, gzip.compress(plain.encode()), "trace.csv")
    named = write(tmp_path, plain, "trace.parquet")
    assert same(read_trace(packed), read_trace(named))


def test_mooncake_lines_with_faults_are_counted(tmp_path: Path) -> None:
    rows = [
        json.dumps({"timestamp": i * 1000, "input_length": 700, "output_length": 5, "hash_ids": [0, i + 1]})
        for i in range(100)
    ]
    rows[10], rows[20], rows[30] = "{", '{"timestamp": 1, "input_length": "x", "output_length": 1}', "[]"
    rows[40] = json.dumps({"timestamp": 40_000, "input_length": 700, "output_length": 5, "hash_ids": [2**64]})
    rows[50] = json.dumps(
        {"timestamp": 50_000, "input_length": 700, "output_length": 0, "hash_ids": [7, 7, 7]}
    )
    trace = read_trace(write(tmp_path, "\n".join(rows), "trace.jsonl"))
    assert trace.repairs == {"no time": 4, "no answer": 1}
    assert trace.traffic.prefix_offsets is not None
    assert trace.traffic.prefix_ids is not None
    assert trace.traffic.prefix_offsets.tolist() == list(range(0, 191, 2))
    assert trace.traffic.prefix_ids[88:94].tolist() == [0, 49, 0, 50, 0, 52]
    assert trace.traffic.prefix_block_tokens == 512


def test_unordered_rows_take_their_prefixes_along(tmp_path: Path) -> None:
    text = "arrival_s,input_tokens,output_tokens,prefix\n5,10,1,1 2 3\n2,20,1,\n3,30,1,9\n"
    traffic = read_trace(write(tmp_path, text)).traffic
    assert traffic.input_tokens.tolist() == [20, 30, 10]
    assert traffic.prefix_ids is not None
    assert traffic.prefix_offsets is not None
    assert traffic.prefix_ids.tolist() == [9, 1, 2, 3]
    assert traffic.prefix_offsets.tolist() == [0, 0, 1, 4]


def test_silences_and_repeated_rows_are_told_and_left(tmp_path: Path) -> None:
    times = [*range(200), *range(5000, 5100)]
    rows = [f"{time},100,20" for time in times]
    rows.insert(1, rows[0])
    trace = read_trace(write(tmp_path, HEADER + "\n".join(rows)))
    assert trace.holes == ((199.0, 5000.0),)
    assert (trace.repeated, trace.repairs, len(trace.traffic)) == (1, {}, 301)
    assert trace.span_s == 5099.0


def test_requests_that_all_come_at_once_last_a_second(tmp_path: Path) -> None:
    assert read_trace(write(tmp_path, HEADER + "7,1,1\n7,1,1\n")).traffic.duration_s == 1.0


def test_too_many_names_are_an_error(tmp_path: Path) -> None:
    rows = [f"{i},1,1,user-{i}" for i in range(40_000)]
    with pytest.raises(InputError, match="too many different"):
        read_trace(write(tmp_path, "arrival_s,input_tokens,output_tokens,tenant\n" + "\n".join(rows)))


def test_progress_counts_the_rows(tmp_path: Path) -> None:
    told: list[int] = []
    read_trace(write(tmp_path, HEADER + "\n".join(good(1000))), told.append)
    assert told[-1] == 1000


def test_the_digest_is_of_the_file_and_not_of_its_contents(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + "1,2,3\n").encode())
    assert read_trace(write(tmp_path, packed)).sha256 == hashlib.sha256(packed).hexdigest()


def test_parquet_keeps_dates_names_prefixes_and_gaps(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    count = 100
    start = datetime(2026, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "timestamp": pa.array(
                [start + timedelta(seconds=i / 2) for i in range(count)], pa.timestamp("us", tz="UTC")
            ),
            "input_tokens": pa.array([None, *range(1, count)], pa.int32()),
            "output_tokens": pa.array([3] * count, pa.int64()),
            "model": pa.array(["a", None, "b", *["a"] * (count - 3)]).dictionary_encode(),
            "tenant": pa.array([f"t{i % 3}" for i in range(count)]),
            "prefix": pa.array([[1, 2]] * (count - 1) + [None], pa.list_(pa.int64())),
        }
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    trace = read_trace(tmp_path / "t.parquet")
    traffic = trace.traffic
    assert trace.repairs == {"not a number": 1}
    assert traffic.arrival_s.tolist() == pytest.approx([i / 2 for i in range(count - 1)], abs=1e-6)
    assert [traffic.models[i] for i in traffic.model[:3]] == ["", "b", "a"]
    assert traffic.tenants == ("t0", "t1", "t2")
    assert traffic.prefix_offsets is not None
    assert traffic.prefix_offsets.tolist() == [*range(0, 2 * count - 2, 2), 2 * count - 4]


def test_parquet_of_the_wrong_type_is_an_error(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    wrong = {"arrival_s": [0.0], "input_tokens": ["many"], "output_tokens": [1]}
    parquet.write_table(pa.table(wrong), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="many"):
        read_trace(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "column", "p50", "p99", "highest"),
    [
        ("azure2023_code.csv", "input_tokens", 1469, 7436, 7437),
        ("azure2023_code.csv", "output_tokens", 13, 252, 1899),
        ("azure2023_conv.csv", "input_tokens", 1020, 4142, 14050),
        ("azure2023_conv.csv", "output_tokens", 129, 601, 1000),
    ],
)
def test_lengths_of_real_traces_are_as_measured(
    shared: Path, name: str, column: str, p50: int, p99: int, highest: int
) -> None:
    values = getattr(read_trace(shared / "traces" / name).traffic, column)
    assert [round(float(np.quantile(values, share))) for share in (0.5, 0.99, 1.0)] == pytest.approx(
        [p50, p99, highest], rel=0.01
    )


def test_a_real_trace_reads_the_same_row_by_row(shared: Path, tmp_path: Path) -> None:
    source = shared / "traces" / "azure2023_code.csv"
    lines = source.read_text().splitlines()
    picked = random.Random(0).sample(range(1, len(lines)), 50)  # noqa: S311 - no secret
    for place in picked:
        lines[place] = '"' + lines[place].replace(",", '","') + '"'
    assert same(read_trace(write(tmp_path, "\n".join(lines))), read_trace(source))
