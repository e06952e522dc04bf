"""Building blocks of methods: the contract, frame codecs, feed-forward and recurrent forecasters, input sampling."""

from stbench.nn.chain import ConvActivation, ConvChain, convolve_chain, run_chain
from stbench.nn.codec import Codec, PatchCodec, StridedCodec
from stbench.nn.lookup import METHODS, create_method, list_methods, variant_settings
from stbench.nn.method import EncoderConfig, Method, MethodConfig, Paper, Progress, Times
from stbench.nn.missing import Known, mean_absolute_error, mean_squared_error
from stbench.nn.names import split_name
from stbench.nn.padding import check_divisible
from stbench.nn.parallel import ParallelForecaster
from stbench.nn.patch import depth_to_space, space_to_depth
from stbench.nn.presets import check_presets, protocol_layers
from stbench.nn.public import PublicLayout
from stbench.nn.recompute import recompute
from stbench.nn.recurrent import RecurrentForecaster
from stbench.nn.sampling import Sampling, feed_mask, prediction_mask
from stbench.nn.strided import StridedDecoder, StridedEncoder, check_odd, downsampling

__all__ = [
    "METHODS",
    "Codec",
    "ConvActivation",
    "ConvChain",
    "EncoderConfig",
    "Known",
    "Method",
    "MethodConfig",
    "Paper",
    "ParallelForecaster",
    "PatchCodec",
    "Progress",
    "PublicLayout",
    "RecurrentForecaster",
    "Sampling",
    "StridedCodec",
    "StridedDecoder",
    "StridedEncoder",
    "Times",
    "check_divisible",
    "check_odd",
    "check_presets",
    "convolve_chain",
    "create_method",
    "depth_to_space",
    "downsampling",
    "feed_mask",
    "list_methods",
    "mean_absolute_error",
    "mean_squared_error",
    "prediction_mask",
    "protocol_layers",
    "recompute",
    "run_chain",
    "space_to_depth",
    "split_name",
    "variant_settings",
]
