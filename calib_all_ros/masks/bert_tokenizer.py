# SPDX-License-Identifier: Apache-2.0
"""The word pieces of BERT (uncased), which Grounding DINO reads its prompts in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calib_all_ros.models.errors import ModelUnavailableError
from calib_all_ros.models.libraries import require

VOCABULARY = (
    "vocab.txt of https://huggingface.co/google-bert/bert-base-uncased (231508 bytes, SHA-256 "
    "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3)"
)
# Grounding DINO separates phrases at these, by their numbers in the vocabulary of its training.
SEPARATORS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}


def load_tokenizer(folder: Path) -> Any:
    """Return transformers' tokenizer with the vocabulary of a folder.

    Args:
        folder: Holds ``vocab.txt`` or ``tokenizer.json``.

    Raises:
        ModelUnavailableError: transformers is missing, or the folder holds neither file or
            another model's.
    """
    tokenizer_class = require("transformers", "foundation").BertTokenizer
    problem = "there is no vocab.txt and no tokenizer.json"
    if any((folder / name).is_file() for name in ("vocab.txt", "tokenizer.json")):
        problem = "the vocabulary is not that of BERT, uncased,"
        try:
            tokenizer = tokenizer_class.from_pretrained(folder, local_files_only=True)
            if tokenizer.convert_tokens_to_ids(list(SEPARATORS)) == list(SEPARATORS.values()):
                return tokenizer
        except Exception:  # the library that parses raises bare exceptions
            problem = "the vocabulary cannot be read"
    raise ModelUnavailableError(f"{problem} in {folder}: download {VOCABULARY} to that folder")
