"""Rates over days: named ones, those of a trace, and tables with every way a table can be wrong."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from stoker.errors import InputError
from stoker.twin.workload import RateProfile, measured_profile, read_profile, read_trace, synthesise
from stoker.twin.workload.lengths import LognormalLengths

TABLE = "model,t_s,rps\n" + "".join(f"m,{600 * i},{1 + i % 3}\n" for i in range(12))


@pytest.mark.parametrize("name", ["flat", "diurnal", "weekly", "weekly-chat"])
@pytest.mark.parametrize("days", [0.01, 1, 10.3])
def test_profiles_have_a_mean_of_one_whatever_they_cover(name: str, days: float) -> None:
    assert float(read_profile(name).over(days * 86_400.0).mean()) == pytest.approx(1.0)


def test_the_weeks_have_the_swing_of_their_services() -> None:
    coding, chat = (np.array(read_profile(name).rates) for name in ("weekly", "weekly-chat"))
    assert (len(coding), len(chat)) == (168, 168)
    assert (float(coding.max()), float(chat.max())) == pytest.approx((3.0, 1.66), abs=0.02)
    weekend = [float(week[120:].mean() / week[:120].mean()) for week in (coding, chat)]
    assert weekend == pytest.approx([0.33, 0.57], abs=0.01)


def test_the_work_done_by_a_profile_ends_with_all_of_it() -> None:
    edges, done = RateProfile.of("x", 10.0, [1.0, 3.0]).work(25.0)
    assert edges.tolist() == [0.0, 10.0, 20.0, 25.0]
    assert done.tolist() == pytest.approx([0.0, 10 / 45, 40 / 45, 1.0])


def test_a_profile_that_begins_with_silence_can_be_cut_within_it() -> None:
    assert RateProfile.of("x", 10.0, [0.0, 1.0]).over(5.0).tolist() == [1.0]


def test_rates_of_a_trace_are_measured_over_whole_spans() -> None:
    profile = RateProfile.of("x", 100.0, [1.0, 3.0])
    traffic = synthesise(
        100.0, 1050.0, LognormalLengths(1, 0, 1, 0), np.random.default_rng(0), profile=profile
    )
    found = measured_profile(traffic, 100.0)
    assert (found.name, found.span_s, len(found.rates)) == ("trace", 100.0, 10)
    assert np.array(found.rates) == pytest.approx(np.tile([0.5, 1.5], 5), rel=0.1)


def test_servegen_services_are_found_by_name(shared: Path) -> None:
    table = shared / "traces" / "servegen_rates_10min.csv"
    profile = read_profile(f"{table}:m-large")
    assert (profile.span_s, len(profile.rates)) == (600.0, 2016)
    assert max(profile.rates) == pytest.approx(583 / 196, rel=0.01)
    with pytest.raises(InputError, match="no such service") as caught:
        read_profile(f"{table}:m-larg")
    assert caught.value.problems[0].fix == f"{table}:m-large"


def test_a_table_of_one_service_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "a:b.csv"
    path.write_text("\ufeff" + TABLE.replace("\n", "\r\n"))
    profile = read_profile(str(path))
    assert (profile.name, profile.span_s, profile.rates[:3]) == ("a:b", 600.0, (0.5, 1.0, 1.5))


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("", "no table of rates", 1),
        ("a,b\n1,2\n", "no table of rates", 1),
        (TABLE + "m,7200,x\n", "no rate", 14),
        (TABLE + "m,7200\n", "no rate", 14),
        (TABLE + "m,7200,-1\n", "no rate", 14),
        (TABLE + "m,nan,1\n", "no rate", 14),
        (TABLE + "m,9000,1\n", "equal spans", 14),
        (TABLE + "m,6600,1\n", "equal spans", 14),
        (TABLE + "n,7200,1\n", "several services", 0),
        ("t_s,rps\n0,1\n", "too few rates", 0),
        ("t_s,rps\n0,0\n1,0\n", "too few rates", 0),
    ],
)
def test_a_wrong_table_is_an_error_with_its_line(tmp_path: Path, text: str, words: str, line: int) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_profile(str(path))
    assert caught.value.problems[0].line == line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x" * 200_000, "cannot be read: field larger"),
        (gzip.compress(b"t_s,rps\n0,1\n600,2\n", mtime=0)[:20] + b"\xff" * 20, "cannot be read"),
        (gzip.compress(b"t_s,rps\n0,1\n600,2\n", mtime=0)[:-9], "cannot be read"),
        (gzip.compress(b"t_s,rps\n" + b"0,1\n" * (9 << 20), mtime=0), "too large"),
    ],
)
def test_a_file_that_is_no_table_is_an_error(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "rates.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_profile(str(path))
    assert caught.value.problems[0].file == str(path)


def test_a_profile_name_that_is_too_long_is_an_error() -> None:
    with pytest.raises(InputError, match="no such profile"):
        read_profile("a" * 5000)


def test_an_unknown_profile_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such profile") as caught:
        read_profile("weekli")
    assert caught.value.problems[0].fix == "--profile weekly"
    with pytest.raises(InputError, match="no such profile"):
        read_profile(str(tmp_path))


def test_a_table_is_no_trace_and_a_trace_is_no_table(shared: Path) -> None:
    with pytest.raises(InputError, match="table of rates is no trace"):
        read_trace(shared / "traces" / "servegen_rates_10min.csv")
    with pytest.raises(InputError, match="no table of rates"):
        read_profile(str(shared / "traces" / "azure2023_code.csv"))
