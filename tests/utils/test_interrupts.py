"""Ctrl-C is held back while arrays change, and not for ever."""

import signal
import threading

import pytest

from daskdsml.utils.interrupts import uninterrupted


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_it_comes_at_once_before_anything_has_begun():
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it was held back")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_waits_for_the_end():
    done = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted() as hold:
            hold.begun = True
            signal.raise_signal(signal.SIGINT)
            done.append(1)
        done.append(2)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_one_does_not_wait():
    with pytest.raises(KeyboardInterrupt), uninterrupted() as hold:
        hold.begun = True
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it was held back")


def test_errors_go_first():
    with pytest.raises(ValueError), uninterrupted() as hold:
        hold.begun = True
        signal.raise_signal(signal.SIGINT)
        raise ValueError


def test_handlers_of_others_and_other_threads_are_left_alone():
    def mine(number, frame):
        pass

    signal.signal(signal.SIGINT, mine)
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) is mine
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = []

    def run():
        with uninterrupted():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
