"""The register table: sign bits, sizes, no overlap; values that do not fit are refused."""

from __future__ import annotations

import pytest

from firmware_bridge.errors import ServoWrong
from firmware_bridge.sts.registers import REGISTERS, error_text


@pytest.mark.parametrize(
    ("name", "value", "data"),
    [
        ("Homing_Offset", -1013, (1013 | 1 << 11).to_bytes(2, "little")),
        ("Homing_Offset", 2047, (2047).to_bytes(2, "little")),
        ("Goal_Position", -1, b"\x01\x80"),
        ("Present_Load", -1, (1 | 1 << 10).to_bytes(2, "little")),
        ("Torque_Enable", 1, b"\x01"),
    ],
)
def test_sign_magnitude(name: str, value: int, data: bytes) -> None:
    assert REGISTERS[name].encode(value) == data
    assert REGISTERS[name].decode(data) == value


@pytest.mark.parametrize(
    ("name", "value"), [("Homing_Offset", 2048), ("Homing_Offset", -2048), ("ID", 256), ("ID", -1)]
)
def test_values_that_do_not_fit_are_refused(name: str, value: int) -> None:
    with pytest.raises(ServoWrong, match=f"{name}.*expected.*got"):
        REGISTERS[name].encode(value)


def test_registers_do_not_overlap() -> None:
    owner: dict[int, str] = {}
    for row in REGISTERS.values():
        for address in range(row.address, row.address + row.length):
            assert address not in owner, f"{row.name} and {owner[address]} share {address}"
            owner[address] = row.name


def test_error_text_names_every_bit() -> None:
    assert error_text(0) == "none"
    assert error_text(4 | 32) == "over-temperature, overload"
    assert "0x10" in error_text(16)
