from __future__ import annotations

from gateway.core.wire.splice import members
from gateway.providers.quirks.fitting import fit_of
from gateway.providers.quirks.settings import NO_QUIRKS, Quirks


def test_without_quirks_a_body_goes_as_it_is() -> None:
    assert fit_of(NO_QUIRKS) is None
    assert fit_of(Quirks(usage="reasoning_beside", key_header="x-key")) is None


def test_hints_and_what_asks_for_nothing_do_not_matter() -> None:
    fit = fit_of(Quirks(refuses=("n", "logprobs", "store", "seed")))
    assert fit is not None
    for body, asked, matter in (
        (b'{"n":1,"logprobs":false,"seed":null}', (), None),
        (b'{"n":2}', ("n",), "n"),
        (b'{"store":true}', ("store",), None),
        (b'{"store":true,"logprobs":true}', ("store", "logprobs"), "logprobs"),
        (b'{"seed":0}', (), None),
        (b'{"top_p":1}', (), None),
    ):
        found = fit.asked(body, members(body))
        assert (found, fit.matters(found)) == (asked, matter), body
        assert fit.fitted(body) == (body if body == b'{"top_p":1}' else b"{}")
