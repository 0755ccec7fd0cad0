"""The shared libraries that Qt's xcb, wayland and offscreen platforms open, and the packages they come in.

The list is the direct needs of PySide6's QtCore, QtGui, QtWidgets and those platform plugins, read with `readelf -d`,
less what the wheel brings along and the C library. Leaves looking for them to `installers.system`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library by its soname, and its package for Debian (and Ubuntu) and for Arch.

    Fedora and openSUSE need no name: their package managers take a soname as it is.
    """

    soname: str
    apt: str
    pacman: str


QT_LIBRARIES = (
    Library("libEGL.so.1", "libegl1", "libglvnd"),
    Library("libGL.so.1", "libgl1", "libglvnd"),
    Library("libX11.so.6", "libx11-6", "libx11"),
    Library("libX11-xcb.so.1", "libx11-xcb1", "libx11"),
    Library("libdbus-1.so.3", "libdbus-1-3", "dbus"),
    Library("libfontconfig.so.1", "libfontconfig1", "fontconfig"),
    Library("libfreetype.so.6", "libfreetype6", "freetype2"),
    Library("libglib-2.0.so.0", "libglib2.0-0", "glib2"),
    Library("libgthread-2.0.so.0", "libglib2.0-0", "glib2"),
    Library("libwayland-client.so.0", "libwayland-client0", "wayland"),
    Library("libwayland-cursor.so.0", "libwayland-cursor0", "wayland"),
    Library("libwayland-egl.so.1", "libwayland-egl1", "wayland"),
    Library("libxcb.so.1", "libxcb1", "libxcb"),
    Library("libxcb-cursor.so.0", "libxcb-cursor0", "xcb-util-cursor"),
    Library("libxcb-glx.so.0", "libxcb-glx0", "libxcb"),
    Library("libxcb-icccm.so.4", "libxcb-icccm4", "xcb-util-wm"),
    Library("libxcb-image.so.0", "libxcb-image0", "xcb-util-image"),
    Library("libxcb-keysyms.so.1", "libxcb-keysyms1", "xcb-util-keysyms"),
    Library("libxcb-randr.so.0", "libxcb-randr0", "libxcb"),
    Library("libxcb-render.so.0", "libxcb-render0", "libxcb"),
    Library("libxcb-render-util.so.0", "libxcb-render-util0", "xcb-util-renderutil"),
    Library("libxcb-shape.so.0", "libxcb-shape0", "libxcb"),
    Library("libxcb-shm.so.0", "libxcb-shm0", "libxcb"),
    Library("libxcb-sync.so.1", "libxcb-sync1", "libxcb"),
    Library("libxcb-util.so.1", "libxcb-util1", "xcb-util"),
    Library("libxcb-xfixes.so.0", "libxcb-xfixes0", "libxcb"),
    Library("libxcb-xkb.so.1", "libxcb-xkb1", "libxcb"),
    Library("libxkbcommon.so.0", "libxkbcommon0", "libxkbcommon"),
    Library("libxkbcommon-x11.so.0", "libxkbcommon-x11-0", "libxkbcommon-x11"),
    Library("libz.so.1", "zlib1g", "zlib"),
    Library("libzstd.so.1", "libzstd1", "zstd"),
)

COMPILER = {"apt-get": "g++", "dnf": "gcc-c++", "zypper": "gcc-c++", "pacman": "gcc"}
CERTIFICATES = dict.fromkeys(COMPILER, "ca-certificates")
VENV = {"apt-get": "python3-venv", "dnf": "python3-pip", "zypper": "python3-pip", "pacman": "python-pip"}

REFRESH = {
    "apt-get": ("apt-get", "update"),
    "dnf": ("dnf", "makecache"),
    "zypper": ("zypper", "--non-interactive", "refresh"),
    "pacman": ("pacman", "-Sy"),
}
INSTALL = {
    "apt-get": ("apt-get", "install", "-y", "--no-install-recommends"),
    "dnf": ("dnf", "install", "-y"),
    "zypper": ("zypper", "--non-interactive", "install"),
    "pacman": ("pacman", "-S", "--noconfirm", "--needed"),
}


def library_package(manager: str, library: Library) -> str:
    """What to ask a package manager for to get a library."""
    if manager == "apt-get":
        return library.apt
    if manager == "pacman":
        return library.pacman
    return f"{library.soname}()(64bit)"
