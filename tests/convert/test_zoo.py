"""Models of public libraries, small ones of each kind: outputs, gradients, buffers. `make zoo` runs the large ones."""

import jax
import numpy as np
import pytest
import torch
import transformers

import jaxnets
from examples import vision
from jaxnets.convert import to_source
from tests.convert.proof import proven
from tests.exhaustive import more

models = vision.models


def randomised(module):
    """Statistics and zero weights that hide nothing."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
        for name in ("dropout", "dropout_p", "p"):
            if isinstance(getattr(layer, name, None), float):
                setattr(layer, name, 0.0)  # no two libraries draw alike
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.1, generator=generator)
    return module


def picture(size, batch=2):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))


VISION = {
    "resnet": lambda: (models.ResNet(models.resnet.BasicBlock, [1, 2, 1, 1], num_classes=5), 33),
    "bottleneck": lambda: (
        models.ResNet(models.resnet.Bottleneck, [1, 1, 2, 1], num_classes=5, groups=2, width_per_group=8),
        33,
    ),
    "densenet": lambda: (models.DenseNet(6, (2, 3), 8, num_classes=5), 35),
    "shufflenet": lambda: (models.ShuffleNetV2([2, 2, 2], [8, 12, 16, 20, 24], num_classes=5), 40),
    "swin": lambda: (
        models.SwinTransformer([4, 4], 8, [2, 2], [1, 2], [4, 4], stochastic_depth_prob=0.0, num_classes=5),
        28,
    ),
    "vit": lambda: (models.VisionTransformer(16, 4, 2, 2, 12, 20, num_classes=5), 16),
}


# each beside one that is written alike
MORE = ["bottleneck", "densenet", "shufflenet", "vit"]


@pytest.mark.parametrize("name", [*(name for name in VISION if name not in MORE), *more(MORE)])
def test_vision(name):
    torch.manual_seed(0)
    module, size = VISION[name]()
    model, _ = proven(randomised(module).eval(), picture(size), others=[(picture(size, 3),)], double=False)
    assert list(jaxnets.state_dict(model)) == list(module.state_dict())


def test_resnet50_is_short():
    source = to_source(models.resnet50(), (picture(32),))
    assert len(source.splitlines()) < 150
    assert source.count("\nclass ") == 2
    assert "identity = self.downsample(x) if self.downsample is not None else x" in source


def test_densenet_keeps_its_loop():
    source = to_source(models.DenseNet(6, (2, 3), 8), (picture(32),))
    assert "for layer in self.values():\n            new_features = layer(features)\n" in source
    assert "features.append(new_features)" in source


def small(kind, **settings):
    usual = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    config = getattr(transformers, f"{kind}Config")(**usual, **settings)
    torch.manual_seed(0)
    return config


IDS = torch.randint(2, 50, (2, 7), generator=torch.Generator().manual_seed(2))
OTHER = torch.randint(2, 50, (3, 7), generator=torch.Generator().manual_seed(3))


def test_gpt2():
    config = small("GPT2", n_positions=16, n_embd=12, n_layer=2, n_head=3, use_cache=False)
    module = transformers.GPT2LMHeadModel(config).eval()
    model, source = proven(module, (), {"input_ids": IDS}, train=False, double=False)
    assert list(jaxnets.state_dict(model)) == list(module.state_dict())
    assert model.lm_head.weight is model.transformer.wte.weight
    assert "self.lm_head.weight = self.transformer.wte.weight" in source


def test_gpt2_returns_its_cache():
    config = small("GPT2", n_positions=16, n_embd=12, n_layer=1, n_head=3)
    module = transformers.GPT2LMHeadModel(config).eval()
    model = jaxnets.from_torch(module, (IDS,))
    expected = module(IDS)
    with jax.numpy_rank_promotion("allow"):  # the model is the user's
        found = model(IDS.numpy())
    name = next(n for n in expected if n != "logits")  # transformers changes it
    keys = expected[name].layers[0].keys.detach().numpy()
    np.testing.assert_allclose(found[name].layers[0].keys, keys, atol=1e-6)


def test_t5():
    settings = {"d_model": 12, "d_kv": 4, "d_ff": 20, "num_layers": 2, "num_heads": 3, "use_cache": False}
    config = small("T5", **settings, decoder_start_token_id=0)
    module = transformers.T5ForConditionalGeneration(config).eval()
    proven(module, (), {"input_ids": IDS, "decoder_input_ids": IDS[:, :5]}, train=False, double=False)


def test_bert_with_a_mask():
    settings = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
    config = small("Bert", **settings)
    module = transformers.BertModel(config).eval()
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, 5:] = 0
    proven(module, (), {"input_ids": IDS, "attention_mask": mask}, train=False, double=False)
