"""Writes the pages of docs/converted: `python -m examples.port [NAME ...]`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import jaxnets
from examples import vision
from examples.port.tagger import Tagger
from jaxnets.convert.port import ported
from jaxnets.convert.proof import prove

PAGES = Path(__file__).parents[2] / "docs" / "converted"

Example = tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]


def picture(name: str) -> Example:
    return vision.prepared(name), (torch.randn(2, 3, vision.side(name), vision.side(name)),), {}


def tagger() -> Example:
    sentences, lengths = torch.randint(1, 1000, (3, 11)), torch.tensor([7, 11, 4])
    return Tagger(1000, 17).eval(), (sentences, lengths), {}


def gpt2() -> Example:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=1000, n_positions=64, n_embd=96, n_layer=4, n_head=4, use_cache=False)
    config.bos_token_id = config.eos_token_id = 0
    return GPT2LMHeadModel(config).eval(), (), {"input_ids": torch.randint(0, 1000, (2, 16))}


MODELS: dict[str, tuple[str, Callable[[], Example]]] = {
    "resnet50": ("ResNet-50", lambda: picture("resnet50")),
    "mobilenet_v3": ("MobileNetV3", lambda: picture("mobilenet_v3_small")),
    "vit_b_16": ("ViT-B/16", lambda: picture("vit_b_16")),
    "swin_t": ("Swin-T", lambda: picture("swin_t")),
    "tagger": ("A BiLSTM tagger", tagger),
    "gpt2": ("GPT-2", gpt2),
}


def page(name: str) -> str:
    """The page of a model: where it is from, how near the two are, the source."""
    title, make = MODELS[name]
    torch.manual_seed(0)
    module, args, kwargs = make()
    found = ported(module, args, kwargs)
    proof = prove(module, found.model, args, kwargs)
    if not proof.ok:
        raise SystemExit(f"{name}: {proof.first_divergent} diverges")
    cls = type(module)
    lines = len(found.source.splitlines())
    return (
        f"# {title}\n\n`{cls.__module__}.{cls.__qualname__}` as `jaxnets.to_source` writes it: {lines} lines. With "
        f"random weights its outputs differ by {proof.layers[-1].difference:.1g} of the greatest one from torch's, in "
        "float32.\n\n"
        f"```python\n{found.source}```\n"
    )


def main(names: list[str]) -> None:
    PAGES.mkdir(parents=True, exist_ok=True)
    for name in names or MODELS:
        (PAGES / f"{name}.md").write_text(page(name))
        print(f"docs/converted/{name}.md")


if __name__ == "__main__":
    print(f"jaxnets {jaxnets.__version__}")
    main(sys.argv[1:])
