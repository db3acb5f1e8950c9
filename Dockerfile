# docker build -t demitasse .                    the CPU
# docker build -t demitasse:cuda --target cuda . NVIDIA GPUs; the driver is the host's
# docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" demitasse deploy --weights unet.h5 img.tif
# docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" --gpus all demitasse:cuda deploy --weights unet.h5 img.tif -gpu 0

FROM python:3.12-slim AS base
COPY . /src
RUN pip install --no-cache-dir "/src[fast,rois,export]" && rm -rf /src
ENV HOME=/tmp NUMBA_CACHE_DIR=/tmp
WORKDIR /data
ENTRYPOINT ["demitasse"]
CMD ["--help"]

# [ctk] brings NVIDIA's libraries as wheels, so the image needs no CUDA of its own
FROM base AS cuda
RUN pip install --no-cache-dir "cupy-cuda13x[ctk]>=14.2"

FROM base AS cpu
