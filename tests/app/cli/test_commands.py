"""The command line in real processes: exit codes, sentences, streams. What needs a model is in ``test_native_cli``."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from app.__main__ import UsageFault, take_data_dir
from app.bootstrap import Product
from app.cli import opening, printer
from app.models.records import Serving
from app.providers.provider import Endpoint
from app.store import database
from engine.errors import GatehouseError
from tests.bench.decode import plan_for

ROOT = Path(__file__).parents[3]


def _run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii", **environment},
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "rest", "folder"),
    [
        ([], [], None),
        (["--data-dir", "d"], [], "d"),
        (["--data-dir=d", "models"], ["models"], "d"),
        (["models", "--json", "--data-dir", "d"], ["models", "--json"], "d"),
        (["chat", "--", "--data-dir", "d"], ["chat", "--", "--data-dir", "d"], None),
    ],
)
def test_data_dir_may_stand_anywhere(arguments: list[str], rest: list[str], folder: str | None) -> None:
    assert take_data_dir(arguments) == (rest, Path(folder) if folder else None)


@pytest.mark.parametrize("arguments", [["--data-dir"], ["models", "--data-dir="]])
def test_data_dir_needs_a_folder(arguments: list[str]) -> None:
    with pytest.raises(UsageFault):
        take_data_dir(arguments)


def test_version_is_the_projects_and_loads_little() -> None:
    expected = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert _run("--version").stdout == f"gatehouse {expected}\n"
    code = (
        "import sys; sys.argv = ['gatehouse', '--version']\nfrom app.__main__ import main\nmain()\n"
        "print([m for m in ('typer', 'asyncio', 'sqlite3', 'PySide6', 'openai') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_models_lists_the_built_in_one() -> None:
    (card,) = json.loads(_run("models", "--json").stdout)
    assert (card["id"], card["built_in"], card["fault"]) == ("SmolLM2-135M-Instruct-Q4_1", True, "")
    words = _run("models").stdout
    assert card["id"] in words
    assert "built in" in words


def test_models_shows_the_fault_of_a_file_in_our_folder(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "schön.gguf").write_bytes(b"GGUF" + b"\0" * 5)
    done = _run("models", "--data-dir", str(tmp_path))
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("schön"))
    assert "schön.gguf" in line


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["bogus"], 2, "No such command"),
        (["models", "--bogus"], 2, "No such option"),
        (["--data-dir"], 2, "needs a folder"),
        (["chat"], 1, "prompt is empty"),
        (["chat", "hi", "-m", "absent"], 1, "no model 'absent'"),
        (["chat", "hi", "-m", "./absent.gguf"], 1, "absent.gguf"),
        (["serve", "-m", "nested/absent.GGUF"], 1, "absent.GGUF"),
        (["serve", "--host", "0.0.0.0"], 1, "API key is needed"),
        (["serve", "--port", "99999"], 2, "65535"),
        (["serve", "--users", "65"], 2, "equal to 64"),
        (["serve", "--api-key-file", "nowhere.txt"], 1, "nowhere.txt"),
        (["serve", "--host", "192.0.2.7", "--json"], 1, "API key is needed"),
    ],
)
@pytest.mark.slow
def test_refusals_are_one_sentence(arguments: list[str], code: int, sentence: str) -> None:
    done = _run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_serving_says_when_users_must_share(capsys: pytest.CaptureFixture[str]) -> None:
    from app.cli import serving

    plan = plan_for(Path("model.gguf"), 1, 8, 4_096)
    endpoint = Endpoint("http://127.0.0.1:1", "", "model", plan.n_ctx, "CPU")
    serving._announce(endpoint, Serving(users=4), plan, True)
    told = capsys.readouterr()
    assert json.loads(told.out)["users"] is None
    assert f"The 4 users share one context of {plan.n_ctx:,} tokens" in told.err
    serving._announce(endpoint, Serving(users=4), replace(plan, n_seq_max=4, kv_unified=False), True)
    told = capsys.readouterr()
    assert (json.loads(told.out)["users"], told.err) == (4, "")


def test_the_help_says_what_users_get() -> None:
    told = " ".join(_run("serve", "--help", COLUMNS="200").stdout.split())
    assert "Each of so many has an equal part of the context alone" in told
    assert "--context" in told


def test_keys_never_come_from_arguments() -> None:
    done = _run("serve", "--api-key", "secret")
    assert done.returncode == 2
    assert "No such option" in done.stderr


def test_newer_database_is_refused_with_both_versions(tmp_path: Path) -> None:
    with closing(database.open_writer(tmp_path / "gatehouse.db")) as connection:
        connection.execute("PRAGMA user_version = 77")
    done = _run("models", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "schema 77" in done.stderr
    assert f"up to {database.SCHEMA_VERSION}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    done = _run("models", "--data-dir", str(tmp_path / "file" / "deeper"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_bug_is_logged_and_told_without_a_trace(tmp_path: Path) -> None:
    code = (
        "import sys, app.cli.commands\n"
        "def broken(arguments, paths): raise ZeroDivisionError('their words')\n"
        "app.cli.commands.run = broken\n"
        f"sys.argv = ['gatehouse', 'models', '--data-dir', {str(tmp_path)!r}]\n"
        "from app.__main__ import main\nsys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 70
    assert "that is a bug" in done.stderr
    assert "Traceback" not in done.stderr
    log = (tmp_path / "logs" / "gatehouse.log").read_text("utf-8")
    assert "ZeroDivisionError" in log
    assert " broken\n" in log  # where
    assert "their words" not in log


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports a closed pipe in other ways")
def test_reader_that_left_is_no_fault() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert complaint == b""


def test_settled_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from app.cli.serving import KEY_VARIABLE, read_keys, settle

    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    open_one = settle("127.0.0.1", 0, read_keys(None))
    assert open_one.api_keys == ()
    assert open_one.port > 0, "fixed beforehand, so that a restarted worker has the same"
    key_file = tmp_path / "keys"
    key_file.write_text("\nalpha\n  beta  \nalpha\n", "utf-8")
    monkeypatch.setenv(KEY_VARIABLE, "gamma")
    assert read_keys(key_file) == ("gamma", "alpha", "beta")
    assert settle("0.0.0.0", 4242, read_keys(key_file)).api_keys == ("gamma", "alpha", "beta")
    monkeypatch.delenv(KEY_VARIABLE)
    for content, code in (("", "no_key"), ("two words", "bad_key"), ("schlüssel", "bad_key")):
        key_file.write_text(content, "utf-8")
        with pytest.raises(GatehouseError) as caught:
            read_keys(key_file)
        assert caught.value.code == code
    with pytest.raises(GatehouseError, match="cannot listen"):
        settle("192.0.2.1", 0, ("key",))


def test_an_address_in_use_is_told_before_a_model_is_loaded() -> None:
    from app.cli.serving import settle

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(GatehouseError) as caught:
            settle("127.0.0.1", taken.getsockname()[1], ())
    assert caught.value.code == "address_in_use"


def test_a_text_that_is_too_long_is_refused_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_MAX_STDIN_BYTES", 4)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"four")))
    assert opening.prompt_of("-") == "four"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"fives")))
    with pytest.raises(GatehouseError) as caught:
        opening.prompt_of("-")
    assert caught.value.code == "too_long"


async def test_who_waits_at_a_terminal_is_told_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    told, loaded = [], asyncio.Event()

    def tell(sentence: str) -> None:
        told.append(sentence)
        loaded.set()

    async def ensure_ready(_: str | None) -> None:
        await loaded.wait()

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(opening, "_SILENCE_S", 0.0)
    monkeypatch.setattr(printer, "tell", tell)
    product = SimpleNamespace(models=SimpleNamespace(ensure_ready=ensure_ready))
    async with asyncio.timeout(10):
        await opening.ready_model(cast(Product, product), None)
    assert told == ["The model is being loaded ..."]
