"""Presets over real sockets: a table with a name, a key in the environment, and quirks at work."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest
import trio

from gateway.providers.facts.current import BUNDLED, bundled_book

from ..fork_server import popen
from .caller import calling
from .harness import PATIENCE, ROOT, in_process
from .provider import Asked, serving, speaking
from .wire import Script, completion, whole

MODEL = '[[models]]\nname = "m"\nroutes = [{ provider = "mistral", model = "real-model" }]\n'
SERVER = '[server]\nbind = "127.0.0.1:0"\n[store]\nurl = ""\n[overload]\nlag = 0\n'


async def test_a_preset_with_a_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "sk-of-the-environment")
    async with serving(speaking) as provider:
        table = f'[providers.mistral]\nbase_url = "http://127.0.0.1:{provider.port}/v1"\n'
        async with in_process(SERVER + table + MODEL) as gateway, calling(gateway.port) as caller:
            message = {"role": "user", "content": "Hi"}
            body = {"model": "m", "messages": [message], "seed": 3, "user": "u", "stream": True}
            await caller.post(json.dumps(body).encode())
            reply = await caller.reply()
            assert reply.status == 200
            (asked,) = provider.asked
            sent = json.loads(asked.body)
            assert sent == {
                "model": "real-model",
                "messages": [message],
                "stream": True,
                "random_seed": 3,
            }
            assert asked.headers["authorization"] == "Bearer sk-of-the-environment"
            assert reply.headers["x-gateway-dropped"] == "user"


async def test_a_route_without_prices_has_those_of_the_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each model of a family its own, exactly; and the record says by which prices."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    models = "".join(
        f'[[models]]\nname = "{name}"\n'
        f'routes = [{{ provider = "openai", model = "{model}" {more}}}]\n'
        for name, model, more in (
            ("o/*", "*", ""),
            ("mine", "gpt-4o-mini", ", input_price = 1, output_price = 0.1"),
            ("half", "gpt-4o-mini", ", input_price = 1"),
        )
    )
    usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    usage["prompt_tokens_details"] = {"cached_tokens": 400}  # type: ignore[assignment]
    answer = [(0.0, whole(200, completion(usage=usage)))]
    async with serving(lambda asked: answer) as provider:
        table = f'[providers.openai]\nbase_url = "http://127.0.0.1:{provider.port}/v1"\n'
        text = SERVER + table + models
        async with in_process(text) as gateway, calling(gateway.port) as caller:
            label = bundled_book().label
            cases = (
                ("o/gpt-4o-mini", 600 * 150 + 400 * 75 + 500 * 600, label),
                ("o/gpt-4o", 600 * 2500 + 400 * 1250 + 500 * 10_000, label),
                ("o/nobody-knows", None, None),
                ("mine", 1000 * 1000 + 500 * 100, "route"),
                ("half", 1000 * 1000 + 500 * 600, f"route over {label}"),
            )
            for number, (name, cost, source) in enumerate(cases, 1):
                await caller.post(json.dumps({"model": name, "messages": []}).encode())
                reply = await caller.reply()
                assert reply.status == 200
                record = await gateway.record(number)
                found = (record.cost_nano_usd, record.price_source)
                assert found == (cost, source), name
                assert record.counted_by == (None if cost is None else "provider")
        off = text.replace("[store]", "[catalog]\nprices = false\n[store]")
        async with in_process(off) as gateway, calling(gateway.port) as caller:
            await caller.post(b'{"model":"o/gpt-4o-mini","messages":[]}')
            await caller.reply()
            assert (await gateway.record()).cost_nano_usd is None


@pytest.mark.slow
async def test_newer_data_are_taken(tmp_path: Path) -> None:
    """From a file and a URL, in our format and LiteLLM's; audited, and in force at once."""
    (tmp_path / "config.toml").write_text('[store]\nurl = "sqlite:///gateway.db"\n')
    assert (await run("db upgrade", tmp_path, {}))[0] == 0
    entry = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-07}
    table = {"gpt-new": {**entry, "output_cost_per_token": 2e-07, "max_input_tokens": 7}}
    (tmp_path / "table.json").write_text(json.dumps(table))
    status, out, err = await run("prices update table.json", tmp_path, {})
    assert (status, out, "has 1 models, and" in err) == (1, "", True)
    status, out, err = await run("prices update table.json --force", tmp_path, {})
    assert "1 models of 1 providers" in out
    status, out, err = await run("prices show openai/gpt-new --json", tmp_path, {})
    (found,) = json.loads(out)
    assert (found["price"], found["context"]) == ({"in": 0.1, "out": 0.2}, 7)
    assert (await run("prices show gpt-4o-mini", tmp_path, {}))[0] == 1
    book = BUNDLED.read_bytes()
    async with serving(lambda asked: [(0.0, whole(200, book))]) as server:
        url = f"http://127.0.0.1:{server.port}/models.json"
        status, out, err = await run(f"prices update {url}", tmp_path, {})
        assert bundled_book().label in out
    status, out, err = await run("prices show gpt-4o-mini", tmp_path, {})
    assert (status, "0.075" in out) == (0, True)
    for source, said in (
        ("http://example.invalid/x", "without TLS"),
        ("nothing.json", "No such file"),
        ("config.toml", "Expecting value"),
    ):
        status, out, err = await run(f"prices update {source}", tmp_path, {})
        assert (status, out, said in err) == (1, "", True), err
    status, out, err = await run(
        "prices reprice --since 2026-01-01 --until 2027-01-01T00:00:00+01:00", tmp_path, {}
    )
    assert (status, out[:27]) == (0, "0 requests: 0 changed, 0 ke"), err
    assert (await run("prices reprice --since 2027 --until 2026-01-01", tmp_path, {}))[0] == 2
    status, out, err = await run("audit list", tmp_path, {})
    assert out.count("repriced") == 1, out
    assert out.count("prices_updated") == 6, out


def listing(asked: Asked) -> Script:
    """Answer in the form of the kind of which the path is."""
    if asked.target == "/v1/models?limit=1000":
        return [(0.0, whole(200, {"data": [{"type": "model", "id": "claude-x"}]}))]
    if asked.target == "/v1/models" and "authorization" in asked.headers:
        found = [{"id": "b/2"}, {"id": 'a"1'}, {"id": "b/2"}]
        return [(0.0, whole(200, {"object": "list", "data": found}))]
    return [(0.0, whole(404, {"error": {"message": "no such path"}}))]


async def run(arguments: str, folder: Path, environ: dict[str, str]) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "gateway", *arguments.split()]
    start = partial(
        popen.run,
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    done = await trio.to_thread.run_sync(start)
    return done.returncode, done.stdout, done.stderr


async def test_a_provider_is_asked_for_its_models(tmp_path: Path) -> None:
    keys = {"GROQ_API_KEY": "sk-groq-12345", "MISTRAL_API_KEY": ""}
    async with serving(listing) as provider:
        (tmp_path / "config.toml").write_text(
            f'[providers.groq]\nbase_url = "http://127.0.0.1:{provider.port}/v1"\n'
            f'[providers.claude]\nkind = "anthropic"\napi_key = "sk-ant-12345"\n'
            f'base_url = "http://127.0.0.1:{provider.port}"\n'
            f'[providers.gone]\npreset = "vllm"\nbase_url = "http://127.0.0.1:1/v1"\n'
            f'[providers.lost]\npreset = "vllm"\nbase_url = "http://127.0.0.1:{provider.port}/x"\n'
        )
        status, out, err = await run("models groq", tmp_path, keys)
        assert (status, err) == (0, "")
        found = tomllib.loads(out)["models"]
        assert [each["name"] for each in found] == ['a"1', "b/2"]
        assert found[1]["routes"] == [{"provider": "groq", "model": "b/2"}]
        assert provider.asked[0].headers["authorization"] == "Bearer sk-groq-12345"
        assert await run("models groq --json b/", tmp_path, keys) == (0, '["b/2"]\n', "")
        status, out, _ = await run("models claude", tmp_path, keys)
        assert tomllib.loads(out)["models"][0]["name"] == "claude-x"
        assert provider.asked[-1].headers["x-api-key"] == "sk-ant-12345"
        assert provider.asked[-1].headers["anthropic-version"] == "2023-06-01"
        for name, said in (
            ("gone", "cannot be asked"),
            ("lost", "answers 404: no such path"),
            ("grok", "did you mean 'groq'?"),
            ("mistral", "MISTRAL_API_KEY is not set"),
        ):
            status, out, err = await run(f"models {name}", tmp_path, keys)
            assert (status, out) == (1, "")
            assert said in err


async def test_presets_are_listed_and_checked(tmp_path: Path) -> None:
    keys = {"GROQ_API_KEY": "sk-groq-12345"}
    status, out, _ = await run("providers --key groq", tmp_path, keys)
    assert status == 0
    assert out.splitlines()[1].split()[:4] == ["groq", "openai", "GROQ_API_KEY", "(set)"]
    status, out, _ = await run("providers --json", tmp_path, keys)
    assert len(json.loads(out)) > 60
    status, out, err = await run("providers grok", tmp_path, keys)
    assert (status, out, "did you mean groq?" in err) == (1, "", True)
    (tmp_path / "config.toml").write_text(
        '[providers.anyscale]\napi_key = "sk-12345678"\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "anyscale", model = "x" }]\n'
    )
    status, out, err = await run("check", tmp_path, keys)
    assert status == 0
    assert "note: config.toml: [providers.anyscale]: the preset 'anyscale' is deprecated: " in err
