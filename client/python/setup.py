"""Makes cherry/v1 (messages) and cherry/specs.py (dataclasses) from the protos while the wheel is built."""

import pathlib
import re
import shutil
import sys

from grpc_tools import protoc
from setuptools import setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
PROTOS = HERE.parent.parent / "proto"
FILES = ["cherry/v1/job.proto", "cherry/v1/resources.proto", "cherry/v1/coordinator.proto", "cherry/v1/rpc_status.proto"]

sys.path.insert(0, str(HERE))
import generate_specs  # noqa: E402


class BuildWithMessages(build_py):
    """Writes beneath the build folder only: the checkout stays as it is."""

    def find_package_modules(self, package, package_dir):
        return [] if package == "cherry.v1" else super().find_package_modules(package, package_dir)

    def check_package(self, package, package_dir):
        return None if package == "cherry.v1" else super().check_package(package, package_dir)

    def run(self):
        super().run()
        out = pathlib.Path(self.build_lib)
        shutil.rmtree(out / "cherry/v1", ignore_errors=True)
        (out / "cherry/v1").mkdir(parents=True)
        descriptors = pathlib.Path(self.build_lib) / "specs.descriptors"
        includes = [f"-I{PROTOS}", f"-I{pathlib.Path(protoc.__file__).parent / '_proto'}"]
        self.protoc(*includes, f"--python_out={out}", f"--pyi_out={out}", *FILES)
        for stub in (out / "cherry/v1").glob("*.pyi"):  # protoc leaves some types out, which mypy --strict refuses.
            text = re.sub(r"_Mapping(?=[\],])", "_Mapping[str, object]", stub.read_text())
            stub.write_text(text.replace("**kwargs)", "**kwargs: object)"))
        self.protoc(*includes, "--include_source_info", f"--descriptor_set_out={descriptors}", "cherry/v1/job.proto")
        (out / "cherry/v1/__init__.py").write_text('"""The messages of the API, as proto/cherry/v1 has them."""\n')
        (out / "cherry/specs.py").write_text(generate_specs.generate(descriptors.read_bytes()))
        descriptors.unlink()

    @staticmethod
    def protoc(*arguments):
        if protoc.main(["protoc", *arguments]) != 0:
            raise SystemExit(f"protoc {' '.join(arguments)} failed")


setup(cmdclass={"build_py": BuildWithMessages})
