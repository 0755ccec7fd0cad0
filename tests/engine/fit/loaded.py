"""Loads a model for real and says what llama.cpp allocated: ``python -m tests.engine.fit.loaded``.

One JSON line on stdin (model, devices, contexts), one JSON line of buffers on stdout.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

from llama_cpp import llama_cpp as native

from engine.llama import bindings, parameters

_BUFFER = re.compile(r"^(\w+):\s+(\S+)\s+(model|KV|RS|compute|output) buffer size =\s+([\d.]+) MiB")


def _sizes(lines: list[str]) -> list[tuple[str, str, str]]:
    """(kind, buffer, MiB as printed) of every buffer named in the log."""
    return [(m[3], m[2], m[4]) for m in map(_BUFFER.match, lines) if m]


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task: dict[str, Any] = json.loads(sys.stdin.readline())
    lines: list[str] = []
    bindings.install_log(lambda _level, line: lines.append(line))
    for endpoint in task["rpc_endpoints"]:
        bindings.add_rpc_server(endpoint)
    layout = parameters.Layout(
        n_gpu_layers=task["n_gpu_layers"],
        load_mode=task["load_mode"],
        cards=tuple(task["devices"]),
        layers_per_card=tuple(task["layers_per_card"]),
        experts_in_ram=tuple(task["experts_in_ram"]),
    )
    model_parameters = parameters.model_parameters(layout)
    native.llama_backend_init()
    model = native.llama_model_load_from_file(task["model"].encode(), model_parameters)
    assert model, lines[-5:]
    answer: dict[str, Any] = {
        "model_bytes": native.llama_model_size(model),
        "weights": _sizes(lines),
        "contexts": [],
    }
    for case in task["contexts"]:
        lines.clear()
        context = native.llama_init_from_model(model, parameters.context_parameters(**case, threads=1))
        assert context, lines[-5:]
        answer["contexts"].append(_sizes(lines))
        native.llama_free(context)
    answer["warnings"] = [line for line in lines if "does not match expectation" in line]
    native.llama_model_free(model)
    out.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
