# SPDX-License-Identifier: Apache-2.0
"""The state of an installation as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LABEL_WIDTH = 18
_NAME_WIDTH = 17
_PER_LINE = 5
_TODO = "->"


def as_text(document: Mapping[str, Any]) -> str:
    """Return what `calib_all_ros.commands.doctor.examine` found, with what to do.

    Every line that begins with an arrow is the next thing to do for what is above it.
    """
    sections = (
        _summary(document),
        _system(document),
        _core(document["core"]),
        _backends(document["backends"]),
        _models(document),
        _checkpoints(document["checkpoints"]),
        _ros(document["ros"]),
        _folders(document["folders"]),
    )
    return "\n\n".join("\n".join(line.rstrip() for line in section) for section in sections)


def _summary(document: Mapping[str, Any]) -> Iterator[str]:
    backends = document["backends"]
    absent = [backend["name"] for backend in backends if not backend["available"]]
    yield f"calib_all_ros {document['package']['version']} in {document['package']['location']}"
    if not document["core"]["works"]:
        yield "Calibrations do not run here: a library of the core is missing or broken, see below"
    elif absent:
        yield f"Calibrations run here; not available are {', '.join(absent)}, none of them needed"
    else:
        yield "Calibrations run here, and everything else is there as well"


def _system(document: Mapping[str, Any]) -> Iterator[str]:
    system = document["system"]
    threads = system["numba_threads"]
    yield "System"
    yield _row("Python", f"{system['python']}, {system['executable']}")
    yield _row("platform", system["platform"])
    cores = f"{system['cpu_cores']} cores"
    yield _row("CPU", cores if threads is None else f"{cores}, numba uses {threads} threads")


def _core(core: Mapping[str, Any]) -> Iterator[str]:
    yield "Core libraries"
    fine = [
        f"{library['name']} {library['version'] or '(version not known)'}"
        for library in core["libraries"]
        if library["problem"] is None
    ]
    for start in range(0, len(fine), _PER_LINE):
        yield _row("working" if start == 0 else "", ", ".join(fine[start : start + _PER_LINE]))
    for library in core["libraries"]:
        if library["problem"] is not None:
            yield _row("BROKEN", library["problem"])
            if library["todo"] is not None:
                yield _row("", f"{_TODO} {library['todo']}")


def _backends(backends: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "Where the evidence can come from"
    part = None
    for backend in backends:
        label = backend["part"] if backend["part"] != part else ""
        part = backend["part"]
        state = "yes" if backend["available"] else "no "
        yield _row(label, f"{backend['name']:<{_NAME_WIDTH}} {state}  {backend['detail']}")
        if backend["checkpoint"] is not None:
            yield _todo(f"get one, see {backend['checkpoint']} under Checkpoints")
        elif backend["todo"] is not None:
            yield _todo(backend["todo"])


def _models(document: Mapping[str, Any]) -> Iterator[str]:
    yield "Libraries and devices of the models"
    for library in document["libraries"]:
        if library["problem"] is not None:
            text = f"broken: {library['problem']}"
        else:
            text = library["version"] or "(version not known)"
        yield _row(library["name"], text if library["installed"] else "not installed")
    gpu = document["gpu"]
    if gpu["usable"]:
        for device in gpu["devices"]:
            memory = f"{device['memory_bytes'] / 2**30:.1f} GiB"
            yield _row(device["name"], f"{device['title']}, {memory}")
    else:
        yield _row("CUDA", f"no: {gpu['why_not']}")
        if gpu["todo"] is not None and gpu["driver"] is not None:
            yield _row("", f"{_TODO} {gpu['todo']}")
    for line in gpu["driver"] or ("nvidia-smi does not answer, so there is no NVIDIA driver here",):
        yield _row("driver", line)


def _checkpoints(checkpoints: Mapping[str, Any]) -> Iterator[str]:
    exists = "" if checkpoints["exists"] else ", which does not exist yet"
    yield f"Checkpoints in {checkpoints['folder']} ({checkpoints['chosen_by']}){exists}"
    for found in checkpoints["found"]:
        used = "" if found["used"] else ", not used: a larger one is there"
        megabytes = f"{found['size_bytes'] / 1e6:.0f} MB"
        yield _row(found["model"], f"{found['variant']}, {found['kind']}, {megabytes}{used}")
        yield _row("", found["path"])
        if found["remark"] is not None:
            yield _row("", f"{_TODO} it {found['remark']}")
        if "integrity" in found:
            integrity = found["integrity"]
            for digest in integrity["sha256"]:
                yield _row("", f"SHA-256 {digest}")
            arrow = f"{_TODO} " if integrity["status"] == "differs" else ""
            yield _row("", f"{arrow}{integrity['remark']}")
    for strange in checkpoints["unusable"]:
        yield _row(strange["model"], f"not usable: {strange['path']} {strange['reason']}")
    for missing in checkpoints["missing"]:
        yield _row(missing["model"], f"none ({missing['title']}, for {missing['part']})")
        download = missing["recommended"]
        size, sha256 = download["size_bytes"], download["sha256"]
        yield _row("", f"{_TODO} {missing['command']}")
        megabytes = "size not known" if size is None else f"{size / 1e6:.0f} MB"
        yield _row("", f"   {megabytes}, licence {download['licence']}")
        yield _row("", f"   SHA-256 {sha256 or 'not published'}")


def _ros(ros: Mapping[str, Any]) -> Iterator[str]:
    yield "ROS 2, for the live nodes"
    yield _row("usable", f"{'yes' if ros['usable'] else 'no'}: {ros['detail']}")
    if ros["todo"] is not None:
        yield _row("", f"{_TODO} {ros['todo']}")


def _folders(folders: Mapping[str, str]) -> Iterator[str]:
    yield "Folders of yours"
    for name, path in folders.items():
        yield _row(name, path)


def _row(label: str, text: str) -> str:
    return f"  {label:<{_LABEL_WIDTH}} {text}"


def _todo(text: str) -> str:
    return _row("", f"{'':<{_NAME_WIDTH}} {_TODO} {text}")
