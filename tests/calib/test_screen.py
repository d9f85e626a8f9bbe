"""The live screen as text: what fits, what is cut, what the bar says without a colour."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from calib.person import JointRow, LiveView
from calib.screen import BAR, STATE_STYLE, Screen, bar, number

NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
DRAWING = "\n".join("x" * 58 for _ in range(16))


def row(name: str = "gripper", swept: float = 1000, state: str = "short", **more: object) -> JointRow:
    values = {"now": 2000.0, "low": 1500.0, "high": 1500.0 + swept, "expected": (2162.0, 2787.0), **more}
    return JointRow(name, state=state, **values)  # type: ignore[arg-type]


def view(drawing: str = "", note: str = "", unit: str = "ticks") -> LiveView:
    rows = tuple(row(name, note=note) for name in NAMES)
    return LiveView("Sweep all joints", "Move elbow_flex to both stops", rows, unit, drawing=drawing, message="good")


def lines(shown: LiveView, width: int = 80, height: int = 24, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, legacy_windows=False)
    console.print(Screen(shown))
    file.flush()
    return file.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]


def test_everything_is_on_80_by_24() -> None:
    shown = lines(view(note="sweep both ends"))
    assert len(shown) < 24 and max(map(len, shown)) < 80
    assert shown[0] == "Sweep all joints" and "Move elbow_flex" in shown[1]
    head = shown[3]
    assert head.split() == ["ticks", "now", "low", "high", "range", "expected", "state"]
    for name, line in zip(NAMES, shown[4:10], strict=True):
        assert line.split()[:6] == [name, "2000", "1500", "2500", "1000", "2162..2787"] and "short" in line
        for column in ("now", "low", "high", "range", "expected"):  # numbers end under their heads
            end = head.index(column) + len(column)
            assert line[end - 1].isdigit() and line[end : end + 2].strip() == ""
    assert shown[-1].split() == ["Enter", "done", "q", "cancel"]
    assert sum("sweep both ends" in line for line in shown) == len(NAMES)


@pytest.mark.parametrize("width", [100, 79, 72, 60, 50, 40, 34])
def test_narrow_terminals_drop_columns_and_keep_joint_range_and_state(width: int) -> None:
    shown = lines(view(), width)
    assert max(map(len, shown)) <= width
    table = [line for line in shown if line.startswith(NAMES)]
    assert len(table) == len(NAMES)
    assert all("1000" in line and "short" in line for line in table)


def test_low_terminals_keep_what_to_do() -> None:
    tall, low = view(note="a note"), lines(view(note="a note"), height=14)
    assert len(lines(tall)) == 17
    assert len(low) <= 13 and "a note" not in "".join(low) and "Move elbow_flex" in low[1] and "cancel" in low[-1]


@pytest.mark.parametrize(("size", "where"), [((150, 24), "beside"), ((80, 40), "below"), ((80, 24), "nowhere")])
def test_a_drawing_stands_where_there_is_room(size: tuple[int, int], where: str) -> None:
    shown = lines(view(DRAWING), *size)
    drawn = [index for index, line in enumerate(shown) if "xxx" in line]
    table = [index for index, line in enumerate(shown) if line.startswith(NAMES)]
    assert len(table) == len(NAMES) and len(shown) < size[1]
    expected = {"beside": set(table) <= set(drawn), "below": bool(drawn) and min(drawn) > max(table)}
    assert expected.get(where, not drawn)


def test_a_drawing_drives_out_joints_of_which_there_is_nothing_to_say() -> None:
    rows = tuple(row(name, state="waiting" if name == "gripper" else "") for name in NAMES)
    shown = lines(LiveView("Which motor", "open it", rows, drawing=DRAWING))
    assert sum("xxx" in line for line in shown) == 16 and len(shown) < 24
    assert [line.split()[0] for line in shown if line.startswith(NAMES)] == ["gripper"]
    assert sum(line.startswith(NAMES) for line in lines(LiveView("Which motor", "open it", rows))) == len(NAMES)


def test_without_expected_ranges_nothing_is_compared() -> None:
    free = tuple(row(name, expected=None) for name in NAMES)
    assert lines(LiveView("t", "d", free))[2].split() == ["ticks", "now", "low", "high", "range", "state"]
    one = (*free[1:], row(NAMES[0]))
    assert "expected" in lines(LiveView("t", "d", one))[2] and "any" in lines(LiveView("t", "d", one))[3]


def test_nothing_shifts_while_numbers_grow() -> None:
    small = LiveView("t", "d", (row(now=1.0, low=1.0, high=2.0),))
    large = LiveView("t", "d", (row(now=-1234.0, low=-1234.0, high=4000.0),))
    assert lines(small)[2] == lines(large)[2]


def test_the_bar_says_how_far_without_colour() -> None:
    def marks(swept: float, **more: object) -> str:
        return bar(row(swept=swept, now=None, **more), plain=True).plain

    assert len(marks(1000)) == BAR
    assert marks(100).startswith("=.") and marks(100).count("|") == 2
    assert "=" not in marks(2400)[marks(2400).rindex("|") :] and "." not in marks(2400)[: marks(2400).index("|")]
    assert "=" in marks(3500)[marks(3500).rindex("|") :]  # past the widest
    assert "|" not in marks(2400, expected=None)
    assert set(marks(0)) <= {".", "|"} and set(bar(row(low=None, high=None, expected=None), plain=True).plain) == {"."}
    here = [bar(row(now=now), plain=True).plain.index("o") for now in (1500.0, 2000.0, 2500.0)]
    assert here == sorted(here) and here[0] == 0 and here[2] > 0


def test_ascii_terminals_get_ascii() -> None:
    for size in ((80, 24), (150, 24)):
        assert "".join(lines(view(DRAWING), *size, encoding="ascii")).isascii()
    assert not "".join(lines(view())).isascii()


@pytest.mark.parametrize("state", STATE_STYLE)
def test_states_are_words(state: str) -> None:
    assert lines(LiveView("t", "d", (row(state=state),)))[3].split()[-1] == state


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ticks", "-"),
        (2047.6, "ticks", "2048"),
        (-0.001, "rad", "0.00"),
        (1.234, "rad", "1.23"),
        (-0.04, "degrees", "0.0"),
    ],
)
def test_numbers(value: float | None, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_a_view_without_joints_is_words_and_keys() -> None:
    shown = lines(LiveView("Unplug it", "Pull the cable out of the computer", (), keys=(("q", "cancel"),)))
    assert [line.strip() for line in shown] == ["Unplug it", "▶ Pull the cable out of the computer", "q  cancel"]
