from __future__ import annotations

from gateway.state.failures import first_of, said


def test_the_first_of_a_group_is_found_in_any_depth() -> None:
    lost, late = OSError("lost"), TimeoutError("late")
    assert first_of(lost) is lost
    assert first_of(ExceptionGroup("", [lost, late])) is lost
    nested = BaseExceptionGroup("", [ExceptionGroup("", [late]), KeyboardInterrupt()])
    assert first_of(nested) is late


def test_what_is_behind_a_failure_is_said_as_well() -> None:
    assert said(OSError("no way")) == "no way"
    assert said(TimeoutError()) == "TimeoutError"
    failure = OSError("all attempts failed")
    failure.__cause__ = ExceptionGroup("attempts", [ExceptionGroup("", [OSError("refused")])])
    assert said(failure) == "all attempts failed: refused"
    failure.__cause__ = TimeoutError()
    assert said(failure) == "all attempts failed: TimeoutError"
