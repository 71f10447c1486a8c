"""Writes mfd/kernels as a repository for the Hub's `kernels`, which loads it without mfd.

    python tools/hub_kernel.py FOLDER [--version 0]

FOLDER has one variant for each backend, of the same files: PyTorch and Triton compile nothing
beforehand. Imports become relative, annotations lose their shapes, and the operators' namespace has
the digest of the files, so that several versions fit one process.
"""

import argparse
import base64
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "mfd_kernels"
BACKENDS = {"cuda": {"type": "cuda", "archs": ["8.0+PTX"]}, "cpu": {"type": "cpu"}}
CARD = """---
license: apache-2.0
tags: [kernels]
---
# Multi-scale deformable attention and RoIAlign

In Triton, with gradients, and in PyTorch for everything else. The documentation is that of
`mfd.kernels`, where these files come from.
"""


def main() -> int:
    """Write the repository."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--version", type=int, default=0, help="0: no promise yet")
    options = parser.parse_args()
    if options.folder.exists():
        parser.error(f"{options.folder} exists; name a new folder")
    files = portable()
    digest = hashlib.sha256("".join(f"{n}\n{files[n]}" for n in sorted(files)).encode())
    identifier = f"_{NAME}_{digest.hexdigest()[:12]}"
    code = files["register.py"].replace('NAMESPACE = "mfd"', f'NAMESPACE = "{identifier}"')
    files |= {"register.py": code}
    for backend, described in BACKENDS.items():
        metadata = {
            "name": NAME.replace("_", "-"),
            "id": identifier,
            "version": options.version,
            "license": "apache-2.0",
            "python-depends": [],
            "backend": described,
            "digest": {"algorithm": "sha256", "files": digests(files)},
        }
        variant = options.folder / "build" / f"torch-{backend}"
        for name, text in {**files, "metadata.json": json.dumps(metadata, indent=2)}.items():
            (variant / name).parent.mkdir(parents=True, exist_ok=True)
            (variant / name).write_text(text, encoding="utf-8")
    (options.folder / "README.md").write_text(CARD, encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", options.folder)
    return 0


def portable() -> dict[str, str]:
    """The files of mfd/kernels by name, importing each other relatively and nothing else of mfd."""
    folder = ROOT / "mfd" / "kernels"
    files = {}
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        files[str(name)] = relative(path.read_text(encoding="utf-8"), len(name.parts))
    errors = (ROOT / "mfd" / "errors.py").read_text(encoding="utf-8")
    (error,) = re.findall(r"^class KernelError.*\n(?: .*\n)+", errors, flags=re.M)
    return files | {"errors.py": error.replace("MfdError, ", "")}


def relative(code: str, depth: int) -> str:
    """A file's code with imports relative to a folder `depth` levels up, and plain annotations."""
    dots = "." * depth
    code = re.sub(r"^(\s*)from mfd\.kernels import", rf"\1from {dots} import", code, flags=re.M)
    code = re.sub(r"^(\s*)from mfd\.kernels\.", rf"\1from {dots}", code, flags=re.M)
    code = re.sub(r"^from mfd\.errors import", f"from {dots}errors import", code, flags=re.M)
    code = re.sub(r"^from jaxtyping import .*\n", "", code, flags=re.M)
    return re.sub(r'\b(?:Float|Int|Float32|UInt8)\[Tensor, "[^"]*"\]', "Tensor", code)


def digests(files: dict[str, str]) -> dict[str, str]:
    """SHA-256 of every file, in base64."""
    return {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in files.items()
    }


if __name__ == "__main__":
    sys.exit(main())
