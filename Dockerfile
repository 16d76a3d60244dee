# Everything in the versions of requirements.lock, with headless rendering:
#
#   docker build --tag m3 .
#   docker run --rm --gpus all --volume "$PWD":/m3 m3 snakemake --cores all --configfile config/quickstart.yaml
#
# The repository is mounted, so that results stay outside and a change of the code needs no new image.
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        curl git libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri libosmesa6 make \
    && rm --recursive /var/lib/apt/lists/*

COPY requirements.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --requirement /tmp/requirements.lock

# With "graphics" the machine's driver renders on its GPU; without a GPU, Mesa does on the CPU.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,graphics,utility \
    PYTHONPATH=/m3
WORKDIR /m3
CMD ["snakemake", "--cores", "all", "paper_figures"]
