"""`torch.nn.utils`: what is done to sequences, parameters and gradients beside the layers."""

from jaxnets.nn.utils import parametrizations, parametrize, rnn
from jaxnets.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value,
    clip_grad_value_,
    clip_grads_with_norm,
    clip_grads_with_norm_,
    get_total_norm,
)
from jaxnets.nn.utils.compute_in import compute_in
from jaxnets.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from jaxnets.nn.utils.freeze import freeze, is_trainable
from jaxnets.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from jaxnets.nn.utils.skip_init import skip_init
from jaxnets.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from jaxnets.nn.utils.unpacked import unpacked
from jaxnets.nn.utils.weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value",
    "clip_grad_value_",
    "clip_grads_with_norm",
    "clip_grads_with_norm_",
    "compute_in",
    "freeze",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "is_trainable",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "unpacked",
    "vector_to_parameters",
    "weight_norm",
]
