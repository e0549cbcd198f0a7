"""The rules of `docs/architecture.md`, held by reading the source of every module.

Each rule is one test that loops over the modules and lists every place that breaks it.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "gateway"
MODULES: Final = sorted(PACKAGE.rglob("*.py"))
TESTS: Final = sorted((ROOT / "tests").rglob("test_*.py"))
STDLIB: Final = sys.stdlib_module_names

# Which parts of the gateway a layer may import, beside itself.
MAY_IMPORT: Final[dict[str, set[str]]] = {
    "errors": set(),
    "transport_errors": set(),
    "lifecycle": set(),
    "interrupts": set(),
    "tcp": set(),
    "process_limits": set(),
    "background": set(),
    "stops": set(),
    "installation": set(),
    "file_owner": set(),
    "private_folder": set(),
    "child_process": set(),
    "core": {"errors", "transport_errors"},
    "config": {"core", "errors", "file_owner", "installation", "providers"},
    "demo": set(),
    "providers": {"core", "demo", "errors", "transport_errors"},
    "state": {"core", "tcp"},
    "tokenizer": {"child_process"},
    "captures": {"core", "background"},
    "store": {"core", "config", "captures", "errors", "file_owner", "installation"},
    "upstream": {"core", "config", "errors", "stops", "tcp", "transport_errors"},
    "telemetry": {
        *("background", "config", "core", "errors", "installation", "private_folder", "providers"),
    },
    "serve": {"core", "config", "errors", "lifecycle", "stops", "tcp"},
    "proxy": {"core", "config", "errors", "lifecycle", "providers", "stops", "transport_errors"},
    "api": {"proxy", "core", "config", "errors", "lifecycle", "stops"},
    "group": {"config", "core", "errors", "lifecycle", "private_folder", "proxy"},
    "dashboard": {
        *("admin", "captures", "child_process", "config", "control", "core", "errors"),
        *("lifecycle", "proxy", "store"),
    },
    "control": {"config", "core", "errors", "store"},
    "admin": {
        "captures",
        "config",
        "control",
        "core",
        "errors",
        "group",
        "lifecycle",
        "proxy",
        "store",
        "telemetry",
    },
}
# These put the parts together.
COMPOSERS: Final = {"process", "app", "cli", "__main__", "__init__"}

# A library has one home, or the few that its author's protocol machine is split over.
HOMES: Final[dict[str, set[str]]] = {
    "httpx": {"upstream", "process"},  # its client is made in the one and used in the other
    "h11": {"upstream", "serve", "demo"},  # Hypercorn's own protocol is h11's
    "wsproto": {"upstream", "serve"},
    "certifi": {"upstream"},
    "ssl": {"upstream", "serve", "state"},
    "hypercorn": {"serve"},
    "tomllib": {"config", "providers"},  # the configuration; the catalogue
    "tomli_w": {"config"},
    "cyclopts": {"cli"},
    "yaml": {"cli"},
    "rich": {"cli"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "psycopg": {"store"},
    "pyarrow": {"store"},
    "prometheus_client": {"telemetry"},
    "opentelemetry": {"telemetry"},
    "starlette": {"admin", "dashboard"},
    "jinja2": {"dashboard"},
    "markupsafe": {"dashboard"},
    "argon2": {"admin"},
    "botocore": {"providers"},
    "joserfc": {"admin", "providers"},  # signatures of ID tokens; of service accounts
    "coredis": {"state"},
    "bpe_openai": {"tokenizer"},
}
# What may be used without Trio, clocks or chance.
PURE: Final = {"core", "config", "providers", "errors"}
IMPURE: Final = {"trio", "random", "secrets", "socket", "subprocess", "threading", "asyncio"}
# And core, in addition, neither looks at the time nor touches files.
IMPURE_IN_CORE: Final = IMPURE | {"time", "os", "pathlib", "logging", "structlog"}

# The words of dialects and of providers, and the rooms that they may stand in as more than a
# comment: the two packages themselves, and what a reader would look for them in.
DIALECT_WORDS: Final = re.compile(
    r"\[DONE\]|choices|finish_reason|tool_calls|chat/completions|chat\.completion|stream_options"
    r"|prompt_tokens|completion_tokens|include_usage|message_start|generateContent"
)
PROVIDER_WORDS: Final = re.compile(
    r"openai|anthropic|azure|gemini|vertex|bedrock|mistral|deepseek|openrouter|groq|cohere"
    r"|dashscope|moonshot|ollama|vllm|llama",
    re.IGNORECASE,
)
DIALECT_ROOMS: Final = (
    *("core/dialects", "providers", "demo"),
    "api/routes.py",  # which path is asked in which dialect
    "api/spoken_dialect.py",
    "cli/announcement.py",  # prints a request to try
)
PROVIDER_ROOMS: Final = (
    *("core/dialects", "providers", "demo"),
    "api/routes.py",
    "api/spoken_dialect.py",
    "core/routing/cooldown.py",  # the rate limit headers of all providers are one table
    "telemetry/tracing/server_address.py",  # OpenTelemetry's names of providers, by their hosts
)
# And who may import a dialect by its name.
NAMES_DIALECTS: Final = ("core/dialects", "providers", "api/routes.py", "api/spoken_dialect.py")
# What of `core/dialects` belongs to no dialect.
FOR_ALL: Final = {
    *("by_body", "counting"),
    *("base", "conversation", "keeping", "needs", "offered", "reading", "refused_heads"),
    *("translators", "model_terms", "recognised", "sessions"),
}

MAX_LINES: Final = 300
MAX_MODULES: Final = 15

# Test modules that stand for no module: they test the whole from outside.
OUTSIDE: Final = {
    "end_to_end",
    "golden",
    "measured",
    "bench",
    "clients",
    "deploy",
    "fork_server",
    "walks",
}
# And those for a package as a whole: what its __init__.py holds, or what only several of its
# modules together can get wrong.
OF_A_PACKAGE: Final = {"init.py", "loopback.py", "cancellation.py", "tls.py"}


def ident(path: Path) -> str:
    return str(path.relative_to(ROOT))


def layer(path: Path) -> str:
    """Return the part of the gateway that the module is in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return what `ast.walk` does, from outside to inside, in a third of its time."""
    found: list[ast.AST] = [tree(path)]
    for node in found:
        for name in node._fields:
            value = getattr(node, name, None)
            if type(value) is list:
                found += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)
    return tuple(found)


@cache
def imports(path: Path) -> tuple[tuple[str, ...], ...]:
    """Return each imported module or name, absolute, as its parts."""
    return tuple(_imports(path, nodes(path)))


@pytest.fixture(scope="module", autouse=True)
def _forgotten_at_the_end() -> Iterator[None]:
    """A million nodes would be looked at in each garbage collection, here and in what follows."""
    gc.disable()
    try:
        yield
    finally:
        for each in (tree, nodes, imports):
            each.cache_clear()
        gc.enable()


def _imports(path: Path, among: Iterable[ast.AST]) -> Iterator[tuple[str, ...]]:
    package = path.relative_to(ROOT).parent.parts
    for node in among:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield (*base, *module, alias.name)


def public(name: str) -> bool:
    return not name.startswith("_")


def test_a_layer_imports_only_what_it_may() -> None:
    broken = []
    for path in MODULES:
        here = layer(path)
        if here in COMPOSERS:
            continue
        assert here in MAY_IMPORT, f"give {here} a row in MAY_IMPORT, and in docs/architecture.md"
        broken += [
            f"{ident(path)}: {'.'.join(name)}"
            for name in imports(path)
            # `from .. import __version__` is nobody's layer.
            if name[0] == "gateway" and len(name) > 1 and name[1] != "__version__"
            if name[1] not in {here, *MAY_IMPORT[here]}
        ]
    assert broken == []


def test_no_imports_go_round_in_circles() -> None:
    """Imports for type checkers count as well: a circle is one whoever follows it."""
    known = {_dotted(path): path for path in MODULES}
    edges: dict[str, set[str]] = {}
    for name, path in known.items():
        found = {_module_of(each, known) for each in imports(path)}
        edges[name] = {each for each in found if each is not None and each != name}
    assert _circles(edges) == []


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _module_of(name: tuple[str, ...], known: Mapping[str, Path]) -> str | None:
    whole, package = ".".join(name), ".".join(name[:-1])
    if whole in known:
        return whole
    return package if package in known else None


def _circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Return what is left once every module is taken away that imports nothing that is left."""
    left = {name: set(targets) for name, targets in edges.items()}
    while gone := {name for name, targets in left.items() if not targets}:
        left = {name: targets - gone for name, targets in left.items() if name not in gone}
    # And of that, what nothing imports: it only leads to a circle.
    while True:
        imported = set().union(*left.values()) if left else set()
        if not (outer := left.keys() - imported):
            return [[name, *sorted(targets)] for name, targets in sorted(left.items())]
        left = {name: targets for name, targets in left.items() if name not in outer}


def test_a_library_has_one_home() -> None:
    broken = [
        f"{ident(path)}: {name[0]}"
        for path in MODULES
        for name in imports(path)
        if layer(path) not in HOMES.get(name[0], {layer(path)})
    ]
    assert broken == []


def test_what_is_pure_stays_pure() -> None:
    for path in MODULES:
        here = layer(path)
        if here not in PURE:
            continue
        roots = {name[0] for name in imports(path)}
        assert not roots & (IMPURE_IN_CORE if here == "core" else IMPURE), ident(path)
        if here == "core":
            assert roots <= STDLIB | {"msgspec", "gateway", "__future__"}, ident(path)


def test_a_module_is_short_and_says_what_it_is() -> None:
    for path in MODULES:
        assert path.read_text().count("\n") <= MAX_LINES, ident(path)
        assert ast.get_docstring(tree(path)), ident(path)
        if path.name == "__init__.py" and layer(path) != "cli":
            logic = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            assert not [node for node in nodes(path) if isinstance(node, logic)], path


def test_a_folder_can_be_looked_over() -> None:
    # Revisions of the schema stay where they are for ever, each in a file of its own.
    folders = Counter(path.parent for path in MODULES if path.parent.name != "versions")
    assert {ident(each): count for each, count in folders.items() if count > MAX_MODULES} == {}


def test_a_module_is_named_after_a_noun() -> None:
    words = {"util", "utils", "helper", "helpers", "common", "manager", "misc", "impl"}
    for path in MODULES:
        assert not set(path.stem.split("_")) & words, ident(path)


def test_no_public_class_name_stands_for_two_things() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and public(node.name):
                places[node.name].append(ident(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def _strings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every string that is no docstring, and of every attribute."""
    docstrings = {id(node.value) for node in nodes(path) if isinstance(node, ast.Expr)}
    for node in nodes(path):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, str | bytes):
                text = node.value
                yield node.lineno, text if isinstance(text, str) else text.decode("latin-1")
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr


def _inside(path: Path, rooms: tuple[str, ...]) -> bool:
    return str(path.relative_to(PACKAGE)).startswith(rooms)


def test_words_of_dialects_and_providers_stay_in_their_rooms() -> None:
    kinds = ((DIALECT_WORDS, DIALECT_ROOMS), (PROVIDER_WORDS, PROVIDER_ROOMS))
    found = []
    for path in MODULES:
        sought = [words for words, rooms in kinds if not _inside(path, rooms)]
        found += [
            f"{ident(path)}:{line}: {match[0]}"
            for line, text in (_strings(path) if sought else ())
            for words in sought
            if (match := words.search(text))
        ]
    assert found == []


def test_only_routes_and_providers_name_a_dialect() -> None:
    found = [
        f"{ident(path)}: {'.'.join(name)}"
        for path in MODULES
        if not _inside(path, NAMES_DIALECTS)
        for name in imports(path)
        if name[:3] == ("gateway", "core", "dialects") and name[3] not in FOR_ALL
    ]
    assert found == []


def test_no_kind_of_provider_is_named_elsewhere() -> None:
    found = [
        f"{ident(path)}: {'.'.join(name)}"
        for path in MODULES
        if layer(path) not in ("providers", "demo")
        for name in imports(path)
        if name[:3] == ("gateway", "providers", "kinds") or name[:2] == ("gateway", "demo")
    ]
    assert found == []


def test_a_shield_always_has_a_deadline() -> None:
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.Call):
                arguments = {keyword.arg for keyword in node.keywords}
                if "shield" in arguments:
                    called = ast.unparse(node.func)
                    scopes = ("move_on_after", "fail_after", "move_on_at", "fail_at")
                    bounded = called.endswith(scopes)
                    assert bounded or "deadline" in arguments, f"{ident(path)}:{node.lineno}"


def test_every_package_has_an_init() -> None:
    folders = {path.parent for path in MODULES}
    assert [ident(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_tests_mirror_the_package() -> None:
    for path in TESTS:
        relative = path.relative_to(ROOT / "tests")
        if relative.parts[0] in OUTSIDE or path == Path(__file__):
            continue
        name = relative.name.removeprefix("test_")
        folder = PACKAGE / relative.parent
        target = folder / ("__init__.py" if name in OF_A_PACKAGE else name)
        assert target.exists(), f"there is no {ident(target)} for {ident(path)}"


def test_the_core_is_tested_without_trio() -> None:
    for path in (ROOT / "tests" / "core").rglob("*.py"):
        if "trio" not in path.read_text():
            continue
        assert "trio" not in {name[0] for name in imports(path)}, ident(path)
