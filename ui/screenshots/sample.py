"""A machine and models that could be anybody's; the same at every run. What is said on it: ``sample_chat``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.models.fitness import judge
from app.models.records import LoadedModel, Measured, ModelCard
from engine.fit.concession import concessions
from engine.fit.plan import Band, DeviceBytes, Misfit, Plan, Speed, Wish
from engine.fit.routed import LayerRouting, RoutedExperts
from engine.hardware.profile import Bandwidth, DeviceKind, Disk, Gpu, Machine, Memory, Processor
from engine.worker.spec import Failed, Loading, Ready

GIB = 1 << 30
MIB = 1 << 20
NOW = 1_767_024_000.0
"""29 December 2025, 16:00 UTC."""
_HOUR, _DAY = 3600.0, 86400.0
_MODELS = Path("/home/ada/Models")
_FOLDERS = {
    "LM Studio": Path("/home/ada/.lmstudio/models/openai/gpt-oss-20b-GGUF"),
    "Ollama": Path("/home/ada/.ollama/models/blobs"),
}

MACHINE = Machine(
    system="Linux 6.12",
    processor=Processor(
        name="AMD Ryzen 7 7840HS",
        architecture="x86_64",
        physical_cores=8,
        performance_cores=8,
        logical_cores=16,
        affinity_cores=16,
        quota_cores=None,
        instruction_sets=("AVX2", "AVX512"),
    ),
    memory=Memory(total_bytes=int(30.6 * GIB), available_bytes=int(22.4 * GIB), limit_bytes=None),
    disks=(Disk(Path("/home"), 953 * GIB, 412 * GIB, "ext4"),),
    gpus=(
        Gpu(
            name="NVIDIA GeForce RTX 4060 Laptop GPU",
            kind=DeviceKind.GPU,
            backend="CUDA0",
            pci_id="0000:01:00.0",
            total_bytes=int(7.99 * GIB),
            free_bytes=int(7.4 * GIB),
            unified=False,
            sources=("NVML", "ggml"),
        ),
    ),
    bandwidth=Bandwidth(read_bytes_s=61.8e9, threads=8, measured_at=NOW - 3 * _DAY),
    notes=(),
)


def _card(
    name: str,
    size: float,
    architecture: str,
    quantization: str,
    parameters: float | None,
    context: int | None,
    licence: str | None,
    experts: tuple[int, int] = (0, 0),
    *,
    built_in: bool = False,
    managed: bool = False,
    holder: str = "",
    n_layer: int = 36,
    fault: str = "",
) -> ModelCard:
    identity = f"{name}-{quantization}" if quantization else name
    folder = Path("/opt/gatehouse/share/models") if built_in else _FOLDERS.get(holder, _MODELS)
    return ModelCard(
        id=identity,
        name=name,
        path=folder / f"{identity}.gguf",
        size_bytes=int(size),
        built_in=built_in,
        managed=managed,
        architecture=architecture,
        quantization=quantization,
        parameters=int(parameters) if parameters else None,
        n_ctx_train=context,
        n_expert=experts[1],
        n_expert_used=experts[0],
        licence=licence,
        fault=fault,
        holder=holder,
        n_layer=n_layer,
        fitness=judge(int(size), MACHINE),
    )


MODELS = (
    _card("SmolLM2-135M-Instruct", 98_362_432, "llama", "Q4_1", 134.5e6, 8192, "apache-2.0", built_in=True),
    _card("Qwen3-4B-Instruct-2507", 2.33 * GIB, "qwen3", "Q4_K_M", 4.02e9, 262144, "apache-2.0"),
    _card(
        "Qwen3-30B-A3B-Instruct-2507",
        17.28 * GIB,
        "qwen3moe",
        "Q4_K_M",
        30.5e9,
        262144,
        "apache-2.0",
        (8, 128),
        managed=True,
        n_layer=48,
    ),
    _card(
        "gpt-oss-20b",
        11.27 * GIB,
        "gpt-oss",
        "MXFP4",
        20.9e9,
        131072,
        "apache-2.0",
        (4, 32),
        holder="LM Studio",
        n_layer=24,
    ),
    _card(
        "Mistral-Small-3.2-24B-Instruct", 13.35 * GIB, "llama", "Q4_K_M", 23.6e9, 131072, "apache-2.0", holder="Ollama"
    ),
    _card("Llama-3.2-3B-Instruct", 1.88 * GIB, "llama", "Q4_K_M", 3.21e9, 131072, "llama3.2"),
    _card(
        "gemma-3-12b-it-Q4_K_M",
        3.91 * GIB,
        "",
        "",
        None,
        None,
        None,
        fault="The file ends early: its header announces 6.80 GiB of tensors, but only 3.91 GiB are there.",
    ),
)
SMALL, FOUR_B, MOE, BROKEN = MODELS[0], MODELS[1], MODELS[2], MODELS[6]


_EXPERTS_RATIO = 0.94
"""Of the weights of a mixture-of-experts model."""


def plan(card: ModelCard, wish: Wish | None = None) -> Plan:
    """What loading a card takes, by the formula of a model of its size."""
    wish = wish or Wish()
    kv_type = wish.kv_type or "f16"
    chosen = wish.n_ctx or min(card.n_ctx_train or 8192, 16384)
    cell = 36 * 2 * 8 * 128 * 2 if card.size_bytes > GIB else 30 * 2 * 3 * 64 * 2
    cell = round(cell * {"f16": 1.0, "q8_0": 0.53, "q4_0": 0.28}[kv_type])
    if card.n_expert:
        cell = cell * 2 // 3
    compute = int(0.29 * GIB) if card.size_bytes > GIB else 24 * MIB
    gpu, kv = MACHINE.gpus[0], cell * chosen
    experts = int(card.size_bytes * _EXPERTS_RATIO) if card.n_expert else 0
    layers = card.n_layer or 32
    room = gpu.free_bytes - GIB // 2 - compute - kv - (card.size_bytes - experts)
    in_ram = 0
    if experts:
        fitting = max(0, layers - room * layers // experts)
        in_ram = min(layers, fitting if wish.experts_in_ram is None else wish.experts_in_ram)
    moved = experts * in_ram // layers
    on_card = bool(experts) or card.size_bytes < 6 * GIB
    devices = [_device(on_card, card.size_bytes - moved, kv, compute, experts - moved)]
    if moved:
        devices.append(_device(False, moved, 0, 32 * MIB, moved))
    likely = 61.8e9 / max(moved * 0.2, 0.2e9) if experts else (272e9 if on_card else 61.8e9) / card.size_bytes
    return Plan(
        model_path=card.path,
        model_name=card.name,
        n_ctx=chosen,
        n_ctx_train=card.n_ctx_train or 8192,
        n_seq_max=4,
        n_batch=2048,
        n_ubatch=512,
        n_outputs_max=16,
        kv_type=kv_type,
        n_gpu_layers=layers + 1 if on_card else 0,
        load_mode="mmap",
        threads=8,
        devices=tuple(devices),
        experts_in_ram=tuple(range(layers - in_ram, layers)),
        n_expert_used=wish.n_expert_used,
        reasons=_reasons(card, chosen, in_ram, layers, kv),
        speed=Speed(_band(likely * 14), _band(likely), calibrated=True),
    )


def _device(on_card: bool, weights: int, kv: int, compute: int, experts: int) -> DeviceBytes:
    return DeviceBytes(
        name="CUDA0" if on_card else "CPU",
        kind=DeviceKind.GPU if on_card else DeviceKind.CPU,
        free_bytes=MACHINE.gpus[0].free_bytes if on_card else MACHINE.memory.available_bytes,
        weights_bytes=weights,
        kv_bytes=kv,
        recurrent_bytes=0,
        compute_bytes=compute,
        experts_bytes=experts,
    )


def _band(likely: float) -> Band:
    return Band(likely * 0.86, likely, likely * 1.14)


def _reasons(card: ModelCard, n_ctx: int, in_ram: int, layers: int, kv: int) -> tuple[str, ...]:
    if not card.n_expert:
        return (f"All {layers} layers and a context of {n_ctx:,} tokens fit on the graphics card.",)
    return (
        f"Attention, shared weights and the KV cache ({kv / GIB:.1f} GiB) stay on the graphics card: every token uses "
        "them.",
        f"The experts of the last {in_ram} of {layers} layers stay in main memory: the card has room for "
        f"{layers - in_ram}.",
        f"A token uses {card.n_expert_used} of {card.n_expert} experts, so only a tenth of what lies in main memory is "
        "read for it.",
    )


def plan_or_misfit(card: ModelCard, wish: Wish) -> Plan | Misfit:
    """As the planner answers: the plan if it fits, else why not and the largest context that would."""
    wanted = plan(card, wish)
    tight = [device for device in wanted.devices if device.needed_bytes > device.free_bytes]
    if not tight:
        return wanted
    device = tight[0]
    offered = wanted.n_ctx
    while offered > 256 and _needs_more(card, replace(wish, n_ctx=offered)):
        offered -= 256
    where = "on the graphics card" if device.kind is DeviceKind.GPU else "in main memory"
    missing = f"{(device.needed_bytes - device.free_bytes) / GIB:.1f} GiB are missing."
    return Misfit(
        sentence=(
            f"A context of {wanted.n_ctx:,} tokens needs {device.needed_bytes / GIB:.1f} GiB {where}; "
            f"{device.free_bytes / GIB:.1f} GiB are free."
        ),
        hint=f"{missing} A smaller context fits." if offered > 256 else missing,
        needed_bytes=device.needed_bytes,
        free_bytes=device.free_bytes,
        offered_n_ctx=offered if offered > 256 else None,
    )


def _needs_more(card: ModelCard, wish: Wish) -> bool:
    return any(device.needed_bytes > device.free_bytes for device in plan(card, wish).devices)


MEASURED = {FOUR_B.id: Measured(97.4, 1912.0, 34), MOE.id: Measured(22.8, 306.0, 12)}


def routed() -> RoutedExperts:
    """What 128 experts of 48 layers might have been asked for, by a formula with a long tail."""
    layers = []
    for layer in range(48):
        heats = [((expert * 37 + layer * 53) % 128) / 128 for expert in range(128)]
        counts = tuple(0 if heat < 0.03 else int(12 / (heat + 0.04) ** 1.1) for heat in heats)
        layers.append(LayerRouting(layer, counts))
    return RoutedExperts(watching=True, n_experts=128, n_used=8, tokens=18_432, layers=tuple(layers))


UNLOADED = LoadedModel(None, None, None, None)
READY = LoadedModel(
    FOUR_B.id, Ready(pid=4711, address="http://127.0.0.1:40123", load_s=1.9, buffers=()), plan(FOUR_B), None
)
LOADING = LoadedModel(MOE.id, Loading(0.42), plan(MOE), None)
FAILED = LoadedModel(
    MOE.id,
    Failed(
        code="out_of_memory",
        sentence=(
            "The graphics card ran out of memory while loading: other programs had taken 0.8 GiB of it since the plan "
            "was made."
        ),
        hint="Close what uses the card, or give something up:",
        evidence=(
            "exit: code 1\n"
            "load_tensors: loading model tensors, this can take a while...\n"
            "load_tensors:        CUDA0 model buffer size =  5221.31 MiB\n"
            "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 1536.00 MiB failed\n"
        ),
        concessions=concessions(plan(MOE), "CUDA0", 800 * MIB),
    ),
    plan(MOE),
    None,
)


def machine(loaded: LoadedModel) -> Machine:
    """The machine while a model is loaded: its memory is taken."""
    if not isinstance(loaded.state, Ready) or loaded.plan is None:
        return MACHINE
    gpus, memory = MACHINE.gpus, MACHINE.memory
    for device in loaded.plan.devices:
        if device.kind is DeviceKind.GPU:
            gpus = (replace(gpus[0], free_bytes=gpus[0].free_bytes - device.needed_bytes),)
        else:
            memory = replace(memory, available_bytes=memory.available_bytes - device.needed_bytes)
    return replace(MACHINE, gpus=gpus, memory=memory)
