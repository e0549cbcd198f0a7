"""LiteLLM's proxy as a subject: its own virtualenv, and settings that make it fast and comparable.

One worker, its key checked on every request, no database, no callbacks, no telemetry, no access
log (ours is on), prices from the bundled file and none of its calls home.

Two things would slow it that need not: a model with prices of its own makes it build its whole
price table anew for every request (a third of the time of one), so it asks for a model that it
knows; and without OpenTelemetry it tries to import it on every request (4 %), so it has it, unused.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

VERSION: Final = "1.109.1"
HOME: Final = Path(__file__).parent / ".venv-litellm"
_PYTHON: Final = HOME / "bin" / "python"
_NOTE: Final = HOME / "bench-note.txt"

_REQUIREMENTS: Final = (f"litellm[proxy]=={VERSION}", "opentelemetry-sdk")
# Pinned by LiteLLM to releases that not every package index has yet. Neither takes part in
# answering a request: one is the list of certificate authorities, the other the database's
# migrations, and there is no database here.
_LOOSENED: Final = ("certifi", "litellm-proxy-extras")

KEY: Final = "sk-litellm-bench"
ENVIRONMENT: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY_DISABLED": "true",
    "LITELLM_LOG": "ERROR",  # also turns uvicorn's access log off
    "LITELLM_MODE": "PRODUCTION",  # reads no .env file
    "NO_DOCS": "True",
    "NO_REDOC": "True",
    "DISABLE_ADMIN_UI": "True",
    # More than the most streams at once: the default of 500 per host would queue them.
    "AIOHTTP_CONNECTOR_LIMIT": "4000",
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4000",
}

_CONFIG: Final = """\
model_list:
  - model_name: bench
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://127.0.0.1:{provider_port}/v1
      api_key: sk-fake
litellm_settings:
  set_verbose: false
  callbacks: []
  num_retries: 0
general_settings:
  master_key: {key}
  background_health_checks: false
"""


def installed() -> bool:
    return _PYTHON.exists() and _version() == VERSION


def note() -> str:
    """Return what the report must say of this installation."""
    extra = _NOTE.read_text().strip() if _NOTE.exists() else ""
    return f"litellm[proxy] {VERSION}" + (f"; {extra}" if extra else "")


def install() -> None:
    """Install LiteLLM into its virtualenv, from the package index that pip is set up for.

    If its exact pins cannot be had, once more with two of them loosened, and a note of it.
    Raises `subprocess.CalledProcessError`.
    """
    _NOTE.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
    pip = [str(_PYTHON), "-m", "pip", "install", "--quiet"]
    if subprocess.run([*pip, *_REQUIREMENTS], check=False).returncode == 0:
        return
    # pip cannot override a dependency's pin; uv can.
    subprocess.run([*pip, "uv"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        overrides = Path(directory) / "overrides.txt"
        overrides.write_text("\n".join(_LOOSENED))
        uv = [str(HOME / "bin" / "uv"), "pip", "install", "--quiet", "--compile-bytecode"]
        subprocess.run(
            [*uv, "--python", str(_PYTHON), "--overrides", str(overrides), *_REQUIREMENTS],
            check=True,
        )
    _NOTE.write_text(f"pins loosened for want of the releases: {', '.join(_LOOSENED)}")


def command(port: int, provider_port: int, directory: Path) -> list[str]:
    """Write the configuration into `directory`; return the command that serves on `port`."""
    config = directory / "litellm.yaml"
    config.write_text(_CONFIG.format(provider_port=provider_port, key=KEY))
    arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    return [str(HOME / "bin" / "litellm"), *arguments, "--num_workers", "1"]


def _version() -> str:
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    done = subprocess.run([str(_PYTHON), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()
