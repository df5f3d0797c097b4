"""The text of a data file: unpacked and decoded by what its bytes say, and then by what the settings say."""

import bz2
import codecs
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from workflow_scripts.lib.data.rows import DataError


def _zstd(data: bytes) -> bytes:
    return bytes(pa.input_stream(pa.BufferReader(data), compression="zstd").read())


PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
    b"\x28\xb5\x2f\xfd": _zstd,
}
CONTROL = re.compile(rb"[\x80-\x9f]")
PARQUET = b"PAR1"
NOT_DATA = {
    b"PK\x03\x04": "is a zip archive or a spreadsheet; unpack it, or save the table as csv",
    b"version https://git-lfs": "is a git-lfs pointer and not the data; `git lfs pull` fetches the file",
    b"ARROW1\0\0": "is a Feather (Arrow) file; save the table as Parquet",
    b"\x04\x22\x4d\x18": "is packed by lz4; unpack it, or pack it by gzip, bzip2, xz or zstd",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive; unpack it",
    b"\xd0\xcf\x11\xe0": "is a spreadsheet; save the table as csv",
}
TAR = slice(257, 262)  # where an archive has its magic word
# The longer first: UTF-32's begins as UTF-16's does.
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_bytes(path: Path) -> bytes:
    """A file's bytes, unpacked where they are gzip, bzip2, xz or zstd, whatever the file is called.

    DataError for what is no file of data; OSError where it cannot be read.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name its files by a pattern, such as {path}/*")
    try:
        data = path.read_bytes()
        unpack = _packed(data)
        data = unpack(data) if unpack else data
    except FileNotFoundError:
        raise DataError(f"{path}: no such file (relative paths start at the project's root)") from None
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise DataError(f"{path}: is packed and cannot be unpacked: {error}; fetch it again") from None
    if _packed(data):
        raise DataError(f"{path}: is packed twice; unpack it once")
    if data[TAR] == b"ustar":
        raise DataError(f"{path}: is a tar archive; unpack it")
    for magic, what in NOT_DATA.items():
        if data.startswith(magic):
            raise DataError(f"{path}: {what}")
    return data


def _packed(data: bytes) -> Callable[[bytes], bytes] | None:
    return next((unpack for magic, unpack in PACKED.items() if data.startswith(magic)), None)


def read_text(path: Path, encoding: str) -> str:
    """A file's text, without its byte-order mark, which has the last word on UTF-8, -16 and -32.

    DataError where bytes are not in the encoding, or are more likely in another: Latin letters that were read in the
    wrong one stand in prompts as other letters, without any other sign.
    """
    data = read_bytes(path)
    if data.startswith(PARQUET):
        raise DataError(f"{path}: is a Parquet file; set `format: parquet`")
    marked = next((name for mark, name in MARKS.items() if data.startswith(mark)), None)
    codec = codecs.lookup(encoding).name
    unicode = codec.startswith("utf")
    if not unicode and (marked == "utf-8" or (not data.isascii() and b"\0" not in data and _is_utf8(data))):
        raise DataError(f"{path}: is utf-8, and `encoding` says {encoding}; leave `encoding` out")
    if codec.startswith("iso8859") and not marked and (found := CONTROL.search(data)):
        line = data.count(b"\n", 0, found.start()) + 1
        raise DataError(
            f"{path}:{line}: the byte 0x{found[0][0]:02x} is a control character in {encoding}, and a mark in "
            "Windows' encoding of the same letters; for latin-1 that is `encoding: cp1252`"
        )
    if data and not marked and codec in ("utf-16", "utf-32"):
        raise DataError(f"{path}: has no byte-order mark; set `encoding` to {codec}-le or {codec}-be, whichever it is")
    try:
        text = data.decode(marked or encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: is not {marked or encoding} ({error.reason}); set `encoding`, {_likely(data)}"
        ) from None
    except UnicodeError as error:  # punycode has no place for it
        raise DataError(f"{path}: is not {encoding} ({error}); set `encoding`, {_likely(data)}") from None
    if "\0" in text:
        raise DataError(f"{path}: holds NUL, which is in no text; is it one? then set `encoding`, {_likely(data)}")
    return text


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _likely(data: bytes) -> str:
    """The encoding that bytes look like, where the one in the settings is not theirs."""
    if data[1::2].count(0) != data[::2].count(0):
        return "perhaps utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "perhaps utf-16-be"
    # Latin-1 has control characters where Windows has quotation marks, dashes and the euro sign.
    return "often cp1252" if CONTROL.search(data) else "often latin-1"
