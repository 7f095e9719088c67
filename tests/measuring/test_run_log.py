import json
import math
from pathlib import Path

import pytest

from babysit.errors import UsageError
from babysit.measuring.run_log import SCHEMA_VERSION, read, writing

HEADER = '{"schema_version": 1, "kind": "run"}\n'
STEP = '{"kind": "step", "step": 1, "loss": 2.5, "penalty": 0.0}\n'


def written(path, text):
    path.write_text(text)
    return path


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "run.jsonl"
    with writing(str(path), metric="accuracy", steps=3) as write:
        write("step", step=1, loss=2.5)
        write("moment", step=1, ratios={"W": 1e-3, "b": math.inf}, losses=[0.5, -math.inf])
        write("end", step=1, reason="")
    assert read(path) == [
        {"schema_version": SCHEMA_VERSION, "kind": "run", "metric": "accuracy", "steps": 3},
        {"kind": "step", "step": 1, "loss": 2.5},
        {"kind": "moment", "step": 1, "ratios": {"W": 1e-3, "b": math.inf}, "losses": [0.5, -math.inf]},
        {"kind": "end", "step": 1, "reason": ""},
    ]


def test_nan_survives_in_strict_json(tmp_path):
    path = tmp_path / "run.jsonl"
    with writing(str(path)) as write:
        write("step", step=1, loss=math.nan)
    assert json.loads(path.read_text().splitlines()[1], parse_constant=pytest.fail)["loss"] == "NaN"
    assert math.isnan(read(path)[1]["loss"])


def test_every_row_is_in_the_file_by_the_time_it_was_written(tmp_path):
    path = tmp_path / "run.jsonl"
    with writing(str(path)) as write:
        for step in range(3):
            write("step", step=step, loss=1.0)
            assert len(read(path)) == step + 2


def test_a_record_takes_the_place_of_the_one_before(tmp_path):
    path = tmp_path / "run.jsonl"
    for rows in (5, 1):
        with writing(str(path)) as write:
            for step in range(rows):
                write("step", step=step)
    assert len(read(path)) == 2


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with writing("") as write:
        write("step", step=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", ['{"kind": "st', "", '{"kind": "step"}'])
def test_a_last_line_that_was_cut_short_is_left_out(tmp_path, cut):
    assert len(read(written(tmp_path / "run.jsonl", HEADER + STEP + cut))) == 2


def test_kinds_and_fields_of_later_versions_are_rows_like_others(tmp_path):
    assert (
        read(written(tmp_path / "run.jsonl", HEADER + '{"kind": "new", "more": {"a": ["NaN"]}}\n'))[1]["kind"] == "new"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEADER + STEP + "oops\n" + STEP, ":3: not a line of JSON"),
        (HEADER + "\n" + STEP, ":2: not a line of JSON"),
        (HEADER + "[1, 2]\n", ':2: not an object with a "kind"'),
        (HEADER + '{"step": 1}\n', ':2: not an object with a "kind"'),
        (HEADER + '{"kind": 7}\n', ':2: not an object with a "kind"'),
        (HEADER + "[" * 100_000 + "\n", ":2: not a line of JSON"),
        (STEP, ":1: not a record that this babysit reads: its first line has no schema_version, not 1"),
        ("", ":1: not a record that this babysit reads: its first line has no schema_version, not 1"),
        (
            '{"schema_version": 2, "kind": "run"}\n',
            ":1: not a record that this babysit reads: it has schema_version 2, not 1",
        ),
    ],
)
def test_what_is_no_record_is_refused_with_its_line(tmp_path, monkeypatch, text, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refused:
        read(written(tmp_path / "run.jsonl", text))
    assert str(refused.value) == f"run.jsonl{told}"


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.jsonl").write_bytes(HEADER.encode() + b"\xff\n")
    with pytest.raises(UsageError, match=r"^run.jsonl:2: not UTF-8 text$"):
        read("run.jsonl")


def test_a_file_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^run.jsonl can't be read: No such file or directory$"):
        read("run.jsonl")


@pytest.mark.parametrize(
    ("path", "told"),
    [("missing/run.jsonl", "missing/run.jsonl can't be written: No such file or directory"),
     (".", ". can't be written: Is a directory")],
)  # fmt: skip
def test_where_nothing_can_be_written_nothing_is_begun(tmp_path, monkeypatch, path, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refused, writing(path):
        pytest.fail("begun")
    assert str(refused.value) == told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_told():
    with (
        pytest.raises(UsageError, match=r"^/dev/full can't be written: No space left on device$"),
        writing("/dev/full"),
    ):
        pytest.fail("begun")
