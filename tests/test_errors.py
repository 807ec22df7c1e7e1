from __future__ import annotations

import pickle

import pytest

from limbeck import errors


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n.endswith("Error")])
def test_every_kind_survives_the_trip_between_processes(name):
    error = getattr(errors, name)("broken", where="a.csv row 3", hint="mend it")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == "a.csv row 3: broken\n  mend it"
    assert again.hint == "mend it"


def test_exit_codes():
    assert errors.DataError("x").exit_code == 2
    assert errors.NumericsError("x").exit_code == 1


def test_nearest_names_one_or_lists_all():
    assert errors.nearest("herdin", ["herding", "random"]) == "Did you mean 'herding'?"
    assert errors.nearest("zzz", ["herding", "random"]) == "Known: herding, random."
