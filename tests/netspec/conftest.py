"""The 2015 U-Net as text, which several tests use."""

import pytest

CONV = "layers {{ name: '{0}' type: CONVOLUTION bottom: '{1}' top: '{2}' {3} }}\n"
LEARN = "blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0"


@pytest.fixture(scope="session")
def unet_2015() -> str:
    """The release's U-Net in its own syntax: one V1 layer a line, CROP without offsets."""
    width = 2
    lines = [
        "name: 'phseg_v5'\nforce_backward: true\n",
        "layers { name: 'loaddata' type: HDF5_DATA top: 'data' top: 'label' "
        "hdf5_data_param { source: 'aug.txt' batch_size: 1 } include: { phase: TRAIN } }\n",
    ]

    def conv(name, bottom, top, channels, kernel):
        param = f"convolution_param {{ num_output: {channels} kernel_size: {kernel} pad: 0 }}"
        lines.append(CONV.format(name, bottom, top, f"{LEARN} {param}"))

    def relu(blob):
        lines.append(
            f"layers {{ name: 'relu_{blob}' type: RELU bottom: '{blob}' top: '{blob}' }}\n"
        )

    blob = "data"
    for level in range(5):
        for a, b in ("ab", "bc"):
            name = f"conv_d{level}{a}-{b}"
            top = f"d{level}{b}"
            conv(name, blob, top, width << level, 3)
            relu(top)
            blob = top
        if level > 2:
            lines.append(
                f"layers {{ name: 'dropout_{blob}' type: DROPOUT bottom: '{blob}' top: '{blob}' "
                "dropout_param { dropout_ratio: 0.5 } include: { phase: TRAIN } }\n"
            )
        if level < 4:
            lines.append(
                f"layers {{ name: 'pool_{blob}-{level + 1}a' type: POOLING bottom: '{blob}' "
                f"top: 'd{level + 1}a' pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}\n"
            )
            blob = f"d{level + 1}a"
    for level in range(3, -1, -1):
        up, skip = f"u{level}a", f"d{level}c"
        channels = width << max(level, 1)
        lines.append(
            f"layers {{ name: 'upconv_{blob}_{up}' type: DECONVOLUTION bottom: '{blob}' "
            f"top: '{up}' {LEARN} "
            f"convolution_param {{ num_output: {channels} kernel_size: 2 stride: 2 }} }}\n"
        )
        relu(up)
        lines.append(
            f"layers {{ name: 'crop_{skip}-{skip}c' type: CROP bottom: '{skip}' bottom: '{up}' "
            f"top: '{skip}c' }}\n"
            f"layers {{ name: 'concat_{skip}c_{up}-b' type: CONCAT bottom: '{up}' "
            f"bottom: '{skip}c' top: 'u{level}b' }}\n"
        )
        blob = f"u{level}b"
        for a, b in ("bc", "cd"):
            top = f"u{level}{b}"
            conv(f"conv_u{level}{a}-{b}", blob, top, width << level, 3)
            relu(top)
            blob = top
    conv("conv_u0d-score", blob, "score", 2, 1)
    lines.append(
        "layers { name: 'loss' type: SOFTMAX_LOSS bottom: 'score' bottom: 'label' top: 'loss' "
        "loss_param { ignore_label: 2 } include: { phase: TRAIN } }\n"
    )
    return "".join(lines)
