"""The rules of `docs/architecture.md`, held by reading the imports of every module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "gateway"
MODULES: Final = sorted(PACKAGE.rglob("*.py"))
STDLIB: Final = sys.stdlib_module_names

# Which parts of the gateway a layer may import, beside itself.
MAY_IMPORT: Final[dict[str, set[str]]] = {
    "errors": set(),
    "lifecycle": set(),
    "tcp": set(),
    "reload": {"config", "errors"},
    "core": {"errors"},
    "config": {"core", "errors"},
    "providers": {"config", "core"},
    "state": {"core"},
    "store": {"core", "config", "errors"},
    "upstream": {"core", "config", "errors", "tcp"},
    "telemetry": {"core", "config", "errors"},
    "serve": {"core", "config", "errors", "lifecycle", "tcp"},
    "proxy": {"core", "config", "errors", "lifecycle"},
    "server": {"proxy", "core", "config", "errors", "lifecycle"},
    "admin": {"core", "config", "errors", "lifecycle", "proxy", "store", "telemetry"},
}
# These put the parts together.
COMPOSERS: Final = {
    *("application", "parts", "recording", "observing", "administration", "spending"),
    *("supervision", "app", "cli", "__main__", "__init__"),
}

# A library has one home, or the few that its author's protocol machine is split over.
HOMES: Final[dict[str, set[str]]] = {
    "httpx": {"upstream"},
    "h11": {"upstream", "serve"},  # Hypercorn's own protocol is h11's
    "certifi": {"upstream"},
    "ssl": {"upstream"},
    "hypercorn": {"serve"},
    "tomllib": {"config"},
    "tomli_w": {"config"},
    "cyclopts": {"cli"},
    "rich": {"cli"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "psycopg": {"store"},
    "pyarrow": {"store"},
    "prometheus_client": {"telemetry"},
    "opentelemetry": {"telemetry"},
    "starlette": {"admin"},
}
# What may be used without Trio, clocks or chance.
PURE: Final = {"core", "config", "providers", "errors"}
IMPURE: Final = {"trio", "random", "secrets", "socket", "subprocess", "threading", "asyncio"}
# And core, in addition, neither looks at the time nor touches files.
IMPURE_IN_CORE: Final = IMPURE | {"time", "os", "pathlib", "logging", "structlog"}

# Test modules that stand for no module: they test the whole from outside.
OUTSIDE: Final = {"end_to_end", "golden", "bench"}
# And those for a package as a whole: what its __init__.py holds, or what only several of its
# modules together can get wrong.
OF_A_PACKAGE: Final = {"init.py", "loopback.py", "cancellation.py", "tls.py"}


def ident(path: Path) -> str:
    return str(path.relative_to(ROOT))


def layer(path: Path) -> str:
    """Return the part of the gateway that the module is in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield each imported module or name, absolute, as its parts."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield (*base, *module, alias.name)


each_module = pytest.mark.parametrize("path", MODULES, ids=ident)


@each_module
def test_a_layer_imports_only_what_it_may(path: Path) -> None:
    here = layer(path)
    if here in COMPOSERS:
        return
    assert here in MAY_IMPORT, f"give {here} a row in MAY_IMPORT, and in docs/architecture.md"
    for name in imports(path):
        # `from .. import __version__` is nobody's layer.
        if name[0] == "gateway" and len(name) > 1 and name[1] != "__version__":
            assert name[1] in {here, *MAY_IMPORT[here]}, ".".join(name)


@each_module
def test_a_library_has_one_home(path: Path) -> None:
    for name in imports(path):
        assert layer(path) in HOMES.get(name[0], {layer(path)}), ".".join(name)


@each_module
def test_what_is_pure_stays_pure(path: Path) -> None:
    here = layer(path)
    if here not in PURE:
        return
    roots = {name[0] for name in imports(path)}
    assert not roots & (IMPURE_IN_CORE if here == "core" else IMPURE)
    if here == "core":
        assert roots <= STDLIB | {"msgspec", "gateway", "__future__"}


@each_module
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    assert ast.get_docstring(ast.parse(text))
    if path.name == "__init__.py" and layer(path) != "cli":
        tree = ast.parse(text)
        logic = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        assert not [node for node in ast.walk(tree) if isinstance(node, logic)]


@each_module
def test_a_module_is_named_after_a_noun(path: Path) -> None:
    words = {"util", "utils", "helper", "helpers", "common", "manager", "misc", "base", "impl"}
    assert not set(path.stem.split("_")) & words


@each_module
def test_a_shield_always_has_a_deadline(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            arguments = {keyword.arg for keyword in node.keywords}
            called = ast.unparse(node.func)
            if "shield" in arguments:
                bounded = called.endswith(("move_on_after", "fail_after", "move_on_at", "fail_at"))
                assert bounded or "deadline" in arguments, f"line {node.lineno}"


def test_every_package_has_an_init() -> None:
    folders = {path.parent for path in MODULES}
    assert [ident(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


TESTS: Final = sorted((ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("path", TESTS, ids=ident)
def test_tests_mirror_the_package(path: Path) -> None:
    relative = path.relative_to(ROOT / "tests")
    if relative.parts[0] in OUTSIDE or path == Path(__file__):
        return
    name = relative.name.removeprefix("test_")
    folder = PACKAGE / relative.parent
    target = folder / ("__init__.py" if name in OF_A_PACKAGE else name)
    assert target.exists(), f"there is no {ident(target)}"


def test_the_core_is_tested_without_trio() -> None:
    for path in (ROOT / "tests" / "core").rglob("*.py"):
        assert "trio" not in {name[0] for name in imports(path)}, ident(path)
