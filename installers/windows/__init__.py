"""What set-up knows about Windows: Qt brings what it needs, the compiler is Microsoft's."""

import os
from pathlib import Path

COMPILER_LINE = (
    "winget install Microsoft.VisualStudio.2022.BuildTools "
    '--override "--add Microsoft.VisualStudio.Workload.VCTools --includeRecommended --passive"'
)


def has_build_tools() -> bool:
    """Whether an installer of Visual Studio has left its locator, through which CMake finds the compiler."""
    programs = os.environ.get("PROGRAMFILES(X86)", r"C:\Program Files (x86)")
    return (Path(programs) / "Microsoft Visual Studio" / "Installer" / "vswhere.exe").exists()
