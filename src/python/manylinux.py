# SPDX-License-Identifier: MIT
"""Tags a wheel for the systems that it runs on: manylinux.py WHEEL [FOLDER]. `pip wheel` calls it linux_x86_64, which nobody may upload;
what its library needs of glibc is in the versions of its symbols. Prints the new file; needs readelf."""
import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path


ALLOWED = re.compile(r"lib(c|m|dl|pthread|rt|gcc_s|nde)\.so\.|ld-linux") # what every system has, and the wheel itself


def glibc(library):
    """The newest version of glibc that a shared library asks for, (2, 27); it may ask for nothing else."""
    listed = subprocess.run(["readelf", "-dW", "--version-info", library], capture_output=True, text=True, check=True).stdout
    if others := [name for name in re.findall(r"\(NEEDED\).*\[(.*)\]", listed) if not ALLOWED.match(name)]:
        sys.exit(f"{library.name} needs {', '.join(others)}, which the wheel does not hold")
    return max(tuple(map(int, found)) for found in re.findall(r"GLIBC_(\d+)\.(\d+)", listed))


def tagged(wheel, folder):
    with zipfile.ZipFile(wheel) as old:
        parts = {item: old.read(item) for item in old.infolist()}
    with tempfile.TemporaryDirectory() as scratch:
        needs = []
        for item, data in parts.items():
            if ".so" in item.filename:
                library = Path(scratch, Path(item.filename).name)
                library.write_bytes(data)
                needs.append(glibc(library))
    tag = "manylinux_{}_{}_".format(*max(needs))
    new = Path(folder, wheel.name.replace("-linux_", f"-{tag}"))
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as out:
        for item, data in parts.items():
            if item.filename.endswith(".dist-info/WHEEL"):
                data = data.replace(b"-linux_", f"-{tag}".encode())
                entry = re.compile(re.escape(item.filename) + r",sha256=[^,]*,\d+")
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                record = next(other for other in parts if other.filename.endswith(".dist-info/RECORD"))
                parts[record] = entry.sub(f"{item.filename},sha256={digest},{len(data)}", parts[record].decode()).encode()
            out.writestr(item, parts[item] if item.filename.endswith("RECORD") else data)
    return new


if __name__ == "__main__":
    given = Path(sys.argv[1])
    print(tagged(given, sys.argv[2] if len(sys.argv) > 2 else given.parent))
