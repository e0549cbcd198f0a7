"""Other gateways as subjects: whatever a command starts that speaks OpenAI's chat completions.

    --subject 'bifrost=./bifrost-http -port {port} -app-dir ./bifrost'
    --subject 'go=./reverse -listen {address} -to {provider}' --model go=fake-model

What a gateway needs to know stands in the command as placeholders, and in the environment of what
it starts under the names that follow, for one that wants a file: then the command is a script.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Final

import msgspec

from .check import WrongAnswer, ask
from .chunks import PROVIDER_MODEL
from .subjects import KEY, PREPARE, Launch

# What may stand in a command, and what each is called in the environment.
PLACEHOLDERS: Final = {
    "port": "BENCH_PORT",
    "address": "BENCH_ADDRESS",
    "provider": "BENCH_PROVIDER",
    "provider_port": "BENCH_PROVIDER_PORT",
    "model": "BENCH_MODEL",
    "key": "BENCH_KEY",
    "directory": "BENCH_DIRECTORY",
}
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")


class BadSubject(Exception):
    """A subject was given that cannot be one; says why."""


class External(msgspec.Struct, frozen=True):
    """A subject by its command; `asked` is the model that it is asked for."""

    name: str
    command: str
    asked: str = PROVIDER_MODEL

    def launch(self, port: int, provider_port: int, directory: Path) -> Launch:
        """Return how it is started for a provider at that port."""
        values = {
            "port": str(port),
            "address": f"127.0.0.1:{port}",
            "provider": f"http://127.0.0.1:{provider_port}",
            "provider_port": str(provider_port),
            "model": PROVIDER_MODEL,
            "key": KEY,
            "directory": str(directory),
        }
        words = shlex.split(self.command)
        argv = [_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in words]
        env = {variable: values[name] for name, variable in PLACEHOLDERS.items()}
        return Launch(port, argv, model=self.asked, env=env, cwd=Path.cwd())


def externals(subjects: list[str], models: list[str]) -> dict[str, External]:
    """Return the subjects of the form NAME=COMMAND, by name. Raises BadSubject."""
    asked = dict(_split(each, "--model NAME=MODEL") for each in models)
    found: dict[str, External] = {}
    for subject in subjects:
        if "=" not in subject:
            continue
        name, command = _split(subject, "--subject NAME=COMMAND")
        if not _NAME.fullmatch(name) or name in PREPARE or name in found:
            raise BadSubject(f"{name!r}: a name of small letters that no other subject has")
        if unknown := set(_PLACEHOLDER.findall(command)) - PLACEHOLDERS.keys():
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise BadSubject(
                f"{name}: no placeholder is called {sorted(unknown)}; there are {known}"
            )
        try:
            if not shlex.split(command):
                raise BadSubject(f"{name}: the command is empty")
        except ValueError as exc:
            raise BadSubject(f"{name}: {exc}") from exc
        found[name] = External(name, command, asked.pop(name, PROVIDER_MODEL))
    if asked:
        raise BadSubject(f"--model {sorted(asked)}: there is no such --subject NAME=COMMAND")
    return found


def as_it_answers(launch: Launch, body: bytes) -> Launch:
    """Return `launch` with the model that answers name: the one asked for, or the provider's own.

    Raises WrongAnswer if it is neither.
    """
    _, answer = ask(launch, body)
    said = json.loads(answer).get("model")
    if said not in (launch.model, PROVIDER_MODEL):
        raise WrongAnswer(f"asked for {launch.model!r}, it answers as {said!r}")
    return msgspec.structs.replace(launch, said=said)


def _split(text: str, form: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not (name and equals and rest):
        raise BadSubject(f"{text!r}: expected {form}")
    return name, rest
