# SPDX-License-Identifier: Apache-2.0
"""The examples run and do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from calib_all_ros.results.calibration import Calibration


def test_calibrate_in_python(repository: Path, tmp_path: Path) -> None:
    example = repository / "examples" / "01_calibrate_in_python.py"
    run = subprocess.run(
        [sys.executable, str(example), str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    error = re.search(r"^error: (.+) deg, (.+) mm$", run.stdout, re.MULTILINE)
    assert error is not None, run.stdout
    assert float(error[1]) < 0.3
    assert float(error[2]) < 5.0
    assert Calibration.load(tmp_path / "result").verdict.status == "accepted"


def test_readme_uses_names_that_exist(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    compile(program, "README.md", "exec")
    (names,) = re.findall(r"^from calib_all_ros import (.+)$", program, re.MULTILINE)
    import calib_all_ros

    assert all(callable(getattr(calib_all_ros, name)) for name in names.split(", "))
