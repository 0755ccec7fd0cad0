"""Models of other programs are found where those keep them, on each platform, and nothing is touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.hub.found import FoundModel, Platform, Surroundings, find_models
from engine.hub.library import scan
from tests.engine.hub.tiny_gguf import tiny_gguf

GGUF = tiny_gguf(2_000)


def around(home: Path, platform: Platform = "linux", environ: Mapping[str, str] | None = None) -> Surroundings:
    return Surroundings(home, environ or {}, platform, root=home / "root")


def put(path: Path, content: bytes = GGUF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def put_ollama(root: Path, name: str, digest: str, content: bytes | None = GGUF, media: str = "model") -> Path:
    manifest = {
        "schemaVersion": 2,
        "layers": [
            {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "1" * 64, "size": 3},
            {"mediaType": f"application/vnd.ollama.image.{media}", "digest": f"sha256:{digest}", "size": 3},
        ],
    }
    put(root / "manifests/registry.ollama.ai" / name, json.dumps(manifest).encode())
    path = root / "blobs" / f"sha256-{digest}"
    return put(path, content) if content is not None else path


def found_in(home: Path, platform: Platform = "linux", environ: Mapping[str, str] | None = None) -> list[FoundModel]:
    return list(find_models(around(home, platform, environ)))


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert found_in(tmp_path) == []


def test_lm_studio_default_pointer_and_own_folder(tmp_path: Path) -> None:
    default = put(tmp_path / ".lmstudio/models/maker/a-GGUF/a-Q4_0.gguf")
    put(tmp_path / ".lmstudio/models/maker/a-GGUF/mmproj-a-F16.gguf")
    put(tmp_path / ".lmstudio/models/maker/a-GGUF/b.gguf.part")
    moved = put(tmp_path / "elsewhere/models/maker/c/c-Q8_0.gguf")
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'elsewhere'}\n")
    own = put(tmp_path / "disk/maker/d/d-Q8_0.gguf")
    put(tmp_path / ".lmstudio/settings.json", json.dumps({"downloadsFolder": str(tmp_path / "disk")}).encode())
    assert found_in(tmp_path) == [
        FoundModel("LM Studio", "a-Q4_0", default, len(GGUF)),
        FoundModel("LM Studio", "c-Q8_0", moved, len(GGUF)),
        FoundModel("LM Studio", "d-Q8_0", own, len(GGUF)),
    ]


def test_ollama_names_and_blobs(tmp_path: Path) -> None:
    root = tmp_path / ".ollama/models"
    first = put_ollama(root, "library/qwen3/8b", "a" * 64)
    second = put_ollama(root, "someone/their/latest", "b" * 64)
    put_ollama(root, "library/gone/latest", "c" * 64, None)
    put_ollama(root, "library/old/latest", "d" * 64, b"safetensors")
    put_ollama(root, "library/odd/latest", "e" * 64, media="adapter")
    put_ollama(root, "library/alias/8b", "a" * 64)
    put(root / "manifests/registry.ollama.ai/library/bad/latest", b"[{")
    assert [(model.name, model.path) for model in found_in(tmp_path)] == [
        ("alias:8b", first),
        ("someone/their:latest", second),
    ]


def test_ollama_as_a_service(tmp_path: Path) -> None:
    path = put_ollama(tmp_path / "root/usr/share/ollama/.ollama/models", "library/qwen3/8b", "a" * 64)
    assert [model.path for model in found_in(tmp_path)] == [path]
    assert found_in(tmp_path, "darwin") == []


def test_a_manifest_cannot_point_outside(tmp_path: Path) -> None:
    root = tmp_path / ".ollama/models"
    put(tmp_path / "secret")
    put_ollama(root, "library/evil/latest", "../../../secret", None)
    assert found_in(tmp_path) == []


@pytest.mark.parametrize(
    ("platform", "folder"),
    [
        ("linux", ".local/share/Jan/data"),
        ("darwin", "Library/Application Support/Jan/data"),
        ("win32", "AppData/Roaming/Jan/data"),
    ],
)
def test_jan_calls_models_by_their_folders(tmp_path: Path, platform: Platform, folder: str) -> None:
    path = put(tmp_path / folder / "llamacpp/models/janhq/Jan-v3-4b/model.gguf")
    assert found_in(tmp_path, platform) == [FoundModel("Jan", "janhq/Jan-v3-4b", path, len(GGUF))]


@pytest.mark.parametrize(
    ("platform", "folder"),
    [
        ("linux", ".local/share/nomic.ai/GPT4All"),
        ("darwin", "Library/Application Support/nomic.ai/GPT4All"),
        ("win32", "AppData/Local/nomic.ai/GPT4All"),
    ],
)
def test_gpt4all_without_what_is_incomplete(tmp_path: Path, platform: Platform, folder: str) -> None:
    path = put(tmp_path / folder / "Llama-3.2-1B-Instruct-Q4_0.gguf")
    put(tmp_path / folder / "incomplete-other.gguf")
    put(tmp_path / folder / "localdocs_v3.db")
    assert found_in(tmp_path, platform) == [FoundModel("GPT4All", path.stem, path, len(GGUF))]


def test_environment_moves_folders(tmp_path: Path) -> None:
    path = put(tmp_path / "data/nomic.ai/GPT4All/a-Q4_0.gguf")
    cache = put(tmp_path / "llama/b-Q4_0.gguf")
    environ = {"XDG_DATA_HOME": str(tmp_path / "data"), "LLAMA_CACHE": str(tmp_path / "llama")}
    assert [model.path for model in found_in(tmp_path, environ=environ)] == [path, cache]


def test_hub_cache_shows_each_blob_once_and_shards_together(tmp_path: Path) -> None:
    repository = tmp_path / ".cache/huggingface/hub/models--owner--model-GGUF"
    blob = put(repository / "blobs" / ("a" * 64))
    put(repository / "blobs" / ("b" * 64 + ".incomplete"))
    for commit in ("c1", "c2"):
        link = repository / "snapshots" / commit / "m-Q4_0.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to(blob)
    shards = [put(repository / f"snapshots/c2/Q8/big-Q8_0-0000{number}-of-00002.gguf") for number in (1, 2)]
    put(repository / "snapshots/c2/half-Q2_K-00001-of-00002.gguf")
    put(tmp_path / ".cache/huggingface/hub/datasets--owner--d/snapshots/c/x.gguf")
    found = found_in(tmp_path)
    assert [(model.name, model.size_bytes) for model in found] == [("big-Q8_0", 2 * len(GGUF)), ("m-Q4_0", len(GGUF))]
    assert found[0].path == shards[0]


def test_what_is_found_can_be_read_in_place(tmp_path: Path) -> None:
    put_ollama(tmp_path / ".ollama/models", "library/tiny/latest", "f" * 64)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    (model,) = found_in(tmp_path)
    (listed,) = scan([], [model.path])
    assert listed.fault == ""
    assert listed.facts is not None
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
