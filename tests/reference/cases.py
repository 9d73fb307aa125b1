"""Runs the cases of a comparison: exports one, then checks it."""

import argparse
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file

from compare import Report


def export(program, case, path):
    command = [program, path]
    for name, value in case.items():
        flag = "--" + name.replace("_", "-")
        command += [flag] if value is True else [flag, str(value)]
    subprocess.run(command, check=True)
    return load_file(path)


def run_cases(cases, check):
    """Every case of a program's, or those named on the command line; exits with 1 when a bound is broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--export", required=True)
    parser.add_argument("--case", choices=cases, action="append", help="only these; default all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.case or cases:
            print(f"--- {name}")
            check(cases[name], export(arguments.export, cases[name], os.path.join(folder, name)), report)
    sys.exit(report.failed > 0)
