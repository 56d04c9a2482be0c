# SPDX-License-Identifier: Apache-2.0
"""Which checkpoints there are, where their publishers offer them, and how to recognise them.

Nothing here downloads anything. Sizes and SHA-256 are those that independent projects which pin
these files record, the same in all of them; where no such record was found there is None.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["transformers", "original"]

_FAIR = "https://dl.fbaipublicfiles.com"
_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Model:
    """A model that the package can use.

    Attributes:
        title: Its authors' name for it.
        part: What it does here.
        model_types: What ``config.json`` calls it in folders of the transformers' format.
    """

    title: str
    part: str
    model_types: tuple[str, ...] = ()


MODELS = {
    "dinov2": Model("DINOv2", "finding the mark", ("dinov2", "dinov2_with_registers")),
    "cotracker3_offline": Model("CoTracker3 offline", "tracking the mark"),
    "cotracker3_online": Model("CoTracker3 online", "tracking the mark in long videos"),
    "grounding_dino": Model("Grounding DINO", "finding the arm by a text", ("grounding-dino",)),
    "sam2": Model("SAM 2", "masks of the arm", ("sam2", "sam2_video")),
}


@dataclass(frozen=True)
class Download:
    """A checkpoint that its publishers offer.

    Attributes:
        model: Key of ``MODELS``.
        kind: ``original`` is a file of the authors, ``transformers`` a folder.
        name: Name of the file or folder to keep it under.
        variant: Which size or training of the model it is.
        address: Of the file, or of the page of the repository that is the folder.
        licence: Of the weights, an SPDX identifier.
        size_bytes: Of the file, of ``model.safetensors`` in a folder; None if not known.
        sha256: Of the same file; None if not known.
    """

    model: str
    kind: Kind
    name: str
    variant: str
    address: str
    licence: str
    size_bytes: int | None = None
    sha256: str | None = None


def _dinov2(variant: str, size: int | None, sha256: str) -> Download:
    name = f"dinov2_{variant}_pretrain.pth"
    address = f"{_FAIR}/dinov2/dinov2_{variant.removesuffix('_reg4')}/{name}"
    return Download("dinov2", "original", name, variant, address, "Apache-2.0", size, sha256)


def _sam2(variant: str, size: int, sha256: str) -> Download:
    name, date = f"{variant}.pt", "092824" if variant.startswith("sam2.1") else "072824"
    address = f"{_FAIR}/segment_anything_2/{date}/{name}"
    return Download("sam2", "original", name, variant, address, "Apache-2.0", size, sha256)


def _hub(model: str, repository: str, size: int, sha256: str) -> Download:
    name, address = repository.rpartition("/")[2], f"{_HUB}/{repository}"
    return Download(model, "transformers", name, name, address, "Apache-2.0", size, sha256)


def _cotracker3(mode: str, size: int, sha256: str) -> Download:
    model, variant = f"cotracker3_{mode}", f"scaled_{mode}"
    name = f"{variant}.pth"
    address = f"{_HUB}/facebook/cotracker3/resolve/main/{name}"
    return Download(model, "original", name, variant, address, "CC-BY-NC-4.0", size, sha256)


def _grounding_dino(variant: str, release: str, size: int, sha256: str) -> Download:
    name = f"groundingdino_{variant}.pth"
    address = f"https://github.com/IDEA-Research/GroundingDINO/releases/download/{release}/{name}"
    licence = "Apache-2.0"
    return Download("grounding_dino", "original", name, variant, address, licence, size, sha256)


# The first of each model is the one to recommend.
DOWNLOADS = (
    _dinov2(
        "vitb14", 346_378_731, "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"
    ),
    _dinov2(
        "vits14", 88_283_115, "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"
    ),
    _dinov2(
        "vitl14", 1_217_586_395, "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"
    ),
    _dinov2(
        "vits14_reg4", None, "f433177089a681826f849f194ece3bb48f4d63fb38d32fc837e3dc7a4e5641fb"
    ),
    _dinov2(
        "vitb14_reg4",
        346_393_545,
        "73182a088cf94833c94b1666d1c99e02fe87e2007bff57b564fb6206e25dba71",
    ),
    _dinov2(
        "vitl14_reg4",
        1_217_607_321,
        "36e4deffbaef061a2576705b0c36f93621e2ae20bf6274694821b0b492551b51",
    ),
    _hub(
        "dinov2",
        "facebook/dinov2-small",
        88_249_960,
        "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",
    ),
    _hub(
        "dinov2",
        "facebook/dinov2-base",
        346_345_912,
        "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841",
    ),
    _hub(
        "dinov2",
        "facebook/dinov2-large",
        1_217_522_888,
        "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
    ),
    _cotracker3(
        "offline", 101_890_938, "2670d4562ed69326dda775a26e54883925cd11b6fc9b24cb7aa9f8078bce7834"
    ),
    _cotracker3(
        "online", 101_695_610, "205d34789f19699d64b22cf93f9b697f15f28d4025240e31532e504109837218"
    ),
    _hub(
        "grounding_dino",
        "IDEA-Research/grounding-dino-tiny",
        689_359_096,
        "1a2412ef99bd74bcd3c2a246fa1e48581f8889a1300c9051974741314fc042f3",
    ),
    _hub(
        "grounding_dino",
        "IDEA-Research/grounding-dino-base",
        933_400_872,
        "5548f844c928c4b6f411fa8cbcc2bfa8dbbba437cb1d513975519f93c2a9ed21",
    ),
    _grounding_dino(
        "swint_ogc",
        "v0.1.0-alpha",
        693_997_677,
        "3b3ca2563c77c69f651d7bd133e97139c186df06231157a64c507099c52bc799",
    ),
    _grounding_dino(
        "swinb_cogcoor",
        "v0.1.0-alpha2",
        938_057_991,
        "46270f7a822e6906b655b729c90613e48929d0f2bb8b9b76fd10a856f3ac6ab7",
    ),
    _sam2(
        "sam2.1_hiera_small",
        184_416_285,
        "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
    ),
    _sam2(
        "sam2.1_hiera_tiny",
        156_008_466,
        "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
    ),
    _sam2(
        "sam2.1_hiera_base_plus",
        323_606_802,
        "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
    ),
    _sam2(
        "sam2.1_hiera_large",
        898_083_611,
        "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
    ),
    _sam2(
        "sam2_hiera_tiny",
        155_906_050,
        "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
    ),
    _sam2(
        "sam2_hiera_small",
        184_309_650,
        "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
    ),
    _sam2(
        "sam2_hiera_base_plus",
        323_493_298,
        "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
    ),
    _sam2(
        "sam2_hiera_large",
        897_952_466,
        "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b",
    ),
    _hub(
        "sam2",
        "facebook/sam2.1-hiera-tiny",
        155_908_064,
        "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
    ),
    _hub(
        "sam2",
        "facebook/sam2.1-hiera-small",
        184_305_280,
        "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60",
    ),
    _hub(
        "sam2",
        "facebook/sam2.1-hiera-base-plus",
        323_476_296,
        "2012733a0de5d03efd1bba550a2847c4551be9ef2e0d497c83074df66189f780",
    ),
    _hub(
        "sam2",
        "facebook/sam2.1-hiera-large",
        897_897_416,
        "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230",
    ),
)


def recommended(model: str) -> Download:
    """Return the checkpoint of a model to download if there is none yet."""
    return next(download for download in DOWNLOADS if download.model == model)


def how_to_get(download: Download, folder: Path) -> str:
    """Return what to do to have a checkpoint in a folder."""
    facts = ", ".join(
        (
            "size not known"
            if download.size_bytes is None
            else f"{download.size_bytes / 1e6:.0f} MB, {download.size_bytes} bytes",
            "SHA-256 not published" if download.sha256 is None else f"SHA-256 {download.sha256}",
            f"licence {download.licence}",
        )
    )
    if download.kind == "original":
        return f"download {download.address} ({facts}) to {folder / download.name}"
    command = download_command(download, folder)
    return f"download {download.address} (model.safetensors: {facts}) with {command}"


def download_command(download: Download, folder: Path) -> str:
    """Return a command that downloads a checkpoint into a folder, made if there is none."""
    target = shlex.quote(str(folder / download.name))
    if download.kind == "original":
        return f"curl --location --fail --create-dirs --output {target} {download.address}"
    repository = download.address.removeprefix(f"{_HUB}/")
    # The repositories hold the same weights again in another format.
    again = "*.pt" if download.model == "sam2" else "*.bin"
    return f"hf download {repository} --exclude '{again}' --local-dir {target}"
