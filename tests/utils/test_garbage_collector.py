import gc

import pytest

from src.utils.garbage_collector import garbage_collector_off


def test_the_collector_is_afterwards_as_it_was_before():
    with pytest.raises(KeyError), garbage_collector_off():
        raise KeyError(gc.isenabled())
    assert gc.isenabled()
    with garbage_collector_off(), garbage_collector_off():
        pass
    assert gc.isenabled()
    gc.disable()
    try:
        with garbage_collector_off():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
