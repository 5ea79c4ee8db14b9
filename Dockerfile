# The page on the shipped weights, on the CPU:
#   docker build -t ebm-studio . && docker run --rm -p 7860:7860 ebm-studio
FROM python:3.11.13-slim-bookworm

RUN useradd --create-home studio
WORKDIR /home/studio/app
# Pinned versions (made by `make lock`), before the code: a change of the code installs nothing again. torchvision on
# the index goes with the CUDA build of torch, which also runs without a GPU.
COPY requirements/app.lock requirements/app.lock
RUN pip install --no-cache-dir -r requirements/app.lock
COPY pyproject.toml README.md LICENSE ./
COPY ebm_core ebm_core
COPY app app
COPY train train
RUN pip install --no-cache-dir --no-deps -e .
COPY weights weights

USER studio
EXPOSE 7860
# A small answer that needs no model, with more patience than a page load takes on a machine that samples.
HEALTHCHECK --interval=60s --timeout=30s --start-period=120s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/manifest.json', timeout=25)"]
CMD ["python", "-m", "app", "--host", "0.0.0.0"]
