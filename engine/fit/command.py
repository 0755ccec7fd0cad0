"""A plan as a command line of llama.cpp's own server, to be copied. Pure.

The server then holds the same bytes on the same devices. What it cannot be told is said in the comment lines of the
caller: our scheduling, kept prefixes and constraints are our own.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence

from engine.fit.plan import Plan
from engine.hardware.profile import DeviceKind

OP_OFFLOAD_VARIABLE = "GGML_OP_OFFLOAD_MIN_BATCH"


def server_arguments(plan: Plan, *, architecture: str = "", rpc_endpoints: Sequence[str] = ()) -> tuple[str, ...]:
    """``llama-server`` and its arguments for that plan.

    ``architecture`` is the file's, needed when the plan changes the number of experts per token.
    Source: common/arg.cpp of the llama.cpp that is built in.
    """
    arguments = ["llama-server", "--model", str(plan.model_path)]
    arguments += ["--ctx-size", str(plan.n_ctx), "--parallel", str(plan.n_seq_max)]
    arguments += ["--kv-unified" if plan.kv_unified else "--no-kv-unified"]
    arguments += ["--batch-size", str(plan.n_batch), "--ubatch-size", str(plan.n_ubatch)]
    arguments += ["--cache-type-k", plan.kv_type, "--cache-type-v", plan.kv_type]
    arguments += ["--threads", str(plan.threads), "--threads-batch", str(plan.threads)]
    arguments += ["--load-mode", "mmap" if plan.load_mode == "mmap" else "none"]
    arguments += _placement(plan, rpc_endpoints)
    if plan.n_expert_used is not None:
        arguments += ["--override-kv", f"{architecture}.expert_used_count=int:{plan.n_expert_used}"]
    # The plan is the plan: nothing is fitted anew, and no vision file is looked for.
    return (*arguments, "--fit", "off", "--no-mmproj")


def _placement(plan: Plan, rpc_endpoints: Sequence[str]) -> list[str]:
    cards = [device.name for device in plan.devices if device.kind is not DeviceKind.CPU]
    if not cards or plan.n_gpu_layers == 0:
        return ["--device", "none", "--n-gpu-layers", "0"]
    arguments = ["--rpc", ",".join(rpc_endpoints)] if rpc_endpoints else []
    arguments += ["--device", ",".join(cards), "--n-gpu-layers", str(plan.n_gpu_layers), "--split-mode", "layer"]
    if plan.layers_per_card:
        arguments += ["--tensor-split", ",".join(str(count) for count in plan.layers_per_card)]
    if plan.experts_in_ram:
        layers = "|".join(str(layer) for layer in plan.experts_in_ram)
        arguments += ["--override-tensor", rf"^blk\.({layers})\.ffn_(up|down|gate_up|gate)_(ch|)exps=CPU"]
    return arguments


def server_command(plan: Plan, *, architecture: str = "", rpc_endpoints: Sequence[str] = ()) -> str:
    """:func:`server_arguments` as one line for this system's shell, with the variable it needs in front."""
    arguments = server_arguments(plan, architecture=architecture, rpc_endpoints=rpc_endpoints)
    if sys.platform == "win32":
        line = subprocess.list2cmdline(arguments)
        offload = plan.op_offload_tokens
        return line if offload is None else f"set {OP_OFFLOAD_VARIABLE}={offload}&& {line}"
    line = shlex.join(arguments)
    return line if plan.op_offload_tokens is None else f"{OP_OFFLOAD_VARIABLE}={plan.op_offload_tokens} {line}"
