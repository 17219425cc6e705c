import pytest

import loray


@pytest.mark.parametrize("name", loray.__all__)
def test_every_public_name_is_there_when_it_is_asked_for(name: str):
    assert callable(getattr(loray, name))
    assert name in dir(loray)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'aply'"):
        loray.aply  # noqa: B018
