"""Compact Clarity: a student of MIRNet-v2's kind that also looks at frequencies and gradients.

After the thesis "Compact Clarity" (2025), chapter 3, whose equations are cited by number. Where it is silent,
this is the choice:

- images are in [0, 1] here as everywhere in the laboratory, while the thesis trains on [-1, 1]: the network
  maps its input to [-1, 1], and its residual, which is in those units, back;
- sizes are padded to multiples of 8 by repeating the last row and column;
- the last convolution starts at zero, so that an untrained network returns its input;
- RCBs and changes of resolution have no biases, as in MIRNet-v2; all other convolutions have them; every
  leaky ReLU has slope 0.2;
- AFS: an eighth of the channels between the two convolutions of its attention; `ConvBlock` is two 3x3
  convolutions with a leaky ReLU between;
- frequency branch: orthonormal transforms; `Conv_freq` is two 1x1 convolutions with a leaky ReLU between,
  so that each frequency is changed by itself, whatever the size of the image;
- GGC: `Conv_grad` is a 3x3 convolution and a leaky ReLU, `Conv_enh` the same and one more 3x3 convolution;
  borders are repeated for the Sobel filters, which have the weights 1, 2, 1 and -1, 0, 1;
- MRB: MIRNet-v2's, with channels growing by 1.5 at each halving of the resolution, two rounds that share
  their RCBs, each round with its own fusions, the quarter stream pooled from the half one, and a 3x3
  convolution at the end, which mixes the groups of the RCBs;
- EnhancedSKFF: the softmax over the two streams gets the sum of a term a channel and a term a position; the
  channel term has half the channels between its convolutions, the position term is a 7x7 convolution of
  mean and maximum over channels, as in CBAM;
- Attention Fusion: one head, within windows of 8 x 8, so that its cost grows with the area only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from relume.errors import ModelError
from relume.lab.capabilities import Capabilities, Network
from relume.lab.losses.gradient import sobel
from relume.lab.networks.layers import channel_and_position, keep_layout, mean_and_peak, repeated, zeroed
from relume.lab.networks.mirnet_v2 import GROUPS, RCB, RRG, SLOPE
from relume.lab.options import Positive, Widths

WINDOW = 8
"""Side of Attention Fusion's windows; sizes are padded to multiples of it, with the fusion or without."""


def _conv3(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)


class FeatureStretch(nn.Module):
    """Adaptive Feature Stretch (AFS): normalised features, scaled and shifted by attention (3.1 to 3.4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(width // 8, 4)
        self.attention = nn.Sequential(
            nn.Conv2d(width, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, 2 * width, 1), nn.Sigmoid()
        )
        self.block = nn.Sequential(_conv3(width, width), nn.LeakyReLU(SLOPE), _conv3(width, width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        scale_BC11, shift_BC11 = self.attention(x_BCHW.mean((2, 3), keepdim=True)).chunk(2, 1)
        return x_BCHW + self.block((1 + scale_BC11) * F.instance_norm(x_BCHW) + shift_BC11)


def _dft_matrices(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the orthonormal discrete Fourier transform, `size` x `size` each."""
    index_N = torch.arange(size, device=device)
    count = index_N.max() + 1  # `size` as a tensor: the graph has no remainder by a number
    # Remainder of integers: the angle of a large product has no digits left in float32.
    angle_NN = (index_N[:, None] * index_N % count).float() * (2 * torch.pi / count)
    scale = count.float().rsqrt()
    return angle_NN.cos() * scale, angle_NN.sin() * scale


def _spectrum_by_products(x_BCHW: Tensor) -> Tensor:
    """`spectrum` by matrix products."""
    height, width = x_BCHW.shape[-2:]
    cos_HH, sin_HH = _dft_matrices(height, x_BCHW.device)
    cos_WK, sin_WK = (matrix[:, : width // 2 + 1] for matrix in _dft_matrices(width, x_BCHW.device))
    real, imaginary = x_BCHW @ cos_WK, -(x_BCHW @ sin_WK)
    return torch.cat([cos_HH @ real + sin_HH @ imaginary, cos_HH @ imaginary - sin_HH @ real], 1)


def _image_by_products(spectrum_BCHK: Tensor, width: int) -> Tensor:
    """`image_of` by matrix products."""
    real, imaginary = spectrum_BCHK.chunk(2, 1)
    cos_HH, sin_HH = _dft_matrices(real.shape[-2], real.device)
    real, imaginary = cos_HH @ real - sin_HH @ imaginary, cos_HH @ imaginary + sin_HH @ real
    # All columns but the first and the last stand for their mirror images too.
    index_K = torch.arange(width // 2 + 1, device=real.device)
    count_K = 2 - (index_K % index_K.max() == 0).float()
    cos_KW, sin_KW = (matrix[: width // 2 + 1] for matrix in _dft_matrices(width, real.device))
    return (real * count_K) @ cos_KW - (imaginary * count_K) @ sin_KW


def spectrum(x_BCHW: Tensor) -> Tensor:
    """Orthonormal real transform: real parts, then imaginary ones, B x 2 C x H x (W / 2 + 1).

    In float32 always: bfloat16 has no Fourier transform. ONNX has no real inverse, and ONNX Runtime's
    transforms are slow and inexact where sizes are not powers of 2: in a graph, both directions are matrix
    products, a small part of the network's cost.
    """
    if torch.onnx.is_in_onnx_export():
        return _spectrum_by_products(x_BCHW.float())
    frequencies = torch.fft.rfft2(x_BCHW.float(), norm="ortho")
    return torch.cat([frequencies.real, frequencies.imag], 1)


def image_of(spectrum_BCHK: Tensor, width: int) -> Tensor:
    """Inverse of `spectrum` for an even width, float32, B x C x H x W."""
    if torch.onnx.is_in_onnx_export():
        return _image_by_products(spectrum_BCHK.float(), width)
    real, imaginary = spectrum_BCHK.float().chunk(2, 1)
    frequencies = torch.complex(real, imaginary)
    return torch.fft.irfft2(frequencies, s=(real.shape[-2], width), norm="ortho")


class FrequencyBranch(nn.Module):
    """Convolutions on the real Fourier transform, added to the features (3.6 to 3.11)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(2 * width, 2 * width, 1), nn.LeakyReLU(SLOPE), nn.Conv2d(2 * width, 2 * width, 1)
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        changed_BCHW = image_of(self.conv(spectrum(x_BCHW)), x_BCHW.shape[-1])
        return x_BCHW + changed_BCHW.to(x_BCHW.dtype)


def sobel_magnitude(x_BCHW: Tensor) -> Tensor:
    """Length of the Sobel gradient of every channel, float32; borders are repeated."""
    right, down = sobel(x_BCHW.float())
    # The square root has no slope at zero, where a flat area is.
    return (right.square() + down.square() + 1e-12).sqrt()


class GradientGuide(nn.Module):
    """Gradient-Guided Convolution (GGC): features beside the lengths of their gradients (3.5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gradient = nn.Sequential(_conv3(width, width), nn.LeakyReLU(SLOPE))
        self.enhance = nn.Sequential(_conv3(2 * width, width), nn.LeakyReLU(SLOPE), _conv3(width, width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        gradient_BCHW = self.gradient(sobel_magnitude(x_BCHW))
        return x_BCHW + self.enhance(torch.cat([x_BCHW, gradient_BCHW.to(x_BCHW.dtype)], 1))


class EnhancedSKFF(nn.Module):
    """Fusion of two streams by attention over channels and over positions of their sum.

    Without the term of positions it is MIRNet-v2's selective kernel feature fusion; the softmax over two
    streams is a sigmoid of the difference.

    Args:
        width: channels of each stream.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channel = nn.Sequential(
            nn.Conv2d(width, width // 2, 1), nn.LeakyReLU(SLOPE), nn.Conv2d(width // 2, width, 1)
        )
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, first_BCHW: Tensor, second_BCHW: Tensor) -> Tensor:
        total = keep_layout(first_BCHW + second_BCHW)
        logit_BCHW = channel_and_position(
            self.channel(total.mean((2, 3), keepdim=True)), self.spatial(mean_and_peak(total))
        )
        return second_BCHW + logit_BCHW.sigmoid() * (first_BCHW - second_BCHW)


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1, bias=False))


def _up(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 1, bias=False), nn.Upsample(scale_factor=2, mode="bilinear")
    )


class Exchange(nn.Module):
    """Streams at 1, 1/2 and 1/4 of the size: the quarter goes into the half, and that into the full one."""

    def __init__(self, top: int, mid: int, bottom: int) -> None:
        super().__init__()
        self.up_mid, self.up_top = _up(bottom, mid), _up(mid, top)
        self.fuse_mid, self.fuse_top = EnhancedSKFF(mid), EnhancedSKFF(top)

    def forward(self, top: Tensor, mid: Tensor, bottom: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mid = self.fuse_mid(mid, self.up_mid(bottom))
        return self.fuse_top(top, self.up_top(mid)), mid, bottom


class MRB(nn.Module):
    """Multi-scale residual block: streams at 1, 1/2 and 1/4 of the size, two rounds of RCBs and exchange.

    Args:
        width: channels of the full stream; with four groups a multiple of 16.
        groups: groups of the RCBs' convolutions.
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        widths = top, mid, bottom = width, 3 * width // 2, 9 * width // 4
        self.down_mid, self.down_bottom = _down(top, mid), _down(mid, bottom)
        self.streams = nn.ModuleList(RCB(channels, groups) for channels in widths)
        self.rounds = nn.ModuleList(Exchange(*widths) for _ in range(2))
        self.out = _conv3(width, width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        mid = self.down_mid(x_BCHW)
        streams = (x_BCHW, mid, self.down_bottom(mid))
        for exchange in self.rounds:
            streams = exchange(*(block(x) for block, x in zip(self.streams, streams, strict=True)))
        return x_BCHW + self.out(streams[0])


def _windows(x_BCHW: Tensor) -> Tensor:
    """Cut a map into windows, rows of them and columns: B x Y x X x positions x C."""
    cut_BCYNXM = x_BCHW.unflatten(3, (-1, WINDOW)).unflatten(2, (-1, WINDOW))
    return cut_BCYNXM.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)


def _joined(windows_BYXNC: Tensor) -> Tensor:
    """Inverse of `_windows`."""
    cut_BYXNMC = windows_BYXNC.unflatten(3, (WINDOW, WINDOW))
    return cut_BYXNMC.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


class AttentionFusion(nn.Module):
    """Student features as queries, a teacher's as keys and values, within windows (section 3.3.4).

    Args:
        width: channels of the student's features.
        teacher_width: channels of the teacher's.
    """

    def __init__(self, width: int, teacher_width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width, 1)
        self.key = nn.Conv2d(teacher_width, width, 1)
        self.value = nn.Conv2d(teacher_width, width, 1)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, student_BCHW: Tensor, teacher_BCHW: Tensor) -> Tensor:
        """Both maps of one size, a multiple of the windows'."""
        query = _windows(self.query(student_BCHW))
        key, value = _windows(self.key(teacher_BCHW)), _windows(self.value(teacher_BCHW))
        attended_BYXNC = F.scaled_dot_product_attention(query, key, value)
        return student_BCHW + self.out(_joined(attended_BYXNC))


class CompactClarity(Network):
    """Residual groups of multi-scale blocks, after blocks for contrast, frequencies and gradients.

    In and out in [0, 1]. A switch adds or removes its own parameters and nothing else. Normalisation, Fourier
    transform and context look at the whole image, so tiles of it would not join.

    Args:
        width: channels at full resolution (the thesis's N_f); with four groups a multiple of 16.
        groups: groups of the RCBs' convolutions, one number for each residual group (RRG).
        blocks: multi-scale blocks (MRB) a residual group.
        stretch, frequency, gradient: switches of AFS, frequency branch and GGC.
        attention_fusion: number of the residual group, from 1, that Attention Fusion follows; 0 for none.
        teacher_width: channels of the teacher's features, for Attention Fusion.
        checkpointing: compute residual groups again in the backward pass, for less memory while training.

    Raises:
        ModelError: there is no residual group of that number.
    """

    size_multiple = WINDOW

    def __init__(
        self,
        width: Positive = 80,
        groups: Widths = GROUPS,
        blocks: Positive = 3,
        stretch: bool = True,
        frequency: bool = True,
        gradient: bool = True,
        attention_fusion: int = 0,
        teacher_width: int = 80,
        checkpointing: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= attention_fusion <= len(groups):
            raise ModelError(
                f"attention_fusion is {attention_fusion}, but there are {len(groups)} residual groups",
                "Give the number of one, from 1, or 0.",
            )
        self.attention_fusion = attention_fusion
        self.checkpointing = checkpointing
        self.conv_in = nn.Sequential(_conv3(3, width), nn.LeakyReLU(SLOPE))
        self.stretch = FeatureStretch(width) if stretch else nn.Identity()
        self.frequency = FrequencyBranch(width) if frequency else nn.Identity()
        self.gradient = GradientGuide(width) if gradient else nn.Identity()
        self.body = nn.ModuleList(
            RRG([MRB(width, count) for _ in range(blocks)], width, bias=True) for count in groups
        )
        self.fusion = AttentionFusion(width, teacher_width) if attention_fusion else None
        self.conv_out = zeroed(_conv3(width, 3))
        self.capabilities = Capabilities(
            multiple=self.size_multiple, features=(width,) * len(groups), fusion=attention_fusion
        )

    def _group(self, index: int, x_BCHW: Tensor) -> Tensor:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            output = checkpoint(self.body[index], x_BCHW, use_reentrant=False, preserve_rng_state=False)
            assert isinstance(output, Tensor)  # noqa: S101 - what the group returns
            return output
        return self.body[index](x_BCHW)

    def _padded(self, x_BCHW: Tensor, height: int, width: int) -> Tensor:
        """Bring a map of an image of the given size to the size rule."""
        if x_BCHW.shape[-2:] != (height, width):
            x_BCHW = F.interpolate(x_BCHW, (height, width), mode="bilinear")
        return repeated(x_BCHW, self.size_multiple)

    def output_and_features(
        self, x_BCHW: Tensor, teacher_BCHW: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """What `forward` and `features` return, from one pass."""
        height, width = x_BCHW.shape[-2:]
        padded = self._padded(x_BCHW, height, width)
        hidden = self.gradient(self.frequency(self.stretch(self.conv_in(2 * padded - 1))))
        maps: list[Tensor] = []
        for index in range(len(self.body)):
            hidden = self._group(index, hidden)
            if self.fusion is not None and teacher_BCHW is not None and index + 1 == self.attention_fusion:
                hidden = self.fusion(hidden, self._padded(teacher_BCHW, height, width))
            maps.append(hidden)
        # Halved: the residual is in units of [-1, 1].
        enhanced = (padded + self.conv_out(hidden) / 2)[..., :height, :width]
        features = [level[..., :height, :width] for level in maps]
        return (enhanced if self.training else enhanced.clamp(0, 1)), features

    def features(self, x_BCHW: Tensor, teacher_BCHW: Tensor | None = None) -> list[Tensor]:
        """Output of each residual group in order (after Attention Fusion, if on), B x width x H x W."""
        return self.output_and_features(x_BCHW, teacher_BCHW)[1]

    def forward(self, x_BCHW: Tensor, teacher_BCHW: Tensor | None = None) -> Tensor:
        """Enhance images of any size, in and out in [0, 1]; clamped outside training.

        Args:
            x_BCHW: image.
            teacher_BCHW: a teacher's features of it, of any size, B x teacher_width x h x w. Without them,
                Attention Fusion is skipped.
        """
        return self.output_and_features(x_BCHW, teacher_BCHW)[0]
