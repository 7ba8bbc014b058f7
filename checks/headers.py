"""Real C headers from Debian's development packages: counts the bindings of each, and checks them
with the C compiler and ctypes.

The packages are downloaded with apt-get and unpacked, not installed. A header that needs another
to be included first does not compile by itself, and counts as one that cannot be had.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from codegen import render, rules, verify
from codegen.clang import Unit
from codegen.errors import CodegenError
from codegen.parse import parse

# Package: header, patterns for the headers whose declarations count
HEADERS = """
libarchive-dev: archive.h archive*
libblosc-dev: blosc.h blosc*
libbrotli-dev: brotli/decode.h brotli/*
libbz2-dev: bzlib.h bzlib.h
libc-ares-dev: ares.h ares*
libcairo2-dev: cairo/cairo.h cairo/* cairo*
libcap-dev: sys/capability.h sys/capability.h
libcjson-dev: cjson/cJSON.h cjson/*
libcurl4-openssl-dev: curl/curl.h curl/*
libdrm-dev: xf86drm.h xf86drm* drm*
libelf-dev: libelf.h libelf.h elf.h
libev-dev: ev.h ev.h
libevent-dev: event2/event.h event2/*
libexpat1-dev: expat.h expat*
libffi-dev: ffi.h ffi*
libflac-dev: FLAC/stream_decoder.h FLAC/*
libfontconfig-dev: fontconfig/fontconfig.h fontconfig/*
libfreetype-dev: freetype/freetype.h freetype/*
libgcrypt20-dev: gcrypt.h gcrypt.h
libgdbm-dev: gdbm.h gdbm.h
libgif-dev: gif_lib.h gif_lib.h
libgit2-dev: git2.h git2*
libglfw3-dev: GLFW/glfw3.h GLFW/*
libgmp-dev: gmp.h gmp.h
libhiredis-dev: hiredis/hiredis.h hiredis/*
libidn2-dev: idn2.h idn2.h
libjansson-dev: jansson.h jansson*
liblmdb-dev: lmdb.h lmdb.h
liblua5.4-dev: lua5.4/lauxlib.h lua5.4/* lua*
liblz4-dev: lz4frame.h lz4*
liblzma-dev: lzma.h lzma*
libmariadb-dev: mysql.h mysql* ma_* errmsg.h
libmicrohttpd-dev: microhttpd.h microhttpd.h
libmp3lame-dev: lame/lame.h lame/*
libmpg123-dev: mpg123.h mpg123.h fmt123.h
libncurses-dev: ncurses.h ncurses* curses*
libnghttp2-dev: nghttp2/nghttp2.h nghttp2/*
libnuma-dev: numa.h numa*
libogg-dev: ogg/ogg.h ogg/*
libonig-dev: oniguruma.h oniguruma.h
libopenal-dev: AL/al.h AL/*
libopus-dev: opus/opus.h opus*
libpcap0.8-dev: pcap/pcap.h pcap/*
libpng-dev: libpng16/png.h libpng16/* png*
libpq-dev: postgresql/libpq-fe.h postgresql/libpq* libpq*
libpsl-dev: libpsl.h libpsl.h
libreadline-dev: readline/history.h readline/*
libsamplerate0-dev: samplerate.h samplerate.h
libsdl2-dev: SDL2/SDL.h SDL2/* SDL*
libseccomp-dev: seccomp.h seccomp*
libsndfile1-dev: sndfile.h sndfile.h
libsodium-dev: sodium.h sodium*
libsqlite3-dev: sqlite3.h sqlite3.h
libssh2-1-dev: libssh2_sftp.h libssh2*
libssl-dev: openssl/ssl.h openssl/*
libsystemd-dev: systemd/sd-bus.h systemd/* _sd* sd-*
libtiff-dev: tiffio.h tiff*
libudev-dev: libudev.h libudev.h
libunwind-dev: libunwind.h libunwind*
libusb-1.0-0-dev: libusb-1.0/libusb.h libusb*
libuv1-dev: uv.h uv*
libvorbis-dev: vorbis/vorbisfile.h vorbis/*
libvulkan-dev: vulkan/vulkan.h vulkan/* vk_video/*
libwayland-dev: wayland-client-core.h wayland-*
libwebp-dev: webp/decode.h webp/*
libxkbcommon-dev: xkbcommon/xkbcommon.h xkbcommon/*
libxml2-dev: libxml/tree.h libxml/*
libxxhash-dev: xxhash.h xxhash.h
libyaml-dev: yaml.h yaml.h
libzip-dev: zip.h zip*
libzmq3-dev: zmq.h zmq.h
libzstd-dev: zstd.h zstd*
ocl-icd-opencl-dev opencl-c-headers: CL/cl.h CL/*
portaudio19-dev: portaudio.h portaudio.h
zlib1g-dev: zlib.h zlib.h zconf.h
"""
# The packages' folders of included headers
INCLUDE = ["usr/include", "usr/include/x86_64-linux-gnu", "usr/include/aarch64-linux-gnu"]
INCLUDE += [f"usr/include/{name}" for name in ("freetype2", "libxml2", "libdrm", "mariadb")]
ENOUGH = 50


class Outcome(NamedTuple):
    """The result for one header: its declarations that are bound, left out and wrong, or the reason
    why it has no bindings."""

    header: str
    bound: int = 0
    left_out: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    refused: str = ""


def unpack(packages: list[str], folder: Path) -> None:
    """Download ``packages`` into ``folder``, unless they are there, and unpack them."""
    try:
        if not list(folder.glob("*.deb")):
            subprocess.run(
                ["apt-get", "download", *packages], cwd=folder, check=True, capture_output=True
            )
        for package in sorted(folder.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
    except FileNotFoundError as error:
        raise CodegenError(f"this check needs Debian's tools: {error}") from error
    except subprocess.CalledProcessError as error:
        text = (error.stderr or b"").decode(errors="replace").strip().splitlines() or [str(error)]
        raise CodegenError(f"the packages cannot be had: {text[0]}") from error


def bind(root: Path, header: str, own: tuple[str, ...]) -> Outcome:
    """Generate bindings for ``header`` and ask the C compiler and ctypes."""
    places = [folder for folder in INCLUDE if (root / folder / header).is_file()]
    if not places:
        return Outcome(header, refused="the packages have no such header")
    include = tuple(folder for folder in INCLUDE if (root / folder).is_dir())
    unit = Unit(root, f"{places[0]}/{header}", include, (), own=own, system=True)
    try:
        api = rules.bindable(parse(unit, "b0"), render.reserved())
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "_raw.py"
            raw.write_text(render.render_templates(api)["_raw.py"], "utf-8")
            wrong = verify.by_compiler(api, unit).faults
            wrong += verify.by_ctypes(api, verify.import_raw(raw)).faults
    except CodegenError as error:
        return Outcome(header, refused=str(error))
    kinds = (api.functions, api.structs, api.typedefs, api.macros)
    bound = sum(map(len, kinds)) + sum(len(e.constants) for e in api.enums)
    # That the preprocessor alone can expand a macro says nothing about the generator.
    left_out = [f"{o.name}: {o.reason}" for o in api.omissions if "macro" not in o.reason]
    return Outcome(header, bound, tuple(left_out), tuple(wrong))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m checks headers", description=__doc__)
    parser.add_argument("--packages", type=Path, help="a folder with the packages, or for them")
    parser.add_argument("--only", nargs="+", help="these headers")
    parser.add_argument("-v", "--verbose", action="store_true", help="all that is left out")
    options = parser.parse_args(arguments)
    rows = [line.partition(": ") for line in HEADERS.strip().splitlines()]
    with tempfile.TemporaryDirectory(prefix="llama-py-headers-") as temporary:
        folder = (options.packages or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            unpack([name for package, _, _ in rows for name in package.split()], folder)
        except CodegenError as error:
            print(error, file=sys.stderr)
            return 1
        outcomes = []
        for _, _, text in rows:
            header, *own = text.split()
            if not options.only or header in options.only:
                outcomes.append(bind(folder / "root", header, tuple(own)))
                report(outcomes[-1], options.verbose)
    good = [o for o in outcomes if not o.refused and not o.wrong]
    wrong = [o for o in outcomes if o.wrong]
    print(f"{len(outcomes)} headers: {len(good)} right, {len(wrong)} wrong; "
          f"{sum(o.bound for o in good)} declarations bound, "
          f"{sum(len(o.left_out) for o in good)} left out")  # fmt: skip
    return int(bool(wrong) or len(good) < min(ENOUGH, len(outcomes)))


def report(outcome: Outcome, verbose: bool) -> None:
    if outcome.refused:
        print(f"{outcome.header:28} not to be had: {outcome.refused}", flush=True)
        return
    print(f"{outcome.header:28} {outcome.bound:6} bound {len(outcome.left_out):5} left out "
          f"{len(outcome.wrong):4} wrong", flush=True)  # fmt: skip
    lines = [*(f"WRONG {text}" for text in outcome.wrong[:20]), *outcome.left_out]
    for line in lines if verbose else lines[:3] if not outcome.wrong else lines[:20]:
        print(f"    {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
