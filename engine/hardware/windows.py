"""Windows' own answers about the processor. Parsing is ``topology``'s, so that it is tested everywhere."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    import winreg
    from typing import Final

    _RELATION_PROCESSOR_CORE: Final = 0
    # Source: winnt.h, PF_* constants of IsProcessorFeaturePresent.
    _FEATURES: Final = {
        13: "sse3",
        36: "ssse3",
        37: "sse4_1",
        38: "sse4_2",
        39: "avx",
        40: "avx2",
        41: "avx512f",
        19: "asimd",
        43: "asimddp",
    }

    def processor_information() -> bytes:
        """The raw description of all cores. Raises ``OSError``."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        size = ctypes.c_uint32(0)
        kernel.GetLogicalProcessorInformationEx(_RELATION_PROCESSOR_CORE, None, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        if not kernel.GetLogicalProcessorInformationEx(_RELATION_PROCESSOR_CORE, buffer, ctypes.byref(size)):
            raise ctypes.WinError(ctypes.get_last_error())
        return buffer.raw[: size.value]

    def processor_name() -> str:
        """The marketing name. Raises ``OSError``."""
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
            value, _ = winreg.QueryValueEx(key, "ProcessorNameString")
        return " ".join(str(value).split())

    def instruction_sets() -> frozenset[str]:
        """Those that Windows has names for; AVX2 processors all have F16C and FMA."""
        kernel = ctypes.WinDLL("kernel32")
        found = {name for number, name in _FEATURES.items() if kernel.IsProcessorFeaturePresent(number)}
        return frozenset(found | ({"f16c", "fma", "bmi2"} if "avx2" in found else set()))
