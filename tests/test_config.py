# SPDX-License-Identifier: BSD-3-Clause
import copy
import dataclasses
import math
import pickle
import sys
import typing
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wspace import (
    AllocationPolicy,
    BusyPolicy,
    EscapePolicy,
    LearningPolicy,
    LocationPolicy,
    ResetPolicy,
    SpillPolicy,
    WorkspaceConfig,
)
from wspace._config import ConfigFields, first_difference, merge
from wspace._sizes import format_bytes, parse_size

UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
    "EB": 10**18,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "PiB": 2**50,
    "EiB": 2**60,
}
FIELDS = [field.name for field in dataclasses.fields(WorkspaceConfig)]
SIZES = ["initial_size", "min_size", "max_size", "min_block"]
POLICIES = {
    "learning": LearningPolicy,
    "allocation": AllocationPolicy,
    "spill": SpillPolicy,
    "reset": ResetPolicy,
    "location": LocationPolicy,
    "escape": EscapePolicy,
}
FLAGS = ["checked", "capture", "huge_pages", "populate", "zero_on_reset", "record"]


# Sizes


@given(
    number=st.integers(0, 7),
    unit=st.sampled_from(sorted(UNITS)),
    case=st.sampled_from([str, str.lower, str.upper]),
    space=st.sampled_from(["", " ", "\t "]),
)
def test_a_size_is_its_number_times_its_unit(number, unit, case, space):
    text = f"{space}{number}{space}{case(unit)}{space}"
    assert parse_size(text) == number * UNITS[unit]


@given(st.integers(0, sys.maxsize))
def test_a_size_in_bytes_is_read_back_from_any_writing(nbytes):
    for value in (nbytes, str(nbytes), f"{nbytes} B", f"+{nbytes}", f"000{nbytes}b"):
        size = parse_size(value)
        assert size == nbytes
        assert type(size) is int


@given(st.integers(0, sys.maxsize))
def test_a_written_size_is_within_half_of_its_last_digit(nbytes):
    number, unit = format_bytes(nbytes).split()
    assert abs(Fraction(number) * UNITS[unit] - nbytes) <= Fraction(UNITS[unit], 20)
    assert float(number) < 1024
    assert unit == "B" or float(number) >= 1


@given(st.integers(0, 1023), st.sampled_from(["KiB", "MiB", "GiB", "TiB", "PiB"]))
def test_a_whole_number_of_units_is_read_back_as_it_was_written(number, unit):
    nbytes = parse_size(f"{number}{unit}")
    assert parse_size(format_bytes(nbytes).replace(".0", "")) == nbytes


@given(st.lists(st.integers(0, sys.maxsize), min_size=2, max_size=4))
def test_sizes_written_together_share_the_unit_of_the_largest(sizes):
    numbers, unit = format_bytes(*sizes).split()
    assert numbers.count("/") == len(sizes) - 1
    assert f"{max(map(float, numbers.split('/'))):.1f} {unit}".replace(
        ".0 B", " B"
    ) == format_bytes(max(sizes))


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((0,), "0 B"),
        ((1023,), "1023 B"),
        ((1024,), "1.0 KiB"),
        ((1024**2 - 1,), "1.0 MiB"),
        ((48 * 2**20, 64 * 2**20), "48.0/64.0 MiB"),
        ((0, 64 * 2**20), "0.0/64.0 MiB"),
        ((sys.maxsize,), "8.0 EiB"),
        ((5000 * 2**60,), "5000.0 EiB"),
    ],
)
def test_sizes_are_written_in_binary_units(sizes, text):
    assert format_bytes(*sizes) == text


def test_integers_of_numpy_are_sizes():
    size = parse_size(np.uint32(4096))
    assert (size, type(size)) == (4096, int)
    assert type(WorkspaceConfig(alignment=np.int8(64)).alignment) is int


WHOLE = "a whole number with a unit, such as '64MiB'"
KNOWN = "in B, kB, MB, GB, TB, PB, EB, KiB, MiB, GiB, TiB, PiB, EiB"
MOST = "at most 9,223,372,036,854,775,807 bytes"
NO_SIZES = [
    (-1, "at least 0 bytes", "-1"),
    (np.int64(-1), "at least 0 bytes", "-1"),
    ("-5MiB", "at least 0 bytes", "'-5MiB'"),
    ("1.5GiB", WHOLE, "'1.5GiB'"),
    ("", WHOLE, "''"),
    ("MiB", WHOLE, "'MiB'"),
    ("64 M i B", WHOLE, "'64 M i B'"),
    ("1e6", WHOLE, "'1e6'"),
    ("٣MiB", WHOLE, "'٣MiB'"),
    ("64Mbit", KNOWN, "'64Mbit'"),
    ("64M", KNOWN, "'64M'"),
    (2**63, MOST, "9223372036854775808"),
    ("16EiB", MOST, "'16EiB'"),
    (2**40000, MOST, "2**40000"),
    (-(2**40000) + 1, "at least 0 bytes", "-about 2**40000"),
    ("9" * 9999, MOST, "'999999999999...9999999999999'"),
]


@pytest.mark.parametrize("field", SIZES)
def test_a_size_that_is_no_size_is_refused(field):
    for value, allowed, got in NO_SIZES:
        with pytest.raises(ValueError) as caught:
            WorkspaceConfig(**{field: value})
        assert str(caught.value) == f"{field} must be {allowed}, got {got}"


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (1.0, "float 1.0"),
        (math.nan, "float nan"),
        (True, "bool True"),
        (np.True_, "a value of type 'bool'"),
        (b"64MiB", "a value of type 'bytes'"),
        ([64], "a value of type 'list'"),
        (np.arange(3), "a value of type 'ndarray'"),
    ],
)
@pytest.mark.parametrize("field", SIZES)
def test_a_size_of_another_type_is_refused(field, value, got):
    with pytest.raises(TypeError) as caught:
        WorkspaceConfig(**{field: value})
    allowed = "an int or a string such as '64MiB'"
    assert str(caught.value) == f"{field} must be {allowed}, got {got}"


def test_only_max_size_can_be_none():
    assert WorkspaceConfig(max_size=None).max_size is None
    for field in set(SIZES) - {"max_size"}:
        with pytest.raises(TypeError, match=rf"{field} must be .*, got None$"):
            WorkspaceConfig(**{field: None})


# Policies, flags and numbers


@pytest.mark.parametrize("field", POLICIES)
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_policies_are_read_by_name_in_any_case(field, case):
    for member in POLICIES[field]:
        # The size lets learning="none" and spill="fail" stand.
        config = WorkspaceConfig(**{field: case(member.name)}, initial_size=1)
        assert getattr(config, field) is member
        assert WorkspaceConfig(**{field: member}, initial_size=1) == config
        assert POLICIES[field](case(member.name)) is member


@pytest.mark.parametrize(
    ("field", "choices"),
    [
        ("learning", "'first_loop', 'over_time' or 'none'"),
        ("allocation", "'strict' or 'overallocate'"),
        ("spill", "'reallocate', 'external' or 'fail'"),
        ("reset", "'block_left' or 'ring'"),
        ("location", "'ram' or 'mmap'"),
        ("on_busy", "'spill', 'skip', 'wait' or 'raise'"),
        ("escape", "'ignore', 'warn' or 'raise'"),
    ],
)
def test_an_unknown_policy_is_refused_with_the_choices(field, choices):
    for value, kind, got in [
        ("explode", ValueError, "'explode'"),
        ("fail ", ValueError, "'fail '"),
        ("", ValueError, "''"),
        (None, TypeError, "None"),
        (1, TypeError, "int 1"),
        (True, TypeError, "bool True"),
        ({"fail"}, TypeError, "a value of type 'set'"),
    ]:
        with pytest.raises(kind) as caught:
            WorkspaceConfig(**{field: value})
        assert str(caught.value) == f"{field} must be {choices}, got {got}"


def test_a_member_of_another_enum_is_no_policy():
    with pytest.raises(TypeError) as caught:
        WorkspaceConfig(escape=SpillPolicy.FAIL)
    assert str(caught.value) == (
        "escape must be 'ignore', 'warn' or 'raise', got SpillPolicy 'fail'"
    )


def test_none_is_not_the_policy_of_that_name():
    with pytest.raises(ValueError):
        LearningPolicy(None)


@pytest.mark.parametrize("field", FLAGS)
def test_flags_are_true_or_false_and_nothing_else(field):
    for value in (True, False):
        assert getattr(WorkspaceConfig(**{field: value}), field) is value
    for value, got in [(1, "int 1"), ("yes", "str 'yes'"), (None, "None")]:
        with pytest.raises(TypeError) as caught:
            WorkspaceConfig(**{field: value})
        assert str(caught.value) == f"{field} must be True or False, got {got}"


def test_overallocation_is_a_finite_fraction():
    for value in (0, 0.5, 3, np.float32(0.25), Fraction(1, 2)):
        fraction = WorkspaceConfig(overallocation=value).overallocation
        assert (fraction, type(fraction)) == (value, float)
    for value, got in [
        (-0.1, "-0.1"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (10**400, "inf"),
    ]:
        with pytest.raises(ValueError) as caught:
            WorkspaceConfig(overallocation=value)
        assert str(caught.value) == (
            f"overallocation must be a finite number of at least 0, got {got}"
        )
    for value, got in [(True, "bool True"), ("30%", "str '30%'"), (None, "None")]:
        with pytest.raises(TypeError) as caught:
            WorkspaceConfig(overallocation=value)
        assert str(caught.value) == f"overallocation must be a number, got {got}"


def test_alignment_is_a_power_of_two_up_to_256():
    for power in range(9):
        assert WorkspaceConfig(alignment=2**power).alignment == 2**power
    for value in (0, -64, 3, 48, 257, 512, 4096):
        with pytest.raises(ValueError) as caught:
            WorkspaceConfig(alignment=value)
        assert str(caught.value) == (
            f"alignment must be a power of two from 1 to 256, got {value}"
        )
    for value, got in [(True, "bool True"), (64.0, "float 64.0"), ("64", "str '64'")]:
        with pytest.raises(TypeError) as caught:
            WorkspaceConfig(alignment=value)
        assert str(caught.value) == f"alignment must be an int, got {got}"


# Fields together


def test_an_initial_size_above_the_maximum_is_refused():
    assert WorkspaceConfig(initial_size=1024, max_size=1024)
    with pytest.raises(ValueError) as caught:
        WorkspaceConfig(initial_size="1KiB", max_size=1)
    assert str(caught.value) == (
        "initial_size must not exceed max_size: 1,024 bytes against 1 byte"
    )


def test_a_minimum_above_the_maximum_gives_way():
    assert WorkspaceConfig(min_size="2MiB", max_size="1MiB").min_size == 2**21


@pytest.mark.parametrize("value", ["p95", " P95 ", "p95.0", 0.95, np.float64(0.95)])
def test_a_percentile_is_its_fraction(value):
    assert WorkspaceConfig(trim_to=value).trim_to == 0.95


def test_what_is_no_percentile_is_refused():
    allowed = "a percentile such as 'p95', a fraction above 0 and up to 1, or None"
    for value, kind, got in [
        ("95", ValueError, "'95'"),
        ("p101", ValueError, "'p101'"),
        ("p0", ValueError, "'p0'"),
        ("p-5", ValueError, "'p-5'"),
        (0, ValueError, "0"),
        (1.5, ValueError, "1.5"),
        (float("nan"), ValueError, "nan"),
        (True, TypeError, "bool True"),
        ([95], TypeError, "a value of type 'list'"),
    ]:
        with pytest.raises(kind) as caught:
            WorkspaceConfig(trim_to=value)
        assert str(caught.value) == f"trim_to must be {allowed}, got {got}"


@pytest.mark.parametrize(
    "field", [{"spill": "external"}, {"learning": "none", "initial_size": 1}]
)
def test_a_block_that_could_not_grow_again_is_not_trimmed(field):
    name, value = next(iter(field.items()))
    with pytest.raises(ValueError) as caught:
        WorkspaceConfig(trim_to="p95", **field)
    assert str(caught.value) == (
        f"trim_to needs a block that can grow again, which {name}={value!r} forbids"
    )


def test_the_reference_has_another_name_for_the_ring():
    for name in ("ENDOFBUFFER_REACHED", "endofbuffer_reached", "Ring"):
        assert WorkspaceConfig(reset=name).reset is ResetPolicy.RING
    assert ResetPolicy.ENDOFBUFFER_REACHED is ResetPolicy.RING


@pytest.mark.parametrize("policy", BusyPolicy)
def test_what_a_ring_does_when_it_is_busy_is_read_by_name(policy):
    config = WorkspaceConfig(reset="ring", on_busy=policy.name.title())
    assert config.on_busy is policy
    assert eval(repr(config)) == config


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"slots": 3}, "slots=3 needs reset='ring'"),
        ({"on_busy": "wait"}, "on_busy='wait' needs reset='ring'"),
        (
            {"reset": "ring", "busy_timeout_s": 1},
            "busy_timeout_s=1.0 needs on_busy='wait'",
        ),
        (
            {"cycles_before_initialization": 2},
            "cycles_before_initialization=2 needs learning='over_time'",
        ),
        (
            {"reset": "ring", "escape": "warn"},
            "reset='ring' and escape='warn' contradict each other: "
            "what a ring's cycle makes is meant to outlive it",
        ),
        (
            {"reset": "ring", "slots": 0},
            "slots must be a count from 1 to 1024, got 0",
        ),
        (
            {"reset": "ring", "slots": 1025},
            "slots must be a count from 1 to 1024, got 1025",
        ),
    ],
)
def test_fields_that_mean_nothing_together_are_refused(fields, text):
    with pytest.raises(ValueError) as caught:
        WorkspaceConfig(**fields)
    assert str(caught.value) == text


def test_a_count_of_cycles_is_not_negative():
    with pytest.raises(ValueError) as caught:
        WorkspaceConfig(cycles_before_initialization=-1)
    assert str(caught.value) == (
        "cycles_before_initialization must be a count of at least 0, got -1"
    )
    with pytest.raises(TypeError, match=r"must be an int, got float 2\.5"):
        WorkspaceConfig(cycles_before_initialization=2.5)


def test_a_maximum_of_zero_is_refused():
    with pytest.raises(ValueError) as caught:
        WorkspaceConfig(max_size="0MiB")
    assert str(caught.value) == (
        "max_size must be at least 1 byte, or None for no bound, got '0MiB'"
    )


def test_a_workspace_that_can_hold_nothing_is_refused():
    with pytest.raises(ValueError) as caught:
        WorkspaceConfig(spill="fail", learning="none")
    assert str(caught.value) == (
        "spill='fail' with learning='none' needs an initial_size: "
        "nothing could be allocated"
    )
    assert WorkspaceConfig(spill="fail", learning="none", initial_size=1)
    assert WorkspaceConfig(spill="fail")
    assert WorkspaceConfig(learning="none")


# The config as an object


def test_the_defaults_are_those_of_the_design():
    assert dataclasses.asdict(WorkspaceConfig()) == {
        "initial_size": 0,
        "min_size": 0,
        "max_size": None,
        "learning": LearningPolicy.FIRST_LOOP,
        "allocation": AllocationPolicy.OVERALLOCATE,
        "overallocation": 0.3,
        "cycles_before_initialization": 0,
        "trim_to": None,
        "spill": SpillPolicy.REALLOCATE,
        "reset": ResetPolicy.BLOCK_LEFT,
        "slots": 4,
        "on_busy": BusyPolicy.SPILL,
        "busy_timeout_s": 10.0,
        "location": LocationPolicy.RAM,
        "path": None,
        "escape": EscapePolicy.IGNORE,
        "checked": True,
        "capture": True,
        "alignment": 64,
        "min_block": 1024,
        "huge_pages": False,
        "populate": False,
        "zero_on_reset": False,
        "record": False,
    }


def test_the_types_that_fields_are_given_in_cover_all_fields():
    assert list(typing.get_type_hints(ConfigFields)) == FIELDS


def test_a_config_is_keyword_only_and_frozen():
    with pytest.raises(TypeError):
        WorkspaceConfig(1024)
    config = WorkspaceConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.min_block = 1
    with pytest.raises((AttributeError, TypeError)):
        config.colour = 1


def test_equal_configs_are_equal_however_they_were_written():
    one = WorkspaceConfig(max_size="1MiB", spill="FAIL")
    other = WorkspaceConfig(max_size=2**20, spill=SpillPolicy.FAIL)
    assert one == other
    assert hash(one) == hash(other)
    assert first_difference(one, other) is None
    assert first_difference(one, other.replace(spill="external")) == (
        "spill",
        SpillPolicy.FAIL,
        SpillPolicy.EXTERNAL,
    )


def test_a_config_survives_pickling_and_copying():
    config = WorkspaceConfig(max_size="1MiB", escape="warn")
    assert pickle.loads(pickle.dumps(config)) == config
    assert copy.deepcopy(config) == config


def test_repr_is_one_line_that_makes_the_config_again():
    assert repr(WorkspaceConfig()) == "WorkspaceConfig()"
    config = WorkspaceConfig(initial_size="1MiB", spill="fail", record=True)
    assert repr(config) == (
        "WorkspaceConfig(initial_size=1048576, spill='fail', record=True)"
    )
    assert eval(repr(config)) == config


def test_replace_changes_single_fields_and_checks_them_together():
    config = WorkspaceConfig(max_size="1MiB", learning="none", initial_size="1KiB")
    assert config.replace() is config
    changed = config.replace(max_size=None, record=True)
    assert changed == WorkspaceConfig(learning="none", initial_size=1024, record=True)
    assert config.max_size == 2**20
    with pytest.raises(ValueError, match=r"^spill='fail' with learning='none' needs"):
        config.replace(spill="fail", initial_size=0)
    with pytest.raises(ValueError, match=r"^initial_size must not exceed max_size"):
        config.replace(initial_size="2MiB")


def test_an_unknown_field_is_refused_with_the_closest_one():
    with pytest.raises(TypeError) as caught:
        WorkspaceConfig().replace(intial_size=1)
    assert str(caught.value) == (
        "WorkspaceConfig has no field 'intial_size'; the closest is 'initial_size'"
    )
    assert not hasattr(caught.value, "__notes__")


def test_an_unknown_field_like_no_other_is_refused_with_all_of_them():
    with pytest.raises(TypeError) as caught:
        WorkspaceConfig().replace(qqq=1)
    assert str(caught.value) == "WorkspaceConfig has no field 'qqq'"
    assert caught.value.__notes__ == [f"hint: its fields are {', '.join(FIELDS)}"]


def test_merge_puts_fields_over_a_config_or_over_the_defaults():
    config = WorkspaceConfig(record=True)
    assert merge(None, {}) == WorkspaceConfig()
    assert merge(config, {}) is config
    assert merge(config, {"checked": False}) == config.replace(checked=False)
    for value, got in [({}, "a value of type 'dict'"), ("1MiB", "str '1MiB'")]:
        with pytest.raises(TypeError) as caught:
            merge(value, {})
        assert str(caught.value) == (
            f"config must be a WorkspaceConfig or None, got {got}"
        )
