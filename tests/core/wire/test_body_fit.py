from __future__ import annotations

from gateway.core.wire.body_fit import BodyFit

BODY = b'{"model":"m","max_completion_tokens":5,"seed":1,"x":{"seed":2}}'


def test_members_go_and_are_called_otherwise() -> None:
    fit = BodyFit(refuses=frozenset({"seed"}), renames={"max_completion_tokens": "max_tokens"})
    assert fit.fitted(BODY) == b'{"model":"m","x":{"seed":2},"max_tokens":5}'
    assert fit.fitted(b'{"model":"m"}') == b'{"model":"m"}'


def test_a_member_that_stands_there_under_the_other_name_goes_before() -> None:
    fit = BodyFit(renames={"a": "b"})
    assert fit.fitted(b'{"a":1,"b":2}') == b'{"b":2}'
    assert fit.fitted(b'{"a":1}') == b'{"b":1}'
    assert fit.fitted(b'{ "a" : [1] , "c" : 3 }') == b'{ "c" : 3,"b":[1] }'


def test_the_rest_is_rewritten_behind_that() -> None:
    fit = BodyFit(refuses=frozenset({"a"}), rewrite=lambda body: body + b" ")
    assert fit.fitted(b'{"a":1}') == b"{} "
