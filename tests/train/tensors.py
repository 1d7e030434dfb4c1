# SPDX-License-Identifier: MIT
"""safetensors files seen from outside: a reader of its own (json and NumPy) reads what the library writes, the library reads
what it is given, and both agree on which of many damaged files are good. With the safetensors package, through
it too.
tensors.py LIBRARY [DAMAGED-FILES [MODELS]]"""
import ctypes
import json
import os
import random
import re
import sys
import tempfile
from pathlib import Path

import numpy as np

TYPES = {"F64": (1, "<f8"), "F32": (2, "<f4"), "I64": (3, "<i8"), "U8": (4, "u1")}
E_IO = -11
MOST_HEADER = 16 << 20


class Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_int32), ("rank", ctypes.c_int32), ("shape", ctypes.c_size_t*8),
                ("data", ctypes.c_void_p)]


library = ctypes.CDLL(sys.argv[1])
library.nde_error.restype = ctypes.c_char_p
wrong = []


def check(good, text):
    if not good:
        wrong.append(text)
        print(text)


def tensors(arrays):
    """nde_tensor[] of {name: array}."""
    numbers = {np.dtype(kind): number for number, kind in TYPES.values()}
    return (Tensor*len(arrays))(*[Tensor(name.encode(), numbers[a.dtype], a.ndim, (ctypes.c_size_t*8)(*a.shape), a.ctypes.data)
                                  for name, a in arrays.items()])


def save(file, arrays):
    return library.nde_tensors_save(os.fsencode(file), tensors(arrays), ctypes.c_size_t(len(arrays)))


def load(file, arrays):
    return library.nde_tensors_load(os.fsencode(file), tensors(arrays), ctypes.c_size_t(len(arrays)))


def crc32c(data, table=[]):
    if not table:
        for byte in range(256):
            for _ in range(8):
                byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
            table.append(byte)
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


class Bad(ValueError):
    pass


def need(condition, text):
    if not condition:
        raise Bad(text)


def whole_number(text):
    need(text.isdigit() and int(text) < 2**64, "number")
    return int(text)


def refuse(text):
    raise Bad(text)


def text(value):
    need(isinstance(value, str), "not a string")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Bad("half a surrogate pair") from None


def entry(pairs):
    """(type, shape, begin, end) of a tensor's object."""
    need(isinstance(pairs, tuple) and sorted(key for key, _ in pairs) == ["data_offsets", "dtype", "shape"], "keys")
    value = dict(pairs)
    kind, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    text(kind)
    need(isinstance(shape, list) and all(type(n) is int for n in shape), "shape")
    need(isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int for n in offsets), "offsets")
    product = 1
    for n in shape:
        product *= n
        need(product < 2**64, "product")
    need(offsets[0] <= offsets[1], "reversed")
    need(kind not in TYPES or product*np.dtype(TYPES[kind][1]).itemsize == offsets[1] - offsets[0], "bytes")
    return kind, shape, *offsets


def parse(content):
    """{name: (type, shape, bytes)} of a safetensors file, and its metadata. Raises ValueError."""
    need(len(content) >= 8, "prefix")
    length = int.from_bytes(content[:8], "little")
    need(length <= min(len(content) - 8, MOST_HEADER), "length")
    header, data = content[8:8 + length], content[8 + length:]
    need(header[:1] == b"{", "begin")
    try:
        pairs = json.loads(header.decode(), object_pairs_hook=tuple, parse_int=whole_number, parse_float=refuse,
                           parse_constant=refuse)
    except RecursionError:
        raise Bad("depth") from None
    need(isinstance(pairs, tuple), "object")
    metadata, found = None, {}
    for name, value in pairs:
        if text(name) == b"__metadata__":
            need(metadata is None and isinstance(value, tuple), "metadata")
            for key, item in value:
                text(key), text(item)
            metadata = value
        else:
            need(name not in found, "twice")
            found[name] = entry(value)
    at = 0
    for _, _, begin, end in sorted(found.values(), key=lambda e: e[2:]):
        need(begin == at, "gap or overlap")
        at = end
    need(at == len(data), "length of the data")
    sums = [value for key, value in metadata or () if key == "nde.crc32c"]
    need(len(sums) < 2 and all(re.fullmatch("[0-9a-f]{8}", s, re.A) and int(s, 16) == crc32c(data) for s in sums), "checksum")
    return {name: (kind, shape, data[b:e]) for name, (kind, shape, b, e) in found.items()}, dict(metadata or ())


def build(header, data):
    header = header.encode() if isinstance(header, str) else header
    return len(header).to_bytes(8, "little") + header + data


def examples():
    return {
        "layers.0.weight": np.arange(12, dtype="<f4").reshape(3, 4)/7, "step": np.array(2**53 + 1, "<i8"),
        "m \"quoted\" \\ \n é 🐺": np.array([[1.5, -np.inf, np.nan]], "<f8"), "empty": np.zeros((0, 4), "<f8"),
        "flags": np.array([1, 0, 255], "u1"), "deep": np.arange(1, 9, dtype="<f8").reshape(1, 2, 1, 2, 1, 2, 1, 1),
    }


def equal(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def outside(folder):
    """The library writes, the other reader reads; the other way round."""
    file, arrays = Path(folder, "a.safetensors"), examples()
    check(save(file, arrays) == 0, "cannot save")
    content = file.read_bytes()
    read, metadata = parse(content)
    check(metadata.keys() == {"format", "nde.crc32c"}, f"metadata {metadata}")
    check(int.from_bytes(content[:8], "little") % 8 == 0, "the header's length is no multiple of 8")
    for name, array in arrays.items():
        kind, shape, data = read[name]
        check(equal(np.frombuffer(data, TYPES[kind][1]).reshape(shape), array), f"{name!r} is another one")
    # any order, spelled as json does it, without a checksum, among types that the library has not
    parts, header, at = b"", {}, 0
    for name in reversed([*arrays, "half"]):
        array = arrays.get(name, np.ones(5, "<f2"))
        kind = next((k for k, (_, t) in TYPES.items() if np.dtype(t) == array.dtype), "F16")
        header[name] = {"shape": list(array.shape), "data_offsets": [at, at := at + array.nbytes], "dtype": kind}
        parts += array.tobytes()
    for indent in (None, 3):
        file.write_bytes(build(json.dumps(dict(reversed(header.items())), indent=indent), parts))
        back = {name: np.full_like(array, 77) for name, array in arrays.items()}
        check(load(file, back) == 0, f"cannot load: {library.nde_error()}")
        check(all(equal(back[name], arrays[name]) for name in arrays), "loaded others")


TOKENS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"0", b"-1", b"1e1", b"18446744073709551615",
          b"9223372036854775808", b"18446744073709551616", b'"x"', b'"shape"', b'"dtype"', b'"data_offsets"', b'"F32"', b'"BF16"',
          b'"__metadata__"', b'"nde.crc32c"', b"\\u0078", b"\\ud83d\\udc3a", b"\\ud83d", b"\xed\xa0\x80", b"\xc3\xa9", b"\xff", b"\0",
          b"null", b"{}", b"[]",
          b'"y":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},', b',"y":{"dtype":"F64","shape":[1],"data_offsets":[16,24]}']


def damaged(count):
    """The library and the parser above take and refuse the same files."""
    chance = random.Random(1)
    x = np.array([1.5, -2.5])
    one = '"x":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}'
    seeds = [f"{{{one}}}", f'{{{one},"z":{{"dtype":"U8","shape":[3,1],"data_offsets":[16,19]}}}}',
             f'{{"__metadata__":{{"format":"nde","nde.crc32c":"{crc32c(x.tobytes()):08x}"}},{one}}}  ',
             f'{{"__metadata__":{{"é":"\\u00e9🐺"}},"h":{{"dtype":"F16","shape":[],"data_offsets":[16,18]}},\n {one} }}']
    data = [x.tobytes(), x.tobytes() + b"abc", x.tobytes(), x.tobytes() + b"ab"]
    taken = 0
    file = os.memfd_create("damaged")
    path = f"/proc/self/fd/{file}"
    for i in range(count):
        which = chance.randrange(len(seeds))
        header, body = bytearray(seeds[which].encode()), bytearray(data[which])
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            part = header if chance.random() < 0.95 or not body else body
            at, how = chance.randrange(len(part) + 1), chance.randrange(6)
            token = chance.choice(TOKENS)
            if how == 0 and at < len(part):
                part[at] ^= 1 << chance.randrange(8)
            elif how == 1 and at < len(part):
                part[at] = chance.randrange(256)
            elif how == 2:
                part[at:at] = token
            elif how == 3:
                part[at:at + chance.randrange(1, 8)] = token
            elif how == 4:
                del part[at:at + chance.randrange(1, 12)]
            else:
                from_ = chance.randrange(len(part) + 1)
                part[at:at] = part[from_:from_ + chance.randrange(1, 60)]
        content = build(bytes(header), bytes(body))
        if chance.random() < 0.05:
            content = content[:chance.randrange(len(content) + 1)]
        os.ftruncate(file, 0)
        os.pwrite(file, content, 0)
        try:
            read, _ = parse(content)
            kind, shape, bits = read["x"]
            need((kind, shape) == ("F64", [2]), "another one")
        except (ValueError, KeyError):
            bits = None
        got = {"x": np.array([42.0, 43.0])}
        status = load(path, got)
        untouched = np.array([42.0, 43.0]).tobytes()
        check(status == (E_IO if bits is None else 0) and got["x"].tobytes() == (bits or untouched),
              f"status {status}, {library.nde_error()}, but {bits}: {content}")
        taken += bits is not None
        if len(wrong) > 5:
            break
    os.close(file)
    check(0.02*count < taken < 0.5*count, f"{taken} of {count} are good: no test of both verdicts")
    return taken


def round_trips(folder, count):
    """F4: what is written, read and written again has the same bytes."""
    chance, files = np.random.default_rng(2), [Path(folder, name) for name in ("one", "two")]
    for i in range(count):
        arrays = {}
        for k in range(chance.integers(0, 6)):
            shape = tuple(chance.integers(0, 4, chance.integers(0, 5)))
            bits = chance.integers(0, 256, size=(*shape, 8), dtype="u1") # any pattern of bits, NaN too
            kind = [kind for _, kind in TYPES.values()][chance.integers(4)]
            name = "".join(map(chr, chance.choice([*range(32, 127), 0xe9, 0x1f43a, 10, 34, 92], chance.integers(1, 9)))) + str(k)
            arrays[name] = np.ascontiguousarray(bits.view("<f8")[..., 0]).astype("<f8") if kind == "<f8" else \
                np.ascontiguousarray(bits[..., :np.dtype(kind).itemsize]).view(kind).reshape(shape)
        back = {name: np.full_like(array, 77) for name, array in arrays.items()}
        check(save(files[0], arrays) == 0 and load(files[0], back) == 0 and save(files[1], back) == 0, f"model {i}: {library.nde_error()}")
        check(files[0].read_bytes() == files[1].read_bytes(), f"model {i} has other bytes")
        if len(wrong) > 5:
            break


def package(folder):
    """With the safetensors package where there is one."""
    try:
        from safetensors.numpy import load_file, save_file
    except ImportError:
        return "not there"
    file, arrays = Path(folder, "b.safetensors"), examples()
    check(save(file, arrays) == 0, "cannot save")
    read = load_file(file)
    check(read.keys() == arrays.keys() and all(equal(read[name], arrays[name]) for name in arrays), "the package reads others")
    save_file({**arrays, "half": np.ones(3, "f2")}, file, {"note": "é"})
    back = {name: np.full_like(array, 77) for name, array in arrays.items()}
    check(load(file, back) == 0 and all(equal(back[name], arrays[name]) for name in arrays), "loaded others from the package")
    return "agrees"


with tempfile.TemporaryDirectory() as folder:
    outside(folder)
    said = package(folder)
with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder: # where syncing costs nothing
    round_trips(folder, int(sys.argv[3]) if len(sys.argv) > 3 else 2000)
count = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
taken = damaged(count)
print(f"{count} damaged files, {taken} of them still good; the safetensors package: {said}")
sys.exit(1 if wrong else 0)
