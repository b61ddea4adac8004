"""Wav2Vec 2.0 (Baevski et al. 2020) as transformers has it: from a folder or a hub, and back to disk.

The package is imported when first needed: it takes seconds.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn

from edge.types import RATE_HZ, SettingsError

KIND = "wav2vec2"
HUB_TIMEOUT_S = 5.0
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "classifier_proj_size": 32,
        "conv_dim": (16, 16, 16),
        "conv_kernel": (10, 8, 4),
        "conv_stride": (8, 5, 4),
        "num_feat_extract_layers": 3,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
        "codevector_dim": 32,
        "proj_codevector_dim": 32,
        "num_codevectors_per_group": 16,
    },
    "small": {
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 768,
        "classifier_proj_size": 128,
        "conv_dim": (128,) * 7,
        "num_conv_pos_embeddings": 64,
        "codevector_dim": 128,
        "proj_codevector_dim": 128,
    },
}
"""What differs from wav2vec2-base."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A network that hears samples, and how they are to be handed to it."""

    net: Any
    """transformers.Wav2Vec2ForSequenceClassification."""
    extractor: Any
    """transformers.Wav2Vec2FeatureExtractor."""

    def scaled(self, samples: Tensor) -> Tensor:
        """N x samples with mean 0 and variance 1 each where the extractor would do so."""
        if not self.extractor.do_normalize:
            return samples
        middle = samples - samples.mean(1, keepdim=True)
        return middle / torch.sqrt((middle**2).mean(1, keepdim=True) + 1e-7)

    def levels(self) -> list[list[tuple[str, nn.Parameter]]]:
        """The parameters by depth: head, transformer layers from the top, what feeds them, convolutions."""
        body = self.net.wav2vec2
        depth = len(body.encoder.layers)
        levels: list[list[tuple[str, nn.Parameter]]] = [[] for _ in range(depth + 3)]
        for name, parameter in self.net.named_parameters():
            layer = re.match(r"wav2vec2\.encoder\.layers\.(\d+)\.", name)
            if layer:
                level = depth - int(layer[1])
            elif name.startswith("wav2vec2.feature_extractor."):
                level = depth + 2
            elif name.startswith("wav2vec2.encoder.layer_norm.") and self.net.config.do_stable_layer_norm:
                level = 1  # there the last normalisation stands after the layers, not before them
            else:
                level = depth + 1 if name.startswith("wav2vec2.") else 0
            levels[level].append((name, parameter))
        return levels

    def free(self, share: float, *, encoder: bool) -> int:
        """Let the head and this *share* of the transformer layers learn, from the top; the rest stands still.

        Args:
            share: 1 frees what feeds the layers as well.
            encoder: then the convolutions too.

        Returns:
            How many transformer layers learn.
        """
        head, *layers, feeding, convolutions = self.levels()
        count = math.ceil(share * len(layers))
        for level, learns in (
            (head, True),
            *((layer, place < count) for place, layer in enumerate(layers)),
            (feeding, share >= 1),
            (convolutions, share >= 1 and encoder),
        ):
            for _, parameter in level:
                parameter.requires_grad_(learns)
        body, config = self.net.wav2vec2, self.net.config
        # Its own switch: while on, gradients go down to the samples even if no convolution learns.
        body.feature_extractor._requires_grad = share >= 1 and encoder  # noqa: SLF001
        if hasattr(body, "masked_spec_embed") and not (
            config.apply_spec_augment and config.mask_time_prob > 0
        ):
            body.masked_spec_embed.requires_grad_(False)  # nothing asks for it
        return count

    def save(self, folder: Path) -> None:
        """Write what from_pretrained reads, whole or not at all."""
        new = folder.with_name(folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        self.net.save_pretrained(new)
        self.extractor.save_pretrained(new)
        shutil.rmtree(folder, ignore_errors=True)
        new.replace(folder)

    def fingerprint(self) -> str:
        """Of the weights."""
        digest = hashlib.sha256()
        for name, value in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def load(source: str, labels: Sequence[str], *, seed: int = 0) -> Listener:
    """A pre-trained network with a head for *labels*, drawn anew where the source has none like it.

    Args:
        source: a folder that from_pretrained reads, or a hub's id of one.
        labels: the classes, in order.
        seed: of a new head.

    Raises:
        SettingsError: no such folder, the hub does not answer, or it is no Wav2Vec 2.0 for 16 kHz.
    """
    transformers = _transformers()
    local = Path(source).expanduser()
    if not local.is_dir() and (not HUB_ID.fullmatch(source) or source.startswith(".") or local.exists()):
        raise SettingsError(f"--pretrained {source}: no such folder, and no name that a hub could have")
    where = str(local) if local.is_dir() else source
    # Without a network what a hub gave earlier is still on disk, and asking for more takes half a minute.
    offline = where == source and not _hub_answers()
    config = _ask(source, lambda: transformers.AutoConfig.from_pretrained(where, local_files_only=offline))
    if config.model_type != KIND:
        raise SettingsError(f"--pretrained {source}: is {config.model_type}, not {KIND}")
    if config.add_adapter:
        raise SettingsError(f"--pretrained {source}: has an adapter, which classification cannot use")
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in config.id2label.items()}
    config.problem_type = "single_label_classification"
    # Layers left out at random are left out by some of several processes only, and the others wait.
    config.layerdrop = 0.0
    torch.manual_seed(seed)
    net, found = _ask(
        source,
        lambda: transformers.Wav2Vec2ForSequenceClassification.from_pretrained(
            where,
            config=config,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            dtype=torch.float32,
            local_files_only=offline,
        ),
    )
    # Some hub models never learned to mask, and come without the vector that stands for what is masked.
    lacking = [
        key for key in found["missing_keys"] if key.startswith("wav2vec2.") and "masked_spec" not in key
    ]
    if lacking or any(str(key[0]).startswith("wav2vec2.") for key in found["mismatched_keys"]):
        raise SettingsError(f"--pretrained {source}: its weights are not those of its config.json")
    return Listener(net, _extractor(source, where))


def _extractor(source: str, where: str) -> Any:
    transformers = _transformers()
    try:
        extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(where)
    except (OSError, ValueError):  # the weights were there: some come without one, and then this is meant
        extractor = transformers.Wav2Vec2FeatureExtractor()
    if extractor.sampling_rate != RATE_HZ:
        raise SettingsError(f"--pretrained {source}: hears {extractor.sampling_rate} Hz, not {RATE_HZ}")
    return extractor


def _hub_answers() -> bool:
    """Whether anybody listens at the hub's address; behind a proxy only the proxy could tell."""
    from huggingface_hub.constants import ENDPOINT  # noqa: PLC0415

    if getproxies():
        return True
    hub = urlsplit(ENDPOINT)
    try:
        socket.create_connection((hub.hostname or "", hub.port or 443), timeout=HUB_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _ask(source: str, question: Any) -> Any:
    from safetensors import SafetensorError  # noqa: PLC0415

    try:
        return question()
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        line = next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
        raise SettingsError(f"--pretrained {source}: {line}") from error


def write_untrained(folder: Path, size: str, *, seed: int = 0) -> int:
    """Write a network that has learned nothing, laid out as a pre-trained one: to try the path from there.

    Args:
        folder: new, or empty.
        size: one of SIZES.
        seed: of the weights.

    Returns:
        How many parameters it has.

    Raises:
        SettingsError: the folder holds something, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"--out {folder}: is not empty")
    transformers = _transformers()
    torch.manual_seed(seed)
    net = transformers.Wav2Vec2ForPreTraining(transformers.Wav2Vec2Config(**SIZES[size]))
    try:
        net.save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    except OSError as error:
        raise SettingsError(f"--out {folder}: {error.strerror or error}") from error
    return sum(parameter.numel() for parameter in net.parameters())


def _transformers() -> Any:
    """The package, told to keep to itself."""
    for name in (
        "torchao",
        "torch.utils._pytree",
    ):  # it imports both, and nobody here can mend what they miss
        logging.getLogger(name).setLevel(logging.ERROR)
    import transformers  # noqa: PLC0415

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers
