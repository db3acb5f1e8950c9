"""The paper's U-Net in PyTorch, for comparison: the topology of models/unet.prototxt (unpadded 3x3
convolutions with ReLU, 2x2 up-convolutions, crop and concat), SGD with momentum 0.99 and weight
decay.  No dropout, which is less work than ours does.

    make(job, size, base, channels_last, threads) -> a function that runs the job once
"""

from __future__ import annotations

from collections.abc import Callable

DEPTH = 4


def make(job: str, size: int, base: int, channels_last: bool, threads: int) -> Callable[[], None]:
    import torch
    from torch import nn
    from torch.nn import functional

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = [base << level for level in range(DEPTH + 1)]
            self.down = nn.ModuleList(
                self.pair(1 if level == 0 else width[level - 1], width[level])
                for level in range(DEPTH + 1)
            )
            self.up = nn.ModuleList(
                nn.ConvTranspose2d(width[level + 1], width[level], 2, 2) for level in range(DEPTH)
            )
            self.join = nn.ModuleList(
                self.pair(width[level + 1], width[level]) for level in range(DEPTH)
            )
            self.score = nn.Conv2d(base, 2, 1)

        @staticmethod
        def pair(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3),
                nn.ReLU(inplace=True),
                nn.Conv2d(outputs, outputs, 3),
                nn.ReLU(inplace=True),
            )

        def forward(self, x):
            skips = []
            for level, pair in enumerate(self.down):
                x = pair(x)
                if level < DEPTH:
                    skips.append(x)
                    x = functional.max_pool2d(x, 2)
            for level in reversed(range(DEPTH)):
                x, skip = self.up[level](x), skips[level]
                rim = (skip.shape[2] - x.shape[2]) // 2
                n = x.shape[2]
                skip = skip[:, :, rim : rim + n, rim : rim + n]
                x = self.join[level](torch.cat((x, skip), 1))
            return self.score(x)

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = UNet().to(memory_format=layout)
    x = torch.randn(1, 1, size, size).to(memory_format=layout)
    if job == "forward":
        net.eval()

        def forward() -> None:
            with torch.inference_mode():
                net(x)

        return forward
    with torch.no_grad():
        out = net(x).shape[2:]
    label, weight = torch.randint(0, 2, (1, *out)), torch.ones(1, *out)
    sgd = torch.optim.SGD(net.parameters(), 1e-9, momentum=0.99, weight_decay=0.0005)

    def step() -> None:
        sgd.zero_grad()
        loss = (functional.cross_entropy(net(x), label, reduction="none") * weight).mean()
        loss.backward()
        if job == "step":
            sgd.step()

    return step
